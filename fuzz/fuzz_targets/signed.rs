#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| facetty_fuzz::targets::run("signed", data));
