//! Changes of one's own devices that a touch proves, for whoever has security keys alone.

use super::*;
use crate::store::Event;

const OWNER: Caller = Caller::User(UID);

impl Host {
    /// A change by `caller`, who types these PINs; what was said, and how it ended.
    fn change_as(&self, caller: Caller, change: Request, pins: &[&str]) -> (Vec<String>, Response) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut ours, mut theirs) = (Connection::new(ours).unwrap(), Connection::new(theirs).unwrap());
        let (mut said, mut pins) = (Vec::new(), pins.iter());
        thread::scope(|scope| {
            let serving = scope.spawn(move || admin::by_touch(&self.live, &mut ours, caller, change));
            loop {
                match theirs.receive(Instant::now() + SOON).unwrap() {
                    Response::Step { text } => said.push(text.as_str().to_owned()),
                    Response::PinWanted { question } => {
                        said.push(question.as_str().to_owned());
                        let pin = SecretText::new(pins.next().unwrap().to_string());
                        theirs.send(&Request::Pin { pin }).unwrap();
                    }
                    ended => {
                        serving.join().unwrap().unwrap();
                        return (said, ended);
                    }
                }
            }
        })
    }

    fn refusal_of(&self, caller: Caller, change: Request, pins: &[&str]) -> RefusalCode {
        match self.change_as(caller, change, pins) {
            (_, Response::Refused(refused)) => refused.code,
            other => panic!("{other:?}"),
        }
    }

    fn devices(&self) -> Vec<DeviceView> {
        let list = Request::List { user: Some("ferris".to_owned()), after: None };
        match admin::answer(&self.live, Caller::Root, list) {
            Response::Devices { devices, .. } => devices,
            other => panic!("{other:?}"),
        }
    }
}

fn removal(view: &DeviceView) -> Request {
    Request::Remove { user: "ferris".to_owned(), device: view.device, proof: None }
}

fn one_more() -> Request {
    Request::EnrollKey(key_of("ferris", KeyKind::Fido2))
}

#[test]
fn one_more_key_is_enrolled_by_a_touch_of_the_first_and_removed_by_it() {
    let host = host("");
    let first = host.with_key("ferris", Protocol::Ctap2, KeyKind::Fido2);
    let second = SoftKey::new(Protocol::Ctap2, 99);
    host.hub.plug_in("second", &second);
    first.touch();
    second.touch();
    let (said, ended) = host.change_as(OWNER, one_more(), &[]);
    let Response::Device(view) = ended else { panic!("{ended:?} after {said:?}") };
    assert_eq!(
        said[0],
        "Touch a security key that is enrolled already: that shows that the change is yours."
    );
    assert!(said.iter().any(|line| line.starts_with("Plug in your security key")), "{said:?}");
    assert_eq!(host.devices().len(), 2);
    let touched: Vec<_> =
        host.heard.0.lock().unwrap().iter().filter(|entry| entry.event == "accepted").cloned().collect();
    assert_eq!((touched.len(), touched[0].service.as_str()), (1, "cli"));
    // By either of them.
    second.touch();
    assert!(matches!(host.change_as(OWNER, removal(&view), &[]).1, Response::Done {}));
    assert_eq!(host.devices().len(), 1);
    assert_eq!(host.newest().event, Event::Removed.as_str());
}

#[test]
fn a_touch_proves_an_authenticator_app_and_recovery_codes_too() {
    let host = host("");
    let key = host.with_key("ferris", Protocol::U2f, KeyKind::U2f);
    key.touch();
    let app = Request::Enroll {
        user: "ferris".to_owned(),
        kind: OtpKind::Totp,
        name: None,
        parameters: Default::default(),
        proof: None,
        place: Default::default(),
    };
    assert!(matches!(host.change_as(OWNER, app, &[]).1, Response::Enrolled(_)));
    key.touch();
    let codes = Request::RecoveryCodes { user: "ferris".to_owned(), proof: None };
    assert!(matches!(host.change_as(OWNER, codes, &[]).1, Response::RecoveryCodes { .. }));
}

