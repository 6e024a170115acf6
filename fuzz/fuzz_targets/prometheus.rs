//! Pages of an engine's metrics, cut anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tokenring::probe::fuzz::fuzz_prometheus(data));
