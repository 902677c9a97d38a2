//! The stand-in itself: what is documented of vmrun, vmrest and .vmx files, and that a described machine really runs.

mod lab;
mod qemu;
mod refusals;
mod vmrest;
mod vmrun;
