//! Connections that live on: Python's http.client sends its next request on the same one, or is told not to.

use std::process::Command;

use oss2fa_tests::server::Server;

/// Arguments: PORT CA TOKEN. Each kind of request a hundred times, on one connection unless told that it ends.
const CALLER: &str = r#"
import http.client, ssl, sys
port, ca, token = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.create_default_context(cafile=ca)
mine = {"Content-Type": "application/json", "X-Integration-Token": token}
login = b'{"username": "john.doe"}'
for name, method, path, body, headers, status in [
    ("answered", "POST", "/integrations/clients/auth", login, mine, 200),
    ("without a token", "POST", "/integrations/enrollments", login, {}, 401),
    ("no such method", "PUT", "/integrations/clients/auth", login, mine, 405),
    ("no such path", "POST", "/nothing", login, mine, 404),
    ("no JSON", "POST", "/integrations/clients/auth", login, mine | {"Content-Type": "text/plain"}, 415),
    ("no such version", "POST", "/integrations/clients/auth", login, mine | {"Accept": "text/html"}, 406),
    ("options", "OPTIONS", "/integrations/clients/auth", login, {}, 200),
    ("in pieces", "POST", "/nothing", [b'{"username": ', b'"john"}'], mine, 404),
    ("too large", "POST", "/integrations/clients/auth", b"x" * 300000, mine, 413),
]:
    connection, opened = None, 0
    for number in range(100):
        if connection is None:
            connection, opened = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10), opened + 1
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status, f"{name}: {answer.status} at {number}"
        if answer.will_close:
            connection.close()
            connection = None
    assert opened == 1, f"{name}: {opened} connections"
# Nobody waits for what is far too large: the answer comes before the body, and says that it is the last.
connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
connection.request("POST", "/nothing", headers=mine | {"Content-Length": "500000000"})
answer = connection.getresponse()
assert (answer.status, answer.getheader("Connection")) == (404, "close"), answer.headers
"#;

#[test]
fn a_refusal_that_has_not_read_the_body_does_not_break_the_next_request() {
    let server = Server::new()
        .config(
            "[limits]\naddress_per_second = 100000\naddress_burst = 100000\nrefused_per_minute = 100000\n",
        )
        .config("[limits]\ntoken_per_second = 100000\ntoken_burst = 100000\n")
        .start();
    let port = server.url.rsplit(':').next().unwrap_or_default();
    let python = Command::new("/usr/bin/python3")
        .args(["-c", CALLER, port, &server.ca().display().to_string(), &server.token])
        .output()
        .unwrap();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
}
