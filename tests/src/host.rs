//! A host as a sentence: who is on it, who is enrolled, which stacks it has.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard};

use toml::{Table, Value};

use crate::agent::{Agent, CONFIG, SOCKET};
use crate::command::{Program, Ran};
use crate::network::Network;
use crate::server::Server;
use crate::syslog::Syslog;
use crate::token::{SKEW, Token};
use crate::world::World;

/// The password of every account.
pub const PASSWORD: &str = "correct horse";

// Of that password; few rounds, since these tests are not about pam_unix.
const PASSWORD_HASH: &str = "$5$rounds=1000$oss2fatests$aRnz9Kjxoas9/zan.oO4kco4Cgc6P1QqoStYRggqLxD";

/// What a user is enrolled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factor {
    /// Time-based codes.
    Totp,
    /// Counter-based codes.
    Hotp,
    /// Ten recovery codes.
    RecoveryCodes,
}

#[derive(Debug)]
struct Account {
    name: String,
    groups: Vec<String>,
    factors: Vec<Factor>,
}

/// A host in the making.
#[derive(Debug, Default)]
pub struct Plan {
    accounts: Vec<Account>,
    stacks: Vec<(String, String)>,
    settings: Table,
    files: Vec<(&'static str, String)>,
    network: Option<String>,
    umask: Option<&'static str>,
}

/// Where a host that asks a server has its token, inside its world.
const TOKEN_FILE: &str = "/etc/oss2fa/server.token";

/// Where it has what the server is vouched for by.
const CA_FILE: &str = "/etc/oss2fa/server-ca.pem";

/// Where it has what validation servers are vouched for by.
const VALIDATION_CA: &str = "/etc/oss2fa/yubico-ca.pem";

/// Where it has the key with which it asks them.
const VALIDATION_KEY: &str = "/etc/oss2fa/yubico.secret";

/// A host that runs, until it is dropped.
#[derive(Debug)]
pub struct Host {
    /// The daemon; tests may take it away.
    pub agent: Mutex<Option<Agent>>,
    tokens: Mutex<HashMap<String, Vec<Token>>>,
    recovery: Mutex<HashMap<String, Vec<String>>>,
    network: Option<String>,
    syslog: Syslog,
    world: World,
}

impl Plan {
    /// A host whose agent runs on its defaults, without what tests add.
    #[must_use]
    pub fn by_default() -> Self {
        Self::default()
    }
}

impl Host {
    /// Begins the sentence.
    #[expect(clippy::new_ret_no_self, reason = "tests read as a sentence that ends with `start`")]
    #[must_use]
    pub fn new() -> Plan {
        Plan::by_default()
            .set("agent.log_level", "trace")
            .set("policy.totp_skew", i64::try_from(SKEW).unwrap())
            .set("agent.login_timeout", 60)
    }
}

impl Plan {
    /// An account with the password [`PASSWORD`] and a home folder.
    #[must_use]
    pub fn user(mut self, name: &str) -> Self {
        self.accounts.push(Account { name: name.to_owned(), groups: Vec::new(), factors: Vec::new() });
        self
    }

    fn last(&mut self) -> &mut Account {
        self.accounts.last_mut().expect("`user` comes first")
    }

    /// The user just named is a member of this group, which is made if it is not there.
    #[must_use]
    pub fn in_group(mut self, group: &str) -> Self {
        self.last().groups.push(group.to_owned());
        self
    }

    /// The user just named has proven a device of this kind.
    #[must_use]
    pub fn enrolled(mut self, factor: Factor) -> Self {
        self.last().factors.push(factor);
        self
    }

    /// A PAM service file.
    #[must_use]
    pub fn pam(mut self, service: &str, stack: &str) -> Self {
        self.stacks.push((service.to_owned(), stack.to_owned()));
        self
    }

    /// A key of `agent.toml`, its tables by dots.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        let mut table = &mut self.settings;
        let mut parts: Vec<&str> = key.split('.').collect();
        let name = parts.pop().unwrap();
        for part in parts {
            let below = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
            table = below.as_table_mut().unwrap();
        }
        table.insert(name.to_owned(), value.into());
        self
    }

    /// The host asks this server about its logins.
    #[must_use]
    pub fn asks(self, server: &Server) -> Self {
        self.asks_all(&[server])
    }

    /// The host asks these nodes of one server, in this order.
    #[must_use]
    pub fn asks_all(self, servers: &[&Server]) -> Self {
        let authorities: String =
            servers.iter().map(|server| std::fs::read_to_string(server.ca()).unwrap()).collect();
        let urls: Vec<&str> = servers.iter().map(|server| server.url.as_str()).collect();
        self.asks_at(&urls, &authorities, &servers[0].token)
    }

