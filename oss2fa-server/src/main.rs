//! `oss2fa-server`: the process around the library: streams, environment, exit status.
#![forbid(unsafe_code)]

use std::io::{self, BufWriter, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use nix::sys::prctl;
use nix::unistd::{User, getuid};
use oss2fa_core::secret::SecretText;
use oss2fa_server::cli::{self, Attached, Console, Environment, Exit};
use oss2fa_server::config::Fallbacks;
use oss2fa_server::outside::System;

#[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
fn main() -> ExitCode {
    // Codes and keys pass through this memory: no core dump, and no debugger of the same user.
    let _ = prctl::set_dumpable(false);
    let environment = Environment {
        credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        host: nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default(),
        fallbacks: Fallbacks {
            postgres_username: std::env::var("POSTGRES_USERNAME").ok().filter(|name| !name.is_empty()),
            // One that is no text is refused as one that is too short.
            secret_key: std::env::var_os("SECRET_KEY")
                .map(|key| SecretText::new(key.into_string().unwrap_or_default())),
        },
        uid: getuid().as_raw(),
        user: User::from_uid(getuid()).ok().flatten().map(|user| user.name),
        clock: Arc::new(System),
        random: Arc::new(System),
    };
    let (stdin, stdout, mut stderr) = (io::stdin(), io::stdout(), io::stderr());
    let attached = |is_terminal: bool| if is_terminal { Attached::Terminal } else { Attached::Elsewhere };
    let mut console = Console {
        stdin_is: attached(stdin.is_terminal()),
        stdout_is: attached(stdout.is_terminal()),
        stderr_is: attached(stderr.is_terminal()),
        stdin: &mut stdin.lock(),
        stdout: &mut BufWriter::new(stdout),
        stderr: &mut stderr,
    };
    let exit = cli::run(std::env::args_os(), &environment, &mut console);
    match console.stdout.flush() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe && exit == Exit::Done => {
            let _ = writeln!(console.stderr, "error: the output could not be written: {error}");
            Exit::Refused.into()
        }
        _ => exit.into(),
    }
}
