//! Schemathesis over `/openapi.json`: whatever is sent, no error of the server and no undocumented answer.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failure is a panic in tests, in their helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use oss2fa_tests::server::{PostgresCluster, Server};
use oss2fa_tests::workspace;
use serde_json::Value;

/// What each answer is held against.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,unsupported_method,allow_header_conformance";

/// Seconds for one token; the second number where a machine that does much else has not come through by then.
const TIMES: [&str; 2] = ["30", "180"];

/// With what schemathesis asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Credentials {
    /// The token that it was given, in each request.
    Given,
    /// Now and then others that it makes up.
    MadeUp,
}

/// What the document has: method and path of each operation.
fn operations(document: &Value) -> BTreeSet<String> {
    let methods = ["get", "put", "post", "delete", "patch"];
    let paths = document.get("paths").and_then(Value::as_object).unwrap();
    let of = |(path, item): (&String, &Value)| {
        let there = methods.iter().filter(|method| item.get(method).is_some());
        there.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
    };
    let all: BTreeSet<String> = paths.iter().flat_map(of).collect();
    assert!(all.len() > 40, "only {} operations in the document", all.len());
    all
}

/// The operations that did what they are for at least once, by what schemathesis has written down.
fn reached(report: &Path, all: &BTreeSet<String>) -> BTreeSet<String> {
    let file = fs::read_dir(report).unwrap().next().unwrap().unwrap().path();
    let report: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let entries = report.pointer("/log/entries").and_then(Value::as_array).unwrap();
    let asked = entries.iter().filter_map(|entry| {
        let text = |place: &str| entry.pointer(place).and_then(Value::as_str);
        let status = entry.pointer("/response/status").and_then(Value::as_u64);
        let (method, url) = (text("/request/method")?, text("/request/url")?);
        status.filter(|status| (200..300).contains(status))?;
        let path = url.splitn(4, '/').nth(3)?.split('?').next()?;
        Some(format!("{method} /{path}"))
    });
    asked.filter_map(|asked| all.iter().find(|operation| is_of(&asked, operation)).cloned()).collect()
}

fn is_of(asked: &str, operation: &str) -> bool {
    let parts = |of: &str| of.split('/').map(str::to_owned).collect::<Vec<_>>();
    let (asked, operation) = (parts(asked), parts(operation));
    // One that names a word is meant before one that has a number there.
    asked.len() == operation.len()
        && asked.iter().zip(&operation).all(|(asked, operation)| {
            asked == operation || (operation.starts_with('{') && asked.parse::<i64>().is_ok())
        })
}

/// Asks a server that `begin` starts, with the header that it gives, until every operation was tested and most of those whose
/// path has this beginning did what they are for.
fn tested(begin: impl Fn() -> (Server, String), credentials: Credentials, path: Option<&str>) {
    let mut short = Vec::new();
    for seconds in TIMES {
        let (server, header) = begin();
        let tested = run(&header, &server, credentials, seconds);
        let all = tested.all_were_tested();
        match all.and_then(|()| path.map_or(Ok(()), |path| tested.most_were_reached(path))) {
            Ok(()) => return,
            Err(why) => short.push(format!("in {seconds} s {why}")),
        }
    }
    panic!("{}", short.join("\n"));
}

