//! provbuild's entry: parses, calls, exits.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The sandbox's inside must be reached before anything can have made a thread.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == provbuild::exec::sandbox::ENTRY) {
        let code = provbuild::rootfs::run_inside();
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    provbuild::cli::run()
}
