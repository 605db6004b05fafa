//! SMS: a code goes to a phone.

use oss2fa_core::secret::{SecretBytes, SecretText};
use serde_json::Value;

use super::sent::{self, Address};
use super::{
    Answered, Description, Enrolled, Kind, KindError, Outgoing, Step, StoredDevice, Surroundings, Token,
};
use crate::message::PhoneNumber;

/// The kind.
pub struct Sms;

impl Address for PhoneNumber {
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
        Outgoing::Sms { to: self, code }
    }
}

impl Kind for Sms {
    fn description(&self) -> Description {
        Description { pk: 4, name: "SMS", description: "A code by SMS" }
    }

    fn prepare(
        &self,
        around: &Surroundings<'_>,
        enrollment: i64,
        options: &Value,
    ) -> Result<Step, KindError> {
        let address: PhoneNumber = sent::address(options)?;
        sent::prepare(around, enrollment, address)
    }

    fn enroll(
        &self,
        around: &Surroundings<'_>,
        enrollment: i64,
        state: &SecretBytes,
        token: &Token,
    ) -> Result<Enrolled, KindError> {
        sent::enroll::<PhoneNumber>(around, enrollment, state, token, "Phone")
    }

    fn challenge(
        &self,
        around: &Surroundings<'_>,
        device: &StoredDevice,
        challenge: i64,
    ) -> Result<Option<Step>, KindError> {
        sent::challenge::<PhoneNumber>(around, device, challenge)
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
