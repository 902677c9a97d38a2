//! `provbuild node` as an operator has it: the real program, simulated BMCs, exit codes, what is shown and what is not.

mod appliance;
mod fleet;
mod install;
mod lab;
mod trust;
mod verbs;
