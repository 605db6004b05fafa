//! Enrolling a key of OpenSSH that lives on a security key: by its public part, which its owner has in a file.

use std::path::Path;

use oss2fa_core::factor::ssh_sk::SkKey;
use oss2fa_core::ids::DeviceName;
use oss2fa_core::secret::SecretText;
use oss2fa_core::verdict::FactorKind;

use super::refusal::{bad_request, refused, unavailable};
use super::{Answer, Desk};
use crate::admin::{RefusalCode, Response, SshTouchStatus};
use crate::config::Config;
use crate::doctor::Tree;
use crate::policy::SelfService;
use crate::sshd::insists;
use crate::store::KeyAdded;
use crate::store::ssh_key::NewSshKey;

impl Desk<'_> {
    pub(super) fn enroll_ssh_key(
        &self,
        user: &str,
        key: &str,
        name: Option<DeviceName>,
        proof: Option<SecretText>,
    ) -> Answer<Response> {
        let subject = self.subject(user, Some(SelfService::Enroll))?;
        if self.server_of(&subject).is_some() {
            return Err(refused(
                RefusalCode::AtServer,
                "a server decides about this user's logins, and keys of ssh do not count there".to_owned(),
            ));
        }
        // Before a code is spent for it.
        let (key, _) = SkKey::from_pub_file(key).map_err(|bad| bad_request(&bad))?;
        let vouched = self.vouch(&subject, proof)?;
        let name = match name {
            Some(name) => name,
            None => DeviceName::new(FactorKind::SshSk.as_str()).map_err(|bad| bad_request(&bad))?,
        };
        let user = subject.account.name.clone();
        let new = NewSshKey { key, name, vouched };
        let added = self.live.store.add_ssh_key(self.context(&user), user.clone(), new);
        match added.map_err(|error| unavailable(&error))? {
            KeyAdded::Added(id) => self.shown(user.as_str(), id),
            refused => Err(bad_request(&refused.words())),
        }
    }
}

/// Whether touches count, in each service where policy wants them to: as this process can read it.
pub(super) fn status(config: &Config) -> Vec<SshTouchStatus> {
    let tree = Tree::new(Path::new("/"));
    let of = |service: &str| {
        let wanted = config.policy.rules(service).user_verification;
        let counted = (config.policy.counts_ssh_touch(service), config.counts_ssh_touch(service));
        let not_counted = match counted {
            (false, _) => Some("`factors` leaves ssh_sk out there".to_owned()),
            (true, false) => Some("the server decides about everybody".to_owned()),
            (true, true) => {
                insists(&tree, &config.keys.sshd_config, None, wanted).err().map(|why| why.to_string())
            }
        };
        SshTouchStatus { service: service.to_owned(), not_counted }
    };
    config.policy.ssh_touch_services().map(of).collect()
}
