//! Enrolling a YubiKey that types passwords: by one of them, which its secrets open or validation servers vouch for.

use std::time::Instant;

use data_encoding::HEXLOWER_PERMISSIVE;
use oss2fa_core::factor::yubico_otp::{KEY, PRIVATE_ID, TypedOtp};
use oss2fa_core::ids::{DeviceId, DeviceName};
use oss2fa_core::secret::{SecretBytes, SecretText};
use oss2fa_core::verdict::{FactorKind, Verified};

use super::refusal::{bad_request, refused, unavailable};
use super::{Answer, Desk};
use crate::admin::{RefusalCode, Response, TypistEnrollment, TypistSecrets};
use crate::policy::SelfService;
use crate::store::yubico_otp::{JudgedBy, NewTypist, Secrets, Typist};
use crate::store::{Event, KeyAdded};
use crate::validation::NoAnswer;

/// No device has this number: of the evidence for a first password, the position alone is looked at.
const NEW: DeviceId = DeviceId(0);

impl Desk<'_> {
    pub(super) fn enroll_typist(&self, wanted: TypistEnrollment) -> Answer<Response> {
        let subject = self.subject(&wanted.user, Some(SelfService::Enroll))?;
        if self.server_of(&subject).is_some() {
            return Err(refused(
                RefusalCode::AtServer,
                "a server decides about this user's logins: the YubiKey is enrolled there, as a device of kind YUBIKEY"
                    .to_owned(),
            ));
        }
        let typed = TypedOtp::read(wanted.otp.expose()).ok_or_else(|| {
            bad_request(
                &"that is no password of a YubiKey: touch the key, and type nothing yourself. Its slot must be set up for \
                  Yubico OTP",
            )
        })?;
        let judged_by = match &wanted.secrets {
            Some(secrets) => JudgedBy::Here(read(secrets)?),
            None if self.validators.is_none() => return Err(bad_request(&NoAnswer::NotConfigured)),
            None => JudgedBy::Servers,
        };
        let name = match wanted.name {
            Some(name) => name,
            None => DeviceName::new(FactorKind::YubicoOtp.as_str()).map_err(|bad| bad_request(&bad))?,
        };
        let vouched = self.vouch(&subject, wanted.proof)?;
        let typist = Typist { public_id: typed.public_id().clone(), judged_by };
        let position = self.first(&typist, typed)?.position();
        let user = subject.account.name.clone();
        let event = Event::Confirmed;
        let new = NewTypist { name, typist, typed: Some(position), vouched, event };
        let added = self.live.store.add_typist(self.context(&user), user.clone(), new);
        match added.map_err(|error| unavailable(&error))? {
            KeyAdded::Added(id) => self.shown(user.as_str(), id),
            refused => Err(bad_request(&refused.words())),
        }
    }

    fn first(&self, typist: &Typist, typed: TypedOtp) -> Answer<Verified> {
        match (&typist.judged_by, &self.validators) {
            (JudgedBy::Here(_), _) => typist.check(NEW, 0, &typed).ok_or_else(|| {
                bad_request(&"the key that was touched does not have this private id and AES key")
            }),
            (JudgedBy::Servers, None) => Err(bad_request(&NoAnswer::NotConfigured)),
            (JudgedBy::Servers, Some(servers)) => {
                let deadline = Instant::now() + self.config.agent.login_timeout;
                match servers.judge(NEW, typed, deadline) {
                    Ok(Some(verified)) => Ok(verified),
                    Ok(None) => Err(bad_request(
                        &"the validation servers do not take that password: they do not know the key, or the password \
                          was used",
                    )),
                    Err(error) => Err(refused(RefusalCode::Unavailable, error.to_string())),
                }
            }
        }
    }
}

fn read(secrets: &TypistSecrets) -> Answer<Secrets> {
    let bytes = |text: &SecretText, length: usize| {
        let decoded = HEXLOWER_PERMISSIVE.decode(text.expose().trim().as_bytes()).ok().map(SecretBytes::new);
        decoded.filter(|bytes| bytes.expose().len() == length)
    };
    let private_id = bytes(&secrets.private_id, PRIVATE_ID)
        .ok_or_else(|| bad_request(&"a private id is 12 hexadecimal digits"))?;
    let key = bytes(&secrets.key, KEY).ok_or_else(|| bad_request(&"an AES key is 32 hexadecimal digits"))?;
    Ok(Secrets { private_id, key })
}
