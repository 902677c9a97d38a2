//! Checks a hand-written autoinstall user-data file: its form, and the traps that the installer does not report.
//!
//! In: a text of any origin and the release that will read it. Out: every finding at once, sorted by place, each inside
//! the text. Pure, and bounded in time and memory: the text may be hostile.
//!
//! ```text
//! text ─ yaml: PyYAML's reading, with places ─► tree ─ document: header, wrapper ─► autoinstall
//!      ─ shape + keys: form of each section ─ storage, account, network, installer: meaning ─► findings
//! ```

mod account;
mod document;
mod facts;
mod installer;
mod keys;
mod network;
mod report;
mod shape;
mod ssh_key;
mod storage;
#[cfg(test)]
mod tests;
mod yaml;

use std::ops::Range;

pub use report::{Finding, Severity};

use crate::Release;

/// Bytes that a file may have; NoCloud seeds are a few KiB.
pub const LONGEST_TEXT: usize = 4 << 20;

/// What was found in a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Linted {
    /// Sorted by place.
    pub findings: Vec<Finding>,
    /// Where passwords and keys stand: an excerpt must not show them.
    pub secrets: Vec<Range<usize>>,
}

impl Linted {
    /// Whether the document must not be used.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// Checks an autoinstall document as the installer of `release` reads it.
///
/// Sources: subiquity's autoinstall reference and the behaviour of its 24.04 installer, cloud-init's user-data formats,
/// netplan's reference.
pub fn lint(text: &str, release: Release) -> Linted {
    let mut report = report::Report::new(text);
    let mut secrets = Vec::new();
    match facts::of(release) {
        None => {
            report
                .error(&(0..0), format!("{release} is not installed by autoinstall user-data"))
                .help("choose a release of Ubuntu");
        }
        Some(_) if text.len() > LONGEST_TEXT => {
            report.error(&(0..0), format!("the file is larger than {} MiB", LONGEST_TEXT >> 20));
        }
        Some(facts) => document::check(text, facts, &mut report, &mut secrets),
    }
    Linted { findings: report.finish(), secrets }
}
