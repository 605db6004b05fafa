//! One person has one name, however it is written: one lock, one set of used codes, one status.

use serde_json::{Value, json};

use crate::fixture::world;
use crate::world::hotp;

/// `ann.aurora` in capitals, in wide letters, with a wide full stop, and with letters of mathematics.
const SPELLINGS: [&str; 6] = [
    "ann.aurora",
    "ANN.AURORA",
    "Ann.Aurora",
    "\u{ff41}\u{ff4e}\u{ff4e}.aurora",
    "ann\u{ff0e}aurora",
    "\u{ff21}NN.\u{1d41a}urora",
];

/// What is another name, or none: never this one.
const OTHERS: [&str; 14] = [
    " ann.aurora",
    "ann.aurora ",
    "ann.aurora\t",
    "ann.aurora\n",
    "ann.aurora\0",
    "ann.aurora\u{0}evil",
    "ann.aurora\u{200b}",
    "\u{feff}ann.aurora",
    "ann.aurora@example.org",
    "aurora\\ann.aurora",
    // Cyrillic a, and a combining mark.
    "\u{430}nn.aurora",
    "a\u{301}nn.aurora",
    "ann.aurora.",
    "ann%2eaurora",
];

#[tokio::test]
async fn row_45_all_spellings_of_a_name_share_locks_and_used_codes() {
    let (world, f) = world().await;
    let verify = async |username: &str, token: &str| {
        let body = json!({"username": username, "token": token});
        world.ask(&f.a.token, "POST", "/integrations/clients/verify", &body).await
    };
    verify(SPELLINGS[3], &f.a.answer).await.ok();
    let (last, five) = SPELLINGS.split_last().unwrap();
    for spelling in five {
        let used = verify(spelling, &f.a.answer).await;
        assert_eq!(used.refusal(), (403, "wrong_token".to_owned()), "{spelling:?} brought a used code back");
    }
    // Five wrong tries, one by each: the sixth has none of its own.
    let right = hotp(&f.a.secret, 2);
    assert_eq!(verify(last, &right).await.refusal(), (429, "locked".to_owned()));
    for spelling in SPELLINGS {
        let locked = verify(spelling, &right).await;
        assert_eq!(locked.refusal(), (429, "locked".to_owned()), "{spelling:?} has a lock of its own");
        let login = json!({"username": spelling});
        let login = world.ask(&f.a.token, "POST", "/integrations/clients/auth", &login).await.ok();
        assert_eq!(login["devices"][0]["pk"], f.a.device, "{spelling:?}");
    }
}

#[tokio::test]
async fn row_45_a_status_holds_for_all_spellings_and_for_nobody_else() {
    let (world, f) = world().await;
    let path = format!("/integrations/clients/{}", f.a.client);
    let decide = async |username: &str| {
        let body = json!({"username": username});
        world.ask(&f.a.token, "POST", "/integrations/clients/auth", &body).await
    };
    for (status, result) in [("inactive", 4), ("bypass", 3)] {
        world.ask(&f.a.token, "PATCH", &path, &json!({"status": status})).await.ok();
        for spelling in SPELLINGS {
            assert_eq!(decide(spelling).await.ok()["result"], result, "{spelling:?} is {status}");
        }
    }
    // Who passes unasked now is nobody but that client.
    for other in OTHERS {
        let answer = decide(other).await;
        if answer.status.is_success() {
            assert_eq!(answer.ok(), json!({"result": 1, "devices": []}), "{other:?}");
        } else {
            assert_eq!(answer.refusal(), (422, "bad_name".to_owned()), "{other:?}");
        }
    }
}

#[tokio::test]
async fn row_50_what_a_name_has_in_it_does_not_end_it() {
    let (world, f) = world().await;
    let path = format!("/integrations/clients/{}", f.a.client);
    world.ask(&f.a.token, "PATCH", &path, &json!({"status": "bypass"})).await.ok();
    let before = world.rows();
    for inside in
        ["<!---->", "<!-- x -->", "<![CDATA[]]>", "&#0;", "&amp;", "\u{0}", "%00", "#", "?", "/", ";"]
    {
        for name in [format!("ann.aurora{inside}.evil"), format!("ann{inside}.aurora")] {
            for path in ["/integrations/clients/auth", "/integrations/enrollments"] {
                let answer = world.ask(&f.a.token, "POST", path, &json!({"username": name})).await;
                assert_eq!(answer.refusal(), (422, "bad_name".to_owned()), "{path} {name:?}");
            }
        }
    }
    assert_eq!(world.rows(), before);
    let found =
        world.ask(&f.a.token, "GET", "/integrations/clients?username=ann.aurora%00", &Value::Null).await;
    assert_eq!(found.refusal(), (422, "bad_name".to_owned()));
}
