//! `pamtester`: a program around libpam that shows what a stack answers.

use crate::command::{Program, Ran};
use crate::world::World;

/// What libpam answered, by the name of its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pam {
    /// `PAM_SUCCESS`
    Success,
    /// `PAM_IGNORE`, in a stack of [`crate::stack::revealing`].
    Ignore,
    /// `PAM_AUTH_ERR`
    AuthErr,
    /// `PAM_MAXTRIES`
    MaxTries,
    /// `PAM_USER_UNKNOWN`
    UserUnknown,
    /// `PAM_AUTHINFO_UNAVAIL`
    AuthinfoUnavail,
    /// `PAM_SERVICE_ERR`
    ServiceErr,
    /// `PAM_CONV_ERR`
    ConvErr,
    /// `PAM_SYSTEM_ERR`
    SystemErr,
    /// `PAM_PERM_DENIED`
    PermDenied,
    /// `PAM_ABORT`
    Abort,
}

// libpam's words (pam_strerror), and what they stand for.
const WORDS: [(&str, Pam); 13] = [
    ("successfully authenticated", Pam::Success),
    ("account management done", Pam::Success),
    ("credential info has successfully been set", Pam::Success),
    ("User credentials expired", Pam::Ignore),
    ("Authentication failure", Pam::AuthErr),
    ("Have exhausted maximum number of retries", Pam::MaxTries),
    ("User not known to the underlying authentication module", Pam::UserUnknown),
    ("Authentication service cannot retrieve authentication info", Pam::AuthinfoUnavail),
    ("Error in service module", Pam::ServiceErr),
    ("Conversation error", Pam::ConvErr),
    ("System error", Pam::SystemErr),
    ("Permission denied", Pam::PermDenied),
    ("Critical error - immediate abort", Pam::Abort),
];

/// One run of pamtester.
#[derive(Debug)]
pub struct PamRun {
    program: Program,
}

impl World {
    /// The auth phase of a service, for a user who types these lines.
    #[must_use]
    pub fn authenticate(&self, service: &str, user: &str, lines: &[&str]) -> (Pam, Ran) {
        self.pamtester(service, user, &[], &["authenticate"], lines).run()
    }

    /// pamtester with items (`rhost=192.0.2.1`) and operations; `lines` is what the user types.
    #[must_use]
    pub fn pamtester(
        &self,
        service: &str,
        user: &str,
        items: &[&str],
        operations: &[&str],
        lines: &[&str],
    ) -> PamRun {
        let mut words = vec!["/usr/bin/pamtester"];
        for item in items {
            words.extend(["-I", item]);
        }
        words.extend([service, user]);
        words.extend(operations);
        let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
        PamRun { program: self.program(&words).input(&input) }
    }
}

impl PamRun {
    /// The program, to change more of it.
    #[must_use]
    pub fn map(self, change: impl FnOnce(Program) -> Program) -> Self {
        Self { program: change(self.program) }
    }

    /// Runs it; the code is that of the last operation that was reached.
    #[must_use]
    pub fn run(self) -> (Pam, Ran) {
        let ran = self.program.run();
        (Pam::read(&ran), ran)
    }

    /// Starts it without waiting; [`Pam::of`] reads what comes of it.
    #[must_use]
    pub fn spawn(self) -> std::process::Child {
        self.program.spawn()
    }

    /// The program itself.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }
}

impl Pam {
    fn read(ran: &Ran) -> Self {
        let text = ran.text();
        // libpam's own line is the last that pamtester prints.
        let line =
            text.lines().rev().find(|line| line.contains("pamtester: ")).unwrap_or_else(|| panic!("{ran}"));
        Self::of(line)
    }

    /// The code that pamtester's words stand for.
    ///
    /// # Panics
    /// For words that it does not know.
    #[must_use]
    pub fn of(words: &str) -> Self {
        let found = WORDS.iter().find(|(text, _)| words.contains(text));
        found.unwrap_or_else(|| panic!("unknown words: {words}")).1
    }
}
