//! The server: verifications a second on both databases, their latency, and what it takes of the machine;
//! against its own `/healthz`, and against privacyIDEA.

mod apps;
mod footprint;
mod instance;
mod peer;
mod rates;
mod stock;
mod uses;
mod yubico;

use crate::report::Report;

pub(crate) fn measure(report: &mut Report) {
    eprintln!("building the server, and filling stores");
    stock::build();
    let ours = rates::sqlite(report);
    eprintln!("measuring on PostgreSQL");
    rates::postgres(report);
    measure_apps(report);
    measure_yubico(report);
    eprintln!("measuring privacyIDEA (some minutes where it is not installed yet)");
    peer::measure(report, &ours);
    eprintln!("measuring memory and the start");
    footprint::measure(report);
}

pub(crate) fn measure_apps(report: &mut Report) {
    eprintln!("measuring the apps of ungleich-otp");
    apps::measure(report);
}

pub(crate) fn measure_yubico(report: &mut Report) {
    eprintln!("measuring the validation protocol of Yubico");
    yubico::measure(report);
}
