//! A database that goes away: what `/readyz` and `/metrics` say of it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failure is a panic in tests, in their helpers too")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use oss2fa_tests::server::{PostgresCluster, Server, Store};

fn connections(server: &Server) -> f64 {
    let text = server.anybody().get("/metrics").expect(200).text();
    let of_state = |state: &str| {
        let series = format!("oss2fa_store_connections{{state=\"{state}\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&series));
        value.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse::<f64>().unwrap()
    };
    assert!(of_state("wanted") < 1.0, "{text}");
    of_state("idle") + of_state("used")
}

#[test]
fn without_its_database_the_server_is_not_ready_and_with_it_again_it_is() {
    let cluster = PostgresCluster::start();
    let server = Server::new().on(Store::Postgres(&cluster)).start();
    assert_eq!(server.anybody().get("/readyz").expect(200).text(), "ready\n");
    assert!(connections(&server) >= 1.0);
    cluster.stop();
    let gone = server.anybody().get("/readyz");
    assert_eq!((gone.status, gone.code().as_str()), (503, "store_unavailable"), "{gone}");
    assert_eq!(server.anybody().get("/healthz").expect(200).text(), "ok\n", "the process is well");
    assert!(server.log().contains("not_ready"), "the log says why");
    cluster.start_again();
    let begun = Instant::now();
    while server.anybody().get("/readyz").status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come back");
        sleep(Duration::from_millis(50));
    }
}
