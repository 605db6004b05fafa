//! Why a configuration cannot be used, in words for somebody who needs the server back.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a configuration cannot be used. No variant ever holds a password.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(
        "cannot read the configuration {path}: {source}. Mend that, or create it, for example from server.toml in the documentation's examples"
    )]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file has no bytes at all.
    #[error(
        "the configuration {path} is empty (0 bytes), as a full disk leaves a file: bring it back from a copy, or write a line such as \"# defaults\" into it if all defaults are meant"
    )]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// Somebody else than root or the server's own user could have written it.
    #[error(
        "the configuration {path} {what}, so others could change who gets in. Mend it with: chown root {path}; chmod go-w {path}"
    )]
    Insecure {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Not TOML, a key that is not known, or a value of another type.
    #[error("the configuration {path} cannot be understood: {what}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        what: String,
    },
    /// A value that cannot be taken.
    #[error("the configuration {path} has {key} = {value}: allowed is {allowed}")]
    Value {
        /// Which file.
        path: PathBuf,
        /// Which key.
        key: String,
        /// Its value, or what may be shown of it.
        value: String,
        /// What it may be.
        allowed: String,
    },
    /// A flag of the command line that cannot be taken.
    #[error("{flag} is {value}: allowed is {allowed}")]
    Flag {
        /// Which flag.
        flag: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// A file that holds a password cannot be used.
    #[error("the file {path}, named by {key}, {what}")]
    Password {
        /// The file with the password.
        path: PathBuf,
        /// The key that names it.
        key: &'static str,
        /// What is wrong, and what mends it.
        what: String,
    },
}

impl ConfigError {
    /// What the TOML parser says, with its place and without the file's text: a line may hold a password.
    pub(super) fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let place = error.span().and_then(|span| text.split_at_checked(span.start)).map_or_else(
            String::new,
            |(before, after)| {
                let start = before.rsplit('\n').next().unwrap_or_default();
                let line = format!("{start}{}", after.lines().next().unwrap_or_default());
                let (number, column) = (before.matches('\n').count() + 1, start.chars().count() + 1);
                format!("line {number}, column {column}{}: ", named(&line))
            },
        );
        Self::Syntax {
            path: path.to_owned(),
            what: format!("{place}{}", without_value(error.message().trim_end())),
        }
    }
}

/// The section or the key of a line, and nothing of its value.
fn named(line: &str) -> String {
    let bare = |name: &str| {
        (1..=40).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    if let Some(section) = line.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return if bare(section) { format!(" ([{section}])") } else { String::new() };
    }
    match line.split_once('=').map(|(key, _)| key.trim()) {
        Some(key) if bare(key) => format!(" ({key})"),
        _ => String::new(),
    }
}

/// serde quotes the value that has the wrong type or size; only its type is told.
fn without_value(message: &str) -> String {
    for start in ["invalid type: ", "invalid value: "] {
        if let Some((value, expected)) =
            message.strip_prefix(start).and_then(|rest| rest.rsplit_once(", expected "))
        {
            let kind = value.split(['"', '`']).next().unwrap_or_default().trim_end();
            let expected = if expected == "i64" { "a whole number" } else { expected };
            return format!("{start}{kind}, expected {expected}");
        }
    }
    message.to_owned()
}
