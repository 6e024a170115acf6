//! Bodies of requests and answers, and whether we read them without doubt.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tokenring::llm::fuzz_json_peek(data));
