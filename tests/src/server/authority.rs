//! A certificate authority for loopback, by `openssl`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// The names of this machine's own address.
const LOOPBACK: &str = "IP:127.0.0.1,DNS:localhost";

/// An authority, and a certificate of it for `127.0.0.1`, `localhost`, and what it is made for besides.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
    names: String,
}

impl Authority {
    /// Makes both.
    ///
    /// # Panics
    /// Without openssl.
    #[must_use]
    pub fn new() -> Self {
        Self::of(&[])
    }

    /// Makes both, for these names of hosts as well.
    ///
    /// # Panics
    /// Without openssl.
    #[must_use]
    pub fn of(hosts: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("oss2fa-ca-").tempdir().unwrap();
        let names = hosts.iter().map(|host| format!(",DNS:{host}")).collect();
        let authority = Self { folder, names };
        authority.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
             -subj /CN=Test-authority -keyout ca.key -out ca.pem",
        );
        authority.renew();
        authority
    }

    /// Another key and certificate under the same names, signed by the same authority.
    pub fn renew(&self) {
        self.sign(&format!("{LOOPBACK}{}", self.names), "+0d");
    }

    /// The same for this name of somebody else.
    pub fn renew_for(&self, name: &str) {
        self.sign(&format!("DNS:{name}"), "+0d");
    }

    /// The same, as it would have been signed three days ago: it has expired since.
    pub fn renew_expired(&self) {
        self.sign(LOOPBACK, "-3d");
    }

    fn sign(&self, names: &str, offset: &str) {
        let names = format!("subjectAltName={names}\nbasicConstraints=critical,CA:FALSE\n");
        fs::write(self.folder.path().join("names"), names).unwrap();
        self.openssl(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
             -keyout new.key -out new.csr",
        );
        let words = "x509 -req -in new.csr -CA ca.pem -CAkey ca.key -days 2 -extfile names -out new.pem";
        self.run(Command::new("/usr/bin/faketime").args(["-f", offset, "/usr/bin/openssl"]), words);
        fs::rename(self.folder.path().join("new.key"), self.key()).unwrap();
        fs::rename(self.folder.path().join("new.pem"), self.certificate()).unwrap();
    }

    fn openssl(&self, words: &str) {
        self.run(&mut Command::new("/usr/bin/openssl"), words);
    }

    fn run(&self, command: &mut Command, words: &str) {
        let output = command.args(words.split_whitespace()).current_dir(self.folder.path()).output();
        let output = output.expect("openssl and faketime");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The authority's own certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("server.pem")
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("server.key")
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
