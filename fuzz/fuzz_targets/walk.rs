//! What a source says about its tree, and saved indexes, under libFuzzer; `make fuzz` runs it.
#![no_main]

#[path = "../walk_body.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::walk(data));
