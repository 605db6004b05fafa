//! authenticatorGetAssertion and authenticatorGetNextAssertion: signatures (CTAP 2.1 sections 6.2 and 6.3).

use zeroize::Zeroizing;

use super::make_credential::Verification;
use super::{descriptors, options, request};
use crate::cbor::{self, Value};
use crate::error::{KeyError, Malformed};
use crate::hid::Channel;
use crate::transport::{HidTransport, Patience};

const COMMAND: u8 = 0x02;
const NEXT_COMMAND: u8 = 0x08;
const WHAT: &str = "assertion";
/// How many resident credentials of one rp id are looked at.
const MOST_ASSERTIONS: u64 = 64;

/// Whether the key has to be touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Yes: what a login needs.
    Touch,
    /// No: only asks which credentials are there (section 6.2.2, option `up`). No such answer is ever verified.
    Silent,
}

/// What to sign, with what.
#[derive(Debug, Clone)]
pub struct GetAssertion<'a> {
    /// Whom the credential is for.
    pub rp_id: &'a str,
    /// SHA-256 of the client data.
    pub client_data_hash: &'a [u8; 32],
    /// Credentials that will do; empty for resident ones.
    pub allow: &'a [Vec<u8>],
    /// Whether it has to be touched.
    pub presence: Presence,
    /// How the user is verified.
    pub verification: Verification<'a>,
}

impl GetAssertion<'_> {
    /// The request's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let (proof, protocol) = self.verification.proof(self.client_data_hash);
        let presence = (self.presence == Presence::Silent).then_some(false);
        request(
            COMMAND,
            vec![
                (0x01, Some(Value::text(self.rp_id))),
                (0x02, Some(Value::bytes(self.client_data_hash))),
                (0x03, descriptors(self.allow)),
                (0x05, options(&[("up", presence), ("uv", self.verification.option())])),
                (0x06, proof),
                (0x07, protocol),
            ],
        )
    }
}

/// What a key answers. Not verified yet: [`crate::verify::Login::verify`] does that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// Which credential signed.
    pub credential_id: Vec<u8>,
    /// The authenticator data.
    pub auth_data: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
    /// The owner's id, which resident credentials tell.
    pub user_id: Option<Vec<u8>>,
}

/// An answer, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstAssertion {
    /// The first of them.
    pub assertion: Assertion,
    /// How many there are, this one included.
    pub count: u64,
}

impl FirstAssertion {
    /// Reads the answer to a request that allowed `allow`: where that is one credential, the key need not say
    /// which one signed (section 6.2.2).
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &[u8], allow: &[Vec<u8>]) -> Result<Self, Malformed> {
        let mut fields = cbor::parse(bytes)?.into_fields(WHAT)?;
        let credential_id = match (fields.take(0x01), allow) {
            (Some(descriptor), _) => {
                let mut descriptor = descriptor.into_fields(WHAT)?;
                if descriptor.demand_named("type")?.into_text(WHAT)? != "public-key" {
                    return Err(Malformed(WHAT));
                }
                descriptor.demand_named("id")?.into_bytes(WHAT)?
            }
            (None, [only]) => only.clone(),
            (None, _) => return Err(Malformed(WHAT)),
        };
        let auth_data = fields.demand(0x02)?.into_bytes(WHAT)?;
        let signature = fields.demand(0x03)?.into_bytes(WHAT)?;
        let user_id = match fields.take(0x04) {
            Some(user) => Some(user.into_fields(WHAT)?.demand_named("id")?.into_bytes(WHAT)?),
            None => None,
        };
        let count = fields.take(0x05).map_or(Ok(1), |count| count.into_number(WHAT))?;
        let count = u64::try_from(count).ok().filter(|count| (1..=MOST_ASSERTIONS).contains(count));
        let assertion = Assertion { credential_id, auth_data, signature, user_id };
        Ok(Self { assertion, count: count.ok_or(Malformed(WHAT))? })
    }
}

/// Asks the key, which waits for a touch where one is wanted.
///
/// # Errors
/// [`KeyError`].
pub fn get_assertion<T: HidTransport>(
    channel: &mut Channel<T>,
    what: &GetAssertion<'_>,
    patience: &mut Patience<'_>,
) -> Result<FirstAssertion, KeyError> {
    Ok(FirstAssertion::parse(&super::call(channel, &what.to_bytes(), patience)?, what.allow)?)
}

/// Asks for one more of the answers to the request before this one (section 6.3).
///
/// # Errors
/// [`KeyError`].
pub fn get_next_assertion<T: HidTransport>(
    channel: &mut Channel<T>,
    patience: &mut Patience<'_>,
) -> Result<Assertion, KeyError> {
    Ok(FirstAssertion::parse(&super::call(channel, &[NEXT_COMMAND], patience)?, &[])?.assertion)
}

/// All answers to one request: of resident credentials there may be several.
///
/// # Errors
/// [`KeyError`].
pub fn all_assertions<T: HidTransport>(
    channel: &mut Channel<T>,
    what: &GetAssertion<'_>,
    patience: &mut Patience<'_>,
) -> Result<Vec<Assertion>, KeyError> {
    let first = get_assertion(channel, what, patience)?;
    let mut all = vec![first.assertion];
    for _ in 1..first.count {
        all.push(get_next_assertion(channel, patience)?);
    }
    Ok(all)
}
