//! ungleich-otp's bus: nameko's own clients, and what is none of theirs, over a real RabbitMQ.
//!
//! A broker takes some seven seconds of processor time to start. So the stories share one, each in a virtual host
//! of its own with a server of its own, and are told at the same time; the one that kills the broker comes last.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure is a panic in tests, in their helpers too"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use oss2fa_tests::load::{self, Calls};
use oss2fa_tests::server::{App, Authority, Broker, Nameko, PostgresCluster, Server, Store};
use oss2fa_tests::{unix_time, workspace};
use serde_json::{Value, json};

type Story = fn(&Broker);

/// Each in the virtual host of its name.
const TOGETHER: [(&str, Story); 9] = [
    ("guide", the_guide_does_what_it_says),
    ("sqlite", |broker| nameko_s_clients_hear_what_they_must(broker, "sqlite", Store::Sqlite)),
    ("postgres", |broker| {
        let cluster = PostgresCluster::start();
        nameko_s_clients_hear_what_they_must(broker, "postgres", Store::Postgres(&cluster));
        a_store_that_is_away_brings_no_verdict(broker, &cluster);
    }),
    ("named", what_the_configuration_says_holds_on_the_bus),
    ("malformed", each_malformed_message_has_its_answer),
    ("disturbed", whatever_is_done_to_its_queue_it_comes_back),
    ("unsure", a_broker_that_proves_nothing_is_not_spoken_to),
    ("late", a_message_that_is_older_than_its_window_is_not_honoured),
    ("once", a_call_that_comes_again_spends_nothing_twice),
];

const KILLED: &str = "killed";

#[test]
fn the_bus_answers_nameko_and_outlives_whatever_is_done_to_it() {
    let hosts: Vec<&str> = TOGETHER.iter().map(|(host, _)| *host).chain([KILLED]).collect();
    let broker = Broker::start(&hosts);
    thread::scope(|scope| {
        for (name, story) in TOGETHER {
            let broker = &broker;
            thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, move || story(broker)).unwrap();
        }
    });
    a_killed_broker_brings_no_wrong_answer(&broker);
}

/// A server with a bus, and three apps: the first is trusted.
struct Site {
    server: Server,
    web: App,
    cron: App,
    other: App,
}

impl Site {
    fn start(url: &str, store: Store<'_>, settings: &str) -> Self {
        let section = format!("[ungleich_otp]\nenabled = true\nbus_url = {url:?}\n");
        let server = Server::new().on(store).config(&section).config(settings).start();
        let web = App::create(&server, "nico", &["--trusted"]);
        let (cron, other) = (App::create(&server, "nico", &[]), App::create(&server, "sanghee", &[]));
        Self { server, web, cron, other }
    }

    fn apps(&self) -> String {
        let [web, cron, other] = [&self.web, &self.cron, &self.other].map(App::known);
        json!({"web": web, "cron": cron, "other": other}).to_string()
    }

    /// Whatever is the matter with the bus, this is answered.
    #[track_caller]
    fn rest_is_served(&self) {
        let body = self.web.about(&self.cron, &self.cron.token()).to_string();
        let reply = self.server.curl("POST", "/verify", &["Content-Type: application/json"], &body);
        assert_eq!(reply.expect(200).json(), json!({"status": "OK"}));
    }

