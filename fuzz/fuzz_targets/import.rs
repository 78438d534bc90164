#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tower_audit_fuzz::import::run(data));
