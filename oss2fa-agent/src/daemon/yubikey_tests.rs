//! Enrolments and logins with YubiKeys of software that answer challenges, by the daemon's own conversations.

use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use oss2fa_core::ids::DeviceId;
use oss2fa_core::verdict::FactorKind;
use oss2fa_core::wire::{Conversation, Echo, Login, Outcome, Start};
use oss2fa_ctap::transport::{Go, Patience};
use oss2fa_ctap::yubikey::{Proven, YubiKey};

use super::connection::Connection;
use super::keyring_tests::{Host, SOON, UID, host, patient_host};
use super::peer::Caller;
use super::{admin, login};
use crate::admin::{KeyKind, RefusalCode, Response, YubikeyEnrollment, YubikeySlot};
use crate::config::LockLimits;
use crate::outside::System;
use crate::source::Source;
use crate::store::challenge_response::Outstanding;
use crate::store::{Device, Exchange, Exchanged, Report, Verdict};
use crate::token::ports::Ports;
use crate::token::soft::{Protocol, SoftYubikey};

fn slot(user: &str, slot: YubikeySlot) -> YubikeyEnrollment {
    YubikeyEnrollment { user: user.to_owned(), slot, name: None, proof: None }
}

impl Host {
    fn enroll_yubikey(&self, caller: Caller, wanted: YubikeyEnrollment) -> (Vec<String>, Response) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut ours, mut theirs) = (Connection::new(ours).unwrap(), Connection::new(theirs).unwrap());
        let mut said = Vec::new();
        thread::scope(|scope| {
            let serving = scope.spawn(move || admin::enroll_yubikey(&self.live, &mut ours, caller, wanted));
            loop {
                match theirs.receive(Instant::now() + SOON).unwrap() {
                    Response::Step { text } => said.push(text.as_str().to_owned()),
                    ended => {
                        serving.join().unwrap().unwrap();
                        return (said, ended);
                    }
                }
            }
        })
    }

    /// Plugs it in, and enrols its second slot.
    fn with_yubikey(&self, user: &str, key: &SoftYubikey) -> Vec<String> {
        self.hub.plug_in_yubikey(&format!("{user}-{}", key.inside().serial.unwrap_or(0)), key);
        let (said, ended) = self.enroll_yubikey(Caller::Root, slot(user, YubikeySlot::Two));
        assert!(matches!(ended, Response::Device(_)), "{ended:?} after {said:?}");
        said
    }

    fn device_of(&self, user: &str) -> Device {
        let name = self.live.directory.account(user).unwrap().unwrap().name;
        let devices = self.live.store.account_view(&name).unwrap().devices;
        devices.into_iter().find(|device| device.kind == FactorKind::YubikeyHmac).unwrap()
    }

    fn outstanding(&self) -> Outstanding {
        self.device_of("ferris").challenge(self.live.store.keys()).unwrap().unwrap()
    }

    /// Has the key that is plugged in answer, and nothing come of it yet.
    fn proven(&self, before: &Outstanding) -> Proven {
        let plugged = self.hub.plugged();
        let mut key = YubiKey::new(self.hub.open(&plugged[0]).unwrap());
        let mut watch = |_| Go::On;
        let mut patience = Patience::until(Instant::now() + SOON, &mut watch);
        let kept = &before.kept;
        let proven = key.prove(kept.slot, &kept.challenge, &before.expected, &System, &mut patience);
        proven.unwrap().expect("the answer that is expected")
    }

    fn judge(&self, before: Outstanding, proven: Proven) -> Exchanged {
        let device = self.device_of("ferris");
        let exchange = Exchange {
            account: device.account,
            user: self.live.directory.account("ferris").unwrap().unwrap().name,
            service: "sudo".to_owned(),
            source: Source::of_uid(UID),
            before,
            proven,
            report: Report::Nobody,
        };
        self.live.store.judge_exchange(exchange, LIMITS).unwrap()
    }
}

const LIMITS: LockLimits = LockLimits {
    free_attempts: 5,
    free_attempts_per_source: 50,
    free_attempts_per_user: 200,
    first_pause: 30,
    longest_pause: 3600,
};

