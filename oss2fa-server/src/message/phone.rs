//! A telephone number that can be called from everywhere, and what of it may be shown.

use std::fmt;

use thiserror::Error;

/// A number as ITU-T E.164 writes it: `+` and 8 to 15 digits, the country's code first.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PhoneNumber(String);

/// A text is no telephone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "this is not a telephone number such as \"+49 171 2345678\": a +, the country's code, then the number \
     without the 0 that is dialled within the country; 8 to 15 digits"
)]
pub struct NoPhoneNumber;

impl PhoneNumber {
    /// Reads a number; blanks, dashes and parentheses are taken out.
    ///
    /// # Errors
    /// [`NoPhoneNumber`], also for `(0)`: that digit is not dialled together with the country's code.
    pub fn parse(text: &str) -> Result<Self, NoPhoneNumber> {
        if text.contains("(0)") {
            return Err(NoPhoneNumber);
        }
        let plain: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')')).collect();
        let digits = plain.strip_prefix('+').ok_or(NoPhoneNumber)?;
        let fits = (8..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !fits || digits.starts_with('0') {
            return Err(NoPhoneNumber);
        }
        Ok(Self(plain))
    }

    /// What people may see of it: `+49*******12`, the country's code and the last two digits.
    #[must_use]
    pub fn masked(&self) -> String {
        let shown = 1 + country_code_length(self.digits());
        let hidden_end = self.0.len().saturating_sub(2);
        self.0.char_indices().map(|(at, c)| if (shown..hidden_end).contains(&at) { '*' } else { c }).collect()
    }

    /// The whole number. Personal data: for the store and the gateway, not for logs.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn digits(&self) -> &str {
        self.0.strip_prefix('+').unwrap_or(&self.0)
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhoneNumber({})", self.masked())
    }
}

/// ITU-T E.164, list of assigned country codes: 1 and 7 stand alone, these have two digits, all others three.
fn country_code_length(digits: &str) -> usize {
    let mut figures = digits.bytes();
    match (figures.next(), figures.next()) {
        (Some(b'1' | b'7'), _) => 1,
        (Some(b'2'), Some(b'0' | b'7'))
        | (Some(b'3'), Some(b'0'..=b'4' | b'6' | b'9'))
        | (Some(b'4'), Some(b'0' | b'1' | b'3'..=b'9'))
        | (Some(b'5'), Some(b'1'..=b'8'))
        | (Some(b'6'), Some(b'0'..=b'6'))
        | (Some(b'8'), Some(b'1' | b'2' | b'4' | b'6'))
        | (Some(b'9'), Some(b'0'..=b'5' | b'8')) => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::PhoneNumber;

    #[test]
    fn numbers_that_people_have() {
        for (text, whole, masked) in [
            ("+49 171 2345612", "+491712345612", "+49********12"),
            ("+49 (171) 234-5612", "+491712345612", "+49********12"),
            ("+1 (202) 555-0134", "+12025550134", "+1********34"),
            ("+7 495 123-45-67", "+74951234567", "+7********67"),
            ("+358401234567", "+358401234567", "+358*******67"),
            ("+29012345", "+29012345", "+290***45"),
        ] {
            let number = PhoneNumber::parse(text).expect(text);
            assert_eq!((number.as_str(), number.masked().as_str()), (whole, masked));
            assert_eq!(format!("{number:?}"), format!("PhoneNumber({masked})"));
        }
    }

    #[test]
    fn numbers_that_are_none() {
        for text in [
            "",
            "+",
            "+1234567",
            "+1234567890123456",
            "00491712345612",
            "01712345612",
            "+0491712345612",
            "+49 (0) 171 2345612",
            "+49 171 2345612\r\n",
            "+49171x345612",
            "+49171\u{a0}2345612",
            "+４９１７１２３４５",
            "++491712345612",
            "+49171;2345612",
            "+49/171/2345612",
            "tel:+491712345612",
            "+49+1712345612",
        ] {
            assert!(PhoneNumber::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_mask_shows_the_country_and_the_last_two_digits(digits in "[1-9][0-9]{7,14}") {
            let number = PhoneNumber::parse(&format!("+{digits}")).unwrap();
            let masked = number.masked();
            prop_assert_eq!(masked.len(), digits.len() + 1);
            let shown = masked.chars().filter(char::is_ascii_digit).count();
            prop_assert!(shown <= 5 && masked.matches('*').count() >= 3, "{}", masked);
            let head: String = masked.chars().take_while(|c| *c != '*').collect();
            prop_assert!(head.len() <= 4 && number.as_str().starts_with(&head));
            let tail: String = masked.trim_start_matches(|c| c != '*').replace('*', "");
            prop_assert_eq!(tail.as_str(), &digits[digits.len() - 2..]);
        }

        #[test]
        fn what_is_taken_is_plus_and_digits(text in "[+0-9() \\-a\r\n]{0,20}") {
            if let Ok(number) = PhoneNumber::parse(&text) {
                prop_assert!(number.as_str().starts_with('+'));
                prop_assert!(number.as_str()[1..].bytes().all(|byte| byte.is_ascii_digit()));
            }
        }
    }
}
