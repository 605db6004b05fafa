//! A code on the command line: as it is, or `-` to read it from standard input.

use std::convert::Infallible;
use std::str::FromStr;

use oss2fa_core::secret::SecretText;

use super::console::Console;
use super::failure::Failure;

/// What stands where a code belongs.
#[derive(Debug, Clone)]
pub(crate) enum Code {
    Given(SecretText),
    /// Kept out of the list of processes and the shell's history.
    OnStdin,
}

impl FromStr for Code {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "-" => Self::OnStdin,
            _ => Self::Given(SecretText::new(text.to_owned())),
        })
    }
}

impl Code {
    pub(crate) fn read(&self, console: &mut Console<'_>) -> Result<SecretText, Failure> {
        match self {
            Self::Given(code) => Ok(code.clone()),
            Self::OnStdin => console.read_line(),
        }
    }
}
