//! Whatever a stranger, or somebody with a token, may send: never a fault of the server, always the one shape
//! of errors.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail where it likes"
)]

mod accept;
mod addresses;
mod bodies;
mod heads;
mod limits;
mod world;
