//! `provbuild deploy`, `generations` and `destroy` as an operator has them: the real program, a stand-in for VMware Workstation, builds that are
//! made up, and a guest that says at /healthz what the machine's system disk really holds.

mod cut_off;
mod fake_build;
mod guest;
mod lab;
mod troubles;
mod upgrades;
