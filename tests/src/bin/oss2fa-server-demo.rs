//! `make demo`: the server from nothing, called with curl, by the example of its document and on to a login.
#![forbid(unsafe_code)]
#![expect(clippy::indexing_slicing, reason = "what an answer lacks is null here, and then refused")]

use anyhow::{Context, Result, ensure};
use oss2fa_tests::page::Page;
use oss2fa_tests::server::{Caller, Reply, Server, phone};
use serde_json::{Value, json};

const USER: &str = "john.doe";
const ACCEPT: &str = "application/json; version=1.0";

/// Longest text that is shown of a value: QR codes are long.
const LONGEST: usize = 400;

fn main() -> Result<()> {
    let page = Page::for_terminal();
    page.title("OSS2FA: a server for second factors, on this machine");
    page.step("1", "A first start, with no configuration but a free port");
    let server = Server::new().start();
    page.shell("oss2fa-server serve", &server.banner());
    page.words(
        "SQLite, a master key, a certificate, a tenant and an integration were made just now. The token of the \
         integration is shown this once; the store has its digest.",
    );
    page.lines(&[
        &format!("ADDRESS={}", server.url),
        &format!("TOKEN={}", server.token),
        &format!("alias api='curl -sk -H \"Accept: {ACCEPT}\" -H \"X-Integration-Token: $TOKEN\"'"),
    ]);
    let integration = server.integration();
    let mut phone = enrolment(&page, &integration)?;
    let (device, used) = login(&page, &integration, &mut phone)?;
    refusals(&page, &integration, &phone, device, &used)?;
    afterwards(&page, &server)?;
    page.title("Cleaned up: the server and its folder are gone.");
    Ok(())
}

fn enrolment(page: &Page, integration: &Caller<'_>) -> Result<oss2fa_tests::Token> {
    page.step("2", "Somebody enrols an authenticator app");
    let begun = post(page, integration, "/integrations/enrollments", &json!({"username": USER}))?;
    let path = format!("/integrations/enrollments/{}", begun.json()["pk"]);
    let options = json!({"kind": "TOTP", "options": {"generate_qr_code": true}});
    let prepared = post(page, integration, &format!("{path}/prepare-device"), &options)?;
    page.words(
        "They scan the QR code. Here oathtool, a program that knows nothing of OSS2FA, takes the place of the phone.",
    );
    let mut phone = phone(&prepared.json()["public_details"]);
    let code = phone.next_code();
    page.shell(&format!("oathtool --totp --base32 {}", phone.secret), &code);
    let done = post(page, integration, &format!("{path}/complete"), &json!({"token": code}))?;
    let client = done.header("X-Client-Id").context("no X-Client-Id")?;
    ensure!(done.status == 201, "{done}");
    page.good(&format!("Enrolled: client {client}."));
    Ok(phone)
}

fn login(page: &Page, integration: &Caller<'_>, phone: &mut oss2fa_tests::Token) -> Result<(i64, String)> {
    page.step("3", "They log in to the application, which asks the server");
    let needed = post(page, integration, "/integrations/clients/auth", &json!({"username": USER}))?.json();
    ensure!(needed["result"] == 2, "no challenge is asked for: {needed}");
    let device = needed["devices"][0]["pk"].as_i64().context("no device")?;
    let asked = json!({"username": USER, "device_pk": device});
    let challenge = post(page, integration, "/integrations/challenges", &asked)?.json();
    let path = format!("/integrations/challenges/{}/complete", challenge["pk"]);
    let wrong = post(page, integration, &path, &json!({"token": phone.wrong_code()}))?;
    ensure!(wrong.status == 403, "a wrong code: {wrong}");
    let code = phone.next_code();
    let right = post(page, integration, &path, &json!({"token": code}))?;
    ensure!(right.status == 200, "a right code: {right}");
    page.good("In: 200 is answered only where the code was right and nobody had used it.");
    Ok((device, code))
}

fn refusals(
    page: &Page,
    integration: &Caller<'_>,
    phone: &oss2fa_tests::Token,
    device: i64,
    used: &str,
) -> Result<()> {
    page.step("4", "What does not get in");
    page.words("The code of the login above once more, on another path, as somebody would who saw it:");
    let body = json!({"username": USER, "device_pk": device, "token": used});
    let again = post(page, integration, "/integrations/clients/verify", &body)?;
    ensure!(again.status == 403, "a used code: {again}");
    page.words("The token of nobody:");
    let stranger = integration.server.with_token(&"0".repeat(40));
    let refused = stranger.post("/integrations/clients/auth", &json!({"username": USER}));
    ensure!(refused.status == 401, "{refused}");
    show(page, &refused);
    page.words("Guessing:");
    let guess = json!({"username": USER, "token": phone.wrong_code()});
    let mut last = integration.post("/integrations/clients/verify", &guess);
    for _try in 0..10 {
        if last.status == 429 {
            break;
        }
        last = integration.post("/integrations/clients/verify", &guess);
    }
    ensure!(last.status == 429, "guessing is not stopped: {last}");
    show(page, &last);
    page.good("Refused, each of them; whoever guesses has to wait, twice as long each time.");
    Ok(())
}

fn afterwards(page: &Page, server: &Server) -> Result<()> {
    page.step("5", "What the administrator sees afterwards");
    for words in [&["client", "list"][..], &["audit", "list"], &["audit", "verify"]] {
        let ran = server.cli(words);
        page.shell(&format!("oss2fa-server {}", words.join(" ")), &ran.text());
        ensure!(ran.status == 0, "{words:?}: {ran}");
    }
    let figures = server.anybody().get("/metrics").expect(200).text();
    let verdicts: Vec<_> = figures.lines().filter(|line| line.starts_with("oss2fa_verdicts_total")).collect();
    ensure!(!verdicts.is_empty(), "no verdict was counted");
    page.shell("curl -sk $ADDRESS/metrics | grep ^oss2fa_verdicts", &verdicts.join("\n"));
    page.words("A server of your own: make install, then systemctl enable --now oss2fa-server.");
    Ok(())
}

/// One request, as somebody would type it, and its answer.
fn post(page: &Page, caller: &Caller<'_>, path: &str, body: &Value) -> Result<Reply> {
    page.command(&format!("api $ADDRESS{path} --json '{body}'"));
    let reply = caller.try_send("POST", path, body).map_err(anyhow::Error::msg)?;
    show(page, &reply);
    Ok(reply)
}

fn show(page: &Page, reply: &Reply) {
    let status = reply.head.first().map(String::as_str).unwrap_or_default();
    page.output(&page.keys(status));
    if let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) {
        shorten(&mut body);
        page.output(&serde_json::to_string_pretty(&body).unwrap_or_default());
    }
}

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > LONGEST && !text.starts_with("otpauth:") => {
            let head: String = text.chars().take(40).collect();
            *text = format!("{head}... ({} characters)", text.len());
        }
        Value::Array(values) => values.iter_mut().for_each(shorten),
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        _ => {}
    }
}
