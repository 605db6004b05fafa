//! For whom credentials are made, as policy says, in the words of `webauthn-rs`.

use std::time::Duration;

use oss2fa_core::factor::fido;
use webauthn_rs::prelude::{Url, Uuid, Webauthn, WebauthnBuilder};
use webauthn_rs_core::proto::UserVerificationPolicy;

use super::super::{KindError, NotOffered, Surroundings};
use super::for_hosts::HostAsks;
use crate::policy::fido::{FidoPolicy, UserVerification};
use crate::store::error::StoreError;

/// What the digest that stands for a client is made for.
const USER_HANDLE: &str = "fido-user";

/// The relying party of an integration.
pub(super) struct RelyingParty<'a> {
    /// Its domain.
    pub(super) id: &'a str,
    /// Its rules.
    pub(super) policy: &'a FidoPolicy,
    /// What does the protocol for it.
    pub(super) webauthn: Webauthn,
}

impl<'a> RelyingParty<'a> {
    /// That of whoever asks; `seconds` is how long a browser waits for the key.
    pub(super) fn of(around: &'a Surroundings<'_>, seconds: u32) -> Result<Self, KindError> {
        let policy = &around.policy.fido;
        let id = policy.rp_id.as_deref().ok_or(NotOffered::NoRelyingParty)?;
        let corrupt = || StoreError::Corrupt("a policy with an impossible origin");
        let origins: Vec<Url> = policy
            .origins
            .iter()
            .map(|origin| Url::parse(origin).map_err(|_| corrupt()))
            .collect::<Result<_, _>>()?;
        // It wants a page to begin with, and there is none where hosts alone use keys. Which of the origins count is
        // said by our own check, which compares them whole with those of the policy.
        let home = match origins.iter().find(|origin| origin.domain().is_some()) {
            Some(page) => page.clone(),
            None => Url::parse(&format!("https://{id}")).map_err(|_| corrupt())?,
        };
        let builder = WebauthnBuilder::new(id, &home).map_err(|_| corrupt())?;
        let webauthn = origins
            .iter()
            .fold(builder, WebauthnBuilder::append_allowed_origin)
            .rp_name(policy.rp_name.as_deref().unwrap_or(around.issuer))
            .timeout(Duration::from_secs(u64::from(seconds)))
            .danger_set_user_presence_only_security_keys(
                policy.user_verification == UserVerification::Discouraged,
            )
            .build()
            .map_err(|_| corrupt())?;
        Ok(Self { id, policy, webauthn })
    }

    /// What browsers are told, and what a credential is registered with.
    pub(super) fn wish(&self) -> UserVerificationPolicy {
        match self.policy.user_verification {
            UserVerification::Required => UserVerificationPolicy::Required,
            UserVerification::Preferred => UserVerificationPolicy::Preferred,
            UserVerification::Discouraged => UserVerificationPolicy::Discouraged_DO_NOT_USE,
        }
    }

    /// What a host must ask of a key.
    pub(super) fn host_need(&self, credential: &super::credential::Credential) -> HostAsks {
        match self.need(credential) {
            fido::UserVerification::Required => HostAsks::User,
            fido::UserVerification::NotRequired => HostAsks::Touch,
        }
    }

    /// What a login needs: a key that verified its user when it was enrolled must do so again.
    pub(super) fn need(&self, credential: &super::credential::Credential) -> fido::UserVerification {
        match self.policy.user_verification {
            UserVerification::Required => fido::UserVerification::Required,
            UserVerification::Preferred if credential.user_verified => fido::UserVerification::Required,
            UserVerification::Preferred | UserVerification::Discouraged => {
                fido::UserVerification::NotRequired
            }
        }
    }

    /// The user handle (WebAuthn section 14.6.1): the same for a client each time, and no name.
    pub(super) fn user_handle(&self, around: &Surroundings<'_>) -> Result<Uuid, StoreError> {
        let named = format!("{}\0{}", self.id, around.username.as_str());
        let digest = around.keys.digest(USER_HANDLE, 0, &named);
        let (half, _) = digest.split_first_chunk::<16>().ok_or(StoreError::Corrupt("a short digest"))?;
        Ok(Uuid::from_bytes(*half))
    }
}
