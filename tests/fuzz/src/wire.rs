//! The frame decoder, with the messages of both ends and of the command line.
//!
//! The first byte chooses the type of message, the second says how many of the bytes after it are
//! lengths of the pieces in which the rest arrives.

use std::fmt::Debug;

use oss2fa_agent::admin::{Request, Response};
use oss2fa_core::wire::{AgentMessage, Decoder, FrameError, MAX_FRAME, ModuleMessage, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

const HEADER: usize = 4;
const MOST_CUTS: usize = 8;

/// Feeds a stream in pieces to a decoder and holds each of its answers against a model that knows
/// nothing but the lengths.
///
/// # Panics
/// Where a property does not hold.
pub fn target(data: &[u8]) {
    let [kind, cuts, rest @ ..] = data else { return };
    let (cuts, stream) = rest.split_at((usize::from(*cuts) % MOST_CUTS).min(rest.len()));
    match kind % 4 {
        0 => follow::<ModuleMessage>(cuts, stream),
        1 => follow::<AgentMessage>(cuts, stream),
        2 => follow::<Request>(cuts, stream),
        _ => follow::<Response>(cuts, stream),
    }
}

fn follow<M: Serialize + DeserializeOwned + Debug>(cuts: &[u8], stream: &[u8]) {
    let mut decoder = Decoder::default();
    let mut lengths = cuts.iter().map(|cut| usize::from(*cut).max(1)).cycle();
    // Where the frame that is being read begins, and how much has arrived.
    let (mut begin, mut arrived) = (0, 0);
    while arrived < stream.len() {
        let piece = lengths.next().unwrap_or(stream.len()).min(stream.len() - arrived);
        decoder.push(&stream[arrived..arrived + piece]);
        arrived += piece;
        loop {
            let held = arrived - begin;
            match (announced(&stream[begin..arrived]), decoder.missing()) {
                (None, missing) => assert_eq!(missing, Ok(HEADER - held)),
                (Some(body), missing) if body > MAX_FRAME => {
                    // Refused by the header alone, and for good.
                    let error = FrameError::TooLong(u32::try_from(body).unwrap());
                    assert_eq!(missing.as_ref(), Err(&error));
                    assert_eq!(decoder.next::<M>().unwrap_err(), error);
                    return;
                }
                // What a reader that asks for no more than is missing can ever make it hold.
                (Some(body), missing) => {
                    let missing = missing.unwrap();
                    assert_eq!(missing, (HEADER + body).saturating_sub(held));
                    assert!(missing == 0 || held + missing <= HEADER + MAX_FRAME);
                }
            }
            match decoder.next::<M>() {
                Ok(None) => {
                    assert!(decoder.missing().unwrap() > 0, "a frame that is whole was not given out");
                    break;
                }
                Ok(Some(message)) => there_and_back(&message),
                Err(error) => assert!(
                    matches!(error, FrameError::Malformed | FrameError::Version(_)),
                    "{error:?} for a whole frame"
                ),
            }
            begin += HEADER + announced(&stream[begin..arrived]).unwrap();
            assert!(begin <= arrived, "a frame was given out before it was whole");
        }
    }
}

fn announced(held: &[u8]) -> Option<usize> {
    held.first_chunk::<HEADER>().map(|header| usize::try_from(u32::from_be_bytes(*header)).unwrap())
}

fn there_and_back<M: Serialize + DeserializeOwned + Debug>(message: &M) {
    let first = match encode(message) {
        Ok(bytes) => bytes,
        // Cleaning replaces one byte by three: what just fitted may not fit any more.
        Err(FrameError::DoesNotFit(length)) => {
            assert!(length > MAX_FRAME);
            return;
        }
        Err(other) => panic!("{other:?} for a message that was read"),
    };
    assert!(first.len() <= HEADER + MAX_FRAME);
    let mut decoder = Decoder::default();
    decoder.push(&first);
    let again: M = decoder.next().unwrap().unwrap();
    assert_eq!(encode(&again).unwrap(), first);
    assert_eq!(format!("{again:?}"), format!("{message:?}"));
}
