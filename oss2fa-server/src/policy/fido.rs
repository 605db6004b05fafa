//! What an integration asks of security keys: for whom they are made, from where, and which.

use oss2fa_core::factor::fido::HOSTS;
use oss2fa_core::ids::DeviceName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use webauthn_rs::prelude::{AttestationCaList, Url, Uuid};

use super::BadPolicy;

/// Most entries of one list.
const MOST: usize = 64;

/// Most bytes of one certificate in PEM.
const LARGEST_ROOT: usize = 8 * 1024;

/// The rules for the kinds FIDO2 and U2F. Without `rp_id` they are not offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FidoPolicy {
    /// The relying party: the domain that credentials are made for, such as `example.org`. Keys that were
    /// enrolled for one domain work for no other. Null: security keys are not offered.
    pub rp_id: Option<String>,
    /// What browsers show in its place. Null: the issuer, or the name of the integration.
    pub rp_name: Option<String>,
    /// Where a browser may be when it uses a key, each as `https://www.example.org`: whole, without a path. The
    /// host is `rp_id` or below it. Nothing is understood by them but themselves. One more is `oss2fa:host`: with it
    /// the hosts of this integration use keys for their own logins, too, and may keep their public halves.
    pub origins: Vec<String>,
    /// Whether the key must make sure who touches it.
    pub user_verification: UserVerification,
    /// Whether the maker of a key must vouch for it when it is enrolled.
    pub attestation: Attestation,
    /// Certificates of the makers that are trusted, in PEM. Needed where attestation is required.
    pub attestation_roots: Vec<String>,
    /// Models that may be enrolled, by AAGUID; that of U2F keys is all zeros. Empty: any. Needs attestation.
    pub allowed_aaguids: Vec<String>,
}

/// Whether a key must make sure who touches it, by a PIN or a finger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserVerification {
    /// Always. U2F keys are not offered.
    Required,
    /// Where the key can: what it did when it was enrolled, it must do at each login.
    Preferred,
    /// A touch is enough.
    Discouraged,
}

/// Whether the maker of a key must vouch for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attestation {
    /// Any key is taken; browsers are not asked for its model.
    None,
    /// By a certificate that one of the trusted ones has signed.
    Required,
}

impl Default for FidoPolicy {
    fn default() -> Self {
        Self {
            rp_id: None,
            rp_name: None,
            origins: Vec::new(),
            user_verification: UserVerification::Preferred,
            attestation: Attestation::None,
            attestation_roots: Vec::new(),
            allowed_aaguids: Vec::new(),
        }
    }
}

impl FidoPolicy {
    /// Whether a model may be enrolled.
    #[must_use]
    pub fn allows_model(&self, aaguid: &[u8; 16]) -> bool {
        self.allowed_aaguids.is_empty()
            || self
                .allowed_aaguids
                .iter()
                .any(|allowed| Uuid::try_parse(allowed).is_ok_and(|allowed| allowed.as_bytes() == aaguid))
    }

    /// The trusted certificates; empty where none is needed.
    ///
    /// # Errors
    /// The one that is no certificate.
    pub fn roots(&self) -> Result<AttestationCaList, BadPolicy> {
        let mut all = AttestationCaList::default();
        for pem in &self.attestation_roots {
            let one = match pem.len() {
                0..=LARGEST_ROOT => AttestationCaList::try_from(pem.as_bytes()).ok(),
                _ => None,
            };
            let allowed = "X.509 certificates in PEM, each of at most 8 KiB";
            all.union(&one.ok_or_else(|| bad("fido.attestation_roots", pem, allowed))?);
        }
        Ok(all)
    }

    /// Whether hosts may use keys for their own logins.
    #[must_use]
    pub fn takes_hosts(&self) -> bool {
        self.rp_id.is_some() && self.origins.iter().any(|origin| origin == HOSTS)
    }

    pub(super) fn check(&self) -> Result<(), BadPolicy> {
        for (key, list) in [
            ("fido.origins", &self.origins),
            ("fido.attestation_roots", &self.attestation_roots),
            ("fido.allowed_aaguids", &self.allowed_aaguids),
        ] {
            if list.len() > MOST {
                return Err(bad(key, &list.len().to_string(), "a list of at most 64"));
            }
        }
        self.check_place()?;
        if let Some(name) = &self.rp_name
            && (name.len() > 64 || DeviceName::new(name).is_err())
        {
            return Err(bad("fido.rp_name", name, "1 to 64 bytes, without characters that cannot be seen"));
        }
        if let Some(wrong) = self.allowed_aaguids.iter().find(|written| Uuid::try_parse(written).is_err()) {
            let allowed = "AAGUIDs such as \"cb69481e-8ff7-4039-93ec-0a2729a154a8\"";
            return Err(bad("fido.allowed_aaguids", wrong, allowed));
        }
        match (self.attestation, self.roots()?.is_empty(), self.allowed_aaguids.is_empty()) {
            (Attestation::Required, true, _) => Err(bad(
                "fido.attestation_roots",
                "empty",
                "at least one certificate, since fido.attestation is required",
            )),
            // Without its maker's word a key may say that it is of any model.
            (Attestation::None, _, false) => {
                Err(bad("fido.attestation", "none", "required, since fido.allowed_aaguids is not empty"))
            }
            _ => Ok(()),
        }
    }

