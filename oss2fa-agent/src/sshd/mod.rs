//! What the agent itself finds out about sshd before a key that sshd has taken counts: whether sshd insists on a touch.
//!
//! It reads sshd's own files, at each such login, as the user that the daemon is. Neither the module nor whoever
//! connects is asked. What sshd has read may be older than its files: it reads them when it starts, and when it is
//! reloaded.

mod criteria;
mod insistence;

pub use self::criteria::Whom;
pub use self::insistence::{Insisted, NotInsisted, insists};
