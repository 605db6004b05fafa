//! The server: verifications a second on both databases, their latency, and what it takes of the machine;
//! against its own `/healthz`, and against privacyIDEA.

mod apps;
mod bus;
mod footprint;
pub(crate) mod instance;
mod peer;
mod processors;
mod rates;
mod scale;
pub(crate) mod stock;
pub(crate) mod uses;
mod yubico;

use crate::report::Report;
pub(crate) use scale::{PROMISED, SMALL, Scale};

pub(crate) fn measure(report: &mut Report, scale: Scale) {
    processors::keep_to_two();
    eprintln!("building the server, and filling stores");
    stock::build();
    let ours = rates::sqlite(report, scale);
    eprintln!("measuring on PostgreSQL");
    rates::postgres(report, scale);
    measure_apps(report, scale);
    measure_bus(report, scale);
    measure_yubico(report, scale);
    eprintln!("measuring privacyIDEA (some minutes where it is not installed yet)");
    peer::measure(report, scale, &ours);
    eprintln!("measuring memory and the start");
    footprint::measure(report, scale);
}

pub(crate) fn measure_apps(report: &mut Report, scale: Scale) {
    processors::keep_to_two();
    eprintln!("measuring the apps of ungleich-otp");
    apps::measure(report, scale);
}

pub(crate) fn measure_bus(report: &mut Report, scale: Scale) {
    processors::keep_to_two();
    eprintln!("measuring the bus, against a service of nameko's own");
    bus::measure(report, scale);
}

pub(crate) fn measure_yubico(report: &mut Report, scale: Scale) {
    processors::keep_to_two();
    eprintln!("measuring the validation protocol of Yubico");
    yubico::measure(report, scale);
}
