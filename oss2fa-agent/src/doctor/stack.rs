//! A service's lines, with everything that they include, in the order in which libpam goes through them.
//!
//! After `_pam_parse_conf_file` of Linux-PAM 1.5.2 and `@include` as Debian has it.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::control::{Code, Control};
use super::line::{self, Fault, Words};
use super::module::is_ours;
use super::tree::Tree;

/// Where libpam looks for service files; the first one counts.
const FOLDERS: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];

/// The file for services that have none, or no line of a phase.
const OTHER: &str = "other";

/// Deepest nesting of files: libpam itself allows 16 of `substack` and, before 1.6, any number of others.
const DEEPEST: usize = 16;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// The file, as this machine reaches it.
    pub path: PathBuf,
    /// The line; the first one is 1.
    pub line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

/// The phases of a login that decide who gets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Auth,
    Account,
}

/// What stands at a place of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Module,
    /// The line that a substack hangs on; libpam only steps over it.
    Substack,
    /// A line that libpam could not read: it fails.
    Broken,
}

/// A link of the chain that libpam walks along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) kind: Kind,
    /// How many substacks it is in.
    pub(super) level: usize,
    pub(super) control: Control,
    /// As the file names it.
    pub(super) module: String,
    pub(super) arguments: Vec<String>,
    pub(super) place: Place,
}

impl Link {
    /// The module's file name.
    pub(super) fn module_name(&self) -> &str {
        self.module.rsplit('/').next().unwrap_or(&self.module)
    }
}

/// The chains of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stack {
    /// Its own file, where it has one.
    pub(super) file: Option<PathBuf>,
    pub(super) auth: Vec<Link>,
    pub(super) account: Vec<Link>,
}

impl Stack {
    pub(super) fn phase(&self, phase: Phase) -> &[Link] {
        match phase {
            Phase::Auth => &self.auth,
            Phase::Account => &self.account,
        }
    }

    /// Whether a line of it is our module's.
    pub(super) fn names_the_module(&self) -> bool {
        self.auth.iter().chain(&self.account).any(is_ours)
    }
}

/// Why there is no stack to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// libpam refuses every login, for this reason.
    Refuses { at: Place, why: &'static str },
    /// Neither the service nor `other` has a file: libpam refuses every login.
    NoFile,
    /// Nobody can say what libpam does.
    Unclear { at: Place, why: String },
}

/// Reads the stack of `service`.
pub(super) fn load(tree: &Tree, service: &str) -> Result<Stack, Unreadable> {
    let mut own = Reader::new(tree);
    let mut other = Reader::new(tree);
    let file = own.service(service)?;
    let fallback = other.service(OTHER)?;
    if file.is_none() && fallback.is_none() {
        return Err(Unreadable::NoFile);
    }
    // libpam falls back for each phase by itself.
    let or = |own: Vec<Link>, other: Vec<Link>| if own.is_empty() { other } else { own };
    Ok(Stack {
        file: file.map(|path| tree.shown(&path)),
        auth: or(own.stack.auth, other.stack.auth),
        account: or(own.stack.account, other.stack.account),
    })
}

/// Services that have a file, by name.
pub(super) fn services(tree: &Tree) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for folder in FOLDERS {
        names.extend(tree.names(Path::new(folder))?);
    }
    // Hidden files and what packages leave behind (sshd.dpkg-old) are no program's.
    names.retain(|name| {
        !name.starts_with('.') && !name.contains(".dpkg-") && !name.ends_with('~') && name != OTHER
    });
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// The file of a service, or of an include, and its text.
pub(crate) fn find(tree: &Tree, name: &str) -> std::io::Result<Option<(PathBuf, String)>> {
    if name.starts_with('/') {
        let path = PathBuf::from(name);
        return Ok(tree.read(&path)?.map(|text| (path, text)));
    }
    for folder in FOLDERS {
        let path = Path::new(folder).join(name);
        if let Some(text) = tree.read(&path)? {
            return Ok(Some((path, text)));
        }
    }
    Ok(None)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Auth,
    Account,
    /// `session` and `password`: they let nobody in.
    Later(char),
}

struct Reader<'t> {
    tree: &'t Tree,
    stack: Stack,
}

/// What a file did to the one that includes it.
enum Ended {
    Read,
    /// libpam gave up in the middle of it, with what it had read until then.
    Aborted {
        at: Place,
        why: &'static str,
    },
}

impl<'t> Reader<'t> {
    fn new(tree: &'t Tree) -> Self {
        Self { tree, stack: Stack::default() }
    }

    fn service(&mut self, name: &str) -> Result<Option<PathBuf>, Unreadable> {
        match self.open(name, None)? {
            None => Ok(None),
            Some((path, text)) => match self.file(&path, &text, None, 0, 0)? {
                Ended::Read => Ok(Some(path)),
                Ended::Aborted { at, why } => Err(Unreadable::Refuses { at, why }),
            },
        }
    }

    fn open(&self, name: &str, from: Option<&Place>) -> Result<Option<(PathBuf, String)>, Unreadable> {
        find(self.tree, name).map_err(|error| {
            let path = self.tree.shown(&Path::new("/etc/pam.d").join(name));
            let why = format!("{} cannot be read: {error}", path.display());
            Unreadable::Unclear { at: from.cloned().unwrap_or(Place { path, line: 1 }), why }
        })
    }

