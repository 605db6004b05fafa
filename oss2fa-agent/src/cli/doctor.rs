//! `doctor`: whether a login can pass without the second factor, and by which line.

use std::path::{Path, PathBuf};

use super::context::{Context, Form, Output};
use super::failure::{Failure, OwnCode};
use crate::config::Config;
use crate::doctor::{self, Report, Tree};
use crate::pam_stack::Touches;

/// Say for each service whether a login can pass without the second factor, and by which line
///
/// Reads the stacks in /etc/pam.d as libpam does, the configuration of sshd (by `sshd -T`) and the
/// agent's own, and changes nothing. The exit status is 0 only where every service is protected.
#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// PAM services, as files in /etc/pam.d, sudo with sudo-i and su with su-l; by default those whose
    /// stacks name the module, and sshd, su and sudo where they exist
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Look at the system below this folder instead of the one that runs
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Doctor {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let tree = tree(&self.root)?;
        let services = match self.services.as_slice() {
            [] => doctor::meant(&tree).map_err(|error| {
                Failure::new(
                    OwnCode::BadFile,
                    format!("{} cannot be read: {error}", tree.shown(Path::new("/etc/pam.d")).display()),
                )
            })?,
            named => {
                let named = named.iter().map(|name| service(name)).collect::<Result<_, _>>()?;
                doctor::with_login_shells(&tree, named)
            }
        };
        if services.is_empty() {
            let message = format!(
                "{} has no service that names pam_oss2fa.so, and neither sshd, su nor sudo: name the services to look at",
                tree.shown(Path::new("/etc/pam.d")).display()
            );
            return Err(Failure::new(OwnCode::NothingThere, message));
        }
        show(context, &examine(context, &tree, &services))
    }
}

/// The system below `root`.
pub(super) fn tree(root: &Path) -> Result<Tree, Failure> {
    match root.canonicalize() {
        Ok(path) if path.is_dir() => Ok(Tree::new(&path)),
        Ok(_) => Err(Failure::new(OwnCode::BadFile, format!("--root {} is not a folder", root.display()))),
        Err(error) => Err(Failure::new(OwnCode::BadFile, format!("--root {}: {error}", root.display()))),
    }
}

/// The name of a service as libpam takes it: in small letters, and never a path.
pub(super) fn service(name: &str) -> Result<String, Failure> {
    let is_name = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0', '\n']);
    if is_name {
        return Ok(name.to_ascii_lowercase());
    }
    let message = format!("{name:?} is not the name of a service: give that of a file in /etc/pam.d");
    Err(Failure::new(OwnCode::BadUsage, message))
}

/// Examines these services with the configuration that belongs to them.
pub(super) fn examine(context: &Context<'_, '_>, tree: &Tree, services: &[String]) -> Report {
    let path = tree.shown(context.config_path());
    let config = Config::load(&path).map_err(|error| error.to_string());
    doctor::examine(tree, services, &config)
}

/// Whether the configuration that belongs to this system counts the touch of ssh keys.
pub(super) fn touches(context: &Context<'_, '_>, tree: &Tree) -> Touches {
    let config = Config::load(&tree.shown(context.config_path()));
    // An agent without a usable configuration lets nobody in by anything.
    config.as_ref().map_or(Touches::NotCounted, Touches::by)
}

/// Shows it, and fails where a service is not protected.
pub(super) fn show(context: &mut Context<'_, '_>, report: &Report) -> Result<(), Failure> {
    if context.form == Form::Json {
        context.console.json(report)?;
    } else {
        for line in report.services.iter().flat_map(doctor::ServiceReport::words) {
            context.console.say(&line)?;
        }
    }
    match report.failing().as_slice() {
        [] => Ok(()),
        failing => Err(Failure::new(
            OwnCode::NotProtected,
            format!("without a second factor, somebody can get in by: {}", failing.join(", ")),
        )),
    }
}
