//! E-mail: a code goes to a mailbox.

use oss2fa_core::secret::{SecretBytes, SecretText};
use serde_json::Value;

use super::sent::{self, Address};
use super::{
    Answered, Description, Enrolled, Kind, KindError, Outgoing, Step, StoredDevice, Surroundings, Token,
};
use crate::message::EmailAddress;

/// The kind.
pub struct Email;

impl Address for EmailAddress {
    fn parse(written: &str) -> Result<Self, String> {
        Self::parse(written).map_err(|error| error.to_string())
    }

    fn whole(&self) -> &str {
        self.as_str()
    }

    fn masked(&self) -> String {
        self.masked()
    }

    fn with(self, code: SecretText) -> Outgoing {
        Outgoing::Mail { to: self, code }
    }
}

fn of_a_domain_that_is_taken(around: &Surroundings<'_>, address: &EmailAddress) -> Result<(), KindError> {
    let domains = &around.policy.email_domains;
    if domains.is_empty() || domains.iter().any(|domain| domain.eq_ignore_ascii_case(address.domain())) {
        return Ok(());
    }
    let words = "the policy of this integration does not take addresses of this domain: use another";
    Err(KindError::Options(words.to_owned()))
}

impl Kind for Email {
    fn description(&self) -> Description {
        Description { pk: 3, name: "EMAIL", description: "A code by e-mail" }
    }

    fn prepare(
        &self,
        around: &Surroundings<'_>,
        enrollment: i64,
        options: &Value,
    ) -> Result<Step, KindError> {
        let address: EmailAddress = sent::address(options)?;
        of_a_domain_that_is_taken(around, &address)?;
        sent::prepare(around, enrollment, address)
    }

    fn enroll(
        &self,
        around: &Surroundings<'_>,
        enrollment: i64,
        state: &SecretBytes,
        token: &Token,
    ) -> Result<Enrolled, KindError> {
        // Policy may have changed since the address was taken.
        of_a_domain_that_is_taken(around, &sent::waiting(state)?)?;
        sent::enroll::<EmailAddress>(around, enrollment, state, token, "E-mail")
    }

    fn challenge(
        &self,
        around: &Surroundings<'_>,
        device: &StoredDevice,
        challenge: i64,
    ) -> Result<Option<Step>, KindError> {
        sent::challenge::<EmailAddress>(around, device, challenge)
    }

    fn answer(
        &self,
        around: &Surroundings<'_>,
        device: &StoredDevice,
        challenge: Option<(i64, &SecretBytes)>,
        token: &Token,
    ) -> Result<Answered, KindError> {
        sent::answer(around, device, challenge, token)
    }
}
