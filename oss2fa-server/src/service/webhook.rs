//! Webhooks, for administrators.

use oss2fa_core::secret::SecretText;

use super::Service;
use super::credential::hex;
use super::mandate::{Action, Mandate};
use super::refusal::Refusal;
use crate::ids::{IntegrationId, WebhookId};
use crate::store::error::StoreError;
use crate::store::verbs::tenants::Removed;
use crate::store::verbs::webhooks::{
    CreateWebhook, CreatedWebhook, ListWebhooks, MOST, RemoveWebhook, Webhook,
};
use crate::webhook::Target;

impl Service {
    /// The webhooks of an integration. Their URLs can hold tokens: not for everybody who may read.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`].
    pub async fn webhooks(&self, mandate: &Mandate, pk: IntegrationId) -> Result<Vec<Webhook>, Refusal> {
        let tenant = self.integration_for(mandate, Action::ManageIntegrations, pk).await?.tenant;
        Ok(self.store.read(ListWebhooks { tenant, integration: pk }).await?)
    }

    /// Makes a webhook; what its deliveries are signed with is answered this once.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`], [`Refusal::Options`] for one too many.
    pub async fn create_webhook(
        &self,
        mandate: &Mandate,
        pk: IntegrationId,
        target: &Target,
    ) -> Result<(Webhook, SecretText), Refusal> {
        let tenant = self.integration_for(mandate, Action::ManageIntegrations, pk).await?.tenant;
        let secret = SecretText::new(hex(self.store.ring().random()).map_err(StoreError::from)?);
        let create = CreateWebhook {
            doer: mandate.doer(Some(tenant)),
            integration: pk,
            url: target.url().as_str().to_owned(),
            origin: target.origin(),
            secret: secret.clone(),
        };
        match self.store.write(create).await? {
            CreatedWebhook::New(webhook) => Ok((webhook, secret)),
            CreatedWebhook::NotThere => Err(Refusal::NotFound("integration")),
            CreatedWebhook::TooMany => {
                Err(Refusal::Options(format!("an integration has at most {MOST} webhooks: remove one first")))
            }
        }
    }

    /// Removes a webhook with what waits for it.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`].
    pub async fn remove_webhook(
        &self,
        mandate: &Mandate,
        pk: IntegrationId,
        webhook: WebhookId,
    ) -> Result<(), Refusal> {
        let tenant = self.integration_for(mandate, Action::ManageIntegrations, pk).await?.tenant;
        let remove = RemoveWebhook { doer: mandate.doer(Some(tenant)), integration: pk, webhook };
        match self.store.write(remove).await? {
            Removed::Done => Ok(()),
            Removed::NotThere => Err(Refusal::NotFound("webhook")),
        }
    }
}