fn is_admitted(exchanged: &Exchanged) -> bool {
    matches!(exchanged, Exchanged::Judged(Verdict::Admitted(_)))
}

#[test]
fn a_yubikey_answers_without_anybody_being_asked() {
    let host = host("");
    let key = SoftYubikey::new(1).answering(7);
    let said = host.with_yubikey("ferris", &key);
    assert!(said[0].starts_with("Plug in your YubiKey"), "{said:?}");
    assert!(said[1].starts_with("This slot answers without a touch"), "{said:?}");
    assert_eq!(host.newest().event, "confirmed");
    for _ in 0..3 {
        let ended = host.login(&[]);
        assert_eq!((ended.outcome, ended.prompts.len()), (Some(Outcome::Verified), 0));
    }
    assert_eq!(host.newest().event, "accepted");
    assert!(host.newest().detail.starts_with("yubikey_hmac device="), "{}", host.newest().detail);
}

#[test]
fn a_slot_that_wants_touches_says_so_at_each() {
    let host = patient_host();
    let key = SoftYubikey::new(1).asking_for_touches(7);
    host.hub.plug_in_yubikey("one", &key);
    let each_in_turn = |blinks: usize| {
        while key.inside().blinking < blinks {
            thread::sleep(Duration::from_millis(1));
        }
        // Somebody needs longer than the agent takes to say that it blinks: by some more looks it has.
        let looks = key.inside().looks;
        while key.inside().looks < looks + 5 {
            thread::sleep(Duration::from_millis(1));
        }
        key.touch(1);
    };
    thread::scope(|scope| {
        scope.spawn(|| [1, 2, 3, 4].map(each_in_turn));
        let (said, ended) = host.enroll_yubikey(Caller::Root, slot("ferris", YubikeySlot::Two));
        assert!(matches!(ended, Response::Device(_)), "{ended:?}");
        assert_eq!(said[1..], ["Touch it now.", "Touch it once more."]);
        let ended = host.login(&[]);
        assert_eq!(ended.outcome, Some(Outcome::Verified));
        assert_eq!(
            ended.told,
            [
                "Have your security key plugged in.",
                "Touch your security key.",
                "Touch it once more: that is for its next login."
            ]
        );
    });
}

#[test]
fn without_a_touch_nobody_gets_in_and_a_code_is_asked_for() {
    let host = host("[keys]\ntouch_timeout = 3\n");
    let key = SoftYubikey::new(1).asking_for_touches(7);
    key.touch(2);
    host.with_yubikey("ferris", &key);
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Refused));
    // One touch proves who it is, and leaves nothing for the next time.
    key.touch(1);
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Refused));
    host.with_codes("ferris");
    let ended = host.login(&["755224"]);
    assert_eq!(ended.outcome, Some(Outcome::Verified), "by the code");
    key.touch(2);
    assert_eq!(host.login(&[""]).outcome, Some(Outcome::Verified), "its challenge was not used up");
}

#[test]
fn a_yubikey_that_comes_while_its_owner_waits_counts_and_one_that_goes_does_not() {
    let host = host("");
    let key = SoftYubikey::new(1).asking_for_touches(7);
    key.touch(2);
    host.with_yubikey("ferris", &key);
    host.hub.pull_out_yubikey("ferris-1");
    thread::scope(|scope| {
        let login = scope.spawn(|| host.login(&[]));
        thread::sleep(Duration::from_millis(100));
        host.hub.plug_in_yubikey("elsewhere", &key);
        while key.inside().blinking < 3 {
            thread::sleep(Duration::from_millis(1));
        }
        host.hub.pull_out_yubikey("elsewhere");
        thread::sleep(Duration::from_millis(200));
        key.touch(2);
        host.hub.plug_in_yubikey("back again", &key);
        assert_eq!(login.join().unwrap().outcome, Some(Outcome::Verified));
    });
}

