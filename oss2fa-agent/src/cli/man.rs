//! `man`: the manual pages, made from the same words as `--help`.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap_mangen::roff::{Roff, bold, roman};

use super::context::Context;
use super::failure::{Failure, OwnCode};
use crate::config::DEFAULT_PATH;

/// Print the manual page, or write one for each command into a folder
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// An existing folder; without it the main page goes to standard output
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let pages = pages().map_err(|error| Failure::output(&error))?;
        let Some(folder) = &self.folder else {
            return pages.last().map_or(Ok(()), |(_, page)| context.console.draw(page));
        };
        for (name, page) in pages {
            let path = folder.join(name);
            fs::write(&path, page).map_err(|error| {
                let message = format!("{} could not be written: {error}", path.display());
                Failure::new(OwnCode::BadFile, message)
            })?;
        }
        Ok(())
    }
}

/// All pages with the names of their files, the main one last.
fn pages() -> io::Result<Vec<(String, String)>> {
    let mut command = super::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    collect(&command, &mut pages)?;
    Ok(pages)
}

fn collect(command: &clap::Command, pages: &mut Vec<(String, String)>) -> io::Result<()> {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        collect(sub, pages)?;
    }
    let is_main = command.get_name() == "oss2fa-agent";
    let man = clap_mangen::Man::new(command.clone())
        .source(concat!("oss2fa-agent ", env!("CARGO_PKG_VERSION")))
        .manual("OSS2FA");
    let name = man.get_filename();
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    last_sections(is_main).to_writer(&mut page)?;
    pages.push((name, String::from_utf8_lossy(&page).into_owned()));
    Ok(())
}

fn last_sections(main: bool) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in [
        ("0", "Done."),
        ("1", "Refused: a wrong code, something not allowed or not there."),
        ("2", "The command line or the configuration file cannot be used."),
        ("3", "The agent or its store does not answer."),
    ] {
        roff.control("TP", []);
        roff.text([bold(status)]);
        roff.text([roman(meaning)]);
    }
    roff.control("SH", ["FILES"]);
    for (file, meaning) in [
        (DEFAULT_PATH, "The configuration; it says where the socket, the store and the master key are."),
        ("/run/oss2fa/agent.sock", "The agent's socket, by default."),
        ("/var/lib/oss2fa/agent.db", "The store, by default."),
    ] {
        roff.control("TP", []);
        roff.text([bold(file)]);
        roff.text([roman(meaning)]);
    }
    if !main {
        roff.control("SH", ["SEE ALSO"]);
        roff.text([bold("oss2fa-agent"), roman("(1)")]);
    }
    roff
}
