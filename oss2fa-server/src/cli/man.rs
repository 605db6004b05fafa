//! `man`: the manual pages, made from the same words as `--help`.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap_mangen::roff::{Roff, bold, roman};

use super::context::Context;
use super::failure::{Code, Failure};
use crate::config::DEFAULT_PATH;

/// Print the manual page, or write one for each command into a folder
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// An existing folder; without it the main page goes to standard output
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

const PROGRAM: &str = "oss2fa-server";

impl Man {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let pages = pages().map_err(|error| Failure::output(&error))?;
        let Some(folder) = &self.folder else {
            return pages.last().map_or(Ok(()), |(_, page)| context.console.draw(page));
        };
        for (name, page) in pages {
            let path = folder.join(name);
            fs::write(&path, page).map_err(|error| {
                Failure::new(Code::BadFile, format!("{} could not be written: {error}", path.display()))
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
    let is_main = command.get_name() == PROGRAM;
    let man = clap_mangen::Man::new(command.clone())
        .source(concat!("oss2fa-server ", env!("CARGO_PKG_VERSION")))
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
        ("1", "Refused: something is not allowed or not there."),
        ("2", "The command line or the configuration file cannot be used."),
        ("3", "The server cannot serve, or the store does not answer."),
    ] {
        roff.control("TP", []);
        roff.text([bold(status)]);
        roff.text([roman(meaning)]);
    }
    roff.control("SH", ["FILES"]);
    for (file, meaning) in [
        (DEFAULT_PATH, "The configuration; without it everything has its default."),
        ("/var/lib/oss2fa-server/server.db", "The embedded store, by default."),
        ("/var/lib/oss2fa-server/master.key", "The master key, by default."),
    ] {
        roff.control("TP", []);
        roff.text([bold(file)]);
        roff.text([roman(meaning)]);
    }
    if !main {
        roff.control("SH", ["SEE ALSO"]);
        roff.text([bold(PROGRAM), roman("(1)")]);
    }
    roff
}
