//! The configuration: what it says by default, what it takes over, and what of it is shown.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oss2fa_server::config::{
    CertificateFiles, Config, LogFormat, MasterKeySource, Overrides, PlainHttp, ProxyHeader, SeedReads,
    SmsEscaping, SmsMethod, SmtpSecurity, StoreUrl, TlsConfig, TokenUse,
};
use proptest::prelude::*;

const DOCUMENTED: &str = include_str!("../../config/server.toml");
const PATH: &str = "/etc/oss2fa/server.toml";

fn parse_with(text: &str, overrides: Overrides) -> Result<Config, String> {
    Config::parse(Path::new(PATH), text, overrides).map_err(|error| error.to_string())
}

fn parse(text: &str) -> Result<Config, String> {
    parse_with(text, Overrides::default())
}

/// Section, key and what the documented file says of it, also in comments.
fn documented_keys() -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut keys = Vec::new();
    for line in DOCUMENTED.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line).split("  #").next().unwrap_or_default();
        let line = line.rsplit_once(" # ").map_or(line, |(value, _)| value).trim_end();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
        } else if let Some((key, value)) = line.split_once(" = ")
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            keys.push((section.clone(), key.to_owned(), value.to_owned()));
        }
    }
    keys
}

/// The documented file with all that it has in comments.
fn everything() -> String {
    let mut text = String::new();
    let mut section = String::new();
    for (at, key, value) in documented_keys() {
        if at != section {
            text += &format!("[{at}]\n");
            section = at;
        }
        text += &format!("{key} = {value}\n");
    }
    text
}

#[test]
fn the_documented_file_says_what_holds_without_it() {
    assert_eq!(parse(DOCUMENTED).unwrap(), parse("").unwrap());
}

#[test]
fn what_the_documented_file_has_in_comments_is_taken_and_says_the_defaults() {
    let config = parse(&everything()).unwrap();
    let mail = config.smtp.as_ref().unwrap();
    let text = config.sms.as_ref().unwrap();
    let least = parse(
        "[smtp]\nhost = \"mail.example.org\"\nfrom = \"Example <codes@example.org>\"\n\
         [sms]\nurl = \"https://sms.example.org/v1/messages?to={phone}&text={text}\"\n",
    )
    .unwrap();
    let (least_mail, least_text) = (least.smtp.as_ref().unwrap(), least.sms.as_ref().unwrap());
    assert_eq!(
        (mail.port, mail.security, &mail.subject, mail.timeout),
        (least_mail.port, least_mail.security, &least_mail.subject, least_mail.timeout)
    );
    assert_eq!((text.method, text.timeout), (least_text.method, least_text.timeout));
    assert_eq!(text.success_status, least_text.success_status);
    assert_eq!(text.success_body, least_text.success_body);
    // The rest, too, but for what has no default: a certificate, a login, a body.
    let default = parse("").unwrap();
    assert_eq!((&config.store, &config.master_key), (&default.store, &default.master_key));
    assert_eq!((config.limits, config.log), (default.limits, default.log));
    let own =
        CertificateFiles { certificate: "/etc/oss2fa/tls.crt".into(), key: "/etc/oss2fa/tls.key".into() };
    assert_eq!(config.tls, TlsConfig::Files(own));
}

#[test]
fn one_address_has_a_quarter_of_the_connections_unless_it_is_said() {
    for (written, of_one) in [
        ("connections = 10000", 2500),
        ("connections = 1", 1),
        ("connections = 7", 2),
        ("connections = 10\nconnections_per_address = 10", 10),
    ] {
        let config = parse(&format!("[limits]\n{written}\n")).unwrap();
        assert_eq!(config.limits.connections_per_address.get(), of_one, "{written}");
    }
}

#[test]
fn every_known_key_is_documented() {
    let keys = documented_keys();
    for section in ["", "tls", "proxy", "log", "limits", "smtp", "sms", "webhooks", "metrics", "ungleich_otp"]
    {
        let head = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
        // The parser lists what it would have taken.
        let error = parse(&format!("{head}no_such_key = 1\n")).unwrap_err();
        assert!(error.contains("unknown field `no_such_key`"), "{error}");
        let (_, expected) = error.split_once("expected ").unwrap_or_else(|| panic!("{error}"));
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let shown: Vec<&str> =
            keys.iter().filter(|(at, ..)| at == section).map(|(_, key, _)| key.as_str()).collect();
        let sections = |key: &&str| keys.iter().any(|(at, ..)| at == *key);
        let single: Vec<&str> =
            known.into_iter().filter(|key| !(section.is_empty() && sections(key))).collect();
        assert_eq!(single, shown, "[{section}]: known to the parser, shown in config/server.toml");
    }
}

