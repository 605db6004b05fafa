//! CTAPHID: messages over HID reports (CTAP 2.1 section 11.2).

mod channel;
mod packet;

pub use channel::{Capabilities, Channel, HidErrorCode};
pub use packet::{Assembler, ChannelId, Command, FramingError, MAX_MESSAGE, Message, fragment};
