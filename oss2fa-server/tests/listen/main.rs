//! The listener, met by peers that are not ours: curl, openssl, and raw sockets.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail where it likes"
)]

mod certificates;
mod limits;
mod peers;
mod protocols;
mod reload;
mod server;
mod stop;