#[test]
fn the_defaults_are_those_of_a_first_start() {
    let config = parse("").unwrap();
    assert_eq!(config.listen, "0.0.0.0:8300".parse().unwrap());
    assert_eq!(config.data_dir, PathBuf::from("/var/lib/oss2fa-server"));
    assert_eq!(config.store, StoreUrl::Sqlite("/var/lib/oss2fa-server/server.db".into()));
    assert_eq!(config.store_connections.get(), 8);
    assert_eq!(config.master_key, MasterKeySource::File("/var/lib/oss2fa-server/master.key".into()));
    let made = CertificateFiles {
        certificate: "/var/lib/oss2fa-server/tls.crt".into(),
        key: "/var/lib/oss2fa-server/tls.key".into(),
    };
    assert_eq!(config.tls, TlsConfig::SelfSigned(made));
    assert_eq!((config.proxy.as_ref(), config.smtp.as_ref(), config.sms.as_ref()), (None, None, None));
    assert_eq!((config.log.level, config.log.format), (tracing::Level::INFO, LogFormat::Text));
    assert_eq!((config.limits.body, config.limits.connections.get()), (65_536, 10_000));
    let rates =
        [config.limits.token, config.limits.address].map(|rate| (rate.per_second.get(), rate.burst.get()));
    assert_eq!(rates, [(200, 400), (100, 200)]);
    assert_eq!(config.limits.refused_per_minute, NonZeroU32::new(20).unwrap());
    let half_a_minute = Duration::from_secs(30);
    assert_eq!((config.limits.request_timeout, config.limits.stop_grace), (half_a_minute, half_a_minute));
    assert_eq!(config.webhooks.plain_http, PlainHttp::Refused);
    assert_eq!(config.webhooks.timeout, Duration::from_secs(10));
    let allowed: Vec<String> = config.metrics.allowed.iter().map(ToString::to_string).collect();
    assert_eq!(allowed, ["127.0.0.0/8", "::1/128"]);
    assert_eq!(config.ungleich_otp, None);
    let config = parse("[ungleich_otp]\nenabled = true\n").unwrap();
    let apps = config.ungleich_otp.as_ref().unwrap();
    assert_eq!((apps.window, apps.tokens, apps.seed_reads), (1, TokenUse::WithinStep, SeedReads::Always));
    assert_eq!(apps.bus, None);
    let bus = "[ungleich_otp]\nenabled = true\nbus_url = \"amqp://localhost\"\n";
    let bus = parse(bus).unwrap().ungleich_otp.unwrap().bus.unwrap();
    assert_eq!(
        (bus.service.as_str(), bus.exchange.as_str(), bus.prefetch),
        ("ungleichotp", "nameko-rpc", 64)
    );
}

const OTHER: &str = r#"
listen = "[::1]:443"
data_dir = "/srv/oss2fa"
store = "postgres://oss2fa:p%40ss@db1.example.org:5433,db2.example.org/twofactor?connect_timeout=3"
store_ca_file = "/etc/oss2fa/database-ca.pem"
store_connections = 1
master_key = "credential:oss2fa.key"
[tls]
mode = "off"
[proxy]
trusted = ["192.0.2.77/24", "::ffff:198.51.100.0/120", "2001:db8::1"]
header = "Forwarded"
[log]
level = "trace"
format = "json"
[limits]
body = 1024
token_per_second = 1
token_burst = 2
address_per_second = 3
address_burst = 4
refused_per_minute = 5
request_timeout = 6
connections = 7
stop_grace = 0
[smtp]
host = "192.0.2.25"
security = "tls"
username = "codes"
password_file = "/etc/oss2fa/mail"
from = "codes@example.org"
subject = "Ihr Code für heute"
timeout = 1
ca_file = "/etc/oss2fa/ca.pem"
[sms]
method = "PUT"
url = "http://127.0.0.1:9000/send?key=hunter2-in-url"
headers = { X-Key = "{secret}", X-Account = "hunter2-in-header" }
body = "to={phone}&text={text}&account=hunter2-in-body"
content_type = "application/x-www-form-urlencoded; charset=utf-8"
secret_file = "/etc/oss2fa/sms"
success_status = [200, 202]
success_body = "OK"
timeout = 60
ca_file = "/etc/oss2fa/sms-ca.pem"
[webhooks]
danger_plain_http = true
timeout = 60
[metrics]
allowed = []
[ungleich_otp]
enabled = true
window = 0
single_use_tokens = true
seed_reads = "until-first-use"
bus_url = "amqps://oss2fa:hunter2@broker.example.org:5671/vhost"
bus_service = "otp"
bus_exchange = "rpc.two"
bus_prefetch = 1
"#;

