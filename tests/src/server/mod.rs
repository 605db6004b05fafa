//! The server as its callers meet it: the built program on loopback, `curl`, and real peers around it.
//!
//! ```no_run
//! use oss2fa_tests::server::{PostgresCluster, Server, Store};
//! let cluster = PostgresCluster::start();
//! let server = Server::new().on(Store::Postgres(&cluster)).config("[log]\nlevel = 'debug'\n").start();
//! let reply = server.integration().get("/devices-kind").expect(200);
//! ```
//!
//! Nothing here needs root, but [`Plan::without_configuration`]. Codes come from `oathtool`, what is in
//! a QR code from `zbarimg`, mail from aiosmtpd, calls of the bus from nameko's own clients.

mod app;
mod authenticator;
mod authority;
mod broker;
mod caller;
mod cluster;
mod curl;
mod flows;
mod gateway;
mod mail;
mod nameko;
mod node;
mod place;
mod plan;
mod rough_line;
mod script;

pub use app::App;
pub use authenticator::{phone, qr_text};
pub use authority::Authority;
pub use broker::Broker;
pub use caller::Caller;
pub use cluster::PostgresCluster;
pub use curl::Reply;
pub use flows::{DEFAULT_INTEGRATION, DEFAULT_TENANT, Enrolled};
pub use gateway::{Gateway, GatewayMode, Sent};
pub use mail::{Mail, MailMode, MailSecurity, MailSink};
pub use nameko::{Nameko, Running};
pub use node::Server;
pub use place::{free_port, free_ports_of_ten};
pub use plan::{Plan, Store};
pub use rough_line::RoughLine;