#[test]
fn either_of_two_yubikeys_lets_in_and_a_foreign_one_does_not_blink() {
    let host = patient_host();
    let (one, other) = (SoftYubikey::new(1).answering(7), SoftYubikey::new(2).answering(8));
    host.with_yubikey("ferris", &one);
    host.hub.pull_out_yubikey("ferris-1");
    host.with_yubikey("ferris", &other);
    host.with_codes("ferris");
    let foreign = SoftYubikey::new(3).asking_for_touches(9);
    host.hub.plug_in_yubikey("foreign", &foreign);
    assert_eq!(host.login(&[""]).outcome, Some(Outcome::Verified));
    host.hub.pull_out_yubikey("ferris-2");
    host.hub.plug_in_yubikey("ferris-1", &one);
    assert_eq!(host.login(&[""]).outcome, Some(Outcome::Verified));
    host.hub.pull_out_yubikey("ferris-1");
    let begun = Instant::now();
    assert_eq!(host.login(&["", "755224"]).outcome, Some(Outcome::Verified), "by the code");
    assert!(begun.elapsed() < Duration::from_secs(20), "it waited");
    assert_eq!(foreign.inside().blinking, 0);
}

#[test]
fn a_foreign_yubikey_that_tells_no_number_lets_nobody_in() {
    let host = host("");
    let key = SoftYubikey::new(1).answering(7).without_a_number();
    host.with_yubikey("ferris", &key);
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Verified));
    host.with_codes("ferris");
    host.hub.pull_out_yubikey("ferris-0");
    let foreign = SoftYubikey::new(1).answering(8).without_a_number();
    host.hub.plug_in_yubikey("foreign", &foreign);
    let ended = host.login(&["", "755224"]);
    assert_eq!((ended.outcome, ended.prompts.len()), (Some(Outcome::Verified), 2), "by the code");
    assert!(
        foreign.inside().answered <= 2,
        "one thing by each wait, and no next one: {}",
        foreign.inside().answered
    );
}

#[test]
fn a_slot_that_was_set_up_anew_is_told_and_a_code_is_taken() {
    let host = host("");
    let key = SoftYubikey::new(1).answering(7);
    host.with_yubikey("ferris", &key);
    host.with_codes("ferris");
    let _set_up_anew = key.clone().answering(8);
    let ended = host.login(&["", "755224"]);
    assert_eq!(ended.outcome, Some(Outcome::Verified), "by the code");
    assert!(ended.told.iter().any(|told| told.contains("set up anew")), "{:?}", ended.told);
    let heard = host.logged();
    let refused = heard.iter().find(|entry| entry.event == "refused").unwrap();
    assert!(refused.detail.ends_with("another answer than the one expected"), "{refused:?}");
}

#[test]
fn a_slot_that_was_set_up_anew_keeps_out_no_other_key_of_its_owner() {
    let host = patient_host();
    let yubikey = SoftYubikey::new(1).answering(7);
    host.with_yubikey("ferris", &yubikey);
    let key = host.with_key("ferris", Protocol::Ctap2, KeyKind::Fido2);
    let _set_up_anew = yubikey.clone().answering(8);
    thread::scope(|scope| {
        let login = scope.spawn(|| host.login(&[]));
        while key.inside().blinking < 2 {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(200));
        key.touch();
        assert_eq!(login.join().unwrap().outcome, Some(Outcome::Verified));
    });
    assert!(host.newest().detail.starts_with("fido2"), "{:?}", host.newest());
    // By itself it is told at once what is the matter with it.
    host.hub.pull_out("ferris");
    let begun = Instant::now();
    let ended = host.login(&[]);
    assert_eq!(ended.outcome, Some(Outcome::Refused));
    assert!(ended.told.iter().any(|told| told.contains("set up anew")), "{:?}", ended.told);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn a_slot_that_does_not_answer_challenges_is_not_enrolled() {
    let host = host("");
    let key = SoftYubikey::new(1).answering(7).typing();
    host.hub.plug_in_yubikey("typing", &key);
    let empty = SoftYubikey::new(2);
    host.hub.plug_in_yubikey("empty", &empty);
    thread::scope(|scope| {
        let enrolling = scope.spawn(|| host.enroll_yubikey(Caller::Root, slot("ferris", YubikeySlot::One)));
        // Not before both have been looked at.
        let seen = |key: &SoftYubikey| key.inside().opened > 0 && key.inside().open == 0;
        while !(seen(&key) && seen(&empty)) {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_secs(1));
        let third = SoftYubikey::new(3).answering_first(9);
        host.hub.plug_in_yubikey("third", &third);
        let (said, ended) = enrolling.join().unwrap();
        assert!(matches!(ended, Response::Device(_)), "{ended:?}");
        let has = |words: &str| said.iter().any(|line| line.contains(words));
        assert!(has("Slot 1 of this YubiKey is empty"), "{said:?}");
        assert!(has("Slot 1 of this YubiKey is not for challenge-response"), "{said:?}");
    });
}

#[test]
fn a_yubikey_that_is_enrolled_is_not_enrolled_again_and_may_be_of_two_accounts() {
    let host = host("");
    let key = SoftYubikey::new(1).asking_for_touches(7);
    key.touch(2);
    host.with_yubikey("ferris", &key);
    let other = SoftYubikey::new(2).answering(8);
    host.hub.plug_in_yubikey("other", &other);
    let (said, ended) = host.enroll_yubikey(Caller::Root, slot("ferris", YubikeySlot::Two));
    assert!(matches!(ended, Response::Device(_)), "{ended:?} after {said:?}");
    assert_eq!(key.inside().blinking, 2, "it was asked for touches when it was enrolled");
    host.hub.pull_out_yubikey("other");
    key.touch(2);
    let (_, ended) = host.enroll_yubikey(Caller::Root, slot("corro", YubikeySlot::Two));
    assert!(matches!(ended, Response::Device(_)), "{ended:?}");
    key.touch(2);
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Verified), "each has challenges of its own");
}

