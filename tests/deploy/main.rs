//! `provbuild deploy`, `generations` and `destroy` as an operator has them: the real program, a stand-in for VMware Workstation, builds that are
//! made up, and a guest that says at /healthz what the machine's system disk really holds.

#[path = "../common/mod.rs"]
mod common;
mod cut_off;
mod end_to_end;
mod fake_build;
mod guest;
mod lab;
#[path = "../vm/lab.rs"]
#[allow(dead_code)]
mod netlab;
mod troubles;
mod upgrades;
