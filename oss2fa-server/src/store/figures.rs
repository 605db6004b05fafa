//! What the store counts of itself; see `http/metrics.rs`.

use super::error::StoreError;

/// Counts a transaction of so many verbs.
pub(super) fn group(written: &Result<(), StoreError>, verbs: usize) {
    match written {
        Ok(()) => {
            #[expect(clippy::cast_precision_loss, reason = "a group has a few hundred verbs")]
            metrics::histogram!("oss2fa_store_group_size").record(verbs as f64);
        }
        Err(_) => metrics::counter!("oss2fa_store_failures_total").increment(1),
    }
}

/// Sets how long SQLite's log is, in pages.
pub(super) fn log(pages: u32) {
    metrics::gauge!("oss2fa_store_log_pages").set(f64::from(pages));
}
