//! What hosts tell: events from the time when no server could be reached.

use std::fmt::Write;
use std::net::IpAddr;

use oss2fa_core::factor::fido::{Assertion, count_at_host};
use oss2fa_core::ids::DeviceId;
use oss2fa_core::ids::readable;
use sha2::{Digest, Sha256};

use super::refusal::Refusal;
use super::{Caller, Service};
use crate::device::fido::KINDS;
use crate::device::fido::credential::Credential;
use crate::ids::Username;
use crate::outside::Timestamp;
use crate::store::verbs::devices::DevicesOfKinds;
use crate::store::verbs::host_events::{Counted, HostEvent, RecordHostEvents};

/// Most events of one report.
pub const MOST: usize = 100;

/// Longest text that is kept of what a host says, in characters.
const LONGEST: usize = 256;

/// Something that a host did, as it says.
#[derive(Debug)]
pub struct Told {
    /// The host's own word for it, which no other of its events has.
    pub id: String,
    /// When, by the host's clock.
    pub at: Timestamp,
    /// What.
    pub event: String,
    /// About whom.
    pub username: String,
    /// The service of the host.
    pub service: String,
    /// One line more.
    pub detail: String,
    /// What a security key has signed for it.
    pub assertion: Option<Signed>,
}

/// What a key has signed at a login that a host decided by itself.
#[derive(Debug)]
pub struct Signed {
    /// Which device the host takes it for.
    pub device: DeviceId,
    /// `clientDataJSON`.
    pub client_data: Vec<u8>,
    /// `authenticatorData`.
    pub authenticator_data: Vec<u8>,
    /// `signature`.
    pub signature: Vec<u8>,
}

impl Service {
    /// Writes a host's events to the audit, each once; answers how many were new.
    ///
    /// # Errors
    /// [`Refusal::Options`] for too many at once, and for a host or an event without a name.
    pub async fn record_host_events(
        &self,
        caller: &Caller,
        from: IpAddr,
        host: &str,
        told: &[Told],
    ) -> Result<u64, Refusal> {
        if told.len() > MOST {
            return Err(Refusal::Options(format!(
                "one report has at most {MOST} events: send the rest next"
            )));
        }
        if readable(host, LONGEST).is_empty() || told.iter().any(|told| told.id.is_empty()) {
            return Err(Refusal::Options("say which host it is, and give each event an id".to_owned()));
        }
        let mut events = Vec::new();
        for told in told {
            let counted = match &told.assertion {
                Some(signed) => self.counted(caller, &told.username, signed).await?,
                None => None,
            };
            events.push(HostEvent { counted, ..told.by(host) });
        }
        let doer = caller.doer(&from.to_canonical().to_string());
        Ok(self.store.write(RecordHostEvents { doer, events }).await?)
    }

    /// A host is believed what the key itself has signed. Whatever does not fit, raises nothing; the event is written
    /// down all the same.
    async fn counted(
        &self,
        caller: &Caller,
        username: &str,
        signed: &Signed,
    ) -> Result<Option<Counted>, Refusal> {
        let Ok(username) = Username::parse(username) else { return Ok(None) };
        let ask =
            DevicesOfKinds { tenant: caller.tenant(), integration: caller.pk(), username, kinds: &KINDS };
        let found = self.store.read(ask).await?;
        let Some(named) = found.into_iter().find(|named| named.device.pk == signed.device) else {
            return Ok(None);
        };
        let credential = Credential::read(&named.device.material)?;
        let assertion = Assertion {
            client_data: &signed.client_data,
            authenticator_data: &signed.authenticator_data,
            signature: &signed.signature,
        };
        match count_at_host(&credential.key()?, &credential.rp_id, &assertion) {
            // A key that does not count says 0 each time.
            Ok(0) => Ok(None),
            Ok(counter) => Ok(Some(Counted { device: signed.device, counter })),
            Err(why) => {
                tracing::warn!(code = "host_assertion", %why, "what a host told of a security key is not believed");
                Ok(None)
            }
        }
    }
}

impl Told {
    fn by(&self, host: &str) -> HostEvent {
        // The whole texts, as they were sent: two that are cut alike are two events.
        let mut digest = Sha256::new();
        for part in [host, &self.id] {
            digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(part);
        }
        // In the form in which a client has it, where it can be one's: so the audit is searched by it.
        let username = Username::parse(&self.username)
            .map_or_else(|_| readable(&self.username, LONGEST), |name| name.as_str().to_owned());
        HostEvent { digest: digest.finalize().into(), username, detail: self.line(host), counted: None }
    }

    /// In quotes, so that no text can look like another part of the line.
    fn line(&self, host: &str) -> String {
        let mut line = format!(
            "host={:?} event={:?} at={}",
            readable(host, LONGEST),
            readable(&self.event, LONGEST),
            self.at.to_rfc3339()
        );
        for (name, text) in [("service", &self.service), ("detail", &self.detail)] {
            let text = readable(text, LONGEST);
            if !text.is_empty() {
                // Writing to a String does not fail.
                let _ = write!(line, " {name}={text:?}");
            }
        }
        line
    }
}
