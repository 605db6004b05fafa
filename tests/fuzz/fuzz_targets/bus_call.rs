//! Hands libFuzzer's bytes to [`oss2fa_fuzz::bus_call`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oss2fa_fuzz::bus_call::target(data));