/// Runs it.
fn run(header: &str, server: &Server, credentials: Credentials, seconds: &str) -> Tested {
    let program = workspace().join("target/peers/schemathesis/bin/schemathesis");
    assert!(program.exists(), "{} is not there: run tests/peers/install.sh", program.display());
    let folder = tempfile::tempdir().unwrap();
    let parameters = workspace().join("tests/tests/server_schemathesis.toml");
    fs::copy(parameters, folder.path().join("schemathesis.toml")).unwrap();
    let made_up = if credentials == Credentials::MadeUp { "true" } else { "false" };
    let output = Command::new(program)
        .args(["run", &format!("{}/openapi.json", server.url), "--header", header])
        .args(["--tls-verify", &server.ca().display().to_string(), "--checks", CHECKS])
        .args(["--max-time", seconds, "--seed", "1", "--workers", "1", "--request-timeout", "60"])
        .args(["--continue-on-failure", "--warnings", "off", "--output-truncate", "false"])
        .args(["--generation-with-security-parameters", made_up])
        .args(["--report", "har", "--report-dir", "report"])
        // It keeps what it learned in its folder, and none of that may change the next run.
        .current_dir(folder.path())
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let count = text.lines().find_map(|line| line.trim().strip_prefix("Tested: ")).map(str::trim);
    let count: usize = count.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text}"));
    let all = operations(&server.anybody().get("/openapi.json").expect(200).json());
    let alive = server.anybody().get("/healthz");
    assert_eq!(alive.status, 200, "{alive}");
    assert!(!server.log().contains("panicked"), "{}", server.log());
    Tested { reached: reached(&folder.path().join("report"), &all), all, count, text }
}

/// All operations, and those of them that did what they are for at least once.
struct Tested {
    all: BTreeSet<String>,
    reached: BTreeSet<String>,
    /// How many were asked for anything, and all that schemathesis has said.
    count: usize,
    text: String,
}

impl Tested {
    /// Most of those whose path has this beginning did. Some cannot: they want a code that is right.
    fn most_were_reached(&self, path: &str) -> Result<(), String> {
        let of = |operations: &BTreeSet<String>| {
            let paths = operations
                .iter()
                .filter(|name| name.split_once(' ').is_some_and(|(_, at)| at.starts_with(path)));
            paths.cloned().collect::<Vec<_>>()
        };
        let (all, reached) = (of(&self.all), of(&self.reached));
        let most = 2 * reached.len() > all.len();
        if most { Ok(()) } else { Err(format!("of {all:?} only {reached:?} did what they are for")) }
    }

    /// All but the document.
    fn all_were_tested(&self) -> Result<(), String> {
        let all = self.count + 1 >= self.all.len();
        if all { Ok(()) } else { Err(format!("{} operations were tested:\n{}", self.count, self.text)) }
    }
}

fn unlimited(store: &str) -> Server {
    let server = Server::new()
        .config(store)
        .config("[limits]\ntoken_per_second = 1000000\ntoken_burst = 1000000\n")
        .config("[limits]\naddress_per_second = 1000000\naddress_burst = 1000000\n")
        .config("[limits]\nrefused_per_minute = 100000\n")
        .start();
    // What server_schemathesis.toml names.
    let integration = server.integration();
    let _three = ["john.doe", "jane.doe", "ferris"].map(|username| integration.enroll(username, "HOTP"));
    let _fourth = integration.enrollment("corro");
    let device = integration.newest_device("john.doe");
    let _both = [integration.challenge("john.doe", device), integration.challenge("john.doe", device)];
    server
}

#[test]
fn row_42_with_the_token_of_an_integration() {
    tested(|| of_an_integration(""), Credentials::Given, Some("/integrations"));
}

fn of_an_integration(store: &str) -> (Server, String) {
    let server = unlimited(store);
    let token = server.integration().token().to_owned();
    (server, token)
}

#[test]
fn row_42_with_the_token_of_the_owner() {
    let begin = || {
        let server = unlimited("");
        let owner = server.owner("owner");
        let _second = owner.new_tenant("second");
        let _second = owner.new_integration("second", 1);
        let _second = owner.new_administrator("second", "helpdesk", 1);
        let token = owner.token().to_owned();
        (server, token)
    };
    tested(begin, Credentials::Given, Some("/tenants"));
}

/// Of what SQLite keeps as it comes, PostgreSQL refuses some: it must not be met as an error there.
#[test]
fn row_42_with_the_token_of_an_integration_on_postgresql() {
    let cluster = PostgresCluster::start();
    let begin = || of_an_integration(&format!("store = {:?}", cluster.database()));
    tested(begin, Credentials::Given, Some("/integrations"));
}

#[test]
fn row_42_with_credentials_of_all_kinds() {
    // Few are reached.
    tested(|| of_an_integration(""), Credentials::MadeUp, None);
}
