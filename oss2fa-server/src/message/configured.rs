//! From the configuration to what sends: passwords and certificates are read here, once.

use std::path::PathBuf;
use std::sync::Arc;

use oss2fa_core::random::Random;
use thiserror::Error;

use super::Delivery;
use super::settings::{
    MailHost, Sender, SettingError, SmsRequest, SmsSettings, SmsTemplate, SmtpLogin, SmtpSecurity,
    SmtpSettings, success_statuses,
};
use crate::config::{self, Config, ConfigError, SmsConfig, SmtpConfig};
use crate::outside::Clock;

/// Why nothing can be sent by this configuration.
#[derive(Debug, Error)]
pub enum NotReady {
    /// A file with a password cannot be used.
    #[error(transparent)]
    Password(#[from] ConfigError),
    /// A setting cannot be used.
    #[error("the configuration {} cannot be used to send codes: {error}", path.display())]
    Setting {
        /// The configuration.
        path: PathBuf,
        /// Which key, and what is wrong with it.
        error: SettingError,
    },
}

impl Delivery {
    /// Sends as `config` says; what has no section there is not sent. Nothing is connected yet.
    ///
    /// # Errors
    /// [`NotReady`] when a file that `[smtp]` or `[sms]` names cannot be used, or a setting.
    pub fn configured(
        config: &Config,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, NotReady> {
        let path = || config.path.clone().unwrap_or_else(|| config::DEFAULT_PATH.into());
        let wrong = |error| NotReady::Setting { path: path(), error };
        let smtp = config.smtp.as_ref().map(|section| smtp(section, &wrong)).transpose()?;
        let sms = config.sms.as_ref().map(|section| sms(section, &wrong)).transpose()?;
        Self::new(smtp, sms, clock, random).map_err(wrong)
    }
}

fn smtp(section: &SmtpConfig, wrong: &dyn Fn(SettingError) -> NotReady) -> Result<SmtpSettings, NotReady> {
    let password = section.read_password()?;
    let username = section.login.as_ref().map(|login| login.username.clone());
    Ok(SmtpSettings {
        host: MailHost::parse(&section.host).map_err(wrong)?,
        port: section.port,
        security: match section.security {
            config::SmtpSecurity::StartTls => SmtpSecurity::StartTls,
            config::SmtpSecurity::Tls => SmtpSecurity::Tls,
            config::SmtpSecurity::DangerPlain => SmtpSecurity::DangerPlain,
        },
        login: username.zip(password).map(|(username, password)| SmtpLogin { username, password }),
        from: Sender::new(section.from.clone()).map_err(wrong)?,
        timeout: section.timeout,
        ca_file: section.ca_file.clone(),
    })
}

fn sms(section: &SmsConfig, wrong: &dyn Fn(SettingError) -> NotReady) -> Result<SmsSettings, NotReady> {
    let body = section.body.as_ref();
    let template = SmsTemplate {
        method: section.method.name(),
        url: section.url.expose(),
        headers: &section.headers,
        body: body.map_or("", |body| body.template.expose()),
        content_type: body.map_or("", |body| &body.content_type),
    };
    let statuses: Vec<u16> = section.success_status.iter().copied().collect();
    Ok(SmsSettings {
        request: SmsRequest::prove(&template).map_err(wrong)?,
        secret: section.read_secret()?,
        success_status: success_statuses(&statuses).map_err(wrong)?,
        success_body: section.success_body.clone().unwrap_or_default(),
        timeout: section.timeout,
        ca_file: section.ca_file.clone(),
    })
}
