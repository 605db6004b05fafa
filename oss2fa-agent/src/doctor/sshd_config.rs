//! The configuration of sshd, as far as it decides who gets in: by the words of `sshd -T`, with the
//! lines of the files beside them.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::stack::Place;
use super::tree::Tree;

/// Its file.
pub(crate) const CONFIG: &str = "/etc/ssh/sshd_config";

/// Where sshd is; it wants to be called by its absolute path.
const PROGRAMS: [&str; 3] = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"];

/// Deepest `Include` in `Include`, as in OpenSSH.
const DEEPEST: usize = 16;

/// What sshd demands of public keys, whatever their owners' files say.
pub(crate) const PUBLIC_KEY_OPTIONS: &str = "pubkeyauthoptions";

/// What holds where nothing is written (OpenSSH 9; the older ones differ in nothing of it).
const DEFAULTS: [(&str, &str); 10] = [
    ("authenticationmethods", "any"),
    ("gssapiauthentication", "no"),
    ("hostbasedauthentication", "no"),
    ("kbdinteractiveauthentication", "yes"),
    ("pamservicename", "sshd"),
    ("passwordauthentication", "yes"),
    ("permitemptypasswords", "no"),
    ("pubkeyauthentication", "yes"),
    (PUBLIC_KEY_OPTIONS, "none"),
    ("usepam", "no"),
];

/// A value, and where it is written; no place for a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) value: String,
    pub(crate) place: Option<Place>,
}

/// The lines below a `Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) place: Place,
    pub(crate) criteria: String,
    settings: BTreeMap<String, Setting>,
}

/// What sshd would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SshdConfig {
    settings: BTreeMap<String, Setting>,
    pub(crate) blocks: Vec<Block>,
    /// The files that it was read from.
    pub(crate) files: Vec<PathBuf>,
    /// Why sshd itself could not be asked, where it could not.
    pub(super) unasked: Option<String>,
}

/// The configuration cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unusable {
    pub(crate) at: Option<Place>,
    pub(crate) why: String,
}

impl SshdConfig {
    /// Reads it; `None` where the host has no configuration of sshd.
    pub(super) fn load(tree: &Tree) -> Result<Option<Self>, Unusable> {
        let Some((mut config, flat)) = Self::read(tree, Path::new(CONFIG))? else { return Ok(None) };
        match ask(&flat) {
            Ok(said) => config.take(&said),
            Err(Asked::NotPossible(why)) => config.unasked = Some(why),
            Err(Asked::Refused(why)) => return Err(Unusable { at: None, why }),
        }
        Ok(Some(config))
    }

    /// Reads the files alone, and gives them as one as well.
    pub(crate) fn read(tree: &Tree, path: &Path) -> Result<Option<(Self, String)>, Unusable> {
        let mut reader = Reader { tree, config: Self::default(), global: String::new(), within: Vec::new() };
        let read = |error| Unusable {
            at: None,
            why: format!("{} cannot be read: {error}", tree.shown(path).display()),
        };
        let Some(text) = tree.read(path).map_err(read)? else { return Ok(None) };
        reader.file(path, &text, Scope::Global, 0)?;
        let flat = reader.flat();
        Ok(Some((reader.config, flat)))
    }

    /// An sshd that is not there yet: with PAM, and otherwise by its defaults.
    pub(super) fn assumed() -> Self {
        let mut config = Self { unasked: Some(format!("there is no {CONFIG}")), ..Self::default() };
        config.settings.insert("usepam".to_owned(), Setting { value: "yes".to_owned(), place: None });
        config
    }

    // sshd has the last word on a value; the file says where it stands.
    fn take(&mut self, said: &str) {
        for line in said.lines() {
            let Some((name, value)) = line.split_once(' ') else { continue };
            if !DEFAULTS.iter().any(|(known, _)| *known == name) {
                continue;
            }
            let setting = self.settings.entry(name.to_owned());
            setting
                .and_modify(|setting| value.clone_into(&mut setting.value))
                .or_insert_with(|| Setting { value: value.to_owned(), place: None });
        }
    }

