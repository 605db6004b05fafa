//! `oss2fa-server`: the process around the library: streams, environment, exit status.
#![forbid(unsafe_code)]

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use nix::sys::prctl;
use oss2fa_server::cli::{self, Environment};

#[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
fn main() -> ExitCode {
    // Codes and keys pass through this memory: no core dump, and no debugger of the same user.
    let _ = prctl::set_dumpable(false);
    let environment = Environment {
        credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        host: nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default(),
    };
    cli::run(std::env::args_os(), &environment, &mut io::stdout(), &mut io::stderr())
}
