//! Arguments, progress, diagnostics, exit codes: the only place where the environment, the clock and the terminal enter.
//!
//! stdout is data (artifact paths, JSON, listings); stderr is talk (progress, diagnostics).

mod arguments;
mod check;
mod cidata;
mod commands;
mod deploy;
mod exit;
mod failure;
mod import;
mod lint;
mod node;
mod output;
mod progress;
mod vm;

pub use commands::run;
