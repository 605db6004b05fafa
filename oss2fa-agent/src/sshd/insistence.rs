//! Whether sshd insists on a touch of keys that live on security keys.
//!
//! `PubkeyAuthOptions touch-required` does: with it, an `authorized_keys` that says `no-touch-required` changes nothing.
//! A value within a `Match` that holds takes the place of the one outside of all (sshd_config(5)).

use std::fmt;
use std::path::Path;

use oss2fa_ctap::verify::UserVerification;

use super::criteria::{Holds, Whom, holds};
use crate::doctor::{PUBLIC_KEY_OPTIONS, Setting, SshdConfig, Tree};

/// How the setting is spelled where it is written.
const SETTING: &str = "PubkeyAuthOptions";

/// sshd takes no key of a security key here that was not touched, by its own files.
///
/// Only [`insists`] makes one:
///
/// ```compile_fail
/// use oss2fa_agent::sshd::Insisted;
/// let forged = Insisted { on: oss2fa_ctap::verify::UserVerification::NotAsked };
/// ```
#[derive(Debug)]
pub struct Insisted {
    on: UserVerification,
}

impl Insisted {
    /// What sshd has seen to, for the audit.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self.on {
            UserVerification::NotAsked => "sshd insists on its touch",
            UserVerification::Required => "sshd insists on its touch, and that it knows its user",
        }
    }
}

/// Why a touch does not count: a sentence for administrators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotInsisted(String);

impl fmt::Display for NotInsisted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotInsisted {}

/// Whether sshd insists, by the file at `path` and those that it includes: on a touch, and, where it is `wanted`, on the
/// key's knowing its user. For a login of `whom`, or for everybody's.
///
/// # Errors
/// [`NotInsisted`] where it does not, where it may not, and where that cannot be read.
pub fn insists(
    tree: &Tree,
    path: &Path,
    whom: Option<&Whom<'_>>,
    wanted: UserVerification,
) -> Result<Insisted, NotInsisted> {
    let config = match SshdConfig::read(tree, path) {
        Ok(Some((config, _))) => config,
        Ok(None) => return no(format!("there is no {}", path.display())),
        Err(unusable) => {
            let place = unusable.at.map_or_else(String::new, |at| format!("{at} "));
            return no(format!("{place}{}", unusable.why));
        }
    };
    // Whichever of these blocks holds, what it says must do; that one surely does is looked at beside it.
    let mut surely_within = false;
    for block in &config.blocks {
        let (Some(setting), holds) = (block.own(PUBLIC_KEY_OPTIONS), holds(&block.criteria, whom)) else {
            continue;
        };
        if holds == Holds::No {
            continue;
        }
        if !does(setting, wanted) {
            let (told, criteria, place) = (setting.told(SETTING), &block.criteria, &block.place);
            let may = if holds == Holds::Yes { "holds" } else { "may hold" };
            return no(format!("{told} does not insist, and `Match {criteria}` at {place} {may}"));
        }
        surely_within |= holds == Holds::Yes;
    }
    let outside = config.setting(PUBLIC_KEY_OPTIONS, &[]);
    if !surely_within && !does(&outside, wanted) {
        return no(format!("{} does not insist", outside.told(SETTING)));
    }
    Ok(Insisted { on: wanted })
}

fn no(why: String) -> Result<Insisted, NotInsisted> {
    Err(NotInsisted(why))
}

// A word that is not known here may mean anything.
fn does(setting: &Setting, wanted: UserVerification) -> bool {
    let (mut touch, mut user) = (false, false);
    for word in setting.value.split_whitespace() {
        match word.to_ascii_lowercase().as_str() {
            "touch-required" => touch = true,
            "verify-required" => user = true,
            "none" => {}
            _ => return false,
        }
    }
    touch && (user || wanted == UserVerification::NotAsked)
}

#[cfg(test)]
mod tests {
    use super::super::criteria::tests::{Groups, ferris};
    use super::*;

