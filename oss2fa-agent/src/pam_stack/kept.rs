//! Writing the changes, each in one stroke, and what was there before, kept in a folder of root's.
//!
//! Not in the daemon's folder: what root puts back one day must not be for the daemon to choose.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::plan::{Change, Plan};
use crate::doctor::Tree;

/// Where it is kept, a folder a service.
const FOLDER: &str = "/etc/oss2fa/before";

/// The list of the files of an installation, one path a line, in the order of the files' numbers.
const LIST: &str = "files";

/// What an installation changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    folder: PathBuf,
    /// Back to what was: `old` is what is there now.
    pub(crate) back: Vec<Change>,
    /// Files that somebody has changed since.
    pub(crate) changed_since: Vec<PathBuf>,
}

/// Whether something is kept of `service`.
pub(crate) fn is_installed(tree: &Tree, service: &str) -> bool {
    tree.has(&Path::new(FOLDER).join(service).join(LIST))
}

/// The services of which something is kept; only root can see them.
pub(crate) fn installed(tree: &Tree) -> Vec<String> {
    tree.names(Path::new(FOLDER)).unwrap_or_default()
}

/// What is kept of `service`; `None` where nothing is.
pub(crate) fn of(tree: &Tree, service: &str) -> io::Result<Option<Kept>> {
    let folder = Path::new(FOLDER).join(service);
    let Some(list) = tree.read(&folder.join(LIST))? else { return Ok(None) };
    let (mut back, mut changed_since) = (Vec::new(), Vec::new());
    for (number, path) in list.lines().enumerate() {
        let path = PathBuf::from(path);
        let before = tree.read(&folder.join(format!("{number}.before")))?;
        let written = tree.read(&folder.join(format!("{number}.written")))?;
        let now = tree.read(&path)?;
        if now != written && now != before {
            changed_since.push(path.clone());
        }
        back.push(Change { path, old: now, new: before });
    }
    // sshd's settings go before the stack that they need.
    back.reverse();
    Ok(Some(Kept { folder, back, changed_since }))
}

/// Writes the plan. What was there is on the disk before anything else is.
pub(crate) fn install(tree: &Tree, service: &str, plan: &Plan) -> io::Result<()> {
    let folder = Path::new(FOLDER).join(service);
    let inside = safe(tree, &folder)?;
    // Without its list it is of an attempt that was cut short before it changed anything.
    match fs::remove_dir_all(&inside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&inside)?;
    let mut list = String::new();
    for (number, change) in plan.changes.iter().enumerate() {
        safe(tree, &change.path)?;
        list.push_str(&format!("{}\n", change.path.display()));
        for (name, text) in [("before", &change.old), ("written", &change.new)] {
            if let Some(text) = text {
                replace(&inside.join(format!("{number}.{name}")), text, None)?;
            }
        }
    }
    replace(&inside.join(LIST), &list, None)?;
    sync(inside.parent().unwrap_or(&inside))?;
    plan.changes.iter().try_for_each(|change| write(tree, change))
}

/// Puts back what was there. Cut short, it can be done again.
pub(crate) fn remove(tree: &Tree, kept: &Kept) -> io::Result<()> {
    for change in &kept.back {
        write(tree, change)?;
    }
    let folder = safe(tree, &kept.folder)?;
    // Without the list there is no installation; the rest may go in any order.
    fs::remove_file(folder.join(LIST))?;
    fs::remove_dir_all(&folder)
}

fn write(tree: &Tree, change: &Change) -> io::Result<()> {
    let path = safe(tree, &change.path)?;
    match (&change.new, fs::symlink_metadata(&path)) {
        (Some(new), Ok(like)) => replace(&path, new, Some(&like)),
        (Some(new), Err(_)) => replace(&path, new, None),
        (None, there) => {
            discard(&beside(&path)?)?;
            if there.is_ok() {
                fs::remove_file(&path)?;
            }
            sync(path.parent().unwrap_or(&path))
        }
    }
}

/// The path on this machine, where no link leads elsewhere.
fn safe(tree: &Tree, path: &Path) -> io::Result<PathBuf> {
    let shown = tree.shown(path);
    let mut reached = PathBuf::new();
    for part in shown.components() {
        reached.push(part);
        if fs::symlink_metadata(&reached).is_ok_and(|data| data.file_type().is_symlink()) {
            let message = format!(
                "{} is a link, and what it leads to may be another program's: change that by hand",
                reached.display()
            );
            return Err(io::Error::other(message));
        }
    }
    Ok(shown)
}

/// In one stroke: whoever reads meanwhile gets the old text or the new one, and so does a host whose
/// power fails. Owner and mode are those of the file before, or root's and readable.
fn replace(path: &Path, text: &str, like: Option<&fs::Metadata>) -> io::Result<()> {
    let new = beside(path)?;
    discard(&new)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| {
        if let Some(like) = like {
            fchown(&file, Some(like.uid()), Some(like.gid()))?;
        }
        file.set_permissions(fs::Permissions::from_mode(like.map_or(0o644, |like| like.mode() & 0o7777)))?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&new, path)).inspect_err(|_| {
        // What is left of it is in nobody's way.
        let _gone = fs::remove_file(&new);
    })?;
    sync(path.parent().unwrap_or(path))
}

/// Where a file's new text is written, before it gets the file's name.
fn beside(path: &Path) -> io::Result<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => Ok(folder.join(format!(".{}.oss2fa-new", name.to_string_lossy()))),
        _ => Err(io::Error::other("it has no folder")),
    }
}

/// What an attempt has left that was cut short.
fn discard(new: &Path) -> io::Result<()> {
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