    fn file(
        &mut self,
        path: &Path,
        text: &str,
        wanted: Option<Type>,
        level: usize,
        depth: usize,
    ) -> Result<Ended, Unreadable> {
        let shown = self.tree.shown(path);
        let (lines, fault) = line::lines(text);
        for line in lines {
            let place = Place { path: shown.clone(), line: line.number };
            if let Ended::Aborted { at, why } = self.line(&line.text, &place, wanted, level, depth)? {
                return Ok(Ended::Aborted { at, why });
            }
        }
        let Some((number, fault)) = fault else { return Ok(Ended::Read) };
        let at = Place { path: shown, line: number };
        match fault {
            Fault::Unfinished => Ok(Ended::Aborted { at, why: "ends in a backslash that nothing follows" }),
            Fault::TooLong => Err(Unreadable::Unclear {
                at,
                why:
                    "is longer than 1022 bytes, and not every libpam reads that as one line: make it shorter"
                        .to_owned(),
            }),
            Fault::Zero => {
                Err(Unreadable::Unclear { at, why: "has a zero byte: write the line again".to_owned() })
            }
        }
    }

    fn line(
        &mut self,
        text: &str,
        place: &Place,
        wanted: Option<Type>,
        level: usize,
        depth: usize,
    ) -> Result<Ended, Unreadable> {
        let mut words = Words::new(text);
        let first = words.next();
        let mut kind = Kind::Module;
        let word = first.as_deref().unwrap_or_default();
        let word = word.strip_prefix('-').unwrap_or(word).to_ascii_lowercase();
        let type_ = match word.as_str() {
            "auth" => Type::Auth,
            "account" => Type::Account,
            "session" | "password" => Type::Later(word.chars().next().unwrap_or_default()),
            "@include" => return self.include_all(words.next(), place, wanted, level, depth),
            // libpam puts what it does not know where it matters most.
            _ => {
                kind = Kind::Broken;
                wanted.unwrap_or(Type::Auth)
            }
        };
        if wanted.is_some_and(|wanted| wanted != type_) {
            return Ok(Ended::Read);
        }
        let control = words.next();
        let module = words.next();
        let arguments = words.collect();
        let mut link = Link {
            kind,
            level,
            control: match &control {
                Some(control) => Control::parse(control),
                None => Control::refusing(""),
            },
            module: module.unwrap_or_default(),
            arguments,
            place: place.clone(),
        };
        match control.as_deref().map(str::to_ascii_lowercase).as_deref() {
            Some("include") => self.include(link, type_, level, depth),
            Some("substack") => {
                link.control = Control::refusing("substack");
                self.push(type_, Link { kind: Kind::Substack, ..link.clone() });
                self.include(link, type_, level + 1, depth)
            }
            _ => {
                if link.module.is_empty() {
                    link.kind = Kind::Broken;
                }
                self.push(type_, link);
                Ok(Ended::Read)
            }
        }
    }

    /// Debian's `@include`: everything of another file.
    fn include_all(
        &mut self,
        name: Option<String>,
        place: &Place,
        wanted: Option<Type>,
        level: usize,
        depth: usize,
    ) -> Result<Ended, Unreadable> {
        let Some(name) = name else {
            let why = "is an @include without the name of a file, and libpam crashes at it: add the name"
                .to_owned();
            return Err(Unreadable::Unclear { at: place.clone(), why });
        };
        self.not_too_deep(place, depth)?;
        match self.open(&name, Some(place))? {
            Some((path, text)) => self.file(&path, &text, wanted, level, depth + 1),
            None => Ok(Ended::Aborted { at: place.clone(), why: "includes a file that is not there" }),
        }
    }

    /// `include` and `substack`: the lines of one phase. Where that fails, the line itself does.
    fn include(&mut self, link: Link, type_: Type, level: usize, depth: usize) -> Result<Ended, Unreadable> {
        self.not_too_deep(&link.place, depth)?;
        if !link.module.is_empty()
            && let Some((path, text)) = self.open(&link.module, Some(&link.place))?
            && let Ended::Read = self.file(&path, &text, Some(type_), level, depth + 1)?
        {
            return Ok(Ended::Read);
        }
        self.push(type_, Link { kind: Kind::Broken, control: Control::refusing(""), ..link });
        Ok(Ended::Read)
    }

    fn not_too_deep(&self, place: &Place, depth: usize) -> Result<(), Unreadable> {
        if depth < DEEPEST {
            return Ok(());
        }
        let why = format!(
            "is the {DEEPEST}th file within a file, or a file that includes itself: take the line out"
        );
        Err(Unreadable::Unclear { at: place.clone(), why })
    }

    fn push(&mut self, type_: Type, link: Link) {
        match type_ {
            Type::Auth => self.stack.auth.push(link),
            Type::Account => self.stack.account.push(link),
            Type::Later(_) => {}
        }
    }
}

/// What a link that never calls a module answers.
pub(super) const BROKEN: Code = Code::PERM_DENIED;
