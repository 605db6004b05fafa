//! The ways into sshd: which of its methods make up a login, and which of them run which phase of PAM.

use super::phase::Finding;
use super::sshd_config::{Block, Setting, SshdConfig};

/// A way in, and whether a second factor is asked for on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenDoor {
    /// The methods of it, as sshd spells them.
    pub(super) methods: String,
    /// By which setting.
    pub(super) setting: Setting,
    pub(super) why: Why,
}

/// What lets in on a way that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// `UsePAM no`.
    NoPam,
    /// The methods need nothing of PAM but the account phase, and that does not refuse.
    AccountOnly,
    /// The auth phase lets by, and the account phase does not refuse.
    Auth,
}

/// The first way in without a second factor, for connections that these blocks match.
pub(super) fn open_door(
    config: &SshdConfig,
    blocks: &[&Block],
    auth: &Finding,
    account: &Finding,
) -> Option<OpenDoor> {
    let no_pam = !config.is_on("usepam", blocks);
    doors(config, blocks).into_iter().find_map(|methods| {
        let through_pam = methods
            .iter()
            .any(|method| matches!(method.as_str(), "password" | "keyboard-interactive" | "none"));
        let why = match (no_pam, through_pam) {
            // Without PAM there is nobody who asks on the keyboard.
            (true, _) if methods.iter().all(|method| method != "keyboard-interactive") => Why::NoPam,
            (true, _) => return None,
            (false, true) => auth.gap.as_ref().and(account.gap.as_ref()).map(|_| Why::Auth)?,
            (false, false) => account.gap.as_ref().map(|_| Why::AccountOnly)?,
        };
        let setting = match why {
            Why::NoPam => config.setting("usepam", blocks),
            Why::AccountOnly | Why::Auth => config.setting("authenticationmethods", blocks),
        };
        Some(OpenDoor { methods: methods.join(","), setting, why })
    })
}

/// Every set of methods that makes up a login.
pub(super) fn doors(config: &SshdConfig, blocks: &[&Block]) -> Vec<Vec<String>> {
    let switched = |method: &str| {
        let name = match method {
            "publickey" => "pubkeyauthentication",
            "password" => "passwordauthentication",
            "keyboard-interactive" => "kbdinteractiveauthentication",
            "hostbased" => "hostbasedauthentication",
            "gssapi-with-mic" | "gssapi-keyex" => "gssapiauthentication",
            // Every client begins with it, and sshd then tries an empty password.
            "none" if config.is_on("passwordauthentication", blocks) => "permitemptypasswords",
            _ => return false,
        };
        config.is_on(name, blocks)
    };
    let lists = config.setting("authenticationmethods", blocks).value;
    if lists.trim() == "any" || lists.trim().is_empty() {
        let each = ["publickey", "hostbased", "gssapi-with-mic", "password", "keyboard-interactive"];
        return each
            .into_iter()
            .filter(|method| switched(method))
            .map(|method| vec![method.to_owned()])
            .collect();
    }
    let methods = |list: &str| -> Vec<String> {
        // `keyboard-interactive:pam` is the same here, where there is no other device.
        list.split(',').map(|method| method.split(':').next().unwrap_or(method).to_owned()).collect()
    };
    lists
        .split_whitespace()
        .map(methods)
        // sshd leaves a list out that has a method in it which is switched off.
        .filter(|list| list.iter().all(|method| switched(method)))
        .collect()
}

/// Sets of blocks that may match one connection: none, each, each two of them, and always those for all.
/// A setting that only three together change is not looked for.
pub(super) fn combinations(config: &SshdConfig) -> Vec<Vec<&Block>> {
    let blocks = &config.blocks;
    let chosen = |chosen: &[usize]| -> Vec<&Block> {
        let matches = |(at, block): &(usize, &Block)| block.is_for_all() || chosen.contains(at);
        blocks.iter().enumerate().filter(matches).map(|(_, block)| block).collect()
    };
    let mut sets = vec![chosen(&[])];
    sets.extend((0..blocks.len()).map(|one| chosen(&[one])));
    for one in 0..blocks.len() {
        sets.extend((one + 1..blocks.len()).map(|other| chosen(&[one, other])));
    }
    sets.dedup();
    sets
}
