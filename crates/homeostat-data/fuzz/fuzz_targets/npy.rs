//! See the function of the same name.
#![no_main]

libfuzzer_sys::fuzz_target!(init: homeostat_data::hush_caught_panics(), |bytes: &[u8]| homeostat_data_fuzz::npy(bytes));
