//! What proves an integration or an administrator, on its one way out.

use oss2fa_core::secret::SecretText;
use serde::Serialize;

use super::context::{Context, Form};
use super::failure::Failure;
use crate::service::credential::Credentials;
use crate::store::error::StoreError;

/// New ones.
pub(crate) fn fresh(context: &Context<'_, '_>) -> Result<Credentials, Failure> {
    Ok(Credentials::generate(&*context.environment.random).map_err(StoreError::from)?)
}

#[derive(Serialize)]
struct Shown<'a, T> {
    #[serde(flatten)]
    whose: &'a T,
    token: &'a SecretText,
    secret_key: &'a SecretText,
}

/// Shows them, this once. `whose` has the access key among its fields; `header` is where the token goes.
pub(crate) fn show(
    context: &mut Context<'_, '_>,
    whose: &impl Serialize,
    words: &str,
    header: &str,
    credentials: &Credentials,
) -> Result<(), Failure> {
    let Credentials { token, access_key, secret_key } = credentials;
    match context.form {
        Form::Json => context.console.json(&Shown { whose, token, secret_key }),
        Form::Words => {
            let lines = [
                words.to_owned(),
                format!("  token:      {}", token.expose()),
                format!("  access key: {access_key}"),
                format!("  secret key: {}", secret_key.expose()),
                format!(
                    "The token goes into {header}; or access key and secret key into Basic authentication."
                ),
                "Token and secret key are shown this once: keep them where only the application reads them."
                    .to_owned(),
            ];
            lines.iter().try_for_each(|line| context.console.say(line))
        }
    }
}
