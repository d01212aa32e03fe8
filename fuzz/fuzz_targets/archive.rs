//! The reader of tar streams, and what unpacks them, under libFuzzer; `make fuzz` runs it.
#![no_main]

#[path = "../archive_body.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| drop(body::archive(data)));