    /// Waits until it has said this so many times.
    #[track_caller]
    fn says(&self, words: &str, times: usize) {
        let begun = Instant::now();
        while self.server.log().matches(words).count() < times {
            assert!(begun.elapsed() < Duration::from_secs(60), "{words:?} is not {times} times in the log");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until it has begun to take calls so many times.
    #[track_caller]
    fn takes_calls(&self, times: usize) {
        self.says("bus_connected", times);
    }

    /// Two calls of nameko's client, one of them right.
    #[track_caller]
    fn answers(&self, caller: &str) {
        let said = Nameko::Two.run("calls.py", &[caller, &self.apps(), "2"]);
        let came: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        assert_eq!((&came["right"], &came["wrong"]), (&json!({"OK": 1}), &json!({"FAIL": 1})));
    }

    /// The file of these rows, with the apps and tokens of now.
    fn messages(&self, rows: &[Value]) -> PathBuf {
        let (mine, its) = (self.web.token(), self.cron.token());
        let fill = |text: &str| {
            let text = text.replace("$mine", &mine).replace("$me", &self.web.uuid);
            text.replace("$its", &its).replace("$it", &self.cron.uuid)
        };
        let mut rows = rows.to_vec();
        for row in &mut rows {
            match &row["body"] {
                Value::String(text) => row["body"] = json!(fill(text)),
                Value::Array(parts) => row["body"] = json!(fill(&repeated(parts))),
                _ => {}
            }
        }
        let file = self.server.scratch("messages.json");
        fs::write(&file, json!(rows).to_string()).unwrap();
        file
    }

    /// What came back for each of these.
    fn sends(&self, caller: &str, rows: &[Value], patience: &str) -> Vec<Vec<Value>> {
        let file = self.messages(rows).display().to_string();
        let said = Nameko::Two.run("messages.py", &[caller, &file, patience]);
        serde_json::from_str(said.lines().last().unwrap()).unwrap()
    }
}

/// Texts; a number after one says how often it stands there.
fn repeated(parts: &[Value]) -> String {
    let mut whole = String::new();
    for (at, part) in parts.iter().enumerate() {
        let Some(text) = part.as_str() else { continue };
        let times = parts.get(at + 1).and_then(Value::as_u64).unwrap_or(1);
        whole.push_str(&text.repeat(times.try_into().unwrap()));
    }
    whole
}

fn queue(caller: &str, what: &str) -> String {
    Nameko::Two.run("meddle.py", &[caller, what])
}

/// A call by the places of the arguments.
fn call(arguments: [&str; 4]) -> Value {
    json!({"body": json!({"args": arguments, "kwargs": {}}).to_string()})
}

const RIGHT: [&str; 4] = ["$me", "$mine", "$it", "$its"];

/// The status of an answer, or the class of its error.
fn outcome(answer: &Value) -> &str {
    let said =
        if answer["error"].is_null() { &answer["result"]["status"] } else { &answer["error"]["exc_type"] };
    said.as_str().unwrap()
}

fn nameko_s_clients_hear_what_they_must(broker: &Broker, host: &str, store: Store<'_>) {
    let site = Site::start(&broker.server(host), store, "");
    for nameko in [Nameko::Two, Nameko::Three] {
        assert_eq!(nameko.run("clients.py", &[&broker.caller(host), &site.apps()]), "done", "{nameko:?}");
    }
    let figures = site.server.curl("GET", "/metrics", &[], "").text();
    for wanted in
        ["bus_calls_total{outcome=\"ok\"}", "verifications_total{door=\"bus\",verdict=\"ok\"}", "connected 1"]
    {
        assert!(figures.contains(wanted), "{wanted}: {figures}");
    }
    let log = site.server.log();
    for app in [&site.web, &site.cron, &site.other] {
        assert!(!log.contains(&app.seed));
    }
    site.server.stop();
    assert_eq!(queue(&broker.caller(host), "waiting"), "0", "every call was acknowledged");
}

/// A right call, and what its caller hears.
const HEARD: &str = "
import sys
from nameko.exceptions import RemoteError
from nameko.standalone.rpc import ClusterRpcProxy
with ClusterRpcProxy({'AMQP_URI': sys.argv[1]}, timeout=60) as rpc:
    try:
        print(rpc.ungleichotp.verify(*sys.argv[2:])['status'])
    except RemoteError as error:
        print(error.exc_type)
";

fn a_store_that_is_away_brings_no_verdict(broker: &Broker, cluster: &PostgresCluster) {
    let caller = broker.caller("postgres");
    let site = Site::start(&broker.server("postgres"), Store::Postgres(cluster), "");
    site.takes_calls(1);
    let heard = || {
        let words = [&site.web.uuid, &site.web.token(), &site.cron.uuid, &site.cron.token()];
        let ran = Nameko::Two.program("python").args(["-c", HEARD, &caller]).args(words).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    assert_eq!(heard(), "OK\n");
    cluster.stop();
    assert_eq!(heard(), "Unavailable\n");
    cluster.start_again();
    assert_eq!(heard(), "OK\n");
}

/// As `clients.py` does, at other names.
const NAMED: &str = "
import sys
from nameko.standalone.rpc import ClusterRpcProxy
config = {'AMQP_URI': sys.argv[1], 'rpc_exchange': 'apps'}
with ClusterRpcProxy(config, timeout=60) as rpc:
    print(*(rpc['otp-service'].verify(*sys.argv[2:])['status'] for _ in range(2)))
";

fn what_the_configuration_says_holds_on_the_bus(broker: &Broker) {
    let caller = broker.caller("named");
    let settings = "[ungleich_otp]\nbus_service = \"otp-service\"\nbus_exchange = \"apps\"\nbus_prefetch = 1\n\
        window = 3\nsingle_use_tokens = true\n";
    let site = Site::start(&caller, Store::Sqlite, settings);
    site.takes_calls(1);
    let ask = |offset: i64| {
        let words =
            [&site.web.uuid, &site.web.token_at(offset), &site.cron.uuid, &site.cron.token_at(offset)];
        let ran = Nameko::Two.program("python").args(["-c", NAMED, &caller]).args(words).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    // Beyond the window; then within a wide one, once.
    assert_eq!(ask(-150), "FAIL FAIL\n");
    assert_eq!(ask(-60), "OK FAIL\n");
    assert_eq!(ask(-30), "OK FAIL\n");
}

/// The one block of this kind in the page.
fn block<'a>(page: &'a str, kind: &str) -> &'a str {
    let blocks: Vec<&str> = page.split(&format!("```{kind}\n")).skip(1).collect();
    assert_eq!(blocks.len(), 1, "{kind}");
    blocks[0].split("```").next().unwrap()
}

fn the_guide_does_what_it_says(broker: &Broker) {
    let page = fs::read_to_string(workspace().join("docs/ungleich-otp.md")).unwrap();
    assert!(page.contains(Broker::PERMISSIONS), "the server's user has these permissions here");
    let settings = block(&page, "toml")
        .replace("amqps://oss2fa:password@rabbitmq.example.org/", &broker.tls("guide"))
        .replace("/etc/oss2fa/rabbitmq-ca.pem", &broker.ca().display().to_string());
    let site = Site::start(&broker.tls("guide"), Store::Sqlite, &settings);
    site.takes_calls(1);
    let program =
        block(&page, "python").replace("amqp://app:password@rabbitmq.example.org/", &broker.caller("guide"));
    let program = format!(
        "import sys\nappuuid, token, appuuidtoverify, tokentoverify = sys.argv[1:]\n{program}\nprint('done')"
    );
    let words = [&site.web.uuid, &site.web.token(), &site.cron.uuid, &site.cron.token()];
    let ran = Nameko::Two.program("python").args(["-c", &program]).args(words).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "done\n", "{}", String::from_utf8_lossy(&ran.stderr));
    // The load of the benchmark counts what it is answered.
    let arguments = words.map(|word| format!("{word:?}"));
    let right = format!("{{\"args\": [{}], \"kwargs\": {{}}}}", arguments.join(", "));
    let wrong = right.replace(&arguments[2], &arguments[0]);
    let calls = Calls {
        broker: broker.caller("guide"),
        method: "ungleichotp.verify".to_owned(),
        callers: 2,
        warm_up: Duration::ZERO,
        measured: Duration::from_secs(60),
        contains: b"\"OK\"".to_vec(),
    };
    let answered = load::call(&calls, vec![right.clone(), wrong, right]).unwrap();
    assert_eq!((answered.accepted, answered.refused), (2, 1), "{answered:?}");
    assert!(answered.flawless().is_err());
}

fn each_malformed_message_has_its_answer(broker: &Broker) {
    let (caller, site) =
        (broker.caller("malformed"), Site::start(&broker.server("malformed"), Store::Sqlite, ""));
    let rows = fs::read_to_string(workspace().join("tests/ungleich-otp/messages.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&rows).unwrap();
    let names: BTreeSet<&str> = rows.iter().map(|row| row["what"].as_str().unwrap()).collect();
    let bad = rows.iter().filter(|row| row["answer"] != "OK").count();
    assert!(bad >= 60 && names.len() == rows.len(), "{bad} of them; each stands for something of its own");
    for (row, answers) in rows.iter().zip(site.sends(&caller, &rows, "30")) {
        let got: Vec<&str> = answers.iter().map(outcome).collect();
        let wanted: Vec<&str> =
            row["answer"].as_str().filter(|answer| *answer != "none").into_iter().collect();
        assert_eq!(got, wanted, "{row}: {answers:?}");
        let says = row["says"].as_str().unwrap_or_default();
        assert!(
            says.is_empty() || answers[0]["error"]["value"].as_str().unwrap().contains(says),
            "{row}: {answers:?}"
        );
        assert!(
            answers.iter().all(|answer| answer["error"].is_null() || answer["result"].is_null()),
            "{row}"
        );
    }
    // What no client of AMQP can read ends the connection once, and then it is gone.
    for (n, unreadable) in
        [r#"{"correlation_id": "\ud800"}"#, r#"{"reply_to": "\ud800"}"#].into_iter().enumerate()
    {
        let file = site.server.scratch("unreadable.json");
        fs::write(&file, format!(r#"[{{"body": "{{}}", "properties": {unreadable}}}]"#)).unwrap();
        let _none = Nameko::Two.run("messages.py", &[&caller, &file.display().to_string(), "0"]);
        site.says("bus_discarded", n + 1);
        site.takes_calls(n + 2);
    }
    site.answers(&caller);
    site.rest_is_served();
    let log = site.server.log();
    assert!(!log.contains("panicked") && log.matches("bus_lost").count() == 2, "{log}");
    site.server.stop();
    assert_eq!(queue(&caller, "waiting"), "0", "no message is there for ever");
}

fn whatever_is_done_to_its_queue_it_comes_back(broker: &Broker) {
    let caller = broker.caller("disturbed");
    // An exchange of that name with another type: 406, until somebody removes it.
    let _declared = queue(&caller, "another-exchange");
    let site = Site::start(&broker.server("disturbed"), Store::Sqlite, "");
    site.says("exchange or queue are there with other properties", 1);
    site.rest_is_served();
    let _removed = queue(&caller, "remove-exchange");
    site.takes_calls(1);
    site.answers(&caller);
    // The consumer is cancelled by the broker.
    let _removed = queue(&caller, "remove-queue");
    site.says("took the queue's consumer away", 1);
    site.takes_calls(2);
    site.answers(&caller);
    // The channel is closed by an error, 404: there is no exchange for an answer.
    let _sent = queue(&caller, "cut-off");
    site.takes_calls(3);
    site.says("somebody removed the exchange or the queue", 1);
    site.answers(&caller);
    site.rest_is_served();
    let log = site.server.log();
    assert!(!log.contains("panicked") && !log.contains("p/q@r") && !log.contains("p%2Fq%40r"), "{log}");
}

fn a_broker_that_proves_nothing_is_not_spoken_to(broker: &Broker) {
    let host = "unsure";
    let with = |ca: PathBuf| format!("[ungleich_otp]\nbus_ca_file = {:?}\n", ca.display().to_string());
    let stranger = Authority::new();
    let site = Site::start(&broker.tls(host), Store::Sqlite, &with(stranger.ca()));
    site.says("bus_lost", 2);
    site.rest_is_served();
    let log = site.server.log();
    assert!(log.to_lowercase().contains("certificate") && !log.contains("bus_connected"), "{log}");
    drop(site);
    // A broker that does not know the password.
    let wrong = broker.server(host).replace("p%2Fq", "another");
    let site = Site::start(&wrong, Store::Sqlite, "");
    site.says("look at user and password in bus_url", 1);
    site.rest_is_served();
    drop(site);
    let site = Site::start(&broker.tls(host), Store::Sqlite, &with(broker.ca()));
    site.takes_calls(1);
    site.answers(&broker.caller(host));
}

fn a_message_that_is_older_than_its_window_is_not_honoured(broker: &Broker) {
    let caller = broker.caller("late");
    let site = Site::start(&broker.server("late"), Store::Sqlite, "");
    site.takes_calls(1);
    site.server.stop();
    let aged = |seconds: i64| {
        let mut row = call(RIGHT);
        row["age"] = json!(seconds);
        row
    };
    // The first one's token is right for what is left of this step; the server is away until that is over.
    let (step, file) = loop {
        let step = unix_time() / 30;
        let (early, gone) = (site.cron.token_at(-30), site.cron.token_at(-60));
        let rows = [
            call(["$me", "$mine", "$it", &early]),
            call(["$me", "$mine", "$it", &gone]),
            aged(120),
            aged(0),
            call(RIGHT),
        ];
        let file = site.messages(&rows).display().to_string();
        if unix_time() / 30 == step {
            break (step, file);
        }
    };
    let mut sending = Nameko::Two.start("messages.py", &[&caller, &file, "90"]);
    sending.until("sent");
    assert_eq!(queue(&caller, "waiting"), "5");
    while unix_time() <= (step + 1) * 30 {
        thread::sleep(Duration::from_millis(100));
    }
    site.server.start_again();
    let answers: Vec<Vec<Value>> = serde_json::from_str(&sending.last()).unwrap();
    let got: Vec<&str> = answers.iter().flatten().map(outcome).collect();
    assert_eq!(got, ["FAIL", "FAIL", "FAIL", "OK", "OK"]);
}

/// Pairs of apps, each pair's tokens shown twice.
const PAIRS: usize = 60;

fn a_call_that_comes_again_spends_nothing_twice(broker: &Broker) {
    let caller = broker.caller("once");
    let site =
        Site::start(&broker.server("once"), Store::Sqlite, "[ungleich_otp]\nsingle_use_tokens = true\n");
    site.takes_calls(1);
    let file = site.server.scratch("pairs.json").display().to_string();
    let dump = site.server.scratch("dump.json").display().to_string();
    let _made = Nameko::Two.run("pairs.py", &[&PAIRS.to_string(), &dump, &file]);
    assert_eq!(site.server.cli_json(&["app", "import", "--django", &dump])["imported"], json!(2 * PAIRS));
    let _made = Nameko::Two.run("pairs.py", &["tokens", &dump, &file]);
    let mut sending = Nameko::Two.start("messages.py", &[&caller, &file, "60"]);
    // In the middle of them: some are decided and not acknowledged, and come again.
    sending.until("answered");
    site.server.kill_9();
    site.server.start_again();
    let answers: Vec<Vec<Value>> = serde_json::from_str(&sending.last()).unwrap();
    assert_eq!(answers.len(), 2 * PAIRS);
    assert!(answers.iter().all(|answers| !answers.is_empty()), "each is answered: {answers:?}");
    let said = |n: usize| answers[n].iter().map(outcome);
    for pair in 0..PAIRS {
        let right = said(2 * pair).chain(said(2 * pair + 1)).filter(|outcome| *outcome == "OK").count();
        assert!(right <= 1, "tokens of pair {pair} were good {right} times: {answers:?}");
    }
    let right = answers.iter().flatten().filter(|answer| outcome(answer) == "OK").count();
    assert!(right > PAIRS / 4, "only {right} of {PAIRS} pairs were let in: {answers:?}");
    site.server.stop();
    assert_eq!(queue(&caller, "waiting"), "0");
}

fn a_killed_broker_brings_no_wrong_answer(broker: &Broker) {
    const CALLS: &str = "1000";
    let site = Site::start(&broker.server(KILLED), Store::Sqlite, "");
    site.takes_calls(1);
    let (caller, apps) = (broker.caller(KILLED), site.apps());
    let mut clients =
        [Nameko::Two, Nameko::Three].map(|nameko| nameko.start("calls.py", &[&caller, &apps, CALLS]));
    for client in &mut clients {
        client.until("at 300");
    }
    broker.kill();
    site.says("bus_lost", 1);
    for _ in 0..5 {
        site.rest_is_served();
    }
    broker.start_again();
    for client in clients {
        let came: Value = serde_json::from_str(&client.last()).unwrap();
        let count = |kind: &str, answer: &str| came[kind][answer].as_u64().unwrap_or(0);
        let lost = count("right", "lost") + count("wrong", "lost");
        // Those of 3.0 reconnect by themselves, and may lose none.
        assert!(lost < 100, "{came}");
        assert_eq!(count("right", "OK") + count("right", "lost"), 500, "{came}");
        assert_eq!(count("wrong", "FAIL") + count("wrong", "lost"), 500, "{came}");
        assert_eq!(came["last"], json!("FAIL"), "it is answered again: {came}");
    }
    site.takes_calls(2);
    let log = site.server.log();
    assert!(!log.contains("panicked"), "{log}");
    site.server.stop();
    assert_eq!(queue(&caller, "waiting"), "0");
}
