//! What an app may do for its user: register another app, list them, read a seed.

use oss2fa_core::ids::DeviceName;
use oss2fa_core::random::Random;
use oss2fa_core::secret::SecretText;

use super::{Apps, Denied, Reason, Requester};
use crate::device::app::Seed;
use crate::ids::{AppUuid, Username};
use crate::store::error::StoreError;
use crate::store::verbs::apps::{App, ListApps, RegisterApp, Registered, TakeSeed, TakenSeed, Trusted};
use crate::store::verbs::{Doer, Page};

/// Most apps of one user: a list of them is one answer.
pub const MOST: u32 = 1000;

/// Longest name of an app, in characters.
const LONGEST_NAME: usize = 128;

/// What an app's owner calls it: 1 to 128 characters that can be seen on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppName(String);

impl AppName {
    /// Takes a name as somebody wrote it.
    ///
    /// # Errors
    /// [`Reason::BadAppname`].
    pub fn parse(written: &str) -> Result<Self, Reason> {
        // Measured before anything is done with it.
        if written.len() > 4 * LONGEST_NAME + 64 {
            return Err(Reason::BadAppname);
        }
        let name = written.trim();
        let seen = |c| DeviceName::new(&format!("a{c}b")).is_ok();
        let fits = (1..=LONGEST_NAME).contains(&name.chars().count()) && name.chars().all(seen);
        if fits { Ok(Self(name.to_owned())) } else { Err(Reason::BadAppname) }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An app that is to be made.
#[derive(Debug)]
pub struct NewApp {
    /// What its owner calls it.
    pub name: AppName,
    /// Whose it is.
    pub username: Username,
    /// May it ask about others?
    pub trusted: Trusted,
}

impl NewApp {
    /// The verb that makes it, with a new UUID and seed.
    ///
    /// # Errors
    /// No randomness.
    pub fn register(self, doer: Doer, seed: &Seed, random: &dyn Random) -> Result<RegisterApp, StoreError> {
        Ok(RegisterApp {
            doer,
            app: AppUuid::generate(random)?,
            name: self.name.as_str().to_owned(),
            username: self.username,
            trusted: self.trusted,
            device: seed.device(),
            seed_reads: 0,
            most: MOST,
        })
    }
}

impl Apps {
    /// Registers an app of the requester's user; a trusted requester may name another.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn register(
        &self,
        requester: &Requester,
        username: &str,
        appname: &str,
    ) -> Result<AppUuid, Denied> {
        let username = Username::parse(username).map_err(|_| Denied::Refused(Reason::BadUsername))?;
        let name = AppName::parse(appname).map_err(Denied::Refused)?;
        if username != requester.app.username && requester.app.trusted == Trusted::No {
            return Err(Denied::Refused(Reason::AnotherUser));
        }
        let random = self.service.store.ring().random();
        let seed = Seed::generate(random)?;
        let new = NewApp { name, username, trusted: Trusted::No };
        match self.service.store.write(new.register(requester.doer(), &seed, random)?).await? {
            Registered::New(app) => Ok(app.appuuid),
            Registered::TooMany => Err(Denied::Refused(Reason::TooMany)),
            // Of 122 and 160 random bits neither is ever drawn twice.
            Registered::Taken | Registered::SeedInUse => {
                Err(StoreError::Corrupt("a random number that was drawn before").into())
            }
        }
    }

    /// The apps of the requester's user.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn list(&self, requester: &Requester) -> Result<Vec<App>, Denied> {
        let list = ListApps {
            tenant: requester.home.tenant,
            integration: requester.home.pk,
            username: Some(requester.app.username.clone()),
            page: Page { after: 0, limit: MOST },
        };
        Ok(self.service.store.read(list).await?)
    }

    /// The seed of an app of the requester's user, where it may still be read.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn seed(&self, requester: &Requester, app: &str) -> Result<SecretText, Denied> {
        let app = AppUuid::parse(app).map_err(|_| Denied::Refused(Reason::NotThere))?;
        let take = TakeSeed {
            doer: requester.doer(),
            app,
            username: Some(requester.app.username.clone()),
            reads: Some(self.seed_reads),
        };
        match self.service.store.write(take).await? {
            TakenSeed::Material(material) => Ok(Seed::of(&material)?.text()),
            TakenSeed::NotThere => Err(Denied::Refused(Reason::NotThere)),
            TakenSeed::Spent => Err(Denied::Refused(Reason::SeedSpent)),
        }
    }
}
