//! Several validation servers that were asked the same question at once: which of their answers decides.
//!
//! The first answer that is worth something does: one dead server fails nothing. Who is asked, over what, and for how
//! long, is the caller's; what one answer is worth is [`Question::judge`]'s to say.

use super::yubico_validation::{Judged, Question};
use crate::verdict::Verified;

/// What has been heard so far.
#[derive(Debug, Default)]
pub struct Hearing {
    why: Vec<String>,
    seen: bool,
}

/// How a hearing ends.
#[derive(Debug, PartialEq, Eq)]
pub enum Decided {
    /// A server says that the password is right.
    Right(Verified),
    /// A server says that it is not, or that it was used.
    Wrong,
    /// Nobody could say: what came from each, for the log. No password is in it.
    NoAnswer(Vec<String>),
}

impl Hearing {
    /// Takes the body of an answer of the server `from`, or why there is none. `Some` where that decides.
    pub fn hear(
        &mut self,
        from: &str,
        question: &Question<'_>,
        answer: Result<&str, String>,
    ) -> Option<Decided> {
        let why = match answer.map(|body| question.judge(body)) {
            Ok(Judged::Right(verified, _)) => return Some(Decided::Right(verified)),
            Ok(Judged::Wrong(_)) => return Some(Decided::Wrong),
            Ok(Judged::Seen) => {
                self.seen = true;
                return None;
            }
            Ok(Judged::Failed(status)) => status.to_string(),
            Ok(Judged::Unusable(why)) => why.to_owned(),
            Err(why) => why,
        };
        self.why.push(format!("{from}: {why}"));
        None
    }

    /// All have answered, and none of them has decided.
    #[must_use]
    pub fn all_heard(self) -> Decided {
        // The servers know the password from each other, and the one that was first is silent: it is spent.
        if self.seen { Decided::Wrong } else { Decided::NoAnswer(self.why) }
    }

    /// Those that have not answered within `seconds` are not waited for.
    #[must_use]
    pub fn time_up(mut self, seconds: f32) -> Decided {
        self.why.push(format!("the others did not answer within {seconds} s"));
        Decided::NoAnswer(self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factor::yubico_otp::TypedOtp;
    use crate::factor::yubico_validation::ApiKey;
    use crate::ids::DeviceId;

    fn signed(key: &ApiKey, otp: &str, status: &str) -> String {
        let fields = [
            ("nonce", "0123456789abcdef"),
            ("otp", otp),
            ("sessioncounter", "19"),
            ("sessionuse", "16"),
            ("status", status),
            ("timestamp", "5"),
        ];
        let lines = fields.map(|(name, value)| format!("{name}={value}")).join("\r\n");
        format!("h={}\r\n{lines}\r\n", key.sign(fields))
    }

    fn heard(answers: &[Result<&str, &str>]) -> (Option<bool>, Hearing) {
        let key = ApiKey::parse("MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=").unwrap();
        let typed = "vvcccccccccbudelvecubhnnrglftvvvvkftcnrjldhf";
        let otp = TypedOtp::read(typed).unwrap();
        let question = Question { device: DeviceId(1), otp: &otp, nonce: "0123456789abcdef", key: &key };
        let mut hearing = Hearing::default();
        for answer in answers {
            let body = answer.map(|status| signed(&key, typed, status)).map_err(str::to_owned);
            let body = body.as_deref().map_err(Clone::clone);
            if let Some(decided) = hearing.hear("here", &question, body) {
                return (Some(matches!(decided, Decided::Right(_))), hearing);
            }
        }
        (None, hearing)
    }

    #[test]
    fn the_first_answer_that_is_worth_something_decides() {
        assert_eq!(heard(&[Err("dead"), Ok("BACKEND_ERROR"), Ok("OK"), Ok("BAD_OTP")]).0, Some(true));
        assert_eq!(heard(&[Ok("REPLAYED_OTP"), Ok("OK")]).0, Some(false));
        assert_eq!(heard(&[Ok("REPLAYED_REQUEST"), Ok("OK")]).0, Some(true));
    }

    #[test]
    fn where_nobody_says_anything_nobody_gets_in() {
        let (decided, hearing) = heard(&[Err("dead"), Ok("NOT_ENOUGH_ANSWERS")]);
        assert_eq!(decided, None);
        let why = vec!["here: dead".to_owned(), "here: NOT_ENOUGH_ANSWERS".to_owned()];
        assert_eq!(hearing.all_heard(), Decided::NoAnswer(why));
        let (_, seen) = heard(&[Ok("REPLAYED_REQUEST"), Err("dead")]);
        assert_eq!(seen.all_heard(), Decided::Wrong);
        let (_, late) = heard(&[Ok("REPLAYED_REQUEST")]);
        assert!(matches!(late.time_up(0.5), Decided::NoAnswer(why) if why[0].ends_with("within 0.5 s")));
    }
}
