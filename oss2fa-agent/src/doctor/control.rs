//! The control of a line: what libpam does with each code that the module may return.
//!
//! After `_pam_parse_control` of Linux-PAM 1.5.2, its leniency included.

/// A return code, by its number in `security/_pam_types.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Code(u8);

/// The names in brackets, in the order of the numbers.
const NAMES: [&str; 32] = [
    "success",
    "open_err",
    "symbol_err",
    "service_err",
    "system_err",
    "buf_err",
    "perm_denied",
    "auth_err",
    "cred_insufficient",
    "authinfo_unavail",
    "user_unknown",
    "maxtries",
    "new_authtok_reqd",
    "acct_expired",
    "session_err",
    "cred_unavail",
    "cred_expired",
    "cred_err",
    "no_module_data",
    "conv_err",
    "authtok_err",
    "authtok_recover_err",
    "authtok_lock_busy",
    "authtok_disable_aging",
    "try_again",
    "ignore",
    "abort",
    "authtok_expired",
    "module_unknown",
    "bad_item",
    "conv_again",
    "incomplete",
];

impl Code {
    pub(super) const SUCCESS: Self = Self(0);
    pub(super) const SERVICE_ERR: Self = Self(3);
    pub(super) const SYSTEM_ERR: Self = Self(4);
    pub(super) const BUF_ERR: Self = Self(5);
    pub(super) const PERM_DENIED: Self = Self(6);
    pub(super) const AUTH_ERR: Self = Self(7);
    pub(super) const AUTHINFO_UNAVAIL: Self = Self(9);
    pub(super) const USER_UNKNOWN: Self = Self(10);
    pub(super) const MAXTRIES: Self = Self(11);
    pub(super) const NEW_AUTHTOK_REQD: Self = Self(12);
    pub(super) const ACCT_EXPIRED: Self = Self(13);
    pub(super) const CONV_ERR: Self = Self(19);
    pub(super) const IGNORE: Self = Self(25);
    pub(super) const ABORT: Self = Self(26);
    pub(super) const MODULE_UNKNOWN: Self = Self(28);

    /// All that end a call of a module: not `conv_again` and `incomplete`, after which libpam
    /// returns to the program.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..30).map(Self)
    }

    /// As brackets spell it.
    pub(super) fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("default")
    }

    /// The code of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let number = NAMES.iter().position(|known| *known == name)?;
        u8::try_from(number).ok().map(Self)
    }
}

/// What libpam does with a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Ignore,
    Ok,
    Done,
    Bad,
    Die,
    Reset,
    /// Leave out so many lines.
    Jump(usize),
}

/// In the order in which libpam compares.
const ACTIONS: [(&str, Action); 6] = [
    ("ignore", Action::Ignore),
    ("ok", Action::Ok),
    ("done", Action::Done),
    ("bad", Action::Bad),
    ("die", Action::Die),
    ("reset", Action::Reset),
];

/// A whole control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Control {
    /// As the file has it, without brackets.
    pub(super) written: String,
    actions: [Option<Action>; 32],
    rest: Action,
}

impl Control {
    /// Reads the word in the place of a control.
    pub(super) fn parse(written: &str) -> Self {
        let word = |success, ignore, rest| {
            let mut control = Self { written: written.to_owned(), actions: [None; 32], rest };
            control.set(Code::SUCCESS, success);
            control.set(Code::NEW_AUTHTOK_REQD, success);
            if let Some(ignore) = ignore {
                control.set(Code::IGNORE, ignore);
            }
            control
        };
        match written.to_ascii_lowercase().as_str() {
            "required" => word(Action::Ok, Some(Action::Ignore), Action::Bad),
            "requisite" => word(Action::Ok, Some(Action::Ignore), Action::Die),
            "optional" => word(Action::Ok, None, Action::Ignore),
            "sufficient" => word(Action::Done, None, Action::Ignore),
            _ => Self::pairs(written).unwrap_or_else(|| Self::refusing(written)),
        }
    }

    /// What libpam makes of a control that it cannot read: every code is a failure.
    pub(super) fn refusing(written: &str) -> Self {
        Self { written: written.to_owned(), actions: [None; 32], rest: Action::Bad }
    }

