//! authenticatorSelection: which of several keys is the one in hand (CTAP 2.1 section 6.9).

use super::make_credential::{MakeCredential, Residence, Verification, make_credential};
use super::status::Status;
use crate::cose::Algorithm;
use crate::error::KeyError;
use crate::hid::Channel;
use crate::transport::{HidTransport, Patience};

/// The request.
pub const REQUEST: [u8; 1] = [0x0b];

/// An rp id that nobody has, for credentials that nobody uses.
pub const NOBODY: &str = "selection.oss2fa.invalid";

/// The proof of a PIN is wrong: how some keys of CTAP 2.0 refuse the empty one.
const PIN_AUTH_INVALID: Status = Status(0x33);

/// Waits until the key is touched.
///
/// # Errors
/// [`KeyError`]; [`KeyError::Status`] with `OPERATION_DENIED` where its user said no.
pub fn select<T: HidTransport>(
    channel: &mut Channel<T>,
    patience: &mut Patience<'_>,
) -> Result<(), KeyError> {
    super::call(channel, &REQUEST, patience).map(drop)
}

/// The same for keys of CTAP 2.0, which do not know the command: asks for a credential with an empty proof of
/// the PIN, at which they wait for the touch and refuse (section 6.1.2 step 1). A key without any PIN makes the
/// credential, which takes no room on it.
///
/// # Errors
/// [`KeyError`].
pub fn select_by_dummy<T: HidTransport>(
    channel: &mut Channel<T>,
    patience: &mut Patience<'_>,
) -> Result<(), KeyError> {
    let dummy = MakeCredential {
        client_data_hash: &[0; 32],
        rp_id: NOBODY,
        user_id: &[0],
        user_name: "nobody",
        algorithms: &[Algorithm::Es256],
        exclude: &[],
        residence: Residence::ById,
        protection: None,
        verification: Verification::Selecting,
    };
    match make_credential(channel, &dummy, patience) {
        Ok(_) | Err(KeyError::NoPin | KeyError::Status(Status::PIN_INVALID | PIN_AUTH_INVALID)) => Ok(()),
        Err(error) => Err(error),
    }
}
