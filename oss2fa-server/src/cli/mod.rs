//! The command line: one file a command, over the same verbs as the server's.
//!
//! Nothing here prints, reads the clock or looks at the environment by itself: [`run`] is given its
//! [`Console`] and its [`Environment`].

mod admin;
mod app;
mod app_transfer;
mod arguments;
mod audit;
mod backup;
mod check_config;
mod client;
mod completions;
mod console;
mod context;
mod credentials;
mod date;
mod dotted;
mod failure;
mod import;
mod integration;
mod key;
mod man;
mod opened;
mod policy;
mod rotate_master;
mod serve;
mod store;
mod store_copy;
mod table;
mod target;
mod tenant;
mod yubico_client;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches};

pub use self::console::{Attached, Console};
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
    let Arguments { common, command } = match parsed {
        Ok(arguments) => arguments,
        Err(answer) if form == Form::Json => return console.show_usage_as_json(&answer),
        Err(answer) => return console.show_usage(&answer),
    };
    let mut context = Context::new(&common, environment, console);
    // What is still kept back is let out here: a disk that is full is told in the form that was asked for.
    match command.run(&mut context).and_then(|()| context.console.flush()) {
        Ok(()) => Exit::Done,
        Err(failure) => {
            let exit = failure.exit();
            console.show_failure(&failure, common.form());
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
