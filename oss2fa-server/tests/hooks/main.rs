//! What goes on around an operation: answers that are kept, what is swept away, the audit, webhooks.

mod idempotency;
mod world;
