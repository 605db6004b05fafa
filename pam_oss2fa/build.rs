//! How the module is linked.

use std::path::Path;
use std::{env, fs, io};

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells build scripts their folder by the environment alone"
)]
fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    // libpam unloads a module while its host runs on. The panic hook and the data kept on the PAM
    // handle point into the module's code, so it must not go away.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // The unwinder becomes part of the module. As a shared library, which the linker would take by
    // itself, it is one more file to find and map at each login: most of what loading the module costs.
    let folder = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    let folder = Path::new(&folder);
    fs::write(folder.join("libgcc_s.so"), "INPUT ( -lgcc_eh -lgcc )\n")?;
    println!("cargo:rustc-link-search=native={}", folder.display());
    Ok(())
}
