//! The programs under test, as `make build` left them.

use std::fs;
use std::path::{Path, PathBuf};

/// The module and the agent of this workspace, built and up to date.
#[derive(Debug, Clone)]
pub struct Built {
    /// `libpam_oss2fa.so`.
    pub module: PathBuf,
    /// `oss2fa-agent`.
    pub agent: PathBuf,
}

/// The root folder of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

impl Built {
    /// The release programs under the workspace's `target`.
    ///
    /// # Panics
    /// Where one is absent, or older than a source it was made of.
    #[must_use]
    pub fn find() -> Self {
        let release = workspace().join("target/release");
        Self { module: up_to_date(&release.join("libpam_oss2fa.so"), BUILD), agent: Self::agent_alone() }
    }

    /// `oss2fa-agent` alone, for who needs no module.
    ///
    /// # Panics
    /// Where it is absent, or older than a source it was made of.
    #[must_use]
    pub fn agent_alone() -> PathBuf {
        up_to_date(&workspace().join("target/release/oss2fa-agent"), BUILD)
    }

    /// `oss2fa-server`: apart from the others, so that a change to it does not ask who tests those to
    /// build anew.
    ///
    /// # Panics
    /// Where it is absent, or older than a source it was made of.
    #[must_use]
    pub fn server() -> PathBuf {
        up_to_date(&workspace().join("target/release/oss2fa-server"), BUILD)
    }

    /// `key_probe`: drives security keys through the product's crate. Not optimised: all of the workspace's
    /// tests are built at once, and it with them.
    ///
    /// # Panics
    /// Where it is absent, or older than a source it was made of.
    #[must_use]
    pub fn key_probe() -> PathBuf {
        let cure = "run `cargo build -p oss2fa-agent --example key_probe` first";
        up_to_date(&workspace().join("target/debug/examples/key_probe"), cure)
    }
}

const BUILD: &str = "run `make build` first (cargo build --release)";

fn up_to_date(built: &Path, cure: &str) -> PathBuf {
    let Ok(made) = fs::metadata(built).and_then(|data| data.modified()) else {
        panic!("{} is not there: {cure}", built.display());
    };
    // Cargo writes beside each program which sources it was made of: `PROGRAM: SOURCE SOURCE ...`.
    let list = fs::read_to_string(built.with_extension("d")).expect("cargo's list of sources");
    let sources = list.split_once(':').expect("a make rule").1.replace("\\ ", "\u{0}");
    for source in sources.split_whitespace().map(|source| source.replace('\u{0}', " ")) {
        let fresh = fs::metadata(&source).and_then(|data| data.modified()).is_ok_and(|when| when <= made);
        assert!(fresh, "{} is older than {source}: {cure}", built.display());
    }
    built.to_owned()
}
