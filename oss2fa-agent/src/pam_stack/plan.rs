//! What an installation would write, and whether it should.

use std::path::{Path, PathBuf};

use super::{Mode, Touches, drop_in, edit};
use crate::doctor::{self, Report, SSHD, SSHD_CONFIG, Tree, Verdict, find_stack};

/// Where stacks are written.
const FOLDER: &str = "/etc/pam.d";

/// A file, as it is and as it is to be; `None` where it is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// From the root of the host.
    pub(crate) path: PathBuf,
    pub(crate) old: Option<String>,
    pub(crate) new: Option<String>,
}

/// The changes of one installation, in the order in which they are to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) changes: Vec<Change>,
}

impl Plan {
    /// The plan for `service`.
    ///
    /// # Errors
    /// A sentence for whoever asked, where it cannot be done, or would leave the service open or shut.
    pub(crate) fn make(tree: &Tree, service: &str, mode: Mode, touches: Touches) -> Result<Self, String> {
        if mode == Mode::PublicKeyAndCode && service != SSHD {
            return Err(format!(
                "the mode publickey+code is for sshd: {service} knows no keys. Take password+code"
            ));
        }
        let mut changes = vec![Self::stack(tree, service, service, mode)?];
        let shell = doctor::login_shell_of(service);
        if let Some(shell) = shell.filter(|shell| matches!(find_stack(tree, shell), Ok(Some(_)))) {
            let planned = Self { changes: changes.clone() }.applied(tree);
            // One that includes the other has our line by it.
            if !doctor::names_the_module(&planned, shell) {
                changes.push(Self::stack(tree, shell, service, mode)?);
            }
        }
        if service == SSHD {
            changes.push(Self::sshd(tree, mode, touches)?);
        }
        let plan = Self { changes };
        plan.hold_against_the_doctor(tree, service)?;
        Ok(plan)
    }

    fn stack(tree: &Tree, service: &str, way_back: &str, mode: Mode) -> Result<Change, String> {
        let path = Path::new(FOLDER).join(service);
        let shown = tree.shown(&path).display().to_string();
        let found = find_stack(tree, service).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        let Some((source, text)) = found else {
            return Err(format!(
                "there is no {shown}: is {service} installed, and is that what its stack is called?"
            ));
        };
        if text.contains(char::REPLACEMENT_CHARACTER) {
            return Err(format!(
                "{shown} is not text in UTF-8: this command would not give it back as it is"
            ));
        }
        let new = edit::protect(tree, service, way_back, &text, mode).map_err(|why| {
            format!(
                "{shown} is left as it is, because {why}. Write the stack by hand, as the examples show, and ask \
                 `oss2fa-agent doctor {service}`"
            )
        })?;
        // A file of the distribution stays; one of the host takes its place.
        let old = (source == path).then_some(text);
        Ok(Change { path, old, new: Some(new) })
    }

    fn sshd(tree: &Tree, mode: Mode, touches: Touches) -> Result<Change, String> {
        let path = PathBuf::from(drop_in::PATH);
        let shown = tree.shown(&path).display().to_string();
        if let Some(folder) = path.parent().filter(|folder| !tree.has(folder)) {
            let folder = tree.shown(folder).display().to_string();
            return Err(format!("there is no folder {folder}, which sshd's settings go into: make it first"));
        }
        let old = tree.read(&path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        let new = Some(drop_in::text(mode, touches));
        let planned = tree.clone().with(&path, new.clone());
        let config = tree.shown(Path::new(SSHD_CONFIG)).display().to_string();
        match doctor::sshd_takes(&planned, &drop_in::settings(mode, touches)) {
            Ok(None) => Ok(Change { path, old, new }),
            Ok(Some(other)) => Err(format!(
                "with {shown} in place, sshd would still go by {other}. Let {config} begin with \
                 `Include /etc/ssh/sshd_config.d/*.conf`, and take that setting out"
            )),
            Err(why) => Err(format!("{config} cannot be built upon: {why}")),
        }
    }

    /// The host as it would be.
    pub(crate) fn applied(&self, tree: &Tree) -> Tree {
        self.changes.iter().fold(tree.clone(), |tree, change| tree.with(&change.path, change.new.clone()))
    }

    // Before anything is written: it must protect, and must not lock everybody out.
    fn hold_against_the_doctor(&self, tree: &Tree, service: &str) -> Result<(), String> {
        let planned = self.applied(tree);
        let services = doctor::with_login_shells(&planned, vec![service.to_owned()]);
        // What the agent's configuration says is told after the installation.
        let report: Report = doctor::examine(&planned, &services, &Err(String::new()));
        let by_hand = "Nothing was changed; write the stack by hand, as the examples show";
        if let Some(found) = report.services.iter().find(|found| found.verdict != Verdict::Protected) {
            return Err(format!(
                "with our lines added, {} would still let people by: {}. {by_hand}",
                found.service, found.sentence
            ));
        }
        if let Some(shut) = services.iter().find(|service| !doctor::lets_somebody_in(&planned, service)) {
            return Err(format!(
                "with our lines added, nobody would get in by {shut}: its lines are not ones that this command can \
                 add to. {by_hand}"
            ));
        }
        Ok(())
    }
}
