//! `oss2fa-server`: the process around the library.
#![forbid(unsafe_code)]

fn main() {}
