//! Figures for Prometheus. Counting is by the macros of the crate `metrics`, which do nothing until
//! [`Exporter::install`]; what every request counts is looked up once and kept here.
//!
//! No label ever names a tenant, an integration or a client.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::{Method, StatusCode};
use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, histogram,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use utoipa::openapi::OpenApi;

/// Upper bounds of the latency's buckets, in seconds.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Upper bounds of the sizes of groups, in verbs.
const SIZES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// How often histograms take up what was recorded; until then each record takes 8 bytes.
pub const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// What is counted, as text for Prometheus.
#[derive(Debug, Clone)]
pub struct Exporter(PrometheusHandle);

impl Exporter {
    /// Begins to count. There is one for the process, as there is one log.
    ///
    /// # Errors
    /// Never with the buckets that stand here.
    pub fn install() -> Result<Self, BuildError> {
        static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();
        if let Some(handle) = INSTALLED.get() {
            return Ok(Self(handle.clone()));
        }
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full("oss2fa_request_seconds".to_owned()), &SECONDS)?
            .set_buckets_for_metric(Matcher::Full("oss2fa_store_group_size".to_owned()), &SIZES)?
            .build_recorder();
        let handle = INSTALLED.get_or_init(|| recorder.handle()).clone();
        // Where two begin at once, one of them counts and the other's is dropped.
        if metrics::set_global_recorder(recorder).is_ok() {
            describe();
        }
        Ok(Self(handle))
    }

    /// All figures.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.render()
    }

    /// Has histograms take up what was recorded, for ever.
    pub async fn keep_up(self) {
        let mut every = tokio::time::interval(UPKEEP_EVERY);
        loop {
            every.tick().await;
            self.0.run_upkeep();
        }
    }
}

fn describe() {
    describe_counter!("oss2fa_requests_total", "Requests, by path template, method and status.");
    describe_histogram!("oss2fa_request_seconds", Unit::Seconds, "From a request's head to its answer's.");
    describe_counter!("oss2fa_verdicts_total", "Tries with a code, by kind of device and verdict.");
    describe_counter!("oss2fa_validations_total", "Answers of the validation protocol of Yubico, by status.");
    describe_counter!(
        "oss2fa_app_verifications_total",
        "Calls of verify by trusted apps, by door and verdict."
    );
    describe_histogram!("oss2fa_store_group_size", "Verbs in each transaction that was committed.");
    describe_counter!("oss2fa_store_failures_total", "Transactions that were not committed.");
    describe_gauge!("oss2fa_store_log_pages", "Pages in SQLite's log when it was last brought in.");
    describe_gauge!("oss2fa_store_connections", "Connections to the database, by state.");
    describe_counter!("oss2fa_messages_total", "Messages with a code, by channel and result.");
    describe_gauge!("oss2fa_bus_connected", "1 while calls of the bus are answered, else 0.");
    describe_counter!("oss2fa_bus_calls_total", "Messages of the bus that were dealt with, by outcome.");
    describe_gauge!("oss2fa_connections", "Open connections of clients.");
    describe_counter!(
        "oss2fa_connections_refused_total",
        "Connections closed as they came: their address had as many as it may."
    );
    describe_gauge!(
        "oss2fa_certificate_end_timestamp_seconds",
        "When the TLS certificate in force ends, in seconds since 1970."
    );
    describe_gauge!("oss2fa_build_info", "Always 1; its label is the version.");
    metrics::gauge!("oss2fa_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// The methods that are told apart.
const METHODS: [(Method, &str); 7] = [
    (Method::GET, "GET"),
    (Method::POST, "POST"),
    (Method::DELETE, "DELETE"),
    (Method::PATCH, "PATCH"),
    (Method::PUT, "PUT"),
    (Method::HEAD, "HEAD"),
    (Method::OPTIONS, "OPTIONS"),
];

/// The statuses that are told apart, rising.
const STATUSES: [(u16, &str); 22] = [
    (200, "200"),
    (201, "201"),
    (202, "202"),
    (204, "204"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (406, "406"),
    (408, "408"),
    (409, "409"),
    (410, "410"),
    (413, "413"),
    (415, "415"),
    (422, "422"),
    (429, "429"),
    (431, "431"),
    (500, "500"),
    (501, "501"),
    (502, "502"),
    (503, "503"),
];

/// A word for what is none of a table.
const OTHER: &str = "other";

/// The method as a word of ours: what a stranger writes there goes into no label and no log.
#[must_use]
pub fn method_name(method: &Method) -> &'static str {
    METHODS.iter().find(|(known, _)| known == method).map_or(OTHER, |(_, name)| name)
}

/// Counts requests: a place for each path, method and status, filled when it is first needed.
pub struct Requests {
    paths: HashMap<String, Path>,
    none: Path,
}

/// One path of the API, or none of them.
pub struct Path {
    template: Arc<str>,
    methods: [PerMethod; METHODS.len() + 1],
}

#[derive(Default)]
struct PerMethod {
    seconds: OnceLock<Histogram>,
    statuses: [OnceLock<Counter>; STATUSES.len() + 1],
}

impl Path {
    fn new(template: &str) -> Self {
        Self { template: template.into(), methods: Default::default() }
    }

    /// As the API documents it; `none` for what it does not have.
    #[must_use]
    pub fn template(&self) -> &str {
        &self.template
    }

    /// Counts an answered request.
    pub fn count(&self, method: &Method, status: StatusCode, took: Duration) {
        let row = METHODS.iter().position(|(known, _)| known == method).unwrap_or(METHODS.len());
        let column = STATUSES.binary_search_by_key(&status.as_u16(), |(known, _)| *known);
        let column = column.unwrap_or(STATUSES.len());
        let Some(place) = self.methods.get(row) else { return };
        let name = METHODS.get(row).map_or(OTHER, |(_, name)| name);
        let path = || self.template.to_string();
        let seconds = place
            .seconds
            .get_or_init(|| histogram!("oss2fa_request_seconds", "path" => path(), "method" => name));
        seconds.record(took);
        let Some(counter) = place.statuses.get(column) else { return };
        let status = STATUSES.get(column).map_or(OTHER, |(_, name)| name);
        counter
            .get_or_init(
                || counter!("oss2fa_requests_total", "path" => path(), "method" => name, "status" => status),
            )
            .increment(1);
    }
}

impl Requests {
    /// For the paths of the documentation, which is generated from the routes.
    #[must_use]
    pub fn of(api: &OpenApi) -> Self {
        let paths = api.paths.paths.keys().map(|path| (path.clone(), Path::new(path))).collect();
        Self { paths, none: Path::new("none") }
    }

    /// The path that a request has met.
    #[must_use]
    pub fn path(&self, matched: Option<&MatchedPath>) -> &Path {
        matched.and_then(|path| self.paths.get(path.as_str())).unwrap_or(&self.none)
    }
}