    /// The host asks a server at these addresses, which these authorities vouch for, with this token.
    #[must_use]
    pub fn asks_at(mut self, urls: &[&str], authorities: &str, token: &str) -> Self {
        self.files.push((CA_FILE, authorities.to_owned()));
        self.files.push((TOKEN_FILE, token.to_owned()));
        self.set("server.urls", urls.to_vec())
            .set("server.ca_file", CA_FILE)
            .set("server.token_file", TOKEN_FILE)
    }

    /// The host has YubiKeys validated at these addresses, as the client of this id and key.
    #[must_use]
    pub fn validated_at(mut self, urls: &[&str], authorities: &str, (id, key): (i64, &str)) -> Self {
        self.files.push((VALIDATION_CA, authorities.to_owned()));
        self.files.push((VALIDATION_KEY, key.to_owned()));
        self.set("yubico.urls", urls.to_vec())
            .set("yubico.client_id", id)
            .set("yubico.ca_file", VALIDATION_CA)
            .set("yubico.secret_file", VALIDATION_KEY)
    }

    /// The host asks this server, over a line that begins at this port of loopback.
    #[must_use]
    pub fn asks_over(self, line: u16, server: &Server) -> Self {
        self.asks(server).set("server.urls", vec![format!("https://127.0.0.1:{line}")])
    }

    /// Its daemon is in this network, which must outlive the host.
    #[must_use]
    pub fn in_network(mut self, network: &Network) -> Self {
        self.network = Some(network.namespace());
        self
    }

    /// The umask that the daemon is started with.
    #[must_use]
    pub fn umask(mut self, mask: &'static str) -> Self {
        self.umask = Some(mask);
        self
    }

    /// Makes the world and the accounts, but starts no daemon.
    #[must_use]
    pub fn without_agent(self) -> Host {
        let world = World::new();
        // An empty file would be taken for one that was cut short.
        world.write(CONFIG, &format!("# settings\n{}", toml::to_string(&self.settings).unwrap()));
        for (service, stack) in &self.stacks {
            world.write(&format!("/etc/pam.d/{service}"), stack);
        }
        for account in &self.accounts {
            for group in &account.groups {
                world.program(&["groupadd", "--force", group]).succeed();
            }
            let mut words =
                vec!["useradd", "--create-home", "--shell", "/bin/bash", "--password", PASSWORD_HASH];
            let groups = account.groups.join(",");
            if !groups.is_empty() {
                words.extend(["--groups", &groups]);
            }
            words.push(&account.name);
            world.program(&words).succeed();
        }
        for (path, text) in &self.files {
            world.write(path, text);
            world.program(&["chgrp", "oss2fa", path]).succeed();
            world.program(&["chmod", "640", path]).succeed();
        }
        let syslog = Syslog::listen(&world);
        Host {
            agent: Mutex::new(None),
            tokens: Mutex::default(),
            recovery: Mutex::default(),
            network: self.network,
            syslog,
            world,
        }
    }

    /// Makes it all and starts the daemon.
    #[must_use]
    pub fn start(self) -> Host {
        let enrolments: Vec<(String, Factor)> = self
            .accounts
            .iter()
            .flat_map(|account| account.factors.iter().map(|factor| (account.name.clone(), *factor)))
            .collect();
        let umask = self.umask;
        let host = self.without_agent();
        match umask {
            None => host.start_agent(),
            Some(mask) => {
                let serve = format!("umask {mask}; exec oss2fa-agent serve");
                let mut agent = Agent::launch(&host.world, &["/bin/sh", "-c", &serve]);
                agent.wait_until_ready(&host.world);
                *host.agent() = Some(agent);
            }
        }
        for (user, factor) in enrolments {
            host.enroll(&user, factor);
        }
        host
    }
}

