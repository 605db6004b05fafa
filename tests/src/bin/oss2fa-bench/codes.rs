//! Codes made beforehand by oathtool, so that making them is no part of any measurement.

use std::process::Command;

/// The secret of every measured device, in hexadecimal as pam_oath has it.
pub(crate) const SECRET_HEX: &str = "3132333435363738393031323334353637383930";

/// The same in base32.
pub(crate) const SECRET_BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// `count` codes of the counters from `first`.
pub(crate) fn codes(first: usize, count: usize) -> Vec<String> {
    let made = Command::new("oathtool")
        .args(["--hotp", "--counter", &first.to_string(), "--window", &(count - 1).to_string(), SECRET_HEX])
        .output()
        .expect("oathtool");
    assert!(made.status.success(), "oathtool failed");
    let codes: Vec<String> = String::from_utf8(made.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(codes.len(), count);
    codes
}
