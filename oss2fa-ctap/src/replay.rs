//! A transport that plays a script: what the host must write, and what the key then says.
//!
//! One step a line; `#` begins a comment, and a blank or an underscore among hexadecimal digits does not count:
//!
//! ```text
//! > HEX            the host writes this report; zeroes to its end are left out
//! < HEX            the key sends this report
//! >> CID CMD HEX   the host writes this message, in as many reports as it takes
//! << CID CMD HEX   the key sends this message
//! f> HEX           the host writes this feature report
//! f< HEX           the host reads this feature report
//! quiet            nothing comes for a while
//! pause            the host lets time pass
//! timeup           the deadline passes, while the host reads or pauses
//! gone             the key is pulled out
//! ```
//!
//! What the host does that is not in the script is a panic, and so is a step that did not happen when the
//! transport is dropped.

use std::collections::VecDeque;
use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::hid::{ChannelId, Command, fragment};
use crate::transport::{Feature, HidTransport, Pause, Read, Report, TransportError};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Write(Report),
    Read(Report),
    WriteFeature(Feature),
    ReadFeature(Feature),
    Quiet,
    Pause,
    TimeUp,
    Gone,
}

/// The transport. It holds the steps that have not happened yet.
#[derive(Debug)]
pub struct Replay {
    steps: VecDeque<Step>,
}

impl Replay {
    /// Reads a script.
    ///
    /// # Panics
    /// For a line that is no step.
    #[must_use]
    pub fn script(text: &str) -> Self {
        let mut steps = VecDeque::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                steps.extend(parse(line));
            }
        }
        Self { steps }
    }

    fn next(&mut self, doing: &str) -> Step {
        let step = self.steps.pop_front();
        assert!(step.is_some(), "{doing}, and the script is at its end");
        step.unwrap_or(Step::Gone)
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        let left = &self.steps;
        assert!(left.is_empty() || std::thread::panicking(), "{} steps did not happen: {left:?}", left.len());
    }
}

fn parse(line: &str) -> Vec<Step> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        ">" => vec![Step::Write(filled(rest))],
        "<" => vec![Step::Read(filled(rest))],
        "f>" => vec![Step::WriteFeature(filled(rest))],
        "f<" => vec![Step::ReadFeature(filled(rest))],
        ">>" => message(rest).into_iter().map(Step::Write).collect(),
        "<<" => message(rest).into_iter().map(Step::Read).collect(),
        "quiet" => vec![Step::Quiet],
        "pause" => vec![Step::Pause],
        "timeup" => vec![Step::TimeUp],
        "gone" => vec![Step::Gone],
        _ => {
            assert_eq!(line, "", "not a step");
            Vec::new()
        }
    }
}

fn message(text: &str) -> Vec<Report> {
    let mut words = text.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (channel, command, data) = (filled::<4>(word()), filled::<1>(word()), bytes(word()));
    let packets = fragment(ChannelId(channel), Command(command.first().copied().unwrap_or_default()), &data);
    assert!(packets.is_ok(), "{packets:?}");
    packets.unwrap_or_default()
}

fn filled<const N: usize>(text: &str) -> [u8; N] {
    let bytes = bytes(text);
    assert!(bytes.len() <= N, "{text}: more than {N} bytes");
    let mut whole = [0; N];
    for (to, from) in whole.iter_mut().zip(bytes) {
        *to = from;
    }
    whole
}

fn bytes(text: &str) -> Vec<u8> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace() && *c != '_').collect();
    let read = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes());
    assert!(read.is_ok(), "{text}: not hexadecimal digits");
    read.unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        assert!(write!(text, "{byte:02x}").is_ok());
    }
    text
}

fn wrote(doing: &str, bytes: &[u8], step: &Step) -> Result<(), TransportError> {
    let expected = match step {
        Step::Write(report) => hex(report),
        Step::WriteFeature(feature) => hex(feature),
        Step::Gone => return Err(TransportError::Gone),
        Step::Read(_) | Step::ReadFeature(_) | Step::Quiet | Step::Pause | Step::TimeUp => {
            format!("{step:?}")
        }
    };
    assert_eq!(hex(bytes), expected, "{doing} (left), and the script has something else (right)");
    Ok(())
}

impl HidTransport for Replay {
    fn write(&mut self, report: &Report) -> Result<(), TransportError> {
        let step = self.next(&format!("the host writes {}", hex(report)));
        wrote("the host writes a report", report, &step)
    }

    fn read(&mut self, _: Instant) -> Result<Read, TransportError> {
        match self.next("the host reads") {
            Step::Read(report) => Ok(Read::Report(report)),
            Step::Quiet => Ok(Read::Quiet),
            Step::TimeUp => Ok(Read::TimeUp),
            Step::Gone => Err(TransportError::Gone),
            other => {
                assert_eq!(format!("{other:?}"), "", "the host reads");
                Err(TransportError::Failed)
            }
        }
    }

    fn write_feature(&mut self, feature: &Feature) -> Result<(), TransportError> {
        let step = self.next(&format!("the host writes the feature report {}", hex(feature)));
        wrote("the host writes a feature report", feature, &step)
    }

    fn read_feature(&mut self) -> Result<Feature, TransportError> {
        match self.next("the host reads a feature report") {
            Step::ReadFeature(feature) => Ok(feature),
            Step::Gone => Err(TransportError::Gone),
            other => {
                assert_eq!(format!("{other:?}"), "", "the host reads a feature report");
                Err(TransportError::Failed)
            }
        }
    }

    fn pause(&mut self, _: Duration, _: Instant) -> Pause {
        match self.next("the host lets time pass") {
            Step::TimeUp => Pause::TimeUp,
            other => {
                assert_eq!(other, Step::Pause, "the host lets time pass");
                Pause::Over
            }
        }
    }
}
