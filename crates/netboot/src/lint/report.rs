//! Findings: what is wrong, where, and what to write instead.
//!
//! In: byte ranges of one text. Out: findings sorted by place, each inside the text, none twice.

use std::ops::Range;

use serde::Serialize;

/// A file with more has one reason for most of them.
const MOST: usize = 500;

/// What a finding means for the installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The installer stops, ignores what was written, or may install onto the wrong disk.
    Error,
    /// It installs, but perhaps not what was meant.
    Warning,
}

/// One remark on a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    pub severity: Severity,
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The bytes of the text that it is about, all on one line.
    #[serde(skip)]
    pub range: Range<usize>,
}

impl Finding {
    pub(super) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn maybe_help<T: Into<String>>(&mut self, help: Option<T>) -> &mut Self {
        self.help = help.map(Into::into);
        self
    }
}

/// Collects the findings on one text.
pub(super) struct Report<'t> {
    text: &'t str,
    /// Byte offset of each line's start.
    lines: Vec<usize>,
    findings: Vec<Finding>,
}

impl<'t> Report<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Report { text, lines, findings: Vec::new() }
    }

    pub(super) fn error(&mut self, range: &Range<usize>, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Error, range, message.into())
    }

    pub(super) fn warning(&mut self, range: &Range<usize>, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Warning, range, message.into())
    }

    /// Line of a byte offset, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset)
    }

    fn add(&mut self, severity: Severity, range: &Range<usize>, message: String) -> &mut Finding {
        let floor = |mut at: usize| {
            at = at.min(self.text.len());
            while !self.text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = floor(range.start);
        let line = self.line(start);
        let end_of_line = self.text[start..].find(['\n', '\r']).map_or(self.text.len(), |length| start + length);
        let range = start..floor(range.end).clamp(start, end_of_line);
        let column = self.text[self.lines[line - 1]..start].chars().count() + 1;
        let finding = Finding { line, column, severity, message, help: None, range };
        // One more than is shown, so that the caller always has something to write its help into.
        self.findings.truncate(MOST);
        self.findings.push(finding);
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    pub(super) fn finish(mut self) -> Vec<Finding> {
        self.findings.truncate(MOST);
        let key = |finding: &Finding| (finding.range.start, finding.severity, finding.message.clone());
        self.findings.sort_by_key(key);
        self.findings.dedup_by(|later, first| key(later) == key(first));
        self.findings
    }
}
