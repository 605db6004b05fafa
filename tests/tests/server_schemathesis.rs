//! Schemathesis over `/openapi.json`: whatever is sent, no error of the server and no undocumented answer.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failure is a panic in tests, in their helpers too")]

use std::process::{Command, Stdio};

use oss2fa_tests::server::{PostgresCluster, Server};
use oss2fa_tests::workspace;
use serde_json::Value;

/// What each answer is held against.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,unsupported_method,allow_header_conformance";

/// Seconds for one token.
const TIME: &str = "30";

/// Methods of all paths of the document, but for the one that it comes from itself, which schemathesis leaves out.
fn operations(document: &Value) -> usize {
    let methods = ["get", "put", "post", "delete", "patch"];
    let paths = document.get("paths").and_then(Value::as_object).unwrap();
    let count = |path: &Value| methods.iter().filter(|method| path.get(method).is_some()).count();
    let all = paths.iter().filter(|(path, _)| *path != "/openapi.json").map(|(_, path)| count(path)).sum();
    assert!(all > 40, "only {all} operations in the document");
    all
}

fn tested(header: &str, server: &Server) {
    let program = workspace().join("target/peers/schemathesis/bin/schemathesis");
    assert!(program.exists(), "{} is not there: run tests/peers/install.sh", program.display());
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(program)
        .args(["run", &format!("{}/openapi.json", server.url), "--header", header])
        .args(["--tls-verify", &server.ca().display().to_string(), "--checks", CHECKS])
        .args(["--max-time", TIME, "--seed", "1", "--workers", "1", "--request-timeout", "20"])
        .args(["--continue-on-failure", "--warnings", "off", "--output-truncate", "false"])
        // It keeps what it learned in its folder, and none of that may change the next run.
        .current_dir(folder.path())
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let tested = text.lines().find_map(|line| line.trim().strip_prefix("Tested: ")).map(str::trim);
    let tested: usize = tested.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text}"));
    let document = server.anybody().get("/openapi.json").expect(200).json();
    assert!(tested >= operations(&document), "{tested} operations were tested:\n{text}");
    let alive = server.anybody().get("/healthz");
    assert_eq!(alive.status, 200, "{alive}");
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

fn unlimited(store: &str) -> Server {
    Server::new()
        .config(store)
        .config("[limits]\ntoken_per_second = 1000000\ntoken_burst = 1000000\n")
        .config("[limits]\naddress_per_second = 1000000\naddress_burst = 1000000\n")
        .config("[limits]\nrefused_per_minute = 100000\n")
        .start()
}

#[test]
fn row_42_with_the_token_of_an_integration() {
    let server = unlimited("");
    let _something_to_find = server.integration().enroll("john.doe", "HOTP");
    tested(server.integration().token(), &server);
}

#[test]
fn row_42_with_the_token_of_the_owner() {
    let server = unlimited("");
    let _something_to_find = server.integration().enroll("john.doe", "HOTP");
    tested(server.owner("owner").token(), &server);
}

/// Of what SQLite keeps as it comes, PostgreSQL refuses some: it must not be met as an error there.
#[test]
fn row_42_with_the_token_of_an_integration_on_postgresql() {
    let cluster = PostgresCluster::start();
    let server = unlimited(&format!("store = {:?}", cluster.database()));
    let _something_to_find = server.integration().enroll("john.doe", "HOTP");
    tested(server.integration().token(), &server);
}
