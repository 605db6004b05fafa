//! What the doctor found, as sentences and as data.

use serde::Serialize;

use super::stack::Place;

/// Whether a login can pass without the second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It cannot.
    Protected,
    /// It can.
    Open,
    /// Nobody can say.
    Unclear,
}

/// What is known of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceReport {
    /// Its name, as libpam has it.
    pub service: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The verdict in one sentence, with the line that it comes from.
    pub sentence: String,
    /// The line that lets by, or cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<Place>,
    /// What to do, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
    /// What else whoever runs this host should know.
    pub notes: Vec<String>,
}

/// The whole examination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether every service in it is protected.
    pub protected: bool,
    /// By name.
    pub services: Vec<ServiceReport>,
}

impl Report {
    /// Of these services.
    #[must_use]
    pub fn new(services: Vec<ServiceReport>) -> Self {
        let protected = !services.is_empty() && services.iter().all(|it| it.verdict == Verdict::Protected);
        Self { protected, services }
    }

    /// Names of the services that are not protected.
    #[must_use]
    pub fn failing(&self) -> Vec<&str> {
        let failing = self.services.iter().filter(|it| it.verdict != Verdict::Protected);
        failing.map(|it| it.service.as_str()).collect()
    }
}

impl ServiceReport {
    pub(super) fn protected(service: &str, sentence: String, notes: Vec<String>) -> Self {
        let service = service.to_owned();
        Self { service, verdict: Verdict::Protected, sentence, line: None, cure: None, notes }
    }

    /// The lines for a terminal.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let word = match self.verdict {
            Verdict::Protected => "protected",
            Verdict::Open => "OPEN",
            Verdict::Unclear => "UNCLEAR",
        };
        let mut lines = vec![format!("{}: {word}: {}", self.service, self.sentence)];
        lines.extend(self.cure.iter().map(|cure| format!("  To do: {cure}.")));
        lines.extend(self.notes.iter().map(|note| format!("  Note: {note}.")));
        lines
    }
}
