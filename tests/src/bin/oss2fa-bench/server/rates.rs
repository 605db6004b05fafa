//! Verifications a second, and how long one takes at 80 % of the peak.

use oss2fa_tests::load::Pace;
use oss2fa_tests::server::PostgresCluster;

use super::instance::Instance;
use super::scale::Scale;
use super::stock::{Stock, must_be_durable};
use super::uses::{Step, Uses};
use crate::report::{Bound, Report};
use crate::throughput::median;

const OF_PEAK: f64 = 0.8;

/// What the peer is compared with.
pub(crate) struct Ours {
    pub(crate) per_second: f64,
    /// After the load, in MiB.
    pub(crate) proportional: f64,
}

struct Site {
    instance: Instance,
    uses: Uses,
    stock: Stock,
    scale: Scale,
}

impl Site {
    fn start(name: &str, devices: u64, scale: Scale) -> Self {
        let stock = Stock::fill(name, devices);
        Self { instance: Instance::start(&stock.folder, None), uses: Uses::of(devices), stock, scale }
    }

    fn peak(&mut self) -> f64 {
        self.instance.verify(&self.stock.token, &mut self.uses, self.scale.seconds, Pace::Full).per_second
    }

    fn p99(&mut self, peak: f64) -> f64 {
        let pace = Pace::PerSecond(OF_PEAK * peak);
        let mut round = || {
            let seconds = self.scale.seconds_at_fixed_rate;
            self.instance.verify(&self.stock.token, &mut self.uses, seconds, pace).latency.p99_ms
        };
        let mut rounds: Vec<f64> = (0..self.scale.rounds).map(|_| round()).collect();
        median(&mut rounds)
    }
}

pub(crate) fn sqlite(report: &mut Report, scale: Scale) -> Ours {
    let mut few = Site::start("server-few", scale.few, scale);
    let mut many = Site::start("server-many", scale.many, scale);
    let (mut health, mut verify, mut verify_many) = (Vec::new(), Vec::new(), Vec::new());
    // In turns, so that whatever else the machine does falls on all three.
    for _ in 0..scale.rounds {
        health.push(few.instance.health(scale.seconds).per_second);
        verify.push(few.peak());
        verify_many.push(many.peak());
    }
    let proportional = few.instance.proportional();
    few.instance.refuses_what_is_spent(&few.stock.token, scale.few);
    let (health, verify, verify_many) = (median(&mut health), median(&mut verify), median(&mut verify_many));
    report.add("server, answers a second of /healthz", health, "1/s", Bound::None);
    report.add("server, verifications a second on SQLite", verify, "1/s", Bound::AtLeast(5_000.0));
    report.add("server, verifications against /healthz", verify / health, "ratio", Bound::AtLeast(0.5));
    report.add("server, verifications with 1,000,000 devices", verify_many, "1/s", Bound::None);
    report.add("server, 1,000,000 devices against 1,000", verify_many / verify, "ratio", Bound::AtLeast(0.9));
    many.instance.refuses_what_is_spent(&many.stock.token, scale.many);
    let p99 = few.p99(verify);
    report.add("server, 99th percentile at 80 % of the peak", p99, "ms", Bound::AtMost(20.0));
    let p99 = many.p99(verify_many);
    report.add("server, the same with 1,000,000 devices", p99, "ms", Bound::AtMost(20.0));
    drop(many);
    report.add("server, 1,000,000 devices, no two uses near each other", farthest(scale), "1/s", Bound::None);
    Ours { per_second: verify, proportional }
}

/// With the order of uses that is worst for the store.
fn farthest(scale: Scale) -> f64 {
    let mut site = Site::start("server-farthest", scale.many, scale);
    site.uses = Uses::of(scale.many).by(Step::Farthest);
    let mut rates: Vec<f64> = (0..scale.rounds).map(|_| site.peak()).collect();
    median(&mut rates)
}

pub(crate) fn postgres(report: &mut Report, scale: Scale) {
    // Where the cluster keeps its data.
    must_be_durable(&std::env::temp_dir());
    let cluster = PostgresCluster::durable();
    let database = cluster.database();
    let stock = Stock::fill("server-postgres", scale.few);
    stock.copy_to(&database);
    let instance = Instance::start(&stock.folder, Some(&database));
    let mut site = Site { instance, uses: Uses::of(scale.few), stock, scale };
    let mut rates: Vec<f64> = (0..scale.rounds).map(|_| site.peak()).collect();
    site.instance.refuses_what_is_spent(&site.stock.token, scale.few);
    let peak = median(&mut rates);
    let name = "server, verifications a second on PostgreSQL, fsync=on";
    report.add(name, peak, "1/s", Bound::AtLeast(2_000.0));
    let p99 = site.p99(peak);
    report.add("server, 99th percentile there at 80 % of the peak", p99, "ms", Bound::None);
}
