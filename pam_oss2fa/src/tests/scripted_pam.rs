//! A libpam that plays a script, and insists that all of it was played.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::CStr;

use oss2fa_core::secret::SecretText;
use oss2fa_core::wire::Echo;

use super::login;
use crate::pam::{Item, Pam, PamError, Severity, Style};
use crate::proof::Proof;

/// What the module must do next at the user's end.
#[derive(Debug)]
pub(in crate::tests) enum Step {
    /// A prompt with this text, and what comes back.
    Prompt(Echo, &'static str, Result<&'static str, PamError>),
    /// A message, and whether the application takes it.
    Message(Style, &'static str, Result<(), PamError>),
    /// The next prompt comes back after this many milliseconds.
    Pause(u64),
    /// The application renames the user at the next prompt.
    Rename(&'static str),
}

pub(in crate::tests) struct ScriptedPam {
    pub(in crate::tests) user: Result<Vec<u8>, PamError>,
    pub(in crate::tests) service: Option<Vec<u8>>,
    pub(in crate::tests) tty: Option<Vec<u8>>,
    pub(in crate::tests) rhost: Option<Vec<u8>>,
    pub(in crate::tests) ruser: Option<Vec<u8>>,
    /// The PAM environment.
    pub(in crate::tests) variables: Vec<(&'static str, Vec<u8>)>,
    pub(in crate::tests) proof: Option<Proof>,
    /// How often something was kept, the clearing at the start included.
    pub(in crate::tests) keeps: usize,
    pub(in crate::tests) log: RefCell<Vec<(Severity, String)>>,
    steps: VecDeque<Step>,
}

impl ScriptedPam {
    pub(in crate::tests) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let login = login();
        Self {
            user: Ok(login.user.into_bytes()),
            service: Some(login.service.into_bytes()),
            tty: login.tty.map(String::into_bytes),
            rhost: login.rhost.map(String::into_bytes),
            ruser: None,
            variables: Vec::new(),
            proof: None,
            keeps: 0,
            log: RefCell::default(),
            steps: steps.into_iter().collect(),
        }
    }

    pub(in crate::tests) fn logged(&self) -> String {
        self.log.borrow().iter().map(|(severity, line)| format!("{severity:?} {line}\n")).collect()
    }
}

impl Pam for ScriptedPam {
    fn user(&mut self) -> Result<Vec<u8>, PamError> {
        self.user.clone()
    }

    fn item(&self, item: Item) -> Result<Option<Vec<u8>>, PamError> {
        Ok(match item {
            Item::User => Some(self.user.clone()?),
            Item::Service => self.service.clone(),
            Item::Tty => self.tty.clone(),
            Item::RemoteHost => self.rhost.clone(),
            Item::RemoteUser => self.ruser.clone(),
        })
    }

    fn variable(&self, name: &CStr, most: usize) -> Option<Vec<u8>> {
        let found = self.variables.iter().find(|(other, _)| name.to_bytes() == other.as_bytes());
        found.map(|(_, value)| value.clone()).filter(|value| value.len() <= most)
    }

    fn prompt(&mut self, echo: Echo, text: &str) -> Result<SecretText, PamError> {
        loop {
            match self.steps.pop_front() {
                Some(Step::Pause(millis)) => std::thread::sleep(std::time::Duration::from_millis(millis)),
                Some(Step::Rename(user)) => self.user = Ok(user.as_bytes().to_vec()),
                Some(Step::Prompt(expected_echo, expected, typed)) => {
                    assert_eq!((echo, text), (expected_echo, expected));
                    return typed.map(|typed| crate::pam::answer(typed.as_bytes()));
                }
                other => panic!("the module prompts {text:?}, the script has {other:?}"),
            }
        }
    }

    fn message(&mut self, style: Style, text: &str) -> Result<(), PamError> {
        match self.steps.pop_front() {
            Some(Step::Message(expected_style, expected, taken)) => {
                assert_eq!((style, text), (expected_style, expected));
                taken
            }
            other => panic!("the module says {text:?}, the script has {other:?}"),
        }
    }

    fn keep(&mut self, proof: Option<Proof>) -> Result<(), PamError> {
        self.keeps += 1;
        self.proof = proof;
        Ok(())
    }

    fn kept(&self) -> Result<Option<Proof>, PamError> {
        Ok(self.proof.clone())
    }

    fn log(&self, severity: Severity, line: &str) {
        self.log.borrow_mut().push((severity, line.to_owned()));
    }
}

impl Drop for ScriptedPam {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.steps.is_empty(), "left of the script: {:?}", self.steps);
        }
    }
}
