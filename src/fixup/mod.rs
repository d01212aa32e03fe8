//! Room fixup.
