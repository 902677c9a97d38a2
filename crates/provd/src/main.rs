//! provd: parses its arguments, calls, exits.

use std::process::ExitCode;

fn main() -> ExitCode {
    provd::cli::run()
}
