//! Room lxc.