    fn pairs(written: &str) -> Option<Self> {
        let mut control = Self::refusing(written);
        let mut default = None;
        let mut rest = skip_space(written);
        while !rest.is_empty() {
            let (code, after) = match named(rest, NAMES.iter().copied()) {
                Some((number, after)) => (Some(Code(u8::try_from(number).ok()?)), after),
                None => (None, rest.strip_prefix("default")?),
            };
            let after = skip_space(skip_space(after).strip_prefix('=')?);
            let (action, after) = action(after)?;
            match code {
                Some(code) => control.set(code, action),
                // The first "default" is in force for what had no action then; a second changes nothing.
                None => default = default.or(Some(action)),
            }
            rest = skip_space(after);
        }
        control.rest = default.unwrap_or(Action::Bad);
        Some(control)
    }

    fn set(&mut self, code: Code, action: Action) {
        if let Some(place) = self.actions.get_mut(usize::from(code.0)) {
            *place = Some(action);
        }
    }

    /// What happens after this code.
    pub(super) fn action(&self, code: Code) -> Action {
        self.actions.get(usize::from(code.0)).copied().flatten().unwrap_or(self.rest)
    }

    /// The words of the file that say so.
    pub(super) fn words_for(&self, code: Code) -> String {
        let written = self.written.to_ascii_lowercase();
        if matches!(written.as_str(), "required" | "requisite" | "optional" | "sufficient") {
            return written;
        }
        let name = match self.actions.get(usize::from(code.0)).copied().flatten() {
            Some(_) => code.name(),
            None => "default",
        };
        match self.action(code) {
            Action::Jump(lines) => format!("{name}={lines}"),
            action => {
                let word = ACTIONS.iter().find(|(_, other)| *other == action).map_or("", |(word, _)| word);
                format!("{name}={word}")
            }
        }
    }
}

// What C's isspace takes for space.
fn skip_space(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r'])
}

fn named(text: &str, names: impl Iterator<Item = &'static str>) -> Option<(usize, &str)> {
    names.enumerate().find_map(|(number, name)| Some((number, text.strip_prefix(name)?)))
}

fn action(text: &str) -> Option<(Action, &str)> {
    let known = ACTIONS.iter().find_map(|(word, action)| Some((*action, text.strip_prefix(word)?)));
    known.or_else(|| {
        let after = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = text.strip_suffix(after)?;
        // Longer than any stack is as good as the number itself.
        let number = digits.bytes().try_fold(0_usize, |number, digit| {
            Some(number.saturating_mul(10).saturating_add(usize::from(digit.checked_sub(b'0')?)))
        })?;
        (number > 0).then_some((Action::Jump(number), after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(name: &str) -> Code {
        Code::named(name).unwrap()
    }

    #[test]
    fn the_four_words_in_any_case() {
        for (word, success, failure) in [
            ("required", Action::Ok, Action::Bad),
            ("Requisite", Action::Ok, Action::Die),
            ("OPTIONAL", Action::Ok, Action::Ignore),
            ("sufficient", Action::Done, Action::Ignore),
        ] {
            let control = Control::parse(word);
            assert_eq!(control.action(code("success")), success, "{word}");
            assert_eq!(control.action(code("auth_err")), failure, "{word}");
            assert_eq!(control.action(code("ignore")), Action::Ignore, "{word}");
        }
    }

    #[test]
    fn pairs_as_libpam_reads_them() {
        let control = Control::parse(" success = 2 ignore=okdefault=die default=ignore abort=12x");
        assert_eq!(control, Control::refusing(&control.written), "x is no name");
        let control = Control::parse(" success = 2 ignore=okdefault=die default=ignore abort=12");
        assert_eq!(control.action(code("success")), Action::Jump(2));
        assert_eq!(control.action(code("ignore")), Action::Ok);
        assert_eq!(control.action(code("abort")), Action::Jump(12));
        assert_eq!(control.action(code("auth_err")), Action::Die);
        assert_eq!(control.words_for(code("auth_err")), "default=die");
        assert_eq!(control.words_for(code("success")), "success=2");
        let last = Control::parse("success=die success=ok");
        assert_eq!(last.action(code("success")), Action::Ok);
        assert_eq!(last.action(code("auth_err")), Action::Bad);
    }

    #[test]
    fn what_it_cannot_read_refuses() {
        for bad in
            ["requird", "success", "success=", "success=okay", "SUCCESS=ok", "default=0", "=ok", "a=ok"]
        {
            let control = Control::parse(bad);
            assert_eq!(control.action(code("success")), Action::Bad, "{bad}");
        }
    }
}
