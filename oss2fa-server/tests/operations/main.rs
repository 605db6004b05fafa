//! The built program as operators meet it: readiness, figures, log, deadlines, signals.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail where it likes"
)]

mod canary;
mod deadlines;
mod figures;
mod files;
mod log;
mod program;
mod ready;
mod signals;
mod trust;
