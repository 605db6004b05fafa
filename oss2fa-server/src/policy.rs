//! What an integration asks of its clients. Stored with the integration; every key has a default.

pub mod fido;

use ipnet::IpNet;
use oss2fa_core::ids::DeviceName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::fido::FidoPolicy;
use crate::fields;
use crate::message::EmailAddress;

/// The rules of one integration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Who asks, in authenticator apps and messages. Null: the name of the integration.
    pub issuer: Option<String>,
    /// Digits of a code: 6 to 8 for TOTP and HOTP, 6 to 10 in messages (there up to the limit of the kind).
    pub code_length: u8,
    /// Seconds until an enrollment expires.
    pub enrollment_expiry: u32,
    /// Seconds until a challenge expires.
    pub challenge_expiry: u32,
    /// Wrong answers that one enrollment or challenge takes.
    pub attempts: u32,
    /// Names of the device kinds that may be enrolled and used. Empty: all.
    pub device_kinds: Vec<String>,
    /// Domains of e-mail addresses that may be enrolled. Empty: any.
    pub email_domains: Vec<String>,
    /// Devices that one client may have.
    pub max_devices: u32,
    /// Seconds between two messages of one enrollment or challenge.
    pub resend_after: u32,
    /// Messages of one enrollment or challenge, the first included.
    pub sends: u32,
    /// When wrong answers lock.
    #[serde(deserialize_with = "fields::object")]
    pub locks: LockPolicy,
    /// Networks that requests with the integration's token may come from. Empty: any.
    #[schema(value_type = Vec<String>)]
    pub api_networks: Vec<IpNet>,
    /// Networks that clients may come from, by the address of the binding context. Empty: any.
    #[schema(value_type = Vec<String>)]
    pub client_networks: Vec<IpNet>,
    /// What the decision about a name that no client has is: enroll or deny.
    pub unknown_clients: UnknownClients,
    /// Whether answers may tell that a client does not exist or has no device.
    pub disclosure: Disclosure,
    /// Days for which a device that the application remembers is not asked again. 0: never.
    pub trusted_device_days: u32,
    /// Who may change clients and their devices.
    pub clients_managed_by: ManagedBy,
    /// What is asked of security keys.
    #[serde(deserialize_with = "fields::object")]
    pub fido: FidoPolicy,
}

/// When wrong answers lock, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LockPolicy {
    /// Wrong answers of a client with one kind from one address before the first pause.
    pub free_attempts: u32,
    /// Wrong answers from one address, whoever it is for.
    pub free_attempts_per_source: u32,
    /// Wrong answers of a client with one kind from anywhere.
    pub free_attempts_per_client: u32,
    /// Seconds of the first pause; each next one is twice as long.
    pub first_pause: u32,
    /// Seconds of the longest pause.
    pub longest_pause: u32,
}

/// What is decided about a name that no client has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownClients {
    /// They may enroll.
    Enroll,
    /// They are refused, and so is a client without a device.
    Deny,
}

/// Whether answers may tell who exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Disclosure {
    /// They may.
    Told,
    /// Unknown names and clients without a device are answered in the same words and the same time.
    Hidden,
}

/// Who may change clients and their devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ManagedBy {
    /// The integration with its token, and administrators.
    Integration,
    /// Administrators alone.
    Administrators,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            issuer: None,
            code_length: 6,
            enrollment_expiry: 300,
            challenge_expiry: 300,
            attempts: 5,
            device_kinds: Vec::new(),
            email_domains: Vec::new(),
            max_devices: 10,
            resend_after: 30,
            sends: 3,
            locks: LockPolicy::default(),
            api_networks: Vec::new(),
            client_networks: Vec::new(),
            unknown_clients: UnknownClients::Enroll,
            disclosure: Disclosure::Told,
            trusted_device_days: 0,
            clients_managed_by: ManagedBy::Integration,
            fido: FidoPolicy::default(),
        }
    }
}

impl Default for LockPolicy {
    fn default() -> Self {
        Self {
            free_attempts: 5,
            free_attempts_per_source: 50,
            free_attempts_per_client: 50,
            first_pause: 30,
            longest_pause: 3600,
        }
    }
}

