//! Room batch.
