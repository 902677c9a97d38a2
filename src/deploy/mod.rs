//! From a finished build to a running virtual machine.

pub mod qemu;
