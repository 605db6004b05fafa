//! What the configuration refuses, and in which words.

#![expect(clippy::unwrap_used, reason = "a test may fail where it likes")]

use std::fmt::Write;
use std::path::Path;

use oss2fa_server::config::{Config, Overrides, StoreUrl};

const MAIL: &str = "[smtp]\nhost = \"mail.example.org\"\nfrom = \"codes@example.org\"\n";
const SMS: &str = "[sms]\nurl = \"https://sms.example.org/?to={phone}&text={text}\"\n";
const GATEWAY: &str = "[sms]\nurl = \"https://sms.example.org/\"\n";

fn refusal(text: &str) -> String {
    match Config::parse(Path::new("/etc/oss2fa/server.toml"), text, Overrides::default()) {
        Ok(_) => "ACCEPTED".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Each text with its sentence, in which no password stands.
fn table<T: AsRef<str>>(texts: &[T]) -> String {
    let mut table = String::new();
    for text in texts {
        let (text, sentence) = (text.as_ref(), refusal(text.as_ref()));
        assert_ne!(sentence, "ACCEPTED", "{text}");
        assert!(!sentence.contains("hunter2"), "{sentence}");
        writeln!(table, "{}\n  {sentence}\n", text.trim_end().replace('\n', " | ")).unwrap();
    }
    table
}

#[test]
fn what_is_no_configuration() {
    let told = table(&[
        "listn = \"0.0.0.0:8300\"",
        "[limit]\nbody = 1",
        "[limits]\nbodies = 1",
        "[smtp]\nhost = \"mail.example.org\"",
        "[sms]\n",
        "listen = 0.0.0.0",
        "listen = \"a\"\nlisten = \"b\"",
        "store_connections = \"8\"",
        "[limits]\nbody = 1.5",
        "[limits]\nbody = 9223372036854775808",
        "[webhooks]\ndanger_plain_http = \"yes\"",
        "[proxy]\ntrusted = \"192.0.2.1\"",
        "store = \"postgres://u:hunter2@db/x",
        "store = [\"postgres://u:hunter2@db/x\"]",
        "[sms]\nheaders = \"Authorization: hunter2\"",
        "[sms]\nheaders = { X-Key = 4711 }",
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn apps_and_a_bus_that_cannot_be() {
    let told = table(
        &[
            "enable = true",
            "enabled = \"yes\"",
            "window = -1",
            "window = 11",
            "seed_reads = \"never\"",
            "bus_url = \"\"",
            "bus_url = \"broker.example.org\"",
            "bus_url = \"http://u:hunter2@broker.example.org\"",
            "bus_url = \"amqp://\"",
            "bus_url = \"amqp://u:hunter2@hunter2@broker.example.org\"",
            "bus_url = \"amqps://u:hunter2@broker.example.org/vhost#hunter2\"",
            "bus_url = [\"amqp://u:hunter2@broker.example.org\"]",
            "bus_service = \"\"",
            "bus_service = \"ungleich.otp\"",
            "bus_service = \"*\"",
            "bus_exchange = \"nameko rpc\"",
            "bus_prefetch = 0",
            "bus_prefetch = 65536",
        ]
        .map(|line| format!("[ungleich_otp]\n{line}")),
    );
    insta::assert_snapshot!(told);
}

#[test]
fn what_stands_at_the_top() {
    let told = table(&[
        "listen = \"localhost:8300\"",
        "listen = \"0.0.0.0\"",
        "listen = \":8300\"",
        "listen = \"0.0.0.0:65536\"",
        "data_dir = \"data\"",
        "data_dir = \"\"",
        "data_dir = \"/var/lib\\u0000/x\"",
        "store_connections = 0",
        "store_connections = 1001",
        "master_key = \"master.key\"",
        "master_key = \"credential:\"",
        "master_key = \"credential:../key\"",
        "master_key = \"credential:..\"",
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn stores_that_are_none() {
    let told = table(&[
        "store = \"\"",
        "store = \"mysql://u:hunter2@db/x\"",
        "store = \"hunter2://db\"",
        "store = \"/var/lib/oss2fa-server/server.db\"",
        "store = \"sqlite:server.db\"",
        "store = \"sqlite::memory:\"",
        "store = \"sqlite://server.db\"",
        "store = \"sqlite:/srv/server.db?mode=ro\"",
        "store = \"sqlite:/srv/\"",
        "store = \"postgres://u:hunter2@/x\"",
        "store = \"postgres://u:hunter2@db.example.org\"",
        "store = \"postgres://u:hunter@2@db.example.org/x\"",
        "store = \"postgres://u:x@y/hunter2@db.example.org/x\"",
        "store = \"postgres://u:hunter2@db.example.org:port/x\"",
        "store = \"postgres://u:hunter2@db.example.org/x?sslmode=prefer\"",
        "store = \"postgres://u:hunter2@db.example.org/x?sslmode=disable&sslmode=require\"",
        "store = \"postgres://u:hunter2@db.example.org/x?sslrootcert=/etc/ca.pem\"",
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn what_stands_between_network_and_server() {
    let told = table(&[
        "[tls]\nmode = \"no\"",
        "[tls]\nmode = \"off\"",
        "listen = \"192.0.2.1:8300\"\n[tls]\nmode = \"off\"",
        "[tls]\ncertificate = \"/etc/tls.crt\"",
        "[tls]\nkey = \"/etc/tls.key\"",
        "[tls]\ncertificate = \"tls.crt\"\nkey = \"/etc/tls.key\"",
        "listen = \"127.0.0.1:1\"\n[tls]\nmode = \"off\"\ncertificate = \"/etc/tls.crt\"\nkey = \"/etc/tls.key\"",
        "[proxy]\ntrusted = [\"0.0.0.0/0\"]",
        "[proxy]\ntrusted = [\"::/0\"]",
        "[proxy]\ntrusted = [\"::ffff:0.0.0.0/96\"]",
        "[proxy]\ntrusted = [\"proxy.example.org\"]",
        "[proxy]\ntrusted = [\"192.0.2.0/33\"]",
        "[proxy]\nheader = \"X-Real-IP\"",
        "[metrics]\nallowed = [\"0.0.0.0/0\"]",
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn numbers_and_words() {
    let told = table(&[
        "[log]\nlevel = \"5\"",
        "[log]\nformat = \"xml\"",
        "[limits]\nbody = 1023",
        "[limits]\nbody = 16777217",
        "[limits]\ntoken_per_second = 0",
        "[limits]\ntoken_burst = -1",
        "[limits]\naddress_per_second = 1000001",
        "[limits]\naddress_burst = 0",
        "[limits]\nrefused_per_minute = 0",
        "[limits]\nrequest_timeout = 0",
        "[limits]\nconnections = 4294967297",
        "[limits]\nstop_grace = -1",
        "[webhooks]\ntimeout = 61",
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn mail_that_could_not_be_sent_or_could_be_read() {
    let with = |line: &str| format!("{MAIL}{line}\n");
    let told = table(&[
        MAIL.replace("mail.example.org", "mail.example.org:25"),
        MAIL.replace("mail.example.org", ""),
        MAIL.replace("codes@example.org", "codes"),
        MAIL.replace("codes@example.org", "codes@example.org\\r\\nBcc: x@example.net"),
        with("port = 0"),
        with("port = 65536"),
        with("security = \"none\""),
        with("username = \"codes\""),
        with("password_file = \"/etc/p\""),
        with("username = \"\"\npassword_file = \"/etc/p\""),
        with("username = \"codes\"\npassword_file = \"p\""),
        with("security = \"danger_plain\"\nusername = \"codes\"\npassword_file = \"/etc/p\""),
        with("subject = \"\""),
        with("subject = \"a\\nBcc: x@example.net\""),
        with("timeout = 0"),
        with("ca_file = \"ca.pem\""),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn text_messages_that_could_not_be_sent_or_could_be_read() {
    let with = |line: &str| format!("{SMS}{line}\n");
    let post = |line: &str| format!("{GATEWAY}{line}\n");
    let url = |url: &str| format!("[sms]\nurl = \"{url}\"\n");
    let told = table(&[
        url("ftp://sms.example.org/hunter2"),
        url("https://"),
        url("https://sms.example.org"),
        url("https://u:hunter2@sms.example.org/?to={phone}&text={text}"),
        url("https://{phone}.example.org/?text={text}"),
        url("https://sms.example.org/?to={phone}&text={text}&key=hunter2#x"),
        url("https://sms.example.org/?to={phone}&text={text} hunter2"),
        url("http://sms.example.org/?to={phone}&text={text}&key=hunter2"),
        url("https://sms.example.org/?to={phone}"),
        url("https://sms.example.org/?text={text}"),
        url("https://sms.example.org/?to={phone}&text={txt}&key=hunter2"),
        url("https://sms.example.org/?to={phone}&text={ Text }"),
        url("https://sms.example.org/?to={phone}&text={text}&key={secret}"),
        with("secret_file = \"/etc/oss2fa/sms\""),
        with("method = \"DELETE\""),
        with("headers = { \"X Key\" = \"hunter2\" }"),
        with("headers = { Host = \"hunter2\" }"),
        with("headers = { Content-Type = \"text/plain\" }"),
        with("headers = { X-Key = \"hunter2\\r\\nX-Other: 1\" }"),
        with("headers = { X-Key = \"{key}\" }"),
        with("method = \"GET\"\nbody = \"hunter2\"\ncontent_type = \"text/plain\""),
        with("content_type = \"text/plain\""),
        with("body = \"hunter2\""),
        with("body = \"hunter2\"\ncontent_type = \"image/png\""),
        post("body = '{\"to\": \"{phone}\", \"text\": {text}}'\ncontent_type = \"application/json\""),
        post(
            "body = \"to={phone}&text={text}&from=My name\"\ncontent_type = \"application/x-www-form-urlencoded\"",
        ),
        with("success_status = []"),
        with("success_status = [200, 302]"),
        with("timeout = 61"),
        with("ca_file = \"ca.pem\""),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn tls_to_the_database_is_off_only_on_this_machine_or_on_demand() {
    let shown = |url: &str| url.parse::<StoreUrl>().unwrap().to_string();
    let table = [
        "postgres://u:hunter2@db.example.org/x",
        "postgresql://u@db.example.org/x?sslmode=verify-full&connect_timeout=5",
        "postgres://u@db.example.org:5433/x?sslmode=disable",
        "postgres://u@localhost/x",
        "postgres://u@127.0.0.1,db.example.org/x",
        "postgres://u@[::1]:5433/x?sslmode=require",
        "postgres://u@localhost/x?hostaddr=192.0.2.1",
        "postgres:///x?host=/run/postgresql&user=u&password=hunter2",
        "postgres://u:hunter2?@%2Frun%2Fpostgresql/x",
        "sqlite:///srv/server.db",
    ]
    .map(|url| format!("{url}\n  {}", shown(url)))
    .join("\n");
    insta::assert_snapshot!(table, @"
postgres://u:hunter2@db.example.org/x
  postgres://u@db.example.org:5432/x?sslmode=require
postgresql://u@db.example.org/x?sslmode=verify-full&connect_timeout=5
  postgres://u@db.example.org:5432/x?sslmode=require
postgres://u@db.example.org:5433/x?sslmode=disable
  postgres://u@db.example.org:5433/x?sslmode=disable
postgres://u@localhost/x
  postgres://u@localhost:5432/x?sslmode=disable
postgres://u@127.0.0.1,db.example.org/x
  postgres://u@127.0.0.1:5432,db.example.org:5432/x?sslmode=require
postgres://u@[::1]:5433/x?sslmode=require
  postgres://u@[::1]:5433/x?sslmode=require
postgres://u@localhost/x?hostaddr=192.0.2.1
  postgres://u@localhost:5432/x?sslmode=require
postgres:///x?host=/run/postgresql&user=u&password=hunter2
  postgres://u@%2Frun%2Fpostgresql/x?sslmode=disable
postgres://u:hunter2?@%2Frun%2Fpostgresql/x
  postgres://u@%2Frun%2Fpostgresql/x?sslmode=disable
sqlite:///srv/server.db
  sqlite:/srv/server.db
");
    let StoreUrl::Postgres(url) = "postgres://u:hunter%3F2@db.example.org/x".parse().unwrap() else {
        unreachable!()
    };
    assert_eq!(url.connection().get_password(), Some(&b"hunter?2"[..]));
    assert_eq!(url.connection().get_ssl_mode(), tokio_postgres::config::SslMode::Require);
}
