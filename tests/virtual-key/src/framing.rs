//! CTAPHID (CTAP 2.1 section 11.2): packets to requests, answers to packets.

use std::mem;

/// Length of a packet, in bytes.
pub const PACKET: usize = 64;

/// One report of the FIDO interface.
pub type Packet = [u8; PACKET];

/// Longest message: one packet that begins it and 128 that go on.
const LONGEST: usize = PACKET - 7 + 128 * (PACKET - 5);

const BROADCAST: u32 = 0xffff_ffff;

const PING: u8 = 0x01;
const MSG: u8 = 0x03;
const INIT: u8 = 0x06;
const WINK: u8 = 0x08;
const CBOR: u8 = 0x10;
const CANCEL: u8 = 0x11;
const KEEPALIVE: u8 = 0x3b;
const ERROR: u8 = 0x3f;

const INVALID_COMMAND: u8 = 0x01;
const INVALID_LENGTH: u8 = 0x03;
const INVALID_SEQUENCE: u8 = 0x04;
const CHANNEL_BUSY: u8 = 0x06;
const INVALID_CHANNEL: u8 = 0x0b;
const OTHER: u8 = 0x7f;

const PROCESSING: u8 = 1;
const TOUCH_NEEDED: u8 = 2;

/// It winks, and speaks both CTAP2 and U2F.
const CAPABILITIES: u8 = 0x05;

/// Who answers the requests.
pub trait Application {
    /// Begins to answer.
    fn request(&mut self, kind: Kind, data: &[u8]);
    /// Gives up what it is at, if it can.
    fn cancel(&mut self);
}

/// The two kinds of requests that are not the framing's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// U2F.
    Msg,
    /// CTAP2.
    Cbor,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    Receiving {
        channel: u32,
        command: u8,
        length: usize,
        sequence: u8,
        data: Vec<u8>,
    },
    Busy {
        channel: u32,
        command: u8,
    },
}

/// One side of the conversation.
#[derive(Debug, Default)]
pub struct Framing {
    state: State,
    channels: u32,
}

impl Framing {
    /// Whether the application has the word.
    pub fn is_busy(&self) -> bool {
        matches!(self.state, State::Busy { .. })
    }

    /// Takes a packet of the host; what there is to answer at once.
    pub fn take(&mut self, packet: &Packet, application: &mut impl Application) -> Vec<Packet> {
        let (channel, rest) = packet.split_first_chunk::<4>().expect("a packet");
        let channel = u32::from_be_bytes(*channel);
        match rest {
            [command, high, low, data @ ..] if *command >= 0x80 => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                self.begin(channel, command & 0x7f, length, data, application)
            }
            [sequence, data @ ..] => self.go_on(channel, *sequence, data, application),
            [] => Vec::new(),
        }
    }

    fn begin(
        &mut self,
        channel: u32,
        command: u8,
        length: usize,
        data: &[u8],
        application: &mut impl Application,
    ) -> Vec<Packet> {
        match self.state {
            State::Busy { channel: busy, .. } | State::Receiving { channel: busy, .. } if busy != channel => {
                // A new channel can be had at any time.
                if (command, channel) != (INIT, BROADCAST) {
                    return error(channel, CHANNEL_BUSY);
                }
                let kept = mem::take(&mut self.state);
                let answer = self.whole(channel, command, &data[..length.min(data.len())], application);
                self.state = kept;
                return answer;
            }
            State::Busy { .. } => {
                // The host takes back what it has asked.
                application.cancel();
                return match command {
                    CANCEL => Vec::new(),
                    _ => error(channel, CHANNEL_BUSY),
                };
            }
            State::Receiving { .. } if command != INIT => {
                self.state = State::Idle;
                return error(channel, INVALID_SEQUENCE);
            }
            State::Receiving { .. } | State::Idle => {}
        }
        if length > LONGEST {
            return error(channel, INVALID_LENGTH);
        }
        if length <= data.len() {
            return self.whole(channel, command, &data[..length], application);
        }
        self.state = State::Receiving { channel, command, length, sequence: 0, data: data.to_vec() };
        Vec::new()
    }

    fn go_on(
        &mut self,
        from: u32,
        number: u8,
        part: &[u8],
        application: &mut impl Application,
    ) -> Vec<Packet> {
        let State::Receiving { channel, command, length, sequence, data } = &mut self.state else {
            return Vec::new();
        };
        if from != *channel {
            return Vec::new();
        }
        if number != *sequence {
            self.state = State::Idle;
            return error(from, INVALID_SEQUENCE);
        }
        *sequence += 1;
        data.extend_from_slice(part);
        if data.len() < *length {
            return Vec::new();
        }
        data.truncate(*length);
        let (command, data) = (*command, mem::take(data));
        self.whole(from, command, &data, application)
    }

    fn whole(
        &mut self,
        channel: u32,
        command: u8,
        data: &[u8],
        application: &mut impl Application,
    ) -> Vec<Packet> {
        self.state = State::Idle;
        if command == INIT {
            if channel == 0 || data.len() != 8 {
                return error(channel, if channel == 0 { INVALID_CHANNEL } else { INVALID_LENGTH });
            }
            let given = if channel == BROADCAST {
                self.channels += 1;
                self.channels
            } else {
                channel
            };
            return packets(
                channel,
                INIT,
                &[data, &given.to_be_bytes(), &[2, 0, 1, 0, CAPABILITIES]].concat(),
            );
        }
        if channel == 0 || channel > self.channels {
            return error(channel, INVALID_CHANNEL);
        }
        let kind = match command {
            PING | WINK => return packets(channel, command, data),
            CANCEL => return Vec::new(),
            MSG => Kind::Msg,
            CBOR => Kind::Cbor,
            _ => return error(channel, INVALID_COMMAND),
        };
        if data.is_empty() {
            return error(channel, INVALID_LENGTH);
        }
        self.state = State::Busy { channel, command };
        application.request(kind, data);
        Vec::new()
    }

    /// The application's answer, `None` where it has none.
    pub fn answer(&mut self, answer: Option<Vec<u8>>) -> Vec<Packet> {
        let State::Busy { channel, command } = mem::take(&mut self.state) else { return Vec::new() };
        match answer {
            Some(data) => packets(channel, command, &data),
            None => error(channel, OTHER),
        }
    }

    /// What a busy key says now and then. U2F knows no such thing.
    pub fn keepalive(&self, touch_needed: bool) -> Vec<Packet> {
        match self.state {
            State::Busy { channel, command: CBOR } => {
                packets(channel, KEEPALIVE, &[if touch_needed { TOUCH_NEEDED } else { PROCESSING }])
            }
            _ => Vec::new(),
        }
    }
}

fn error(channel: u32, code: u8) -> Vec<Packet> {
    packets(channel, ERROR, &[code])
}

fn packets(channel: u32, command: u8, data: &[u8]) -> Vec<Packet> {
    let length = u16::try_from(data.len()).expect("a message that fits");
    let (first, rest) = data.split_at(data.len().min(PACKET - 7));
    let begin = [&channel.to_be_bytes(), [0x80 | command].as_slice(), &length.to_be_bytes(), first].concat();
    let mut all = vec![padded(&begin)];
    for (part, sequence) in rest.chunks(PACKET - 5).zip(0u8..) {
        all.push(padded(&[&channel.to_be_bytes(), [sequence].as_slice(), part].concat()));
    }
    all
}

fn padded(bytes: &[u8]) -> Packet {
    let mut packet = [0; PACKET];
    packet[..bytes.len()].copy_from_slice(bytes);
    packet
}
