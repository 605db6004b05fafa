//! Hands libFuzzer's bytes to [`oss2fa_fuzz::ctap_attestation`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oss2fa_fuzz::ctap_attestation::target(data));
