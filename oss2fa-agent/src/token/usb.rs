//! Keys on USB, through hidapi: the only file that uses it.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hidapi::{HidApi, HidDevice, HidError};
use oss2fa_ctap::transport::{FEATURE, Feature, HidTransport, Pause, REPORT, Read, Report, TransportError};

use super::Plugged;

/// For how long one look at a key lasts: after that, somebody is asked whether they still wait.
const QUIET: Duration = Duration::from_millis(100);

/// The keys that are plugged in, an entry for each interface, in the order of their files. Nothing is opened.
///
/// # Errors
/// What the system said.
pub fn plugged() -> Result<Vec<Plugged>, HidError> {
    let api = HidApi::new()?;
    let mut found: Vec<Plugged> = api
        .device_list()
        .filter_map(|device| {
            let path = PathBuf::from(std::ffi::OsStr::from_bytes(device.path().to_bytes()));
            let names = (
                device.manufacturer_string().unwrap_or_default(),
                device.product_string().unwrap_or_default(),
            );
            let ids = (device.vendor_id(), device.product_id());
            Plugged::from_system(path, ids, (device.usage_page(), device.usage()), names)
        })
        .collect();
    found.sort_by(|one, other| (&one.path, one.interface).cmp(&(&other.path, other.interface)));
    Ok(found)
}

/// One interface of one key, opened.
#[derive(Debug)]
pub struct UsbKey {
    device: HidDevice,
    path: PathBuf,
}

impl UsbKey {
    /// Opens an interface that [`plugged`] has named.
    ///
    /// # Errors
    /// [`TransportError`].
    pub fn open(key: &Plugged) -> Result<Self, TransportError> {
        let path = key.path.as_path();
        // hidapi puts its reason into words; the system's own is asked for first.
        OpenOptions::new().read(true).write(true).open(path).map_err(|error| reason(&error))?;
        // It takes a path that is not UTF-8 for a bug of its caller.
        let name = path.to_str().and_then(|name| CString::new(name).ok()).ok_or(TransportError::Failed)?;
        let api = HidApi::new().map_err(|_| TransportError::Failed)?;
        let device = api.open_path(&name).map_err(|_| gone_or_failed(path))?;
        Ok(Self { device, path: path.to_owned() })
    }

    fn failed(&self, error: &HidError) -> TransportError {
        match error {
            HidError::IoError { error } => reason(error),
            _ => gone_or_failed(&self.path),
        }
    }
}

impl HidTransport for UsbKey {
    fn write(&mut self, report: &Report) -> Result<(), TransportError> {
        let mut numbered = [0; REPORT + 1];
        numbered.iter_mut().skip(1).zip(report).for_each(|(to, from)| *to = *from);
        match self.device.write(&numbered) {
            Ok(sent) if sent == numbered.len() => Ok(()),
            Ok(_) => Err(TransportError::Failed),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn read(&mut self, deadline: Instant) -> Result<Read, TransportError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Read::TimeUp);
        }
        let mut report = [0; REPORT];
        // At least one: a wait of nothing would be asked for over and over.
        let milliseconds = i32::try_from(left.min(QUIET).as_millis()).unwrap_or(1).max(1);
        match self.device.read_timeout(&mut report, milliseconds) {
            Ok(0) => Ok(Read::Quiet),
            Ok(_) => Ok(Read::Report(report)),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn write_feature(&mut self, feature: &Feature) -> Result<(), TransportError> {
        let mut numbered = [0; FEATURE + 1];
        numbered.iter_mut().skip(1).zip(feature).for_each(|(to, from)| *to = *from);
        self.device.send_feature_report(&numbered).map_err(|error| self.failed(&error))
    }

    fn read_feature(&mut self) -> Result<Feature, TransportError> {
        let mut numbered = [0; FEATURE + 1];
        match self.device.get_feature_report(&mut numbered) {
            Ok(read) if read == numbered.len() => {
                let [_, feature @ ..] = numbered;
                Ok(feature)
            }
            Ok(_) => Err(TransportError::Failed),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn pause(&mut self, length: Duration, deadline: Instant) -> Pause {
        let left = deadline.saturating_duration_since(Instant::now());
        if left <= length {
            std::thread::sleep(left);
            return Pause::TimeUp;
        }
        std::thread::sleep(length);
        Pause::Over
    }
}

fn reason(error: &io::Error) -> TransportError {
    use nix::errno::Errno;
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENODEV | Errno::ENOENT | Errno::ENXIO | Errno::EIO | Errno::EPIPE) => {
            TransportError::Gone
        }
        Some(Errno::EACCES | Errno::EPERM) => TransportError::Forbidden,
        Some(_) | None => TransportError::Failed,
    }
}

// The file of a key goes with it, if a moment later than the news of it: to open it is sure, since that waits for
// the kernel to be done with the key.
fn gone_or_failed(path: &Path) -> TransportError {
    match File::open(path) {
        Err(error) => reason(&error),
        Ok(_) => TransportError::Failed,
    }
}

#[cfg(test)]
mod tests {
    use oss2fa_core::wire::DisplayText;

    use super::*;
    use crate::token::Interface;

    fn at(path: &str) -> Plugged {
        let name = DisplayText::new("key");
        Plugged { path: PathBuf::from(path), interface: Interface::Fido, vendor: 1, product: 2, name }
    }

    #[test]
    fn a_key_that_is_not_there_is_gone() {
        assert_eq!(UsbKey::open(&at("/dev/hidraw-of-nobody")).unwrap_err(), TransportError::Gone);
    }

    #[test]
    fn a_file_that_is_no_key_is_not_opened() {
        assert_eq!(UsbKey::open(&at("/dev/null")).unwrap_err(), TransportError::Failed);
    }

    #[test]
    fn errors_of_the_system_have_their_meaning() {
        let from = |errno: i32| reason(&io::Error::from_raw_os_error(errno));
        assert_eq!(from(nix::libc::ENODEV), TransportError::Gone);
        assert_eq!(from(nix::libc::EACCES), TransportError::Forbidden);
        assert_eq!(from(nix::libc::ENOMEM), TransportError::Failed);
    }
}
