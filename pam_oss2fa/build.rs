//! Links the module so that it stays in memory once it was loaded.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // libpam unloads a module while its host runs on. The panic hook and the data kept on the PAM
    // handle point into the module's code, so it must not go away.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
