//! Verifications a second, and how long one takes at 80 % of the peak.

use oss2fa_tests::load::Pace;
use oss2fa_tests::server::PostgresCluster;

use super::instance::Instance;
use super::scale::Scale;
use super::stock::{Stock, must_be_durable};
use super::uses::{Step, Uses};
use crate::report::{Bound, Measured, Report};
use crate::throughput::median;

const OF_PEAK: f64 = 0.8;

/// By how much the peaks before and after a round may differ.
const STEADY: f64 = 0.1;

/// As many times more rounds at the most, until enough of them count.
const TRIES: usize = 3;

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

    /// Median of rounds at 80 % of the peak. A round counts where the peak after it is nearly the one before: the speed of a
    /// shared machine changes by half within a minute, and 80 % of a peak that is over may be more than all there is.
    fn p99(&mut self) -> Measured {
        let Scale { rounds, seconds_at_fixed_rate: seconds, .. } = self.scale;
        let (mut steady, mut all) = (Vec::new(), Vec::new());
        let mut before = self.peak();
        while steady.len() < rounds && all.len() < TRIES * rounds {
            let pace = Pace::PerSecond(OF_PEAK * before);
            let took = self.instance.verify(&self.stock.token, &mut self.uses, seconds, pace).latency.p99_ms;
            let after = self.peak();
            all.push(took);
            if (after / before - 1.0).abs() < STEADY {
                steady.push(took);
            }
            before = after;
        }
        println!(
            "  99th percentile: {} of {} rounds at a steady speed of the machine",
            steady.len(),
            all.len()
        );
        if steady.is_empty() {
            steady.clone_from(&all);
        }
        Measured { value: median(&mut steady), rounds: all }
    }
}

/// What one is of the other: the median of rounds, each against what was measured right beside it.
fn ratio(these: &[f64], those: &[f64]) -> Measured {
    let rounds: Vec<f64> = these.iter().zip(those).map(|(this, that)| this / that).collect();
    Measured { value: median(&mut rounds.clone()), rounds }
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
    many.instance.refuses_what_is_spent(&many.stock.token, scale.many);
    let against_health = ratio(&verify, &health);
    let many_against_few = ratio(&verify_many, &verify);
    let per_second = median(&mut verify);
    report.add("server, answers a second of /healthz", median(&mut health), "1/s", Bound::None);
    report.add("server, verifications a second on SQLite", per_second, "1/s", Bound::AtLeast(5_000.0));
    report.add("server, verifications against /healthz", against_health, "ratio", Bound::AtLeast(0.5));
    report.add("server, verifications with 1,000,000 devices", median(&mut verify_many), "1/s", Bound::None);
    report.add("server, 1,000,000 devices against 1,000", many_against_few, "ratio", Bound::AtLeast(0.9));
    report.add("server, 99th percentile at 80 % of the peak", few.p99(), "ms", Bound::AtMost(20.0));
    report.add("server, the same with 1,000,000 devices", many.p99(), "ms", Bound::AtMost(20.0));
    drop(many);
    report.add("server, 1,000,000 devices, no two uses near each other", farthest(scale), "1/s", Bound::None);
    Ours { per_second, proportional }
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
    report.add("server, 99th percentile there at 80 % of the peak", site.p99(), "ms", Bound::None);
}
