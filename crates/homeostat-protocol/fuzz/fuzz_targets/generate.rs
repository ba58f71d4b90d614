//! See the function of the same name.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| homeostat_protocol_fuzz::generate(bytes));
