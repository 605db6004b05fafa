//! What the PAM module and the agent say to each other.

use serde::{Deserialize, Deserializer, Serialize};

use super::ssh::SshAuthInfo;
use crate::secret::SecretText;

/// From the module to the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ModuleMessage {
    /// First: somebody is logging in and the module can ask them.
    Start(Start),
    /// First, instead of `Start`: the account phase asks whether this user must have a second factor.
    Account(Login),
    /// What was typed at the last `Ask`.
    Answer {
        /// As typed; the agent trims it.
        text: SecretText,
    },
    /// The user has left (Ctrl-D, Ctrl-C, hung up).
    Cancel,
}

/// Who logs in where, as libpam told the module. Everything but user and service may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// `PAM_USER`, not yet canonical.
    pub user: String,
    /// `PAM_SERVICE`.
    pub service: String,
    /// `PAM_TTY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<String>,
    /// `PAM_RHOST`: an address or a name, as the program says; it may be chosen by the remote side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rhost: Option<String>,
    /// `PAM_RUSER`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruser: Option<String>,
}

/// The opening of the auth phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Who logs in where.
    pub login: Login,
    /// What the program around the module can show.
    pub conversation: Conversation,
    /// The words of the code prompt, where the stack's `prompt=` names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Whether the code may be seen while it is typed (`echo` in the stack).
    pub echo: Echo,
    /// What sshd says of the methods that were passed before, where the PAM environment has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<SshAuthInfo>,
}

/// What the front end can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conversation {
    /// Prompts and messages.
    Messages,
    /// Prompts alone (`quiet` in the stack, or `PAM_SILENT`).
    PromptsOnly,
}

/// Whether what is typed at a prompt is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Echo {
    /// `PAM_PROMPT_ECHO_OFF`.
    Off,
    /// `PAM_PROMPT_ECHO_ON`.
    On,
}

/// From the agent to the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AgentMessage {
    /// Show a prompt and send back an `Answer`.
    Ask {
        /// Whether the answer is shown while it is typed.
        echo: Echo,
        /// The prompt, with its trailing blank.
        text: DisplayText,
    },
    /// Show a message; nothing is sent back.
    Tell {
        /// One or more lines.
        text: DisplayText,
    },
    /// The auth phase is decided; or, in either phase, the agent could not decide.
    Done {
        /// What becomes a PAM code in the module's one table.
        outcome: Outcome,
    },
    /// The answer to `Account`.
    Account {
        /// Whether this user must have a second factor here.
        answer: AccountAnswer,
    },
}

/// How a login ended. The module's one table turns it into a PAM code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A factor was verified and spent.
    Verified,
    /// A wrong, denied or expired answer: one outcome for all.
    Refused,
    /// Too many tries from here; the lock releases by itself.
    Locked,
    /// The host knows no such user.
    UserUnknown,
    /// The user has no device and policy says `deny`.
    NotEnrolled,
    /// Policy says that this user needs no second factor here.
    Skipped,
    /// The agent could not decide: its store or the user directory failed.
    Unavailable,
    /// The agent runs on a configuration that it cannot use.
    Misconfigured,
}

/// What the account phase wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountAnswer {
    /// A login without a second factor must be refused.
    Required,
    /// Policy lets this user in without one.
    NotRequired,
}

/// Text that is safe to put on somebody's terminal: control characters other than a line break
/// are replaced, at both ends, so that no name in it can move the cursor or hide a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DisplayText(String);

impl DisplayText {
    /// Replaces what a terminal would obey.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.chars().map(|c| if obeyed_by_terminals(c) { '\u{fffd}' } else { c }).collect())
    }

    /// The text, clean.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for DisplayText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::new(&text))
    }
}

// C0, DEL and C1 controls, line separators, and what reorders the line that is read.
fn obeyed_by_terminals(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
