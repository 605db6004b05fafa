//! What the server takes of the machine with 100,000 clients, and how soon it answers.

use std::thread;

use oss2fa_tests::load::Pace;

use super::instance::Instance;
use super::scale::Scale;
use super::stock::{Stock, empty, remove};
use super::uses::Uses;
use crate::report::{Bound, Report};
use crate::throughput::median;

pub(crate) fn measure(report: &mut Report, scale: Scale) {
    let mut first: Vec<f64> = (0..scale.starts).map(|_| first_start()).collect();
    let stock = Stock::fill("server-footprint", scale.clients);
    // The first start on a filled folder makes the certificate.
    drop(Instance::start(&stock.folder, None));
    let mut later: Vec<f64> =
        (0..scale.starts).map(|_| Instance::start(&stock.folder, None).first_answer.as_secs_f64()).collect();
    report.add("server, very first start to first answer", median(&mut first), "s", Bound::AtMost(0.3));
    let name = "server, start to first answer with 100,000 clients";
    report.add(name, median(&mut later), "s", Bound::AtMost(0.3));

    let instance = Instance::start(&stock.folder, None);
    thread::sleep(scale.idle);
    let name = "server, resident when idle with 100,000 clients";
    report.add(name, instance.resident(), "MiB", Bound::AtMost(40.0));
    let _load = instance.verify(&stock.token, &mut Uses::of(scale.clients), 3.0, Pace::Full);
    thread::sleep(scale.idle);
    let name = "server, the same when idle after a load";
    report.add(name, instance.resident(), "MiB", Bound::AtMost(40.0));
}

fn first_start() -> f64 {
    let folder = empty("server-first-start");
    let instance = Instance::start(&folder, None);
    let took = instance.first_answer.as_secs_f64();
    drop(instance);
    remove(&folder);
    took
}