#[test]
fn one_more_device_needs_a_code_which_no_yubikey_has() {
    let host = host("");
    host.with_yubikey("ferris", &SoftYubikey::new(1).answering(7));
    match host.enroll_yubikey(Caller::User(UID), slot("ferris", YubikeySlot::Two)).1 {
        Response::Refused(refused) => assert_eq!(refused.code, RefusalCode::NotAllowed),
        other => panic!("{other:?}"),
    }
    host.with_codes("ferris");
    match host.enroll_yubikey(Caller::User(UID), slot("ferris", YubikeySlot::Two)).1 {
        Response::Refused(refused) => assert_eq!(refused.code, RefusalCode::ProofNeeded),
        other => panic!("{other:?}"),
    }
}

#[test]
fn whoever_logs_in_from_elsewhere_has_no_yubikey_in_this_host() {
    let host = host("");
    let key = SoftYubikey::new(1).answering(7);
    host.with_yubikey("ferris", &key);
    let before = key.inside().answered;
    let ended = host.login_to("sshd", Conversation::Messages, &["755224"]);
    assert_eq!((ended.outcome, key.inside().answered), (Some(Outcome::Refused), before));
}

#[test]
fn an_answer_is_too_little_where_policy_wants_the_user_verified() {
    let host = host("[policy]\nuser_verification = \"required\"\n");
    host.with_yubikey("ferris", &SoftYubikey::new(1).answering(7));
    host.with_codes("ferris");
    assert_eq!(host.login(&["755224"]).prompts, ["Verification code: "]);
}

#[test]
fn a_security_key_beside_a_yubikey_counts_as_well() {
    let host = host("");
    let yubikey = SoftYubikey::new(1).asking_for_touches(7);
    yubikey.touch(2);
    host.with_yubikey("ferris", &yubikey);
    let key = host.with_key("ferris", Protocol::Ctap2, KeyKind::Fido2);
    key.touch();
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Verified));
    assert!(host.newest().detail.starts_with("fido2"));
    yubikey.touch(2);
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Verified));
    assert!(host.newest().detail.starts_with("yubikey_hmac"));
}

#[test]
fn whoever_hangs_up_stops_the_wait_at_once() {
    let host = patient_host();
    let key = SoftYubikey::new(1).asking_for_touches(7);
    key.touch(2);
    host.with_yubikey("ferris", &key);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut ours = Connection::new(ours).unwrap();
    let login =
        Login { user: "ferris".to_owned(), service: "sudo".to_owned(), tty: None, rhost: None, ruser: None };
    let start =
        Start { login, conversation: Conversation::Messages, prompt: None, echo: Echo::Off, ssh: None };
    thread::scope(|scope| {
        let serving = scope.spawn(|| login::authenticate(&host.live, &mut ours, Caller::Root, start));
        while key.inside().blinking < 3 {
            thread::sleep(Duration::from_millis(1));
        }
        let begun = Instant::now();
        drop(theirs);
        serving.join().unwrap().unwrap();
        while key.inside().open > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    });
}