#[test]
fn a_foreign_key_and_a_cloned_one_prove_nothing() {
    let host = host("");
    let own = host.with_key("ferris", Protocol::Ctap2, KeyKind::Fido2);
    let view = host.devices().remove(0);
    let foreign = host.with_key("corro", Protocol::Ctap2, KeyKind::Fido2);
    own.inside().count = 10;
    own.touch();
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Verified));
    own.inside().count = 3;
    own.touch();
    foreign.touch();
    assert_eq!(host.refusal_of(OWNER, one_more(), &[]), RefusalCode::CodeRefused);
    assert_eq!(host.newest().event, "cloned_key");
    assert_eq!((foreign.inside().blinking, host.devices().len()), (1, 1));
    // Nobody but its owner and root, and root without a touch.
    let other = Caller::User(UID + 1);
    assert_eq!(host.refusal_of(other, removal(&view), &[]), RefusalCode::NotAllowed);
    assert!(matches!(host.change_as(Caller::Root, removal(&view), &[]).1, Response::Done {}));
}

#[test]
fn the_last_device_stays_whatever_is_touched() {
    let host = host("");
    let key = host.with_key("ferris", Protocol::Ctap2, KeyKind::Fido2);
    let view = host.devices().remove(0);
    key.touch();
    assert_eq!(host.refusal_of(OWNER, removal(&view), &[]), RefusalCode::LastFactor);
    assert_eq!(host.devices().len(), 1);
}

#[test]
fn a_key_with_a_pin_asks_for_it_and_an_empty_one_is_not_tried() {
    let host = host("");
    let key = SoftKey::new(Protocol::Ctap2, 1).with_pin("4711");
    host.hub.plug_in("one", &key);
    key.touch();
    host.enrolled(KeyEnrollment { pin: true, ..key_of("ferris", KeyKind::Fido2) }, &["4711"]);
    let codes = || Request::RecoveryCodes { user: "ferris".to_owned(), proof: None };
    assert_eq!(host.refusal_of(OWNER, codes(), &[""]), RefusalCode::BadRequest);
    assert_eq!(key.inside().tries_left, 8);
    key.touch();
    let (said, ended) = host.change_as(OWNER, codes(), &["1111", "4711"]);
    assert!(matches!(ended, Response::RecoveryCodes { .. }), "{ended:?}");
    let questions: Vec<_> = said.iter().filter(|line| line.contains("PIN")).collect();
    assert_eq!(
        questions,
        ["PIN of your security key (8 tries left): ", "Wrong PIN. PIN of your security key (7 tries left): "]
    );
}

#[test]
fn what_changes_nothing_takes_no_touch_and_no_touch_is_in_a_touch() {
    let host = host("");
    let key = host.with_key("ferris", Protocol::Ctap2, KeyKind::Fido2);
    key.touch();
    let within = Request::ByTouch { change: Box::new(one_more()) };
    for change in [Request::Status {}, within, Request::Forget { user: "ferris".to_owned() }] {
        assert_eq!(host.refusal_of(OWNER, change, &[]), RefusalCode::BadRequest);
    }
    assert_eq!(key.inside().blinking, 1, "only when it was enrolled");
    host.with_codes("corro");
    let codes = Request::RecoveryCodes { user: "corro".to_owned(), proof: None };
    let refused = host.refusal_of(Caller::User(UID + 1), codes, &[]);
    assert_eq!(refused, RefusalCode::ProofNeeded, "without a key there is nothing to touch");
}

#[test]
fn self_service_that_is_off_is_not_on_for_a_touch() {
    let host = host("[policy]\nself_service = [\"list\"]\n");
    let key = host.with_key("ferris", Protocol::Ctap2, KeyKind::Fido2);
    key.touch();
    assert_eq!(host.refusal_of(OWNER, one_more(), &[]), RefusalCode::NotAllowed);
    assert_eq!(key.inside().blinking, 1);
}