    /// What holds where these blocks match; the first of them that sets something wins.
    pub(crate) fn setting(&self, name: &str, blocks: &[&Block]) -> Setting {
        let within = blocks.iter().find_map(|block| block.settings.get(name));
        within.or_else(|| self.settings.get(name)).cloned().unwrap_or_else(|| Setting {
            value: DEFAULTS
                .iter()
                .find(|(known, _)| *known == name)
                .map_or("", |(_, value)| value)
                .to_owned(),
            place: None,
        })
    }

    /// The setting by which sshd goes by another stack than `service`, for everybody or where a block matches.
    pub(super) fn other_stack(&self, service: &str) -> Option<Setting> {
        let named = |blocks: &[&Block]| self.setting("pamservicename", blocks);
        std::iter::once(named(&[]))
            .chain(self.blocks.iter().map(|block| named(&[block])))
            .find(|setting| setting.value != service)
    }

    /// Whether something is switched on where these blocks match.
    pub(super) fn is_on(&self, name: &str, blocks: &[&Block]) -> bool {
        self.setting(name, blocks).value.eq_ignore_ascii_case("yes")
    }
}

impl Block {
    /// What is written in it.
    pub(crate) fn own(&self, name: &str) -> Option<&Setting> {
        self.settings.get(name)
    }

    /// Whether it holds for every connection.
    pub(super) fn is_for_all(&self) -> bool {
        self.criteria.eq_ignore_ascii_case("all")
    }
}

impl Setting {
    /// The value and its line, for a sentence.
    pub(crate) fn told(&self, name: &str) -> String {
        match &self.place {
            Some(place) => format!("`{name} {}` at {place}", self.value),
            None => format!("`{name} {}`, as it is by default", self.value),
        }
    }
}

/// Which connections a line is about.
#[derive(Debug, Clone, Copy)]
enum Scope {
    Global,
    /// The block of this number.
    Block(usize),
}

struct Reader<'t> {
    tree: &'t Tree,
    config: SshdConfig,
    /// The lines outside of blocks, of all files.
    global: String,
    /// Those of each block.
    within: Vec<String>,
}

