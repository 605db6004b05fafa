//! What a login needs: the directory says who it is, local policy whom nobody asks, the store or the server the rest.

use std::sync::Arc;
use std::time::Instant;

use oss2fa_core::verdict::FactorKind;
use oss2fa_core::wire::Login;

use super::courier;
use super::keyring::{is_key, is_local};
use super::live::{InForce, Live};
use super::peer::Caller;
use crate::config::Mode;
use crate::directory::{Account, Membership};
use crate::policy::{self, Enrolled, Facts, Rules, SkipReason, address_of, family};
use crate::server::decide::{Decision, RemoteDevice};
use crate::server::security_keys::ServerKey;
use crate::server::{Binding, Fault, Server, Unreachable};
use crate::store::asked::{Question, Why};
use crate::store::{AccountView, Context, Device, StoreError};

/// What the look-up found; a login keeps it to its end.
pub(super) struct Case {
    pub(super) account: Option<Account>,
    /// Those that this host's own store has.
    pub(super) devices: Vec<Device>,
    pub(super) ruling: Ruling,
}

impl Case {
    /// Sees what the store has by now of this host's own devices.
    pub(super) fn look_again(&mut self, live: &Live) -> Result<(), StoreError> {
        if let Some(account) = &self.account {
            self.devices = live.store.account_view(&account.name)?.devices;
        }
        Ok(())
    }
}

/// What a login needs.
pub(super) enum Ruling {
    /// A code of a device in this host's own store.
    Prove,
    /// A code that the server judges.
    Ask(Asked),
    /// A code of a device that this host keeps for the time without a server.
    ProveOffline(Unreachable),
    /// A device, and has none.
    NotEnrolled,
    /// A device, has none, and may enrol one at the server here and now.
    Enroll(Asked),
    /// Nothing that could be shown.
    Denied,
    /// Nothing, for this reason.
    Pass(Bypass),
}

/// The server that was asked about this login, and what it knows.
pub(super) struct Asked {
    pub(super) server: Arc<Server>,
    pub(super) binding: Binding,
    pub(super) devices: Vec<RemoteDevice>,
    /// The user's security keys; `None` where the server was not asked for them, since nobody could touch one here, or
    /// did not say.
    pub(super) keys: Option<Vec<ServerKey>>,
}

/// Why somebody passes without a second factor; goes to the audit before they do.
#[derive(Debug, Clone)]
pub(super) enum Bypass {
    /// This host's own policy.
    Policy(SkipReason),
    /// The server says that this login may pass.
    Server,
    /// No server can be reached, and the administrator lets this service pass then. Takes the proof.
    FailOpen(Unreachable),
}

impl Bypass {
    /// For the audit.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Policy(SkipReason::ExemptGroup(group)) => format!("member of the exempt group {group}"),
            Self::Policy(SkipReason::Network(network)) => {
                format!("comes from the skipped network {network}")
            }
            Self::Policy(SkipReason::Unenrolled) => "not enrolled, and policy says skip".to_owned(),
            Self::Server => "the server allows it".to_owned(),
            Self::FailOpen(proof) => format!("fail-open: no server can be reached: {proof}"),
        }
    }
}

/// A login before it is known what it needs.
pub(super) struct LookUp<'a> {
    pub(super) live: &'a Live,
    pub(super) in_force: &'a InForce,
    pub(super) caller: Caller,
    pub(super) login: &'a Login,
    /// The name of the program that asks, where the server is to be told.
    pub(super) program: Option<String>,
    pub(super) deadline: Instant,
}

/// Nothing could be found out; the log says why.
pub(super) struct NotFoundOut;

