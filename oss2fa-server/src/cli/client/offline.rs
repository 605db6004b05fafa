//! `client offline-credentials` and `client revoke-offline`.

use super::Which;
use crate::cli::context::Context;
use crate::cli::date::date;
use crate::cli::failure::Failure;
use crate::cli::table;
use crate::cli::target::doer_in;
use crate::ids::CredentialId;
use crate::store::verbs::offline::{
    CredentialStatus, ListOfflineCredentials, OfflineCredential, RevokeOfflineCredential,
};
use crate::store::verbs::tenants::Removed;

// Also of clients that are gone: what a host has is still to be seen.
pub(super) fn list(context: &mut Context<'_, '_>, which: &Which) -> Result<(), Failure> {
    let store = context.open()?;
    let (tenant, integration) = which.of.find(context, &store)?;
    let all = store.all(
        |page| ListOfflineCredentials {
            tenant: tenant.pk,
            integration: integration.pk,
            host: None,
            username: Some(which.username.clone()),
            page,
        },
        |credential: &OfflineCredential| credential.pk.0,
    )?;
    let rows: Vec<_> = all
        .iter()
        .map(|credential| {
            [
                credential.pk.to_string(),
                credential.host.clone(),
                credential.name.clone(),
                match credential.status {
                    CredentialStatus::Active => "active",
                    CredentialStatus::Revoked => "revoked",
                }
                .to_owned(),
                date(credential.created_at),
                credential.revoked_at.map(date).unwrap_or_default(),
            ]
        })
        .collect();
    let lines = table::lines(["PK", "HOST", "NAME", "STATUS", "CREATED", "REVOKED"], &rows);
    let empty = format!("No host has one-time codes of its own for {}.", which.username);
    context.list(&all, &lines, &empty)
}

pub(super) fn revoke(
    context: &mut Context<'_, '_>,
    which: &Which,
    credential: CredentialId,
) -> Result<(), Failure> {
    let store = context.open()?;
    let (_, integration) = which.of.find(context, &store)?;
    let doer = doer_in(context, &integration);
    let username = Some(which.username.clone());
    match store.write(RevokeOfflineCredential { doer, credential, username })? {
        Removed::Done => {
            let words = format!(
                "Offline credential {credential} of {} is revoked. Its host learns of it when it next reaches \
                 the server.",
                which.username
            );
            context.done(&words)
        }
        Removed::NotThere => Err(Failure::not_there(format!(
            "{} has no such offline credential: see {}",
            which.username,
            context.hint(&format!("client offline-credentials {}", which.username))
        ))),
    }
}
