//! Room openvz.
