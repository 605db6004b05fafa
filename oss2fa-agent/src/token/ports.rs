//! Where keys are plugged in, as a parameter: the system's USB, or keys of a test.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::DirEntryExt;
use std::path::Path;

use oss2fa_ctap::transport::{HidTransport, TransportError};

pub use super::changes::Changes;
use super::{Plugged, usb};

/// A key that was opened.
pub type Port = Box<dyn HidTransport + Send>;

/// Where keys are plugged in.
pub trait Ports: Send + Sync {
    /// Something else whenever a key came or went.
    fn mark(&self) -> u64;

    /// Told of what may change that. Without it the mark is looked at twice a second while somebody waits.
    fn changes(&self) -> Option<Changes> {
        None
    }

    /// The interfaces of the keys that are plugged in; none where they cannot be listed.
    fn plugged(&self) -> Vec<Plugged>;

    /// Opens one of them.
    ///
    /// # Errors
    /// [`TransportError`].
    fn open(&self, key: &Plugged) -> Result<Port, TransportError>;
}

/// The USB of the running system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usb;

/// A folder with an entry for each HID device; an entry that comes again has another inode.
const DEVICES: &str = "/sys/class/hidraw";

/// The folder of their files.
const FILES: &str = "/dev";

impl Ports for Usb {
    fn mark(&self) -> u64 {
        let mut entries: Vec<_> = fs::read_dir(DEVICES)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| (entry.file_name(), entry.ino()))
            .collect();
        entries.sort();
        let mut hasher = DefaultHasher::new();
        entries.hash(&mut hasher);
        hasher.finish()
    }

    fn changes(&self) -> Option<Changes> {
        Changes::of(Path::new(FILES))
    }

    fn plugged(&self) -> Vec<Plugged> {
        usb::plugged().unwrap_or_else(|error| {
            tracing::warn!(code = "keys", %error, "the security keys that are plugged in cannot be listed");
            Vec::new()
        })
    }

    fn open(&self, key: &Plugged) -> Result<Port, TransportError> {
        Ok(Box::new(usb::UsbKey::open(key)?))
    }
}