/// A policy that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the policy's {key} is {value}; it must be {allowed}")]
pub struct BadPolicy {
    key: &'static str,
    value: String,
    allowed: &'static str,
}

impl Policy {
    /// Refuses what makes no sense or no security.
    ///
    /// # Errors
    /// [`BadPolicy`], which names key, value and what is allowed.
    pub fn checked(self, kinds: &[&str]) -> Result<Self, BadPolicy> {
        let within = |key, value: u32, least: u32, most: u32, allowed| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(BadPolicy { key, value: value.to_string(), allowed })
            }
        };
        within("code_length", u32::from(self.code_length), 6, 10, "6 to 10")?;
        within("enrollment_expiry", self.enrollment_expiry, 30, 86_400, "30 to 86400 seconds")?;
        within("challenge_expiry", self.challenge_expiry, 30, 3600, "30 to 3600 seconds")?;
        within("attempts", self.attempts, 1, 20, "1 to 20")?;
        within("max_devices", self.max_devices, 1, 100, "1 to 100")?;
        within("resend_after", self.resend_after, 5, 3600, "5 to 3600 seconds")?;
        within("sends", self.sends, 1, 10, "1 to 10")?;
        within("trusted_device_days", self.trusted_device_days, 0, 90, "0 to 90")?;
        let locks = self.locks;
        within("locks.free_attempts", locks.free_attempts, 1, 100, "1 to 100")?;
        within("locks.free_attempts_per_source", locks.free_attempts_per_source, 1, 100_000, "1 to 100000")?;
        within("locks.free_attempts_per_client", locks.free_attempts_per_client, 1, 1000, "1 to 1000")?;
        within("locks.first_pause", locks.first_pause, 1, 3600, "1 to 3600 seconds")?;
        within(
            "locks.longest_pause",
            locks.longest_pause,
            locks.first_pause,
            86_400,
            "first_pause to 86400",
        )?;
        let unknown = self.device_kinds.iter().find(|kind| !kinds.contains(&kind.as_str()));
        if let Some(kind) = unknown {
            let (value, allowed) = (format!("{kind:?}"), "names that GET /devices-kind lists");
            return Err(BadPolicy { key: "device_kinds", value, allowed });
        }
        for (key, networks) in
            [("api_networks", &self.api_networks), ("client_networks", &self.client_networks)]
        {
            if let Some(network) = networks.iter().find(|network| is_of_mapped_addresses(network)) {
                let allowed = "networks such as 192.0.2.0/24; those of IPv4 are not written as IPv6";
                return Err(BadPolicy { key, value: network.to_string(), allowed });
            }
        }
        // What no address can have behind its @ would let nobody enroll.
        let of_address = |domain: &String| EmailAddress::parse(&format!("a@{domain}"));
        if let Some(bad) = self.email_domains.iter().find(|domain| of_address(domain).is_err()) {
            let allowed = "domains such as \"example.org\", in plain ASCII, without @ and *";
            let value = format!("{bad:?}");
            return Err(BadPolicy { key: "email_domains", value, allowed });
        }
        if let Some(issuer) = &self.issuer
            && (issuer.len() > 64 || issuer.contains(':') || DeviceName::new(issuer).is_err())
        {
            let (value, allowed) =
                (format!("{issuer:?}"), "1 to 64 bytes, without a colon and characters that cannot be seen");
            return Err(BadPolicy { key: "issuer", value, allowed });
        }
        self.fido.check()?;
        Ok(self)
    }

    /// Whether devices of this kind may be enrolled and used.
    #[must_use]
    pub fn allows_kind(&self, name: &str) -> bool {
        self.device_kinds.is_empty() || self.device_kinds.iter().any(|allowed| allowed == name)
    }
}

/// Of addresses of IPv4 that are written as IPv6 (RFC 4291 section 2.5.5.2). Each that comes is read as IPv4, so that
/// the network would have none.
fn is_of_mapped_addresses(network: &IpNet) -> bool {
    match network {
        IpNet::V4(_) => false,
        IpNet::V6(network) => network.prefix_len() >= 96 && network.addr().to_ipv4_mapped().is_some(),
    }
}