    const CONFIG: &str = "/etc/ssh/sshd_config";

    fn tree(files: &[(&str, &str)]) -> Tree {
        files.iter().fold(Tree::new(Path::new("/nonexistent")), |tree, (path, text)| {
            tree.with(Path::new(path), Some((*text).to_owned()))
        })
    }

    fn for_ferris(files: &[(&str, &str)], wanted: UserVerification) -> Result<(), String> {
        let account = ferris();
        let whom = Whom {
            account: &account,
            named: "ferris",
            address: Some("192.0.2.7".parse().unwrap()),
            directory: &Groups,
        };
        let found = insists(&tree(files), Path::new(CONFIG), Some(&whom), wanted);
        found.map(drop).map_err(|why| why.to_string())
    }

    fn touch(text: &str) -> Result<(), String> {
        for_ferris(&[(CONFIG, text)], UserVerification::NotAsked)
    }

    const ON: &str = "PubkeyAuthOptions touch-required\n";

    #[test]
    fn it_insists_where_it_says_so_for_every_login_that_this_can_be() {
        for text in [
            ON,
            "pubkeyauthoptions=Touch-Required # as it should be\n",
            "PubkeyAuthOptions verify-required touch-required\n",
            "UsePAM yes\nPubkeyAuthOptions touch-required\nPubkeyAuthOptions none\n",
            // Blocks that say the same, or that are not about this login, or say nothing of it.
            "PubkeyAuthOptions touch-required\nMatch Host *.example.org\nPubkeyAuthOptions touch-required\n",
            "PubkeyAuthOptions touch-required\nMatch User corro\nPubkeyAuthOptions none\n",
            "PubkeyAuthOptions touch-required\nMatch Group wheel\nPubkeyAuthOptions none\n",
            "PubkeyAuthOptions touch-required\nMatch Address 198.51.100.0/24\nPubkeyAuthOptions none\n",
            "PubkeyAuthOptions touch-required\nMatch LocalPort 22\nAllowTcpForwarding no\n",
            // A block that surely holds is enough by itself.
            "Match User ferris\nPubkeyAuthOptions touch-required\n",
            "Match Group touchers\nPubkeyAuthOptions touch-required\nMatch all\nX11Forwarding no\n",
            "Match all\nPubkeyAuthOptions touch-required\n",
        ] {
            assert_eq!(touch(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn it_does_not_where_any_login_that_this_can_be_goes_without() {
        for (text, why) in [
            ("UsePAM yes\n", "`PubkeyAuthOptions none`, as it is by default does not insist"),
            (
                "PubkeyAuthOptions none\nPubkeyAuthOptions touch-required\n",
                "none` at /nonexistent/etc/ssh/sshd_config:1",
            ),
            ("PubkeyAuthOptions verify-required\n", "verify-required` at"),
            ("PubkeyAuthOptions touch-required something-new\n", "something-new` at"),
            ("PubkeyAuthOptions\n", "PubkeyAuthOptions ` at"),
            ("# PubkeyAuthOptions touch-required\n", "by default"),
            (
                "PubkeyAuthOptions touch-required\nMatch User ferris\nPubkeyAuthOptions none\n",
                "`Match User ferris` at /nonexistent/etc/ssh/sshd_config:2 holds",
            ),
            ("PubkeyAuthOptions touch-required\nMatch User fer*\nPubkeyAuthOptions none\n", "may hold"),
            ("PubkeyAuthOptions touch-required\nMatch Host a\nPubkeyAuthOptions none\n", "may hold"),
            ("PubkeyAuthOptions touch-required\nMatch all\nPubkeyAuthOptions none\n", "holds"),
            // A block that may hold is not enough, and one that is not for this login is nothing.
            ("Match Host a\nPubkeyAuthOptions touch-required\n", "by default does not insist"),
            ("Match User corro\nPubkeyAuthOptions touch-required\n", "by default does not insist"),
            // The first that matches counts, in whatever order.
            (
                "Match Group staff\nPubkeyAuthOptions touch-required\nMatch User ferris\nPubkeyAuthOptions none\n",
                "holds",
            ),
            ("\"PubkeyAuthOptions\" touch-required\n", "has a keyword that is not plain"),
            (
                "PubkeyAuthOptions touch-required\nMatch all\n\"PubkeyAuthOptions\" none\n",
                "sshd_config:3 has a keyword that is not plain",
            ),
            (
                "PubkeyAuthOptions touch-required\nMatch all\nPubkeyAuthOptions\0 none\n",
                "has a keyword that is not plain",
            ),
        ] {
            let found = touch(text).unwrap_err();
            assert!(found.contains(why), "{text}: {found}");
        }
    }

    #[test]
    fn where_policy_wants_the_user_known_sshd_must_want_it_too() {
        for (text, does) in [
            (ON, false),
            ("PubkeyAuthOptions verify-required\n", false),
            ("PubkeyAuthOptions touch-required verify-required\n", true),
            (
                "PubkeyAuthOptions touch-required verify-required\nMatch User ferris\nPubkeyAuthOptions touch-required\n",
                false,
            ),
        ] {
            assert_eq!(for_ferris(&[(CONFIG, text)], UserVerification::Required).is_ok(), does, "{text}");
        }
    }

    #[test]
    fn files_that_are_included_count_where_they_stand() {
        let include = "Include /etc/ssh/sshd_config.d/*.conf\n";
        let main = format!("{include}PubkeyAuthOptions none\n");
        let found = |part: &str| {
            for_ferris(
                &[(CONFIG, &main), ("/etc/ssh/sshd_config.d/a.conf", part)],
                UserVerification::NotAsked,
            )
        };
        assert_eq!(found(ON), Ok(()));
        assert!(found("UsePAM yes\n").is_err());
        // The block of a file ends with the file, and one in a block holds where both do.
        assert!(found("Match User corro\nPubkeyAuthOptions touch-required\n").is_err());
        let inner = "Match Group staff\nPubkeyAuthOptions touch-required\n";
        let nested =
            |main: &str| for_ferris(&[(CONFIG, main), ("/etc/ssh/part", inner)], UserVerification::NotAsked);
        assert!(nested("PubkeyAuthOptions none\nMatch User corro\nInclude part\n").is_err());
        assert_eq!(nested("PubkeyAuthOptions none\nMatch User ferris\nInclude part\n"), Ok(()));
        assert_eq!(nested("PubkeyAuthOptions none\nMatch all\nInclude part\n"), Ok(()));
        for strange in
            ["Include /etc/*/a.conf\n", "Include ~/a.conf\n", "Include a\\*.conf\n", "Include [ab].conf\n"]
        {
            let text = format!("{ON}{strange}");
            assert!(touch(&text).unwrap_err().contains("cannot be followed"), "{strange}");
        }
    }

    #[test]
    fn what_cannot_be_read_does_not_insist() {
        let nothing = Tree::new(Path::new("/nonexistent"));
        let found = insists(&nothing, Path::new(CONFIG), None, UserVerification::NotAsked).unwrap_err();
        assert_eq!(found.to_string(), "there is no /etc/ssh/sshd_config");
        let folder = tempfile::TempDir::new().unwrap();
        std::fs::create_dir_all(folder.path().join("etc/ssh/sshd_config.d/a.conf")).unwrap();
        std::fs::write(folder.path().join("etc/ssh/sshd_config"), format!("{ON}Include sshd_config.d/*\n"))
            .unwrap();
        let found = insists(&Tree::new(folder.path()), Path::new(CONFIG), None, UserVerification::NotAsked);
        assert!(found.unwrap_err().to_string().contains("cannot be read"));
    }
}
