//! CTAPHID packets: golden bytes and properties.

use oss2fa_ctap::hid::{Assembler, ChannelId, Command, FramingError, MAX_MESSAGE, fragment};
use oss2fa_ctap::transport::Report;
use proptest::prelude::*;

use crate::fixed::hex;

const CHANNEL: ChannelId = ChannelId([0x0a, 0x0b, 0x0c, 0x0d]);

fn report(head: &str) -> Report {
    let mut report = [0; 64];
    let head = hex(head);
    report[..head.len()].copy_from_slice(&head);
    report
}

#[test]
fn a_short_message_is_one_packet() {
    let packets = fragment(CHANNEL, Command::PING, b"hello").unwrap();
    assert_eq!(packets, [report("0a0b0c0d 81 0005 68656c6c6f")]);
}

#[test]
fn a_longer_message_goes_on_in_numbered_packets() {
    let data: Vec<u8> = (0..120).collect();
    let packets = fragment(CHANNEL, Command::CBOR, &data).unwrap();
    assert_eq!(packets.len(), 3);
    assert_eq!(packets[0][..8], hex("0a0b0c0d 90 0078 00"));
    assert_eq!(packets[0][63], 56);
    assert_eq!(packets[1][..6], hex("0a0b0c0d 00 39"));
    assert_eq!(packets[1][63], 115);
    assert_eq!(packets[2], report("0a0b0c0d 01 74757677"));
}

#[test]
fn the_longest_message_has_7609_bytes() {
    assert_eq!(MAX_MESSAGE, 7609);
    let packets = fragment(CHANNEL, Command::CBOR, &[1; 7609]).unwrap();
    assert_eq!((packets.len(), packets[128][4]), (129, 127));
    assert_eq!(fragment(CHANNEL, Command::CBOR, &[1; 7610]), Err(FramingError::TooLong(7610)));
    assert_eq!(fragment(CHANNEL, Command::CBOR, &[1; 70_000]), Err(FramingError::TooLong(70_000)));
}

#[test]
fn an_announced_length_is_refused_before_anything_is_kept() {
    let refused = Assembler::new(CHANNEL).push(&report("0a0b0c0d 90 1dba"));
    assert_eq!(refused, Err(FramingError::TooLong(7610)));
}

#[test]
fn packets_out_of_order_are_refused() {
    let packets = fragment(CHANNEL, Command::CBOR, &[1; 200]).unwrap();
    let mut assembler = Assembler::new(CHANNEL);
    assert_eq!(assembler.push(&packets[0]), Ok(None));
    assert_eq!(assembler.push(&packets[2]), Err(FramingError::Sequence));
    assert_eq!(assembler.push(&packets[1]), Err(FramingError::NoFirst), "what was held is gone");
}

#[test]
fn a_packet_twice_is_refused() {
    let packets = fragment(CHANNEL, Command::CBOR, &[1; 200]).unwrap();
    let mut assembler = Assembler::new(CHANNEL);
    assert_eq!(assembler.push(&packets[0]), Ok(None));
    assert_eq!(assembler.push(&packets[1]), Ok(None));
    assert_eq!(assembler.push(&packets[1]), Err(FramingError::Sequence));
}

#[test]
fn a_message_in_the_middle_of_another_is_refused() {
    let packets = fragment(CHANNEL, Command::CBOR, &[1; 200]).unwrap();
    let mut assembler = Assembler::new(CHANNEL);
    assert_eq!(assembler.push(&packets[0]), Ok(None));
    assert_eq!(assembler.push(&packets[0]), Err(FramingError::Interrupted));
}

#[test]
fn packets_of_other_channels_are_not_seen() {
    let packets = fragment(CHANNEL, Command::CBOR, &[1; 100]).unwrap();
    let others = fragment(ChannelId([1; 4]), Command::CBOR, &[2; 100]).unwrap();
    let mut assembler = Assembler::new(CHANNEL);
    assert_eq!(assembler.push(&packets[0]), Ok(None));
    assert_eq!(assembler.push(&others[0]), Ok(None));
    assert_eq!(assembler.push(&others[1]), Ok(None));
    assert_eq!(*assembler.push(&packets[1]).unwrap().unwrap().data, [1; 100]);
}

#[test]
fn two_channels_are_never_given_out() {
    assert!(!ChannelId::BROADCAST.is_allocatable());
    assert!(!ChannelId([0; 4]).is_allocatable());
    assert!(CHANNEL.is_allocatable());
}

proptest! {
    #[test]
    fn a_message_comes_out_as_it_went_in(
        channel in any::<[u8; 4]>(),
        command in 0_u8..0x80,
        data in proptest::collection::vec(any::<u8>(), 0..=MAX_MESSAGE),
    ) {
        let channel = ChannelId(channel);
        let packets = fragment(channel, Command(command), &data).unwrap();
        let mut assembler = Assembler::new(channel);
        let (last, before) = packets.split_last().unwrap();
        for packet in before {
            prop_assert_eq!(assembler.push(packet).unwrap(), None);
        }
        let message = assembler.push(last).unwrap().unwrap();
        prop_assert_eq!(message.command, Command(command));
        prop_assert_eq!(&*message.data, &data);
    }

    #[test]
    fn any_reports_are_taken_without_harm(reports in proptest::collection::vec(any::<[u8; 32]>(), 0..20)) {
        let mut assembler = Assembler::new(CHANNEL);
        for half in reports {
            let mut report = [0; 64];
            report[..4].copy_from_slice(&CHANNEL.0);
            report[4..36].copy_from_slice(&half);
            if let Ok(Some(message)) = assembler.push(&report) {
                prop_assert!(message.data.len() <= MAX_MESSAGE);
            }
        }
    }
}
