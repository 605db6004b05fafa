//! Hands libFuzzer's bytes to [`oss2fa_fuzz::server_keys`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oss2fa_fuzz::server_keys::target(data));
