//! Room guest.
