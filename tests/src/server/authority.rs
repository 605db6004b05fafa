//! A certificate authority for loopback, by `openssl`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

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
        let names = format!(
            "subjectAltName=IP:127.0.0.1,DNS:localhost{}\nbasicConstraints=critical,CA:FALSE\n",
            self.names
        );
        fs::write(self.folder.path().join("names"), names).unwrap();
        self.openssl(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
             -keyout new.key -out new.csr",
        );
        self.openssl("x509 -req -in new.csr -CA ca.pem -CAkey ca.key -days 2 -extfile names -out new.pem");
        fs::rename(self.folder.path().join("new.key"), self.key()).unwrap();
        fs::rename(self.folder.path().join("new.pem"), self.certificate()).unwrap();
    }

    fn openssl(&self, words: &str) {
        let words: Vec<&str> = words.split_whitespace().collect();
        let openssl = Command::new("/usr/bin/openssl").args(words).current_dir(self.folder.path()).output();
        let output = openssl.expect("openssl");
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
