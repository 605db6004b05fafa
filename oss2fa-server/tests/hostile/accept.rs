//! The header `Accept` (RFC 9110 section 12.5.1).

use axum::http::request::Builder;

use crate::world::{Who, World};

#[test]
fn what_is_asked_for_is_given_or_refused() {
    let world = World::new();
    let asked = |values: &[&str]| {
        let mut request = Builder::new().uri("/devices-kind");
        for value in values {
            request = request.header("Accept", *value);
        }
        world.ask(Who::Integration, request, Vec::new()).status.as_u16()
    };
    for good in [
        &[][..],
        &["*/*"],
        &["application/json"],
        &["application/*"],
        &["APPLICATION/JSON;VERSION=1.0"],
        &["application/json; version=1.0"],
        &["application/json;version=\"1.0\""],
        &["application/json ; version = 1.0"],
        &["application/json; charset=utf-8"],
        &["text/html, application/xhtml+xml, */*;q=0.8"],
        &["application/json;version=2.0, application/json;version=1.0;q=0.1"],
        &["text/html", "application/json"],
        &["application/json;q=0.001"],
    ] {
        assert_eq!(asked(good), 200, "{good:?}");
    }
    for bad in [
        &[""][..],
        &[","],
        &["application/json; version=2.0"],
        &["application/json; version=1"],
        &["application/json; version=1.0.0"],
        &["application/json; version="],
        &["application/json;version=1.0;version=2.0"],
        &["*/*; version=2.0"],
        &["application/json; VERSION=2.0"],
        &["application/json; version"],
        &["application/json;q=0"],
        &["application/json;Q=0"],
        &["application/json;q=0.000"],
        &["text/html"],
        &["application/jsonp"],
        &["json"],
        &["*"],
    ] {
        assert_eq!(asked(bad), 406, "{bad:?}");
    }
}
