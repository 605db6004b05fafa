//! The words of a code's message, for people who know nothing about second factors.

use oss2fa_core::secret::SecretText;

use super::{EmailAddress, Mail, PhoneNumber, Sms};

/// What a code is for: it decides what somebody should think who did not ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// A login waits for it: whoever caused it knows the password already.
    Login,
    /// It proves that an address or number which was just entered is one's own.
    Enrollment,
}

impl Occasion {
    const fn warning(self) -> &'static str {
        match self {
            Self::Login => {
                "If you did not ask for it, somebody may know your password: do not give this code to anybody, \
                 and change your password."
            }
            Self::Enrollment => {
                "If you did not ask for it, somebody entered your address by mistake or on purpose: do not give \
                 this code to anybody."
            }
        }
    }

    // An SMS of plain letters has 160 of them; these leave 60 for the issuer and the code.
    const fn short_warning(self) -> &'static str {
        match self {
            Self::Login => "Not you? Then somebody may know your password: give this code to nobody.",
            Self::Enrollment => "Not you? Then somebody entered your number: give this code to nobody.",
        }
    }
}

/// What a message says.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// Who asks for the code, as people know it.
    pub issuer: &'a str,
    /// The code.
    pub code: &'a SecretText,
    /// How long the code is valid, in whole minutes.
    pub minutes: u32,
    /// What it is for.
    pub occasion: Occasion,
}

impl Words<'_> {
    /// The mail, as text and as HTML.
    #[must_use]
    pub fn mail(&self, to: EmailAddress, subject: &str) -> Mail {
        let (issuer, code, valid) = (self.issuer(), self.code.expose(), self.valid());
        let warning = self.occasion.warning();
        let text = format!(
            "Your code for {issuer} is:\n\n    {code}\n\nIt is valid for {valid} and can be used once.\n\n{warning}\n"
        );
        let html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{subject}</title></head>\n\
             <body style=\"font-family: sans-serif\">\n<p>Your code for {issuer} is:</p>\n\
             <p style=\"font-size: 2em; letter-spacing: 0.15em\"><strong>{code}</strong></p>\n\
             <p>It is valid for {valid} and can be used once.</p>\n<p>{warning}</p>\n</body>\n</html>\n",
            subject = escaped(subject),
            issuer = escaped(&issuer),
            code = escaped(code),
        );
        Mail { to, subject: subject.to_owned(), text: SecretText::new(text), html: SecretText::new(html) }
    }

    /// The text message: one part of 160 characters where the issuer's name is short and plain.
    #[must_use]
    pub fn sms(&self, to: PhoneNumber) -> Sms {
        let text = format!(
            "{} is your code for {}, valid for {}. {}",
            self.code.expose(),
            self.issuer(),
            self.valid(),
            self.occasion.short_warning()
        );
        Sms { to, text: SecretText::new(text) }
    }

    fn issuer(&self) -> String {
        one_line(self.issuer)
    }

    fn valid(&self) -> String {
        match self.minutes {
            0 | 1 => "1 minute".to_owned(),
            minutes => format!("{minutes} minutes"),
        }
    }
}

/// Without line breaks and other control characters: a name cannot add lines of its own.
pub(super) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .collect()
}

fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use oss2fa_core::secret::SecretText;

    use super::{Occasion, Words};
    use crate::message::{EmailAddress, PhoneNumber};

    fn mail(issuer: &str, occasion: Occasion) -> (String, String) {
        let code = SecretText::new("123456".to_owned());
        let words = Words { issuer, code: &code, minutes: 5, occasion };
        let mail = words.mail(EmailAddress::parse("john@example.org").unwrap(), "Your code");
        (mail.text.expose().to_owned(), mail.html.expose().to_owned())
    }

    #[test]
    fn a_mail_says_what_it_is_how_long_it_holds_and_what_to_beware_of() {
        let (text, html) = mail("Example", Occasion::Login);
        assert_eq!(
            text,
            "Your code for Example is:\n\n    123456\n\nIt is valid for 5 minutes and can be used once.\n\n\
             If you did not ask for it, somebody may know your password: do not give this code to anybody, \
             and change your password.\n"
        );
        for words in ["123456", "Example", "5 minutes", "do not give this code to anybody"] {
            assert!(html.contains(words), "{words}: {html}");
        }
        assert!(!mail("Example", Occasion::Enrollment).0.contains("password"));
    }

    #[test]
    fn a_name_cannot_write_html_or_lines_of_its_own() {
        let (text, html) = mail("<img src=x onerror='a'>&\"\r\nCall us: 1\u{2028}2", Occasion::Login);
        assert!(!html.contains("<img"), "{html}");
        assert!(html.contains("&lt;img src=x onerror=&#39;a&#39;&gt;&amp;&quot;"), "{html}");
        assert!(text.lines().all(|line| !line.starts_with("Call us")), "{text}");
    }

    #[test]
    fn an_sms_is_one_part() {
        let code = SecretText::new("12345678".to_owned());
        for occasion in [Occasion::Login, Occasion::Enrollment] {
            let words = Words { issuer: "Example Organisation", code: &code, minutes: 15, occasion };
            let sms = words.sms(PhoneNumber::parse("+491712345612").unwrap());
            let text = sms.text.expose();
            assert!(
                text.starts_with("12345678 is your code for Example Organisation, valid for 15 minutes. ")
            );
            assert!(text.len() <= 160 && text.is_ascii(), "{}: {text}", text.len());
        }
    }
}
