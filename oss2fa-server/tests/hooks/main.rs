//! What goes on around an operation: answers that are kept, what is swept away, the audit, webhooks.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail where it likes"
)]

mod audit_api;
mod housekeeping;
mod idempotency;
mod receiver;
mod webhooks;
mod world;
