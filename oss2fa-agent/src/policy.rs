//! Who must show a second factor where. Pure: facts in, a decision out, a refusal by default.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use oss2fa_core::verdict::FactorKind;
use oss2fa_ctap::verify::UserVerification;

/// All of `[policy]`.
#[derive(Debug, Clone)]
pub struct Policy {
    base: Rules,
    services: BTreeMap<String, Rules>,
    strictest: Rules,
    self_service: BTreeSet<SelfService>,
    enroll_at_login: BTreeSet<String>,
    ssh_touch: BTreeSet<String>,
    /// Periods that a TOTP code may be early or late.
    pub totp_skew: u8,
}

/// The rules of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// What happens to somebody who has never enrolled.
    pub unenrolled: Unenrolled,
    /// Groups that must.
    pub required_groups: Vec<String>,
    /// Groups that need not.
    pub exempt_groups: Vec<String>,
    /// Where nobody is asked.
    pub skip_networks: Vec<IpNet>,
    /// The factors that count here.
    pub factors: Vec<FactorKind>,
    /// Whether the program can show messages; by default a table decides.
    pub messages: Option<Messages>,
    /// What a security key must know about its user here.
    pub user_verification: UserVerification,
}

/// What happens to somebody who has never enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unenrolled {
    /// Refused, and told how to enrol.
    Deny,
    /// Passed on to the rest of the stack.
    Skip,
}

impl Unenrolled {
    /// As the configuration spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Skip => "skip",
        }
    }
}

/// Whether a program can show messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Messages {
    /// It can.
    Show,
    /// A message would be lost, or fail the login.
    Hide,
}

/// What users may do for themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SelfService {
    /// Add devices and make recovery codes.
    Enroll,
    /// See their own devices.
    List,
    /// Remove one.
    Remove,
    /// Rename one.
    Rename,
}

/// Whether the store knows the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enrolled {
    /// Never had an active device.
    Never,
    /// Had one once, has none now. Deleting something does not turn the second factor off.
    NoLonger,
    /// Has at least one.
    Yes,
}

/// What is known of a login when policy is asked.
#[derive(Debug, Clone)]
pub struct Facts {
    /// From the store.
    pub enrolled: Enrolled,
    /// A group of `required_groups` that the user is in.
    pub required_by: Option<String>,
    /// A group of `exempt_groups` that the user is in.
    pub exempt_by: Option<String>,
    /// The remote address, where the program gave one.
    pub address: Option<IpAddr>,
}

/// What policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Show a factor.
    MustProve,
    /// Must, and cannot.
    NotEnrolled,
    /// Need not, for this reason.
    Skip(SkipReason),
}

/// Why somebody passes without a second factor; goes to the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    /// Member of an exempt group.
    ExemptGroup(String),
    /// Comes from such a network.
    Network(IpNet),
    /// Never enrolled, and that is allowed.
    Unenrolled,
}

impl Policy {
    /// Policy of `base`, with rules of their own for some services.
    #[must_use]
    pub fn new(
        base: Rules,
        services: BTreeMap<String, Rules>,
        self_service: BTreeSet<SelfService>,
        totp_skew: u8,
    ) -> Self {
        let services: BTreeMap<String, Rules> =
            services.into_iter().map(|(name, rules)| (family(&name).to_owned(), rules)).collect();
        let strictest = strictest(&base, &services);
        let (enroll_at_login, ssh_touch) = (BTreeSet::new(), BTreeSet::new());
        Self { base, services, strictest, self_service, enroll_at_login, ssh_touch, totp_skew }
    }

    /// With services of sshd in which the touch of a key of OpenSSH counts.
    #[must_use]
    pub fn counting_ssh_touches(mut self, services: BTreeSet<String>) -> Self {
        self.ssh_touch = services;
        self
    }

    /// Whether the touch of a key of OpenSSH counts in a login to this service.
    #[must_use]
    pub fn counts_ssh_touch(&self, service: &str) -> bool {
        self.ssh_touch.contains(family(service)) && self.rules(service).factors.contains(&FactorKind::SshSk)
    }

    /// Services of sshd in which the touch of a key of OpenSSH counts.
    pub fn ssh_touch_services(&self) -> impl Iterator<Item = &str> {
        self.ssh_touch.iter().map(String::as_str)
    }

    /// With services in which a user without a device enrols one in the login itself.
    #[must_use]
    pub fn enrolling_at_login(mut self, services: BTreeSet<String>) -> Self {
        self.enroll_at_login = services;
        self
    }

    /// Whether a user without a device enrols one in a login to this service.
    #[must_use]
    pub fn enrolls_at_login(&self, service: &str) -> bool {
        self.enroll_at_login.contains(family(service))
    }

    /// Services in which a user without a device enrols one in the login itself.
    pub fn enroll_at_login(&self) -> impl Iterator<Item = &str> {
        self.enroll_at_login.iter().map(String::as_str)
    }

    /// The rules of a PAM service. Once some services have rules, the others get the strictest of all.
    #[must_use]
    pub fn rules(&self, service: &str) -> &Rules {
        self.services.get(family(service)).unwrap_or(&self.strictest)
    }

