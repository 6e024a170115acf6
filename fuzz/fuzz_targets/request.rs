#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tokenring::http::fuzz::fuzz_request(data));
