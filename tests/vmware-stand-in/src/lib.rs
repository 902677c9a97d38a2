//! For tests only: VMware Workstation, as far as provbuild uses it, over QEMU.
