//! Lines and words of a PAM service file, split as libpam splits them.
//!
//! After `_pam_assemble_line` and `_pam_StrTok` of Linux-PAM 1.5.2: what counts is not what a line
//! looks like but what libpam makes of it.

/// Longest line that every libpam reads as one, in bytes: that of Debian 12 cuts longer ones, and
/// takes the rest for a line of its own.
const LONGEST: usize = 1022;

/// A logical line: continued ones joined, comments gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Number of the line that it begins on; the first one is 1.
    pub(crate) number: usize,
    /// Number of the line that it ends on.
    pub(crate) last: usize,
    pub(crate) text: String,
}

/// Why libpam reads no further, or why nobody can say how it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The file ends in a line that is to be continued: libpam refuses every login.
    Unfinished,
    /// A line is longer than all libpams read.
    TooLong,
    /// There is a zero byte.
    Zero,
}

/// The lines of a file, up to the first fault.
pub(crate) fn lines(text: &str) -> (Vec<Line>, Option<(usize, Fault)>) {
    let mut lines = Vec::new();
    let mut joined: Option<Line> = None;
    let mut last = 0;
    for (at, raw) in text.split_inclusive('\n').enumerate() {
        last = at + 1;
        if raw.contains('\0') {
            return (lines, Some((last, Fault::Zero)));
        }
        let before = joined.as_ref().map_or(0, |line| line.text.len());
        if before + raw.len() > LONGEST {
            return (lines, Some((last, Fault::TooLong)));
        }
        let content = raw.trim_start_matches([' ', '\t', '\n']);
        // Also in the middle of a line that is continued.
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let line = joined.get_or_insert_with(|| Line { number: last, last, text: String::new() });
        line.last = last;
        let ends = match content.split_once('#') {
            // Whatever stands behind the comment, a backslash too, is part of it.
            Some((content, _comment)) => {
                line.text.push_str(content);
                true
            }
            None => match content.trim_end_matches([' ', '\t', '\n']).strip_suffix('\\') {
                Some(content) => {
                    line.text.push_str(content);
                    line.text.push(' ');
                    false
                }
                None => {
                    line.text.push_str(content);
                    true
                }
            },
        };
        if ends {
            lines.extend(joined.take());
        }
    }
    let fault = joined.map(|_| (last, Fault::Unfinished));
    (lines, fault)
}

/// The words of a line; one in brackets is a single word, without them.
pub(crate) struct Words<'t> {
    rest: Option<&'t str>,
}

impl<'t> Words<'t> {
    pub(crate) fn new(line: &'t str) -> Self {
        Self { rest: Some(line) }
    }
}

const BLANKS: [char; 3] = [' ', '\n', '\t'];

impl Iterator for Words<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let rest = self.rest.take()?.trim_start_matches(BLANKS);
        if rest.is_empty() {
            return None;
        }
        let (word, rest) = match rest.strip_prefix('[') {
            Some(inner) => bracketed(inner),
            None => {
                let (word, rest) = rest.split_once(BLANKS).unwrap_or((rest, ""));
                (word.to_owned(), rest)
            }
        };
        self.rest = Some(rest).filter(|rest| !rest.is_empty());
        Some(word)
    }
}

// Up to the first `]`; `\]` stands for one.
fn bracketed(inner: &str) -> (String, &str) {
    let mut word = String::new();
    let mut rest = inner;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("\\]") {
            word.push(']');
            rest = after;
        } else if let Some(after) = rest.strip_prefix(']') {
            return (word, after);
        } else {
            let mut characters = rest.chars();
            word.extend(characters.next());
            rest = characters.as_str();
        }
    }
    (word, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, String)> {
        let (lines, fault) = lines(text);
        assert_eq!(fault, None, "{text:?}");
        lines
            .into_iter()
            .map(|line| (line.number, Words::new(&line.text).collect::<Vec<_>>().join("|")))
            .collect()
    }

    #[test]
    fn comments_blanks_and_continued_lines() {
        let text = "# all\n\n \t\nauth \\\n# between\n\n  required \\\n a.so # x \\\naccount required b.so";
        assert_eq!(texts(text), [(4, "auth|required|a.so".into()), (9, "account|required|b.so".into())]);
    }

    #[test]
    fn brackets_make_one_word() {
        let text = "auth [success=1  default=ignore] x.so [prompt=a \\] b ] c[d] [e]f\n";
        assert_eq!(texts(text), [(1, "auth|success=1  default=ignore|x.so|prompt=a ] b |c[d]|e|f".into())]);
    }

    #[test]
    fn a_carriage_return_belongs_to_the_word() {
        assert_eq!(texts("auth required x.so\r\n"), [(1, "auth|required|x.so\r".into())]);
    }

    #[test]
    fn what_cannot_be_read_as_one_is_a_fault() {
        assert_eq!(lines("auth x \\\n").1, Some((1, Fault::Unfinished)));
        assert_eq!(lines("a\nb\0\n").1, Some((2, Fault::Zero)));
        assert_eq!(lines(&format!("# {}\n", "x".repeat(1021))).1, Some((1, Fault::TooLong)));
        assert_eq!(
            lines(&format!("{} \\\n{}\n", "x".repeat(600), "y".repeat(600))).1,
            Some((2, Fault::TooLong))
        );
    }
}
