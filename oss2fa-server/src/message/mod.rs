//! Sending codes: mail over SMTP, text messages over a gateway. What the service sees is [`Messenger`].

mod address;
mod configured;
mod not_sent;
mod phone;
pub mod settings;
mod sms;
mod smtp;
pub mod text;

use std::sync::Arc;

use async_trait::async_trait;
use oss2fa_core::random::Random;
use oss2fa_core::secret::SecretText;

pub use address::{EmailAddress, NoEmailAddress};
pub use configured::NotReady;
pub use not_sent::{Channel, NotSent};
pub use phone::{NoPhoneNumber, PhoneNumber};

use crate::outside::Clock;
use settings::{SettingError, SmsSettings, SmtpSettings};

/// Hands messages over. An `Ok` says that the mail server or the gateway took the message, not that it arrived.
#[async_trait]
pub trait Messenger: Send + Sync {
    /// Sends a mail.
    ///
    /// # Errors
    /// [`NotSent`]; after [`NotSent::TimedOut`] it may have been taken all the same.
    async fn send_mail(&self, mail: Mail) -> Result<(), NotSent>;

    /// Sends a text message.
    ///
    /// # Errors
    /// [`NotSent`]; after [`NotSent::TimedOut`] it may have been taken all the same.
    async fn send_sms(&self, sms: Sms) -> Result<(), NotSent>;
}

/// A mail to one recipient, with the same words twice.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Who gets it.
    pub to: EmailAddress,
    /// One line, without the code: subjects are shown on locked screens. Control characters become blanks.
    pub subject: String,
    /// The words as plain text.
    pub text: SecretText,
    /// The words as HTML.
    pub html: SecretText,
}

/// A text message.
#[derive(Debug, Clone)]
pub struct Sms {
    /// Who gets it.
    pub to: PhoneNumber,
    /// The words.
    pub text: SecretText,
}

/// Sends for real, as the configuration says.
pub struct Delivery {
    mail: Option<smtp::MailServer>,
    sms: Option<sms::Gateway>,
}

impl Delivery {
    /// Reads the files that the settings name; nothing is connected yet. What has no settings is not sent.
    ///
    /// # Errors
    /// [`SettingError`] when a file cannot be read or used, or when settings do not go together.
    pub fn new(
        smtp: Option<SmtpSettings>,
        sms: Option<SmsSettings>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, SettingError> {
        Ok(Self {
            mail: smtp.map(|settings| smtp::MailServer::new(settings, clock, random)).transpose()?,
            sms: sms.map(sms::Gateway::new).transpose()?,
        })
    }
}

#[async_trait]
impl Messenger for Delivery {
    async fn send_mail(&self, mail: Mail) -> Result<(), NotSent> {
        match &self.mail {
            Some(server) => server.send(&mail).await,
            None => Err(NotSent::NotConfigured(Channel::Mail)),
        }
    }

    async fn send_sms(&self, sms: Sms) -> Result<(), NotSent> {
        match &self.sms {
            Some(gateway) => gateway.send(&sms).await,
            None => Err(NotSent::NotConfigured(Channel::Sms)),
        }
    }
}
