//! libFuzzer's target for `entries::first_boot`.
#![no_main]

#[path = "../entries.rs"]
mod entries;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entries::first_boot(bytes));