impl Reader<'_> {
    /// All files as one, for sshd to read; the blocks at the end, where nothing global follows them.
    fn flat(&self) -> String {
        let mut flat = self.global.clone();
        for (block, lines) in self.config.blocks.iter().zip(&self.within) {
            flat.push_str(&format!("Match {}\n{lines}", block.criteria));
        }
        flat
    }

    fn file(&mut self, path: &Path, text: &str, outer: Scope, depth: usize) -> Result<(), Unusable> {
        self.config.files.push(path.to_owned());
        let mut scope = outer;
        for (at, raw) in text.lines().enumerate() {
            let place = Place { path: self.tree.shown(path), line: at + 1 };
            let line = raw.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (keyword, arguments) = keyword(line);
            match keyword.as_str() {
                "include" => self.include(&arguments, &place, scope, depth)?,
                // C ends a line there, and quotation marks are for values: what sshd makes of it is not guessed.
                _ if line.contains('\0') || keyword.contains('"') => {
                    return Err(Unusable {
                        at: Some(place),
                        why: "has a keyword that is not plain".to_owned(),
                    });
                }
                "match" => {
                    let criteria = line.split_once([' ', '\t', '=']).map_or("", |(_, rest)| rest.trim());
                    let criteria = self.within_outer(outer, criteria);
                    self.config.blocks.push(Block { place, criteria, settings: BTreeMap::new() });
                    self.within.push(String::new());
                    scope = Scope::Block(self.config.blocks.len() - 1);
                }
                _ => {
                    let lines = match scope {
                        Scope::Global => Some(&mut self.global),
                        Scope::Block(number) => self.within.get_mut(number),
                    };
                    lines.into_iter().for_each(|lines| lines.push_str(&format!("{line}\n")));
                    self.set(keyword, arguments.join(" "), place, scope);
                }
            }
        }
        Ok(())
    }

    // A block in a file that a block includes holds where both do.
    fn within_outer(&self, outer: Scope, criteria: &str) -> String {
        let outer = match outer {
            Scope::Global => None,
            Scope::Block(number) => self.config.blocks.get(number).filter(|block| !block.is_for_all()),
        };
        match outer {
            None => criteria.to_owned(),
            Some(outer) if criteria.eq_ignore_ascii_case("all") => outer.criteria.clone(),
            Some(outer) => format!("{} {criteria}", outer.criteria),
        }
    }

    fn set(&mut self, keyword: String, value: String, place: Place, scope: Scope) {
        let settings = match scope {
            Scope::Global => Some(&mut self.config.settings),
            Scope::Block(number) => self.config.blocks.get_mut(number).map(|block| &mut block.settings),
        };
        // The first value counts.
        if let Some(settings) = settings {
            settings.entry(keyword).or_insert(Setting { value, place: Some(place) });
        }
    }

    fn include(
        &mut self,
        names: &[String],
        place: &Place,
        scope: Scope,
        depth: usize,
    ) -> Result<(), Unusable> {
        let unusable = |why: String| Unusable { at: Some(place.clone()), why };
        if depth >= DEEPEST {
            return Err(unusable("includes too many files within each other".to_owned()));
        }
        for name in names {
            for path in
                self.matching(name).map_err(|error| unusable(format!("cannot be followed: {error}")))?
            {
                let text = self.tree.read(&path).map_err(|error| {
                    unusable(format!("includes {}, which cannot be read: {error}", path.display()))
                })?;
                let Some(text) = text else { continue };
                // A `Match` of the file ends with it.
                self.file(&path, &text, scope, depth + 1)?;
            }
        }
        Ok(())
    }

    fn matching(&self, name: &str) -> std::io::Result<Vec<PathBuf>> {
        let path = Path::new("/etc/ssh").join(name);
        let pattern = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
        if folder.to_string_lossy().contains(['*', '?', '['])
            || pattern.contains('[')
            || name.starts_with('~')
            || name.contains('\\')
        {
            return Err(std::io::Error::other(
                "patterns are understood in the last part of a path, with * and ?",
            ));
        }
        if !pattern.contains(['*', '?']) {
            return Ok(vec![path]);
        }
        let names = self.tree.names(&folder)?;
        Ok(names
            .into_iter()
            .filter(|name| !name.starts_with('.') && fits(pattern.as_bytes(), name.as_bytes()))
            .map(|name| folder.join(name))
            .collect())
    }
}

/// `*` and `?` as glob(7) has them. Only the last `*` is gone back to: each one more would multiply the ways.
fn fits(mut pattern: &[u8], mut name: &[u8]) -> bool {
    // What stands behind it, and where in the name that was held against it last.
    let mut last: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => return true,
            (Some((b'*', rest)), _) => {
                last = Some((rest, name));
                pattern = rest;
            }
            (Some((one, rest)), Some((other, after))) if *one == b'?' || one == other => {
                (pattern, name) = (rest, after);
            }
            _ => {
                let Some((rest, Some((_, from)))) = last.map(|(rest, from)| (rest, from.split_first()))
                else {
                    return false;
                };
                last = Some((rest, from));
                (pattern, name) = (rest, from);
            }
        }
    }
}

/// The keyword, in small letters and by its newest name, and its arguments.
fn keyword(line: &str) -> (String, Vec<String>) {
    let end = line.find([' ', '\t', '=']).unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start_matches([' ', '\t']);
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    let mut arguments = Vec::new();
    let mut rest = rest.trim();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (argument, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once([' ', '\t']).unwrap_or((rest, "")),
        };
        arguments.push(argument.to_owned());
        rest = after.trim();
    }
    let keyword = match keyword.to_ascii_lowercase().as_str() {
        "challengeresponseauthentication" | "skeyauthentication" => "kbdinteractiveauthentication".to_owned(),
        other => other.to_owned(),
    };
    (keyword, arguments)
}

