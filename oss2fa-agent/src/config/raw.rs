//! The configuration file as serde sees it: every key, its default, nothing checked yet.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) agent: Agent,
    pub(super) store: Store,
    pub(super) policy: Policy,
    pub(super) locks: Locks,
    pub(super) audit: Audit,
    pub(super) keys: Keys,
    pub(super) server: Server,
    pub(super) yubico: Yubico,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Agent {
    pub(super) socket: PathBuf,
    pub(super) user: String,
    pub(super) login_timeout: i64,
    pub(super) log_level: String,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            socket: PathBuf::from("/run/oss2fa/agent.sock"),
            user: "oss2fa".to_owned(),
            login_timeout: 120,
            log_level: "info".to_owned(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Store {
    pub(super) path: PathBuf,
    pub(super) master_key: String,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            path: PathBuf::from("/var/lib/oss2fa/agent.db"),
            master_key: "/var/lib/oss2fa/master.key".to_owned(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Policy {
    pub(super) unenrolled: String,
    pub(super) required_groups: Vec<String>,
    pub(super) exempt_groups: Vec<String>,
    pub(super) skip_networks: Vec<String>,
    pub(super) self_service: Vec<String>,
    pub(super) totp_skew: i64,
    pub(super) enroll_at_login: Vec<String>,
    pub(super) user_verification: String,
    pub(super) ssh_touch_services: Vec<String>,
    pub(super) service: BTreeMap<String, Service>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            unenrolled: "deny".to_owned(),
            required_groups: Vec::new(),
            exempt_groups: Vec::new(),
            skip_networks: Vec::new(),
            self_service: ["enroll", "list", "remove", "rename"].map(str::to_owned).to_vec(),
            totp_skew: 1,
            enroll_at_login: Vec::new(),
            user_verification: "touch".to_owned(),
            ssh_touch_services: Vec::new(),
            service: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Service {
    pub(super) unenrolled: Option<String>,
    pub(super) required_groups: Option<Vec<String>>,
    pub(super) exempt_groups: Option<Vec<String>>,
    pub(super) skip_networks: Option<Vec<String>>,
    pub(super) factors: Option<Vec<String>>,
    pub(super) messages: Option<String>,
    pub(super) user_verification: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Locks {
    pub(super) free_attempts: i64,
    pub(super) free_attempts_per_source: i64,
    pub(super) free_attempts_per_user: i64,
    pub(super) first_pause: i64,
    pub(super) longest_pause: i64,
}

impl Default for Locks {
    fn default() -> Self {
        Self {
            free_attempts: 5,
            free_attempts_per_source: 50,
            free_attempts_per_user: 200,
            first_pause: 30,
            longest_pause: 3600,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Audit {
    pub(super) syslog: bool,
}

impl Default for Audit {
    fn default() -> Self {
        Self { syslog: true }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Keys {
    pub(super) rp_id: String,
    pub(super) touch_timeout: i64,
    pub(super) touch_file: PathBuf,
    pub(super) allowed_models: Vec<String>,
    pub(super) attestation: String,
    pub(super) attestation_roots: Option<PathBuf>,
    pub(super) sshd_config: PathBuf,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            rp_id: "oss2fa:host".to_owned(),
            touch_timeout: 15,
            touch_file: PathBuf::from("/run/oss2fa-agent/touch-awaited"),
            allowed_models: Vec::new(),
            attestation: "none".to_owned(),
            attestation_roots: None,
            sshd_config: PathBuf::from("/etc/ssh/sshd_config"),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Server {
    pub(super) mode: Option<String>,
    pub(super) urls: Vec<String>,
    pub(super) token_file: PathBuf,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) pinned_certificate: Option<String>,
    pub(super) timeout: i64,
    pub(super) fail_open_services: Vec<String>,
    pub(super) host: Option<String>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            mode: None,
            urls: Vec::new(),
            token_file: PathBuf::from("/etc/oss2fa/server.token"),
            ca_file: None,
            pinned_certificate: None,
            timeout: 5,
            fail_open_services: Vec::new(),
            host: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Yubico {
    pub(super) urls: Vec<String>,
    pub(super) client_id: Option<i64>,
    pub(super) secret_file: PathBuf,
    pub(super) timeout: i64,
    pub(super) ca_file: Option<PathBuf>,
}

impl Default for Yubico {
    fn default() -> Self {
        Self {
            urls: vec!["https://api.yubico.com/wsapi/2.0/verify".to_owned()],
            client_id: None,
            secret_file: PathBuf::from("/etc/oss2fa/yubico.secret"),
            timeout: 5,
            ca_file: None,
        }
    }
}
