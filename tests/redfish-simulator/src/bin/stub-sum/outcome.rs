//! What the stub prints, in SUM's form: banner, notes in bold, the error block.
//!
//! Input: texts; output: stdout, as SUM does even for errors. Invariant: escape sequences are there although nobody looks, as with SUM.

use std::fmt::Write as _;

/// Why it ends, with SUM's exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    text: String,
}

impl Failure {
    pub(crate) fn new(code: u8, text: String) -> Failure {
        Failure { code, text }
    }

    pub(crate) fn print(&self) {
        let line = "*".repeat(32);
        let mut block = format!("\n{line}<<<<<ERROR>>>>>{line}\n\n");
        let _ = writeln!(block, "ExitCode                = {}", self.code);
        let _ = writeln!(block, "Description             = {}", description(self.code));
        let _ = writeln!(block, "Program Error Code      = {}.1", self.code);
        let _ = writeln!(block, "Error message:\n\t{}\n\n{}", self.text, "*".repeat(79));
        print!("{block}");
    }
}

fn description(code: u8) -> &'static str {
    match code {
        2 => "Unknown option",
        3 => "Missing argument",
        4 => "No host IP/user/password",
        5 => "Missing option",
        6 => "Unknown command",
        8 => "Cannot open file",
        9 => "File is already existed",
        12 => "Function access denied",
        60 => "Invalid BIOS configuration file",
        80 => "Node product key is not activated",
        145 => "IPMI connect failed",
        146 => "IPMI login failed",
        149 => "IPMI execution failed",
        _ => "Failed",
    }
}

pub(crate) fn banner() {
    println!("stub-sum, a STUB of Supermicro Update Manager (for UEFI BIOS) 2.14.0 (2024/02/15)");
    println!(".................\u{1b}[0m");
}

pub(crate) fn note(text: &str) {
    println!("\n\u{1b}[1m\u{1b}[1mNote:\u{1b}[0m\u{1b}[0m \u{1b}[0m{text}");
}

pub(crate) fn status(text: &str) {
    println!("\n\u{1b}[1m\u{1b}[1mStatus:\u{1b}[0m\u{1b}[0m \u{1b}[0m{text}");
}
