//! The parser of VE configurations under libFuzzer; `make fuzz` runs it.
#![no_main]

#[path = "../body.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::ve_conf(data));
