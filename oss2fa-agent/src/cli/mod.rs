//! The command line: one file a command, over a client of the daemon's socket.
//!
//! Nothing here prints, reads the clock or looks at the environment by itself: [`run`] is given its
//! [`Console`] and its [`Environment`].

mod arguments;
mod audit;
mod backup;
mod check_config;
mod code;
mod completions;
mod confirm;
mod connection;
mod console;
mod context;
mod date;
mod doctor;
mod enroll;
mod enroll_ssh;
mod enroll_yubikey;
mod export;
mod failure;
mod import;
mod import_file;
mod import_report;
mod import_yubikeys;
mod keys;
mod list;
mod man;
mod pam;
mod pam_install;
mod pam_remove;
mod pam_try;
mod proof;
mod provisioning;
pub(crate) mod qr;
mod recovery_codes;
mod remove;
mod rename;
mod resync;
mod serve;
mod status;
mod table;
mod unlock;
mod verify;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches};

pub use self::console::{Attached, Console, Progress};
pub use self::context::Environment;
pub use self::failure::Exit;

use self::arguments::Arguments;
use self::context::{Context, Form};

/// The whole command line as data: for help, completions and man pages.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Does what `arguments` (the program's name first) ask for.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &Environment,
    console: &mut Console<'_>,
) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let form = form_of(&arguments);
    let parsed = command()
        .try_get_matches_from(arguments)
        .and_then(|mut matches| Arguments::from_arg_matches_mut(&mut matches));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(answer) if form == Form::Json => return console.show_usage_as_json(&answer),
        Err(answer) => return console.show_usage(&answer),
    };
    let form = arguments.command.form();
    let mut context = Context::new(&arguments.config, environment, console, form);
    match arguments.command.run(&mut context) {
        Ok(()) => Exit::Done,
        Err(failure) => {
            let exit = failure.exit();
            console.show_failure(&failure, form);
            exit
        }
    }
}

/// How to answer a command line that cannot be read.
fn form_of(arguments: &[OsString]) -> Form {
    // Behind `--` stand no options.
    if arguments.iter().take_while(|word| *word != "--").any(|word| word == "--json") {
        Form::Json
    } else {
        Form::Words
    }
}