#[test]
fn every_key_is_taken_over() {
    let config = parse(OTHER).unwrap();
    assert_eq!(config.listen, "[::1]:443".parse().unwrap());
    assert_eq!(config.data_dir, PathBuf::from("/srv/oss2fa"));
    assert_eq!(config.store_ca_file.as_deref(), Some(Path::new("/etc/oss2fa/database-ca.pem")));
    assert_eq!(config.store_connections.get(), 1);
    assert_eq!(config.master_key, MasterKeySource::Credential("oss2fa.key".to_owned()));
    assert_eq!(config.tls, TlsConfig::Off);
    let proxy = config.proxy.as_ref().unwrap();
    let trusted: Vec<String> = proxy.trusted.iter().map(ToString::to_string).collect();
    assert_eq!(trusted, ["192.0.2.0/24", "198.51.100.0/24", "2001:db8::1/128"]);
    assert_eq!(proxy.header, ProxyHeader::Forwarded);
    assert_eq!((config.log.level, config.log.format), (tracing::Level::TRACE, LogFormat::Json));
    let limits = config.limits;
    assert_eq!((limits.body, limits.token.per_second.get(), limits.token.burst.get()), (1024, 1, 2));
    assert_eq!((limits.address.per_second.get(), limits.address.burst.get()), (3, 4));
    assert_eq!((limits.refused_per_minute.get(), limits.connections.get()), (5, 7));
    assert_eq!((limits.request_timeout, limits.stop_grace), (Duration::from_secs(6), Duration::ZERO));
    let mail = config.smtp.as_ref().unwrap();
    assert_eq!((mail.host.as_str(), mail.port, mail.security), ("192.0.2.25", 465, SmtpSecurity::Tls));
    let login = mail.login.as_ref().unwrap();
    assert_eq!((login.username.as_str(), login.password.path()), ("codes", Path::new("/etc/oss2fa/mail")));
    assert_eq!(
        (mail.from.to_string().as_str(), mail.subject.as_str()),
        ("codes@example.org", "Ihr Code für heute")
    );
    assert_eq!(
        (mail.timeout, mail.ca_file.as_deref()),
        (Duration::from_secs(1), Some(Path::new("/etc/oss2fa/ca.pem")))
    );
    let sms = config.sms.as_ref().unwrap();
    assert_eq!((sms.method, sms.host.as_str()), (SmsMethod::Put, "127.0.0.1"));
    assert_eq!(sms.url.expose(), "http://127.0.0.1:9000/send?key=hunter2-in-url");
    assert_eq!(
        sms.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect::<Vec<_>>(),
        [("X-Account", "hunter2-in-header"), ("X-Key", "{secret}")]
    );
    let body = sms.body.as_ref().unwrap();
    assert_eq!(body.escaping, SmsEscaping::Form);
    assert_eq!(body.content_type, "application/x-www-form-urlencoded; charset=utf-8");
    assert_eq!(body.template.expose(), "to={phone}&text={text}&account=hunter2-in-body");
    assert_eq!(sms.secret.as_ref().unwrap().path(), Path::new("/etc/oss2fa/sms"));
    assert_eq!(sms.success_status.iter().copied().collect::<Vec<_>>(), [200, 202]);
    assert_eq!((sms.success_body.as_deref(), sms.timeout), (Some("OK"), Duration::from_secs(60)));
    assert_eq!(sms.ca_file.as_deref(), Some(Path::new("/etc/oss2fa/sms-ca.pem")));
    assert_eq!(
        (config.webhooks.plain_http, config.webhooks.timeout),
        (PlainHttp::Danger, Duration::from_secs(60))
    );
    assert!(config.metrics.allowed.is_empty());
    let apps = config.ungleich_otp.as_ref().unwrap();
    assert_eq!((apps.window, apps.tokens, apps.seed_reads), (0, TokenUse::Once, SeedReads::UntilFirstUse));
    let bus = apps.bus.as_ref().unwrap();
    assert_eq!(bus.url.expose(), "amqps://oss2fa:hunter2@broker.example.org:5671/vhost");
    assert_eq!(bus.broker, "amqps://broker.example.org:5671");
    assert_eq!((bus.service.as_str(), bus.exchange.as_str(), bus.prefetch), ("otp", "rpc.two", 1));
}

