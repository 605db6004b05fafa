//! What a module may answer, to a stranger and to the owner of an account.

use std::path::Path;

use super::control::Code;
use super::stack::{BROKEN, Kind, Link, Phase};
use super::tree::Tree;

/// The file name of our module.
pub(crate) const OURS: &str = "pam_oss2fa.so";

/// Where our module looks for the agent unless its line says otherwise.
pub(super) const DEFAULT_SOCKET: &str = "/run/oss2fa/agent.sock";

/// Where modules lie below the root; Debian's folders carry the machine's name in between.
const LIBRARIES: [&str; 4] = ["/lib", "/usr/lib", "/lib64", "/usr/lib64"];

/// Programs that are setuid: `pam_rootok.so` in them sees the caller's own uid. In a daemon, and in
/// sudo, which becomes root first, it sees root.
const CALLED_BY_THE_USER: [&str; 10] =
    ["chfn", "chpasswd", "chsh", "groupadd", "newusers", "passwd", "runuser", "runuser-l", "su", "su-l"];

/// Whether the second factor was asked for and shown, or policy asked for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Factor {
    Unasked,
    Settled,
}

/// Who logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Knows the password or holds the key, has no device, and can wait until the agent is stopped.
    Stranger,
    /// Knows the password and has the device, on a host where all is well.
    Owner,
}

/// Modules that only ask for the account's own password.
pub(crate) const PASSWORD: [&str; 6] =
    ["pam_krb5.so", "pam_ldap.so", "pam_sss.so", "pam_systemd_home.so", "pam_unix.so", "pam_winbind.so"];

/// One of a module's possible answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: Code,
    pub(super) factor: Factor,
}

/// Which modules a host has, and which service asks.
pub(super) struct Modules<'t> {
    tree: &'t Tree,
    service: &'t str,
    folders: Vec<String>,
}

impl<'t> Modules<'t> {
    pub(super) fn new(tree: &'t Tree, service: &'t str) -> Self {
        let mut folders = Vec::new();
        for library in LIBRARIES {
            let mut candidates = vec![format!("{library}/security")];
            for name in tree.names(Path::new(library)).unwrap_or_default() {
                if name.ends_with("-linux-gnu") {
                    candidates.push(format!("{library}/{name}/security"));
                }
            }
            folders.extend(candidates.into_iter().filter(|folder| tree.has(Path::new(folder))));
        }
        Self { tree, service, folders }
    }

    /// Whether the module's file is there; yes where nobody can tell.
    pub(super) fn has(&self, module: &str) -> bool {
        if module.starts_with('/') && !module.contains("$ISA") {
            return self.tree.has(Path::new(module));
        }
        let name = module.rsplit('/').next().unwrap_or(module);
        self.folders.is_empty()
            || self.folders.iter().any(|folder| self.tree.has(&Path::new(folder).join(name)))
    }

    /// Everything that `link` may answer in this phase. What is likeliest, and most telling, comes first.
    pub(super) fn answers(&self, link: &Link, phase: Phase, who: Who) -> Vec<Answer> {
        let plain = |codes: &[Code]| -> Vec<Answer> {
            codes.iter().map(|code| Answer { code: *code, factor: Factor::Unasked }).collect()
        };
        match link.kind {
            Kind::Broken | Kind::Substack => return plain(&[BROKEN]),
            Kind::Module => {}
        }
        match link.module_name() {
            OURS => self.ours(link, phase, who),
            _ if !self.has(&link.module) => plain(&[Code::MODULE_UNKNOWN]),
            "pam_permit.so" => plain(&[Code::SUCCESS]),
            "pam_deny.so" => plain(&[Code::AUTH_ERR, Code::ACCT_EXPIRED]),
            // Root among those who call it is told of in a note.
            "pam_rootok.so" if CALLED_BY_THE_USER.contains(&self.service) => plain(&[Code::AUTH_ERR]),
            "pam_debug.so" => plain(&[debug_code(link, phase)]),
            name if who == Who::Owner && link.module == name && PASSWORD.contains(&name) => {
                plain(&[Code::SUCCESS])
            }
            "pam_warn.so" => plain(&[Code::IGNORE]),
            _ => plain(&Code::all().collect::<Vec<_>>()),
        }
    }

    // The table of `pam_oss2fa/src/outcome.rs`, and what libpam says in place of a module that is not there.
    fn ours(&self, link: &Link, phase: Phase, who: Who) -> Vec<Answer> {
        let refusals = [
            Code::AUTH_ERR,
            Code::CONV_ERR,
            Code::AUTHINFO_UNAVAIL,
            Code::MAXTRIES,
            Code::USER_UNKNOWN,
            Code::SERVICE_ERR,
            Code::PERM_DENIED,
            Code::SYSTEM_ERR,
            Code::BUF_ERR,
            Code::ABORT,
            Code::MODULE_UNKNOWN,
        ];
        let settled = [Code::SUCCESS, Code::IGNORE];
        if who == Who::Owner {
            let code = if !self.has(&link.module) {
                Code::MODULE_UNKNOWN
            } else if bad_argument(link, phase).is_some() {
                Code::SERVICE_ERR
            } else if phase == Phase::Account && !enforces(link) {
                Code::IGNORE
            } else {
                Code::SUCCESS
            };
            return vec![Answer { code, factor: Factor::Settled }];
        }
        let unasked = |code: &Code| Answer { code: *code, factor: Factor::Unasked };
        if bad_argument(link, phase).is_some() {
            return vec![unasked(&Code::SERVICE_ERR), unasked(&Code::MODULE_UNKNOWN)];
        }
        if phase == Phase::Account && !enforces(link) {
            return vec![unasked(&Code::IGNORE), unasked(&Code::MODULE_UNKNOWN)];
        }
        let settled = settled.iter().map(|code| Answer { code: *code, factor: Factor::Settled });
        refusals.iter().map(unasked).chain(settled).collect()
    }
}

/// Whether a line is our module's.
pub(super) fn is_ours(link: &Link) -> bool {
    link.kind == Kind::Module && link.module_name() == OURS
}

/// Whether an account line refuses who has shown no second factor.
pub(super) fn enforces(link: &Link) -> bool {
    link.arguments.iter().any(|argument| argument == "enforce")
}

/// The first argument that our module does not take, by its name: it refuses every login then.
pub(super) fn bad_argument(link: &Link, phase: Phase) -> Option<&str> {
    link.arguments.iter().map(String::as_str).find_map(|argument| {
        let (name, value) =
            argument.split_once('=').map_or((argument, None), |(name, value)| (name, Some(value)));
        let known = match (name, value) {
            ("socket", Some(path)) => path.starts_with('/'),
            ("timeout", Some(seconds)) => matches!(seconds.parse::<u64>(), Ok(1..=600)),
            ("prompt", Some(text)) => !text.is_empty(),
            ("echo" | "quiet" | "debug", None) => true,
            ("enforce", None) => phase == Phase::Account,
            _ => false,
        };
        (!known).then_some(name)
    })
}

// pam_debug(8) answers what its line says.
fn debug_code(link: &Link, phase: Phase) -> Code {
    let name = match phase {
        Phase::Auth => "auth=",
        Phase::Account => "acct=",
    };
    let said = link.arguments.iter().find_map(|argument| argument.strip_prefix(name));
    said.and_then(Code::named).unwrap_or(Code::SUCCESS)
}
