//! Hands libFuzzer's bytes to [`oss2fa_fuzz::server_config`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oss2fa_fuzz::server_config::target(data));
