//! Whether a `Match` block of sshd_config(5) holds for a login: yes, no, or nobody can say from here.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::directory::{Account, Directory, Membership};

/// Who logs in.
pub struct Whom<'a> {
    /// The account.
    pub account: &'a Account,
    /// As the client has spelled its name, by which sshd goes.
    pub named: &'a str,
    /// From where, if it is known.
    pub address: Option<IpAddr>,
    /// Says who is in which group.
    pub directory: &'a dyn Directory,
}

/// Whether a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Yes,
    No,
    /// It goes by what is not known here, or is written in a way that is not understood here.
    Unsure,
}

/// What is behind `Match`, for this login, or for one of anybody's.
pub(super) fn holds(criteria: &str, whom: Option<&Whom<'_>>) -> Holds {
    // Quotes, and what newer releases may write: not guessed at.
    if criteria.contains(['"', '\'', '\\', '=', '#', '%']) {
        return Holds::Unsure;
    }
    let words: Vec<&str> = criteria.split_whitespace().collect();
    if let [word] = words.as_slice()
        && word.eq_ignore_ascii_case("all")
    {
        return Holds::Yes;
    }
    let mut all = if words.is_empty() { Holds::Unsure } else { Holds::Yes };
    for pair in words.chunks(2) {
        let [attribute, patterns] = pair else { return Holds::Unsure };
        match one(&attribute.to_ascii_lowercase(), patterns, whom) {
            Holds::No => return Holds::No,
            Holds::Unsure => all = Holds::Unsure,
            Holds::Yes => {}
        }
    }
    all
}

fn one(attribute: &str, patterns: &str, whom: Option<&Whom<'_>>) -> Holds {
    let Some(whom) = whom else { return Holds::Unsure };
    match attribute {
        "user" => list(patterns, |name| whom.is_named(name)),
        "group" => list(patterns, |name| whom.is_in(name)),
        "address" => list(patterns, |network| whom.is_from(network)),
        // Of the server's own end, of names by DNS, or of a release that knows more.
        _ => Holds::Unsure,
    }
}

/// A list of patterns: one that is negated and fits decides, whatever else does.
fn list(patterns: &str, fits: impl Fn(&str) -> Holds) -> Holds {
    let (mut found, mut unsure) = (Holds::No, false);
    for pattern in patterns.split(',') {
        let (negated, pattern) = match pattern.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        match (fits(pattern), negated) {
            (Holds::Yes, true) => return Holds::No,
            (Holds::Yes, false) => found = Holds::Yes,
            (Holds::Unsure, _) => unsure = true,
            (Holds::No, _) => {}
        }
    }
    if unsure { Holds::Unsure } else { found }
}

impl Whom<'_> {
    fn is_named(&self, name: &str) -> Holds {
        // The directory may know one account by several spellings; sshd goes by what was typed.
        if !is_plain(name) || self.named != self.account.name.as_str() {
            return Holds::Unsure;
        }
        yes_or_no(self.named == name)
    }

    fn is_in(&self, group: &str) -> Holds {
        if !is_plain(group) {
            return Holds::Unsure;
        }
        match self.directory.membership(self.account, group) {
            Ok(Membership::Member) => Holds::Yes,
            Ok(Membership::Outsider | Membership::NoSuchGroup) => Holds::No,
            Err(_) => Holds::Unsure,
        }
    }

    fn is_from(&self, network: &str) -> Holds {
        let network =
            network.parse::<IpNet>().ok().or_else(|| network.parse::<IpAddr>().ok().map(IpNet::from));
        match (network.filter(|network| network.trunc() == *network), self.address) {
            (Some(network), Some(address)) => yes_or_no(network.contains(&address)),
            _ => Holds::Unsure,
        }
    }
}

fn yes_or_no(fact: bool) -> Holds {
    if fact { Holds::Yes } else { Holds::No }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

#[cfg(test)]
pub(super) mod tests {
    use oss2fa_core::ids::UserName;

    use super::*;
    use crate::directory::DirectoryError;

    pub(in crate::sshd) struct Groups;

    impl Directory for Groups {
        fn account(&self, _: &str) -> Result<Option<Account>, DirectoryError> {
            Ok(None)
        }

        fn membership(&self, _: &Account, group: &str) -> Result<Membership, DirectoryError> {
            match group {
                "staff" | "touchers" => Ok(Membership::Member),
                "broken" => Err(DirectoryError { what: String::new(), reason: String::new() }),
                "nowhere" => Ok(Membership::NoSuchGroup),
                _ => Ok(Membership::Outsider),
            }
        }
    }

    pub(in crate::sshd) fn ferris() -> Account {
        Account { name: UserName::from_directory("ferris").unwrap(), uid: 1000, gid: 1000 }
    }

    #[test]
    fn a_block_holds_does_not_or_nobody_can_say() {
        let account = ferris();
        let whom = Whom {
            account: &account,
            named: "ferris",
            address: Some("192.0.2.7".parse().unwrap()),
            directory: &Groups,
        };
        for (criteria, expected) in [
            ("all", Holds::Yes),
            ("All", Holds::Yes),
            ("User ferris", Holds::Yes),
            ("user corro,ferris", Holds::Yes),
            ("User corro", Holds::No),
            ("User !ferris,ferris", Holds::No),
            ("User ferris,!ferris", Holds::No),
            ("User !corro", Holds::No),
            ("User fer*", Holds::Unsure),
            ("User *,!ferris", Holds::No),
            ("Group staff", Holds::Yes),
            ("Group wheel,nowhere", Holds::No),
            ("Group staff,!touchers", Holds::No),
            ("Group broken", Holds::Unsure),
            ("Group broken,staff", Holds::Unsure),
            ("Address 192.0.2.0/24", Holds::Yes),
            ("Address 192.0.2.7", Holds::Yes),
            ("Address 192.0.2.0/24,!192.0.2.7", Holds::No),
            ("Address 198.51.100.0/24,2001:db8::/32", Holds::No),
            ("Address 192.0.2.7/24", Holds::Unsure),
            ("Address 192.0.2.*", Holds::Unsure),
            ("User ferris Group staff", Holds::Yes),
            ("User ferris Group wheel", Holds::No),
            ("LocalPort 22 User corro", Holds::No),
            ("LocalPort 22", Holds::Unsure),
            ("Host *.example.org", Holds::Unsure),
            ("User ferris LocalAddress 192.0.2.1", Holds::Unsure),
            ("User \"ferris\"", Holds::Unsure),
            ("User=ferris", Holds::Unsure),
            ("User ferris # not corro", Holds::Unsure),
            ("User", Holds::Unsure),
            ("", Holds::Unsure),
            ("invalid-user", Holds::Unsure),
            ("all User ferris", Holds::Unsure),
        ] {
            assert_eq!(holds(criteria, Some(&whom)), expected, "{criteria}");
            let anybody = if criteria.eq_ignore_ascii_case("all") { Holds::Yes } else { Holds::Unsure };
            assert_eq!(holds(criteria, None), anybody, "{criteria}");
        }
    }

    #[test]
    fn a_name_of_another_spelling_and_a_place_that_is_not_known_are_not_guessed_at() {
        let account = ferris();
        let whom = Whom { account: &account, named: "FERRIS", address: None, directory: &Groups };
        for criteria in ["User ferris", "User FERRIS", "User corro", "Address 192.0.2.0/24"] {
            assert_eq!(holds(criteria, Some(&whom)), Holds::Unsure, "{criteria}");
        }
    }
}
