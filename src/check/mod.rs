//! Room check.