    /// What happens, by default, to somebody who has never enrolled.
    #[must_use]
    pub fn unenrolled(&self) -> Unenrolled {
        self.base.unenrolled
    }

    /// The rules where no service is meant.
    #[must_use]
    pub fn base(&self) -> &Rules {
        &self.base
    }

    /// Services with rules of their own.
    pub fn services(&self) -> impl Iterator<Item = (&str, &Rules)> {
        self.services.iter().map(|(name, rules)| (name.as_str(), rules))
    }

    /// Whether users may do this for themselves.
    #[must_use]
    pub fn allows(&self, verb: SelfService) -> bool {
        self.self_service.contains(&verb)
    }
}

impl Rules {
    /// The decision for one login, by the devices of this host's own store.
    #[must_use]
    pub fn decide(&self, facts: &Facts) -> Decision {
        match (self.exemption(facts), facts.enrolled) {
            (Some(reason), _) => Decision::Skip(reason),
            (None, Enrolled::Yes) => Decision::MustProve,
            (None, Enrolled::Never | Enrolled::NoLonger) => self.without_device(facts),
        }
    }

    /// Why nobody is asked, whatever devices there are.
    #[must_use]
    pub fn exemption(&self, facts: &Facts) -> Option<SkipReason> {
        if let Some(network) = facts.address.and_then(|address| self.skipped_network(address)) {
            return Some(SkipReason::Network(network));
        }
        match (&facts.required_by, &facts.exempt_by) {
            (None, Some(group)) => Some(SkipReason::ExemptGroup(group.clone())),
            _ => None,
        }
    }

    /// The decision about somebody who has no device now.
    #[must_use]
    pub fn without_device(&self, facts: &Facts) -> Decision {
        match (facts.enrolled, self.unenrolled, &facts.required_by) {
            (Enrolled::Never, Unenrolled::Skip, None) => Decision::Skip(SkipReason::Unenrolled),
            (Enrolled::Never | Enrolled::NoLonger | Enrolled::Yes, _, _) => Decision::NotEnrolled,
        }
    }

    /// Whether the program around the module can show messages.
    #[must_use]
    pub fn messages(&self, service: &str) -> Messages {
        self.messages.unwrap_or_else(|| known_front_end(service))
    }

    fn skipped_network(&self, address: IpAddr) -> Option<IpNet> {
        self.skip_networks.iter().copied().find(|network| network.contains(&address))
    }
}

// OpenVPN fails a login on any message that it did not expect.
fn known_front_end(service: &str) -> Messages {
    match family(service) {
        "openvpn" => Messages::Hide,
        _ => Messages::Show,
    }
}

/// Whether a prompt is shown in its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompts {
    /// It is.
    AsTheyAre,
    /// The program writes "Password:" above whatever is asked. A PIN must not be asked for there: what is typed may be
    /// the account's password, and costs the security key a try.
    Relabelled,
}

/// How a program shows prompts.
#[must_use]
pub fn prompts(service: &str) -> Prompts {
    const RELABELLING: [&str; 18] = [
        "polkit-1",
        "kde",
        "kde-fingerprint",
        "kde-smartcard",
        "kscreensaver",
        "xscreensaver",
        "gnome-screensaver",
        "cinnamon-screensaver",
        "mate-screensaver",
        "xfce4-screensaver",
        "light-locker",
        "swaylock",
        "waylock",
        "gtklock",
        "hyprlock",
        "i3lock",
        "sddm",
        "lxdm",
    ];
    if RELABELLING.contains(&service) { Prompts::Relabelled } else { Prompts::AsTheyAre }
}

/// The service by whose rules this one goes: some programs have a second name for a login shell.
pub(crate) fn family(service: &str) -> &str {
    match service {
        "su-l" => "su",
        "sudo-i" => "sudo",
        "runuser-l" => "runuser",
        other => other,
    }
}

fn strictest(base: &Rules, services: &BTreeMap<String, Rules>) -> Rules {
    if services.is_empty() {
        return base.clone();
    }
    let all = || std::iter::once(base).chain(services.values());
    let deny = all().any(|rules| rules.unenrolled == Unenrolled::Deny);
    let required: BTreeSet<String> = all().flat_map(|rules| rules.required_groups.iter().cloned()).collect();
    Rules {
        unenrolled: if deny { Unenrolled::Deny } else { Unenrolled::Skip },
        required_groups: required.into_iter().collect(),
        exempt_groups: Vec::new(),
        skip_networks: Vec::new(),
        factors: base
            .factors
            .iter()
            .copied()
            .filter(|kind| services.values().all(|rules| rules.factors.contains(kind)))
            .collect(),
        messages: None,
        user_verification: if all().any(|rules| rules.user_verification == UserVerification::Required) {
            UserVerification::Required
        } else {
            UserVerification::NotAsked
        },
    }
}

/// The address that a `PAM_RHOST` is, strictly: never a name, a number or a zone. An IPv4 address in
/// IPv6 clothes counts as what it is.
#[must_use]
pub fn address_of(rhost: &str) -> Option<IpAddr> {
    rhost.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}