impl Host {
    /// The daemon, if one was started.
    pub fn agent(&self) -> MutexGuard<'_, Option<Agent>> {
        self.agent.lock().unwrap()
    }

    /// Does something with the daemon.
    ///
    /// # Panics
    /// Where none was started.
    pub fn with_agent<T>(&self, act: impl FnOnce(&mut Agent) -> T) -> T {
        act(self.agent().as_mut().expect("an agent was started"))
    }

    /// Starts the daemon (again).
    pub fn start_agent(&self) {
        let mut slot = self.agent();
        drop(slot.take());
        let network = self.network.as_ref().map(|network| format!("--net={network}"));
        let entering = network.as_ref().map_or(Vec::new(), |network| vec!["/usr/bin/nsenter", network, "--"]);
        *slot = Some(Agent::start_by(&self.world, &entering));
    }

    /// Kill -9 and start again.
    pub fn restart_agent(&self) {
        self.start_agent();
    }

    /// Kill -9 for the daemon.
    pub fn kill_agent(&self) {
        drop(self.agent().take());
    }

    /// Enrols a device as root by the command line, and proves it.
    pub fn enroll(&self, user: &str, factor: Factor) {
        let _token = match factor {
            Factor::Totp => self.enroll_with(user, &["totp"]),
            Factor::Hotp => self.enroll_with(user, &["hotp"]),
            Factor::RecoveryCodes => {
                let made = self.cli(&["recovery-codes", "--user", user, "--json"]).run();
                assert_eq!(made.status, 0, "{made}");
                let codes = made.json()["codes"].as_array().expect("codes").clone();
                let codes = codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect();
                self.recovery.lock().unwrap().insert(user.to_owned(), codes);
                return;
            }
        };
    }

    /// Enrols with these words after `enroll`, and proves the device with a code of another program.
    pub fn enroll_with(&self, user: &str, words: &[&str]) -> Token {
        let mut all = vec!["enroll"];
        all.extend(words);
        all.extend(["--user", user, "--json"]);
        let made = self.cli(&all).run();
        assert_eq!(made.status, 0, "{made}");
        let made = made.json();
        let mut token = Token::scan(made["provisioning_uri"].as_str().expect("a provisioning URI"));
        if made["place"] == "server" {
            token = token.at_skew(1);
        }
        token.device = made["device"].as_i64().expect("the number of the device");
        let code = token.next_code();
        let device = token.device.to_string();
        self.cli(&["confirm", "--user", user, "--device", &device, &code]).succeed();
        self.tokens.lock().unwrap().entry(user.to_owned()).or_default().push(token.clone());
        token
    }

    /// A copy of the user's newest device.
    #[must_use]
    pub fn token(&self, user: &str) -> Token {
        self.tokens.lock().unwrap()[user].last().unwrap().clone()
    }

    /// The next unused code of the user's newest device.
    #[must_use]
    pub fn code(&self, user: &str) -> String {
        self.tokens
            .lock()
            .unwrap()
            .get_mut(user)
            .and_then(|all| all.last_mut())
            .expect("enrolled")
            .next_code()
    }

    /// A well-formed wrong code for the user's newest device.
    #[must_use]
    pub fn wrong_code(&self, user: &str) -> String {
        self.token(user).wrong_code()
    }

    /// An unused recovery code of the user.
    #[must_use]
    pub fn recovery_code(&self, user: &str) -> String {
        self.recovery.lock().unwrap().get_mut(user).and_then(Vec::pop).expect("recovery codes are left")
    }

    /// The agent's command line, as root.
    #[must_use]
    pub fn cli(&self, words: &[&str]) -> Program {
        let mut all = vec!["/usr/local/bin/oss2fa-agent"];
        all.extend(words);
        self.world.program(&all)
    }

    /// The agent's command line with `--json`, as root, which must succeed.
    #[must_use]
    pub fn cli_json(&self, words: &[&str]) -> serde_json::Value {
        let mut all = words.to_vec();
        all.push("--json");
        let ran: Ran = self.cli(&all).run();
        assert_eq!(ran.status, 0, "{ran}");
        ran.json()
    }

    /// What went to the system log.
    #[must_use]
    pub fn syslog(&self) -> &Syslog {
        &self.syslog
    }

    /// All that the daemon wrote.
    #[must_use]
    pub fn log(&self) -> String {
        Agent::log(&self.world)
    }

    /// The daemon's socket, from outside the world.
    #[must_use]
    pub fn socket(&self) -> std::path::PathBuf {
        self.world.path(SOCKET)
    }

    /// The world it runs in.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }
}

impl Deref for Host {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl Drop for Host {
    #[expect(clippy::print_stderr, reason = "the log of the daemon belongs to the report of a failed test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (log, syslog) = (self.log(), self.syslog.text());
            eprintln!("---- the agent's log ----\n{}\n---- syslog ----\n{}", end_of(&log), end_of(&syslog));
        }
    }
}

fn end_of(log: &str) -> &str {
    let from = log.char_indices().rev().nth(6_000).map_or(0, |(at, _)| at);
    &log[from..]
}
