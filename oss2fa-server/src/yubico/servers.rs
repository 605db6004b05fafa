//! A client of the validation protocol 2.0: all servers are asked at once, under one deadline.
//!
//! Which answer decides is `oss2fa_core::factor::yubico_servers`'s to say: one dead server fails nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use oss2fa_core::factor::yubico_otp::TypedOtp;
use oss2fa_core::factor::yubico_servers::{Decided, Hearing};
use oss2fa_core::factor::yubico_validation::{ApiKey, LONGEST_ANSWER, Question};
use oss2fa_core::ids::DeviceId;
use oss2fa_core::random::Random;
use oss2fa_core::verdict::Verified;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::task::JoinSet;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{NoAnswer, OtpAuthority};
use crate::config::{ConfigError, YubicoConfig};
use crate::service::credential;

/// The validation servers of the configuration.
pub struct ValidationServers {
    client: Client,
    urls: Vec<Url>,
    id: String,
    key: Arc<ApiKey>,
    timeout: Duration,
    random: Arc<dyn Random>,
}

/// Why nobody can be asked by this configuration.
#[derive(Debug, thiserror::Error)]
pub enum NotUsable {
    /// The file with the key cannot be used.
    #[error(transparent)]
    Secret(#[from] ConfigError),
    /// It holds no key.
    #[error(
        "[yubico] secret_file: {0} must hold the client's key as it was handed out: 16 to 64 bytes in base64"
    )]
    Key(String),
    /// The authorities cannot be used, or TLS cannot be set up.
    #[error("[yubico] ca_file: {0}")]
    Tls(String),
}

impl ValidationServers {
    /// As the section says; its key is read now. Nothing is connected yet.
    ///
    /// # Errors
    /// [`NotUsable`].
    pub fn configured(section: &YubicoConfig, random: Arc<dyn Random>) -> Result<Self, NotUsable> {
        let secret = section.secret.read()?;
        let key = ApiKey::parse(secret.expose())
            .ok_or_else(|| NotUsable::Key(section.secret.path().display().to_string()))?;
        Ok(Self {
            client: client(section)?,
            urls: section.urls.clone(),
            id: section.client_id.to_string(),
            key: Arc::new(key),
            timeout: section.timeout,
            random,
        })
    }

    /// Asks one server: its origin, and the body of its answer.
    async fn ask(client: Client, url: Url, asked: Arc<Asked>) -> (String, Result<Zeroizing<String>, String>) {
        (url.origin().ascii_serialization(), Self::body(client, url, &asked).await)
    }

    async fn body(client: Client, mut url: Url, asked: &Asked) -> Result<Zeroizing<String>, String> {
        let otp = asked.otp.expose();
        let question = asked.question();
        let fields = question.fields(&asked.id, &otp);
        url.query_pairs_mut().extend_pairs(fields).append_pair("h", &asked.key.sign(fields));
        // The URL holds the password.
        let without_url = |error: reqwest::Error| innermost(&error.without_url());
        let mut response = client.get(url).send().await.map_err(without_url)?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("it answered {}", status.as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(without_url)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_ANSWER {
                return Err("its answer is too long".to_owned());
            }
        }
        String::from_utf8(body).map(Zeroizing::new).map_err(|_| "its answer is no text".to_owned())
    }
}

/// What is asked of all of them.
struct Asked {
    device: DeviceId,
    otp: TypedOtp,
    nonce: String,
    id: String,
    key: Arc<ApiKey>,
}

impl Asked {
    fn question(&self) -> Question<'_> {
        Question { device: self.device, otp: &self.otp, nonce: &self.nonce, key: &self.key }
    }
}

#[async_trait]
impl OtpAuthority for ValidationServers {
    async fn judge(&self, device: DeviceId, otp: &TypedOtp) -> Result<Option<Verified>, NoAnswer> {
        // All get the same nonce: servers that tell each other must know that it is one question.
        let Ok(nonce) = credential::hex(&*self.random) else {
            return Err(NoAnswer::Failed { why: vec!["there are no random bytes".to_owned()] });
        };
        let (id, key) = (self.id.clone(), Arc::clone(&self.key));
        let asked = Arc::new(Asked { device, otp: otp.clone(), nonce, id, key });
        // Whoever has not answered when this is dropped is not waited for.
        let mut all = JoinSet::new();
        for url in &self.urls {
            all.spawn(Self::ask(self.client.clone(), url.clone(), Arc::clone(&asked)));
        }
        let mut hearing = Hearing::default();
        let first = async {
            while let Some(heard) = all.join_next().await {
                let Ok((from, body)) = heard else { continue };
                let body = body.as_ref().map(|body| body.as_str()).map_err(Clone::clone);
                if let Some(decided) = hearing.hear(&from, &asked.question(), body) {
                    return Some(decided);
                }
            }
            None
        };
        let decided = match timeout(self.timeout, first).await {
            Ok(Some(decided)) => decided,
            Ok(None) => hearing.all_heard(),
            Err(_) => hearing.time_up(self.timeout.as_secs_f32()),
        };
        let why = match decided {
            Decided::Right(verified) => return Ok(Some(verified)),
            Decided::Wrong => return Ok(None),
            Decided::NoAnswer(why) => why,
        };
        tracing::warn!(
            code = "otp_not_validated",
            why = why.join("; "),
            "no validation server could judge a password"
        );
        Err(NoAnswer::Failed { why })
    }
}

fn client(section: &YubicoConfig) -> Result<Client, NotUsable> {
    let unusable = |error: &reqwest::Error| NotUsable::Tls(innermost(error));
    // The client takes the process's provider and has none of its own; where the program chose, this is nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .timeout(section.timeout)
        .pool_idle_timeout(Duration::from_secs(60))
        .pool_max_idle_per_host(4)
        .user_agent(concat!("oss2fa-server/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = &section.ca_file {
        let merged = authorities(path)?;
        builder = builder.tls_certs_merge(merged);
    } else if section.urls.iter().all(|url| url.scheme() == "http") {
        // Nothing will ask for a certificate: a machine without a list of authorities can do this, too.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| unusable(&error))
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, NotUsable> {
    let bad = |what: &str| NotUsable::Tls(format!("{} {what}", path.display()));
    let pem = std::fs::read(path).map_err(|error| bad(&format!("cannot be read: {error}")))?;
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let found = found.ok().filter(|found| !found.is_empty());
    let found = found.ok_or_else(|| bad("holds no certificate in PEM form"))?;
    found
        .iter()
        .map(|one| Certificate::from_der(one).map_err(|error| NotUsable::Tls(innermost(&error))))
        .collect()
}

/// The innermost reason, on one line: what the system or the TLS library said.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut reason = error;
    while let Some(deeper) = reason.source() {
        reason = deeper;
    }
    reason.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}
