//! What the environment says where the configuration file says nothing: ungleich-otp's deployments set it.

use oss2fa_core::secret::SecretText;

use super::{Config, ConfigError, MasterKeySource, Named};

/// Fewest characters of `SECRET_KEY`.
const SHORTEST_SECRET: usize = 32;

/// Two variables of the environment. The file wins over both.
#[derive(Debug, Clone, Default)]
pub struct Fallbacks {
    /// `POSTGRES_USERNAME`: the user of a `postgres://` store that names none.
    pub postgres_username: Option<String>,
    /// `SECRET_KEY`: the master key is derived from it, where the file names none and none was made.
    pub secret_key: Option<SecretText>,
}

impl Config {
    /// With what the environment says, where nobody else says anything.
    ///
    /// # Errors
    /// [`ConfigError::Flag`] for a `SECRET_KEY` that would be used and is too short.
    pub fn with_fallbacks(mut self, fallbacks: &Fallbacks) -> Result<Self, ConfigError> {
        if let Some(user) = &fallbacks.postgres_username {
            self.store = self.store.or_user(user);
        }
        if let Some(secret) = &fallbacks.secret_key
            && self.master_key_named == Named::Nowhere
            && let MasterKeySource::File(path) = &self.master_key
            // Also one that a first start has begun to make.
            && [path.clone(), path.with_extension("key.new")].iter().all(|path| path.symlink_metadata().is_err())
        {
            if secret.expose().chars().count() < SHORTEST_SECRET {
                return Err(ConfigError::Flag {
                    flag: "SECRET_KEY of the environment",
                    value: "(not shown)".to_owned(),
                    allowed: "a text of at least 32 characters, or none: then a master key is made",
                });
            }
            self.master_key = MasterKeySource::Secret(secret.clone());
        }
        Ok(self)
    }
}