/// Why sshd did not say what it would do.
enum Asked {
    /// There is none, or it does not get as far as its configuration.
    NotPossible(String),
    /// It does not take the configuration.
    Refused(String),
}

// All files as one on its standard input: so that those of another root, or ones only planned, are
// what it reads.
fn ask(flat: &str) -> Result<String, Asked> {
    let Some(program) = PROGRAMS.into_iter().find(|path| Path::new(path).exists()) else {
        return Err(Asked::NotPossible("there is no sshd on this machine".to_owned()));
    };
    let failed =
        |error: std::io::Error| Asked::NotPossible(format!("{program} could not be started: {error}"));
    let mut command = Command::new(program);
    command.args(["-T", "-f", "/dev/stdin"]).env_clear().current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        // An sshd that ends before it has read all says why on its own.
        let _ended = input.write_all(flat.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() && said.contains("usepam ") {
        return Ok(said);
    }
    if output.status.success() {
        return Err(Asked::Refused("this sshd knows no UsePAM, so it was built without PAM".to_owned()));
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it does not say why");
    // Without a key of a host, or the folder it wants, sshd never comes to the point.
    if errors.contains("/dev/stdin line")
        || errors.contains("/dev/stdin: line")
        || errors.contains("bad configuration options")
    {
        let first = errors.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or(last);
        return Err(Asked::Refused(format!("sshd does not take its configuration: {first}")));
    }
    Err(Asked::NotPossible(format!("sshd -T: {last}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_in_every_spelling() {
        for (line, name, arguments) in [
            ("UsePAM yes", "usepam", vec!["yes"]),
            ("usepam=yes", "usepam", vec!["yes"]),
            ("UsePAM = yes # why", "usepam", vec!["yes"]),
            ("\tMatch User \"a b\" Group x", "match", vec!["User", "a b", "Group", "x"]),
            ("ChallengeResponseAuthentication no", "kbdinteractiveauthentication", vec!["no"]),
        ] {
            assert_eq!(
                keyword(line.trim()),
                (name.to_owned(), arguments.into_iter().map(str::to_owned).collect())
            );
        }
    }

    // The sshd of Debian 12 does not know the word, so that none can be asked.
    #[test]
    fn a_stack_of_another_name_is_seen_in_a_block_too() {
        let tree = Tree::new(Path::new("/"));
        let other = |text: &str| {
            let config = SshdConfig::default();
            let mut reader = Reader { tree: &tree, config, global: String::new(), within: Vec::new() };
            reader.file(Path::new(CONFIG), text, Scope::Global, 0).unwrap();
            reader.config.other_stack("sshd").map(|setting| setting.told("PAMServiceName"))
        };
        let told = |line: u8| Some(format!("`PAMServiceName door` at /etc/ssh/sshd_config:{line}"));
        assert_eq!(other("UsePAM yes\nMatch User x\nPAMServiceName sshd\n"), None);
        assert_eq!(other("PAMServiceName door\n"), told(1));
        assert_eq!(other("Match User x\nPAMServiceName sshd\nMatch User y\nPAMServiceName door\n"), told(4));
    }

    #[test]
    fn patterns() {
        assert!(fits(b"*.conf", b"a.conf") && fits(b"?-x*", b"5-x") && fits(b"*", b""));
        assert!(!fits(b"*.conf", b"a.conf.off") && !fits(b"?x", b"x"));
        assert!(fits(b"*a*b", b"xaab") && fits(b"a*b*c", b"abbcbc") && fits(b"**?", b"x") && fits(b"", b""));
        assert!(
            !fits(b"*a*b", b"xaba") && !fits(b"a*b*c", b"acbbc-") && !fits(b"**?", b"") && !fits(b"", b"x")
        );
        // Each star more would take several times as long, where every way were tried.
        assert!(!fits(&[b"*x".repeat(60), b"y".to_vec()].concat(), &b"x".repeat(200)));
        assert!(!fits(&[b"*".repeat(200), b"y".to_vec()].concat(), &b"x".repeat(200)));
    }
}
