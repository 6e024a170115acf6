//! Event streams, cut anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tokenring::llm::fuzz_sse(data));