#[test]
fn two_logins_at_once_have_an_answer_each() {
    let host = host("");
    host.with_yubikey("ferris", &SoftYubikey::new(1).answering(7));
    for _ in 0..5 {
        thread::scope(|scope| {
            let (one, other) = (scope.spawn(|| host.login(&[])), scope.spawn(|| host.login(&[])));
            assert_eq!(one.join().unwrap().outcome, Some(Outcome::Verified));
            assert_eq!(other.join().unwrap().outcome, Some(Outcome::Verified));
        });
    }
}

#[test]
fn of_fifty_who_have_the_same_challenge_answered_one_gets_in() {
    let host = host("");
    host.with_yubikey("ferris", &SoftYubikey::new(1).answering(7));
    let before = host.outstanding();
    let all: Vec<_> = (0..50).map(|_| (before.clone(), host.proven(&before))).collect();
    let admitted = thread::scope(|scope| {
        let judging: Vec<_> =
            all.into_iter().map(|(before, proven)| scope.spawn(|| host.judge(before, proven))).collect();
        let said: Vec<_> = judging.into_iter().map(|one| one.join().unwrap()).collect();
        assert!(said.iter().all(|one| is_admitted(one) || *one == Exchanged::Outrun), "{said:?}");
        said.iter().filter(|one| is_admitted(one)).count()
    });
    assert_eq!(admitted, 1);
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Verified), "by the challenge of the one who got in");
}

#[test]
fn an_answer_that_was_heard_once_is_worth_nothing_later() {
    let host = host("");
    host.with_yubikey("ferris", &SoftYubikey::new(1).answering(7));
    let before = host.outstanding();
    let (first, again) = (host.proven(&before), host.proven(&before));
    assert!(is_admitted(&host.judge(before.clone(), first)));
    assert_ne!(host.outstanding().kept.challenge, before.kept.challenge);
    assert_eq!(host.judge(before, again), Exchanged::Outrun);
}

#[test]
fn what_was_answered_and_not_written_down_has_changed_nothing() {
    let host = host("");
    host.with_yubikey("ferris", &SoftYubikey::new(1).answering(7));
    let before = host.outstanding();
    // The agent dies here, between the answer and the store.
    drop(host.proven(&before));
    assert_eq!(host.outstanding().kept.challenge, before.kept.challenge);
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Verified));
}

#[test]
fn a_device_that_was_removed_lets_nobody_in_by_an_answer_that_is_under_way() {
    let host = host("");
    host.with_yubikey("ferris", &SoftYubikey::new(1).answering(7));
    let (before, device) = (host.outstanding(), host.device_of("ferris"));
    let proven = host.proven(&before);
    let user = host.live.directory.account("ferris").unwrap().unwrap().name;
    let context = crate::store::Context::new(1, &user, "cli", &Source::of_uid(0));
    assert!(host.live.store.remove(context, device.account, device.id).unwrap());
    let exchange = Exchange {
        account: device.account,
        user,
        service: "sudo".to_owned(),
        source: Source::of_uid(UID),
        before,
        proven,
        report: Report::Nobody,
    };
    assert_eq!(host.live.store.judge_exchange(exchange, LIMITS).unwrap(), Exchanged::Outrun);
}

#[test]
fn a_challenge_opens_nowhere_but_in_its_row() {
    let host = host("");
    host.with_yubikey("ferris", &SoftYubikey::new(1).answering(7));
    let device = host.device_of("ferris");
    let mut moved = device.clone();
    moved.id = DeviceId(device.id.0 + 1);
    assert!(moved.challenge(host.live.store.keys()).is_err());
    assert!(device.challenge(host.live.store.keys()).is_ok());
    let shown = format!("{:?}", host.outstanding());
    let answer = host.outstanding().kept.answer;
    assert!(!shown.contains(&format!("{:?}", answer.expose())), "{shown}");
}
