//! Appliances as they run: booted in QEMU with UEFI firmware, asked by clients on the provisioning network.
//!
//! All of these are slow (a boot takes minutes without KVM) and run one at a time: `tests/run`, or
//! `cargo test --release --test vm -- --ignored --test-threads=1`. Consoles stay in target/tmp/vm/.

#[path = "../common/mod.rs"]
mod common;

mod appliance;
mod boot_matrix;
mod client;
mod harness;
mod installation;
mod lab;
mod machine;
mod probe;