    fn check_place(&self) -> Result<(), BadPolicy> {
        let Some(rp_id) = &self.rp_id else {
            return match self.origins.first() {
                None => Ok(()),
                Some(_) => Err(bad("fido.rp_id", "null", "a domain, since fido.origins is not empty")),
            };
        };
        if !is_domain(rp_id) {
            let allowed =
                "a domain in small letters such as \"example.org\", without a port, or \"localhost\"";
            return Err(bad("fido.rp_id", rp_id, allowed));
        }
        if self.origins.is_empty() {
            return Err(bad("fido.origins", "empty", "at least one, since fido.rp_id is set"));
        }
        let fits = |origin: &str| origin == HOSTS || is_origin_below(origin, rp_id);
        match self.origins.iter().find(|origin| !fits(origin)) {
            None => Ok(()),
            Some(wrong) => Err(bad(
                "fido.origins",
                wrong,
                "origins such as \"https://www.example.org\" or \"http://localhost:8080\": no path, no * and \
                 no usual port, on fido.rp_id or below it; or \"oss2fa:host\" for hosts",
            )),
        }
    }
}

fn bad(key: &'static str, value: &str, allowed: &'static str) -> BadPolicy {
    let shown: String = value.chars().take(80).collect();
    BadPolicy { key, value: format!("{shown:?}"), allowed }
}

/// Letters, digits and hyphens in at least two labels, the last one no number: no address, no suffix of one label.
fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    name == "localhost"
        || (name.len() <= 253
            && name.contains('.')
            && name.split('.').all(label)
            && !name.rsplit('.').next().is_none_or(is_number))
}

/// Written as browsers write it (RFC 6454 section 6.2), encrypted or on the same machine.
fn is_origin_below(origin: &str, rp_id: &str) -> bool {
    let Ok(url) = Url::parse(origin) else { return false };
    let Some(host) = url.domain() else { return false };
    let is_secure = url.scheme() == "https" || (url.scheme() == "http" && host == "localhost");
    let is_below = host == rp_id || host.strip_suffix(rp_id).is_some_and(|before| before.ends_with('.'));
    is_secure && is_below && is_domain(host) && url.origin().ascii_serialization() == origin
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rp_id: &str, origins: &[&str]) -> FidoPolicy {
        let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        FidoPolicy { rp_id: Some(rp_id.to_owned()), origins, ..FidoPolicy::default() }
    }

    #[test]
    fn a_relying_party_is_a_domain_with_origins_on_it_or_below() {
        FidoPolicy::default().check().unwrap();
        for (rp_id, origins) in [
            (
                "example.org",
                &["https://example.org", "https://www.example.org", "https://a.example.org:8443"][..],
            ),
            ("localhost", &["http://localhost:8080", "https://localhost"]),
            ("example.org", &["oss2fa:host"]),
            ("example.org", &["https://example.org", "oss2fa:host"]),
        ] {
            of(rp_id, origins).check().unwrap_or_else(|error| panic!("{rp_id}: {error}"));
        }
        for (rp_id, origin) in [
            ("", "https://example.org"),
            ("org", "https://example.org"),
            ("Example.org", "https://example.org"),
            ("https://example.org", "https://example.org"),
            ("example.org:443", "https://example.org"),
            ("192.0.2.1", "https://192.0.2.1"),
            (".example.org", "https://example.org"),
            ("example.org.", "https://example.org."),
            ("example.org", ""),
            ("example.org", "example.org"),
            ("example.org", "http://example.org"),
            ("example.org", "https://badexample.org"),
            ("example.org", "https://example.org.evil.test"),
            ("example.org", "https://example.org/"),
            ("example.org", "https://example.org/login"),
            ("example.org", "https://example.org:443"),
            ("example.org", "https://EXAMPLE.org"),
            ("example.org", "https://*.example.org"),
            ("example.org", "https://user@example.org"),
            ("www.example.org", "https://example.org"),
            ("example.org", "android:apk-key-hash:abc"),
            ("example.org", "oss2fa:hosts"),
            ("example.org", "oss2fa:host/"),
            ("example.org", "OSS2FA:host"),
        ] {
            assert!(of(rp_id, &[origin]).check().is_err(), "{rp_id} {origin}");
        }
        assert!(of("example.org", &[]).check().is_err(), "no origin");
        let nowhere = FidoPolicy { rp_id: None, ..of("example.org", &["https://example.org"]) };
        assert!(nowhere.check().is_err(), "origins of nobody");
    }

    #[test]
    fn hosts_are_let_in_by_their_own_origin_alone() {
        assert!(!FidoPolicy::default().takes_hosts());
        assert!(!of("example.org", &["https://example.org"]).takes_hosts());
        assert!(of("example.org", &["https://example.org", "oss2fa:host"]).takes_hosts());
    }

    #[test]
    fn models_are_told_apart_where_makers_vouch_for_them() {
        let model = "cb69481e-8ff7-4039-93ec-0a2729a154a8".to_owned();
        let place = of("example.org", &["https://example.org"]);
        let unproven = FidoPolicy { allowed_aaguids: vec![model.clone()], ..place.clone() };
        assert!(unproven.check().unwrap_err().to_string().contains("fido.attestation"));
        let untrusted = FidoPolicy { attestation: Attestation::Required, ..place.clone() };
        assert!(untrusted.check().unwrap_err().to_string().contains("fido.attestation_roots"));
        let no_model = FidoPolicy { allowed_aaguids: vec!["YubiKey".to_owned()], ..place.clone() };
        assert!(no_model.check().unwrap_err().to_string().contains("YubiKey"));
        let no_root = FidoPolicy { attestation_roots: vec!["root".to_owned()], ..place.clone() };
        assert!(no_root.check().is_err());
        let bytes = *Uuid::try_parse(&model).unwrap().as_bytes();
        assert!(unproven.allows_model(&bytes) && !unproven.allows_model(&[0; 16]));
        assert!(place.allows_model(&[0; 16]));
    }
}
