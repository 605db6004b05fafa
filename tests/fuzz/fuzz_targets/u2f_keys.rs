//! Hands libFuzzer's bytes to [`oss2fa_fuzz::u2f_keys`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oss2fa_fuzz::u2f_keys::target(data));