#[test]
fn the_summary_says_what_holds_and_nothing_secret() {
    let config = parse(OTHER).unwrap();
    let summary = serde_json::to_string_pretty(&config.summary()).unwrap();
    for shown in [summary.clone(), format!("{config:?}")] {
        for secret in ["p@ss", "p%40ss", "hunter2"] {
            assert!(!shown.contains(secret), "{secret} is in {shown}");
        }
    }
    insta::assert_snapshot!("summary", summary);
    let default = parse("").unwrap();
    insta::assert_snapshot!(
        "summary_of_the_defaults",
        serde_json::to_string_pretty(&default.summary()).unwrap()
    );
}

#[test]
fn flags_win_over_the_file_and_what_follows_from_it() {
    let flags = || Overrides {
        data_dir: Some(PathBuf::from("/tmp/data")),
        listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
    };
    let config =
        parse_with("listen = \"0.0.0.0:1\"\ndata_dir = \"/srv\"\n[tls]\nmode = \"off\"\n", flags()).unwrap();
    assert_eq!(config.listen, "127.0.0.1:0".parse().unwrap());
    assert_eq!(config.data_dir, PathBuf::from("/tmp/data"));
    assert_eq!(config.store, StoreUrl::Sqlite("/tmp/data/server.db".into()));
    assert_eq!(config.master_key, MasterKeySource::File("/tmp/data/master.key".into()));
    assert_eq!(config.tls, TlsConfig::Off, "the listener that counts is on this machine");
    // What the file names stays where it is.
    let config = parse_with("store = \"sqlite:/srv/a.db\"\nmaster_key = \"/srv/key\"\n", flags()).unwrap();
    assert_eq!(config.store, StoreUrl::Sqlite("/srv/a.db".into()));
    assert_eq!(config.master_key, MasterKeySource::File("/srv/key".into()));
    // Without TLS, a flag cannot open to the network what the file keeps on this machine.
    let open = Overrides { listen: Some(SocketAddr::from(([0, 0, 0, 0], 8300))), data_dir: None };
    let error = parse_with("listen = \"127.0.0.1:8300\"\n[tls]\nmode = \"off\"\n", open).unwrap_err();
    assert!(error.contains("\"off\" with listen = \"0.0.0.0:8300\""), "{error}");
}

#[test]
fn a_relative_data_dir_of_a_flag_is_relative_to_where_it_is_typed() {
    let flags = |folder: &str| Overrides { data_dir: Some(PathBuf::from(folder)), listen: None };
    let config = parse_with("", flags("data")).unwrap();
    assert!(config.data_dir.is_absolute() && config.data_dir.ends_with("data"), "{:?}", config.data_dir);
    insta::assert_snapshot!(parse_with("", flags("")).unwrap_err(), @r#"--data-dir is "": allowed is a path"#);
}

fn arbitrary_value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        ".*".prop_map(|text| toml::Value::String(text).to_string()),
        "(sqlite|postgres|postgresql|https?|credential)?:?(//)?[a-z:@/?#%={}\\[\\],.0-9-]{0,40}"
            .prop_map(|text| toml::Value::String(text).to_string()),
        prop::collection::vec("[0-9a-f:./]{0,24}", 0..4).prop_map(|texts| format!("{texts:?}")),
        Just("{ a = \"{secret}\" }".to_owned()),
        Just("[".to_owned()),
    ]
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_value_of_any_key_makes_it_panic(
        values in prop::collection::vec((any::<prop::sample::Index>(), arbitrary_value()), 1..4),
    ) {
        let mut keys = documented_keys();
        for (at, value) in values {
            let at = at.index(keys.len());
            keys[at].2 = value;
        }
        let mut section = String::new();
        let mut text = String::new();
        for (at, key, value) in keys {
            if at != section {
                text += &format!("[{at}]\n");
                section = at;
            }
            text += &format!("{key} = {value}\n");
        }
        let _ = parse(&text);
    }

    #[test]
    fn no_store_url_makes_it_panic_or_shows_its_password(
        head in "(postgres|postgresql)://", user in "[a-z:/?#%&=\\[\\],.@]{0,8}", tail in "[a-z:/?#%&=@\\[\\],.0-9-]{0,30}",
    ) {
        let url = format!("{head}{user}:hunter2@{tail}");
        match url.parse::<StoreUrl>() {
            Ok(store) => prop_assert!(!format!("{store} {store:?}").contains("hunter2"), "{store}"),
            Err(error) => prop_assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}"),
        }
    }
}
