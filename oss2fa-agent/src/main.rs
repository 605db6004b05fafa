//! `oss2fa-agent`: the process around the library: streams, environment, exit status.
#![forbid(unsafe_code)]

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use nix::sys::prctl;
use nix::unistd::getuid;
use oss2fa_agent::cli::{self, Attached, Console, Environment, Progress};

#[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
fn main() -> anyhow::Result<ExitCode> {
    // Codes and secrets pass through this memory: no core dump, and no debugger of the same user.
    prctl::set_dumpable(false)?;
    let environment = Environment {
        uid: getuid().as_raw(),
        term: std::env::var("TERM").ok(),
        credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
    };
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let attached = |is_terminal: bool| if is_terminal { Attached::Terminal } else { Attached::Elsewhere };
    let mut console = Console {
        stdin_is: attached(stdin.is_terminal()),
        stdout_is: attached(stdout.is_terminal()),
        stderr_is: attached(stderr.is_terminal()),
        stdin: &mut stdin.lock(),
        // Locked by each write and not for good: `serve` logs from its own threads.
        stdout: &mut io::BufWriter::new(stdout),
        stderr: &mut { stderr },
        progress: Progress::None,
    };
    let exit = cli::run(std::env::args_os(), &environment, &mut console);
    console.stdout.flush().or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })?;
    Ok(exit.into())
}
