//! Sweeping away what nobody needs any more, beside the requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::outside::Clock;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::verbs::housekeeping::{BATCH, LITTER, Litter, Sweep};

/// How often.
pub const EVERY: Duration = Duration::from_secs(60);

/// Sweeps for as long as it is polled.
pub async fn run(store: Arc<Store>, clock: Arc<dyn Clock>) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        if let Err(error) = sweep(&store, &*clock).await {
            tracing::warn!(code = "housekeeping", %error, "what is too old was not swept away; tried again soon");
        }
    }
}

/// Sweeps once; answers how many rows are gone.
///
/// # Errors
/// Those of the store; what was swept before stays swept.
pub async fn sweep(store: &Store, clock: &dyn Clock) -> Result<u64, StoreError> {
    let mut all = 0;
    for litter in LITTER {
        let swept = sweep_one(store, clock, litter).await?;
        if swept > 0 {
            tracing::debug!(code = "housekeeping", what = litter.name, rows = swept, "swept away");
        }
        all += swept;
    }
    Ok(all)
}

async fn sweep_one(store: &Store, clock: &dyn Clock, litter: Litter) -> Result<u64, StoreError> {
    let mut swept = 0;
    loop {
        let begun = Instant::now();
        let rows = store.write(Sweep { litter, now: clock.now() }).await?;
        swept += rows;
        if rows < u64::from(BATCH) {
            return Ok(swept);
        }
        // As long a pause as the work was: logins come first.
        tokio::time::sleep(begun.elapsed()).await;
    }
}