impl LookUp<'_> {
    /// `Ok(None)` where the caller may not ask for this user.
    pub(super) fn find(&self) -> Result<Option<Case>, NotFoundOut> {
        self.by_directory().map_err(|Reason { code, what }| {
            tracing::error!(
                code,
                error = what,
                user = crate::source::clean(&self.login.user),
                service = crate::source::clean(&self.login.service),
                "a login is refused: who must do what could not be found out"
            );
            NotFoundOut
        })
    }

    fn by_directory(&self) -> Result<Option<Case>, Reason> {
        let account = self.live.directory.account(&self.login.user).map_err(|error| Reason::local(&error))?;
        let Some(account) = account else {
            let nobody = Case { account: None, devices: Vec::new(), ruling: Ruling::NotEnrolled };
            return Ok((self.caller == Caller::Root).then_some(nobody));
        };
        if !self.caller.may_act_for(account.uid) {
            return Ok(None);
        }
        // Begun before the store is looked at, which may be told of other keys while the server is asked.
        let question = self.live.store.ask_for_keys(&account.name, Why::ToHear);
        let view = self.live.store.account_view(&account.name).map_err(|error| Reason::local(&error))?;
        let rules = self.in_force.config.policy.rules(&self.login.service);
        let facts = self.facts(&account, &view, rules)?;
        let ruling = match (rules.exemption(&facts), &self.in_force.server) {
            (Some(reason), _) => Ruling::Pass(Bypass::Policy(reason)),
            (None, Some(server)) if !is_verified_here(server, &view) => {
                self.by_server(server, &account, &view, &facts, &question)?
            }
            (None, None) if self.in_force.config.server.is_some() => {
                return Err(Reason::local(&"the server's thread is not there"));
            }
            (None, _) => match rules.decide(&facts) {
                policy::Decision::MustProve => Ruling::Prove,
                policy::Decision::NotEnrolled => Ruling::NotEnrolled,
                policy::Decision::Skip(reason) => Ruling::Pass(Bypass::Policy(reason)),
            },
        };
        Ok(Some(Case { account: Some(account), devices: view.devices, ruling }))
    }

    fn facts(&self, account: &Account, view: &AccountView, rules: &Rules) -> Result<Facts, Reason> {
        // A key that opens one door is nothing to show at another.
        let counts_here = |kind| match kind {
            FactorKind::SshSk => self.in_force.config.counts_ssh_touch(&self.login.service),
            other => rules.factors.contains(&other),
        };
        let usable = |device: &Device| device.is_usable_here() && counts_here(device.kind);
        let enrolled = match view.enrolled {
            Enrolled::Yes if !view.devices.iter().any(usable) => Enrolled::NoLonger,
            other => other,
        };
        Ok(Facts {
            enrolled,
            required_by: self.required_group(account, &rules.required_groups)?,
            exempt_by: self.exempt_group(account, &rules.exempt_groups)?,
            address: self.address(),
        })
    }

    // Who is no root chooses every item of its own PAM handle.
    fn address(&self) -> Option<std::net::IpAddr> {
        match self.caller {
            Caller::Root => self.login.rhost.as_deref().and_then(address_of),
            Caller::User(_) => None,
        }
    }

    fn by_server(
        &self,
        server: &Arc<Server>,
        account: &Account,
        view: &AccountView,
        facts: &Facts,
        question: &Question,
    ) -> Result<Ruling, Reason> {
        let binding = self.binding(server, account);
        let policy = &self.in_force.config.policy;
        let rules = policy.rules(&self.login.service);
        let asked = |binding, devices, keys| Asked { server: Arc::clone(server), binding, devices, keys };
        let decision = server.decide(&binding, self.deadline);
        let keys = match &decision {
            Ok(Decision::Challenge(devices)) => self.keys_at(server, &binding.username, devices, view),
            // Who may not pass now, or has nothing there, does not pass without the server either.
            Ok(Decision::Enroll | Decision::Deny) => Some(Vec::new()),
            Ok(Decision::Allow) | Err(_) => None,
        };
        self.hear_of_keys(account, view, question, keys.as_deref())?;
        match decision {
            Ok(Decision::Challenge(devices)) => {
                self.remember_enrolled(account, view)?;
                // Whoever is elsewhere has no key in this host.
                let keys = keys.filter(|_| is_local(self.login));
                Ok(Ruling::Ask(asked(binding, devices, keys)))
            }
            Ok(Decision::Enroll) if policy.enrolls_at_login(&self.login.service) => {
                Ok(Ruling::Enroll(asked(binding, Vec::new(), None)))
            }
            Ok(Decision::Enroll) => Ok(match rules.without_device(facts) {
                policy::Decision::Skip(reason) => Ruling::Pass(Bypass::Policy(reason)),
                policy::Decision::NotEnrolled | policy::Decision::MustProve => Ruling::NotEnrolled,
            }),
            Ok(Decision::Allow) => Ok(Ruling::Pass(Bypass::Server)),
            Ok(Decision::Deny) => Ok(Ruling::Denied),
            Err(Fault::Unreachable(proof)) => self.without_server(server, view, proof),
            Err(fault @ Fault::NoAnswer { .. }) => Err(Reason::of(&fault)),
        }
    }

    // Without them the other devices are asked for.
    fn keys_at(
        &self,
        server: &Server,
        username: &str,
        devices: &[RemoteDevice],
        view: &AccountView,
    ) -> Option<Vec<ServerKey>> {
        if !devices.iter().any(|device| is_key(&device.kind.name)) {
            return Some(Vec::new());
        }
        // From elsewhere it is asked only which of those that this host knows are gone.
        if !is_local(self.login) && !view.devices.iter().any(Device::is_of_server) {
            return None;
        }
        server
            .security_keys(username, self.deadline)
            .inspect_err(|fault| {
                tracing::error!(code = fault.code(), error = %fault, "the server did not say which security keys a user has");
            })
            .ok()
    }

    // A key that the server does not list any more counts at this host no longer, whatever becomes of this login. New ones
    // come with a proof, not before.
    fn hear_of_keys(
        &self,
        account: &Account,
        view: &AccountView,
        question: &Question,
        listed: Option<&[ServerKey]>,
    ) -> Result<(), Reason> {
        let Some(listed) = listed else { return Ok(()) };
        let listed = listed.iter().cloned().filter_map(courier::kept).collect();
        let context =
            Context { user: account.name.as_str().to_owned(), ..Context::of_agent(self.live.store.now()) };
        self.live
            .store
            .hear_of_server_keys(context, question, &view.devices, listed)
            .map_err(|error| Reason::local(&error))
    }

    // The one way past an absent server takes the proof that it is absent.
    fn without_server(
        &self,
        server: &Server,
        view: &AccountView,
        proof: Unreachable,
    ) -> Result<Ruling, Reason> {
        let here = is_local(self.login);
        let counts = |device: &Device| device.is_usable_offline() && (here || !device.is_of_server());
        if view.devices.iter().any(counts) {
            return Ok(Ruling::ProveOffline(proof));
        }
        if server.config().fail_open_services.contains(family(&self.login.service)) {
            return Ok(Ruling::Pass(Bypass::FailOpen(proof)));
        }
        Err(Reason::of(&Fault::Unreachable(proof)))
    }

    // Who was seen with a device once is never taken for somebody who has not enrolled yet.
    fn remember_enrolled(&self, account: &Account, view: &AccountView) -> Result<(), Reason> {
        if view.enrolled != Enrolled::Never {
            return Ok(());
        }
        self.live.store.remember_enrolled(account.name.clone()).map_err(|error| Reason::local(&error))
    }

    fn binding(&self, server: &Server, account: &Account) -> Binding {
        let believed = |text: &Option<String>| text.clone().filter(|_| self.caller == Caller::Root);
        Binding {
            username: account.name.as_str().to_owned(),
            address: self.address(),
            host: server.config().host.clone(),
            service: self.login.service.clone(),
            tty: believed(&self.login.tty),
            remote_host: believed(&self.login.rhost),
            program: self.program.clone(),
        }
    }

    // A group that must, and that nobody can find, may be the one this user is in: refused.
    fn required_group(&self, account: &Account, groups: &[String]) -> Result<Option<String>, Reason> {
        for group in groups {
            match self.membership(account, group)? {
                Membership::Member => return Ok(Some(group.clone())),
                Membership::Outsider => {}
                Membership::NoSuchGroup => {
                    return Err(Reason::local(&format!(
                        "the group {group} of required_groups does not exist: make it, or take it out of the configuration"
                    )));
                }
            }
        }
        Ok(None)
    }

    fn exempt_group(&self, account: &Account, groups: &[String]) -> Result<Option<String>, Reason> {
        for group in groups {
            match self.membership(account, group)? {
                Membership::Member => return Ok(Some(group.clone())),
                Membership::Outsider => {}
                Membership::NoSuchGroup => {
                    tracing::warn!(group, "a group of exempt_groups does not exist: nobody is exempt by it");
                }
            }
        }
        Ok(None)
    }

    fn membership(&self, account: &Account, group: &str) -> Result<Membership, Reason> {
        self.live.directory.membership(account, group).map_err(|error| Reason::local(&error))
    }
}

// Break-glass accounts: online or not, theirs are the devices of this host.
fn is_verified_here(server: &Server, view: &AccountView) -> bool {
    match server.config().mode {
        Mode::Remote => false,
        Mode::RemoteThenLocal => view.devices.iter().any(Device::is_usable_here),
    }
}

struct Reason {
    code: &'static str,
    what: String,
}

impl Reason {
    fn local(error: &dyn std::fmt::Display) -> Self {
        Self { code: "look_up", what: error.to_string() }
    }

    fn of(fault: &Fault) -> Self {
        Self { code: fault.code(), what: fault.to_string() }
    }
}
