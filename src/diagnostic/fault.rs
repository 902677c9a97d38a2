//! One fault, and many: message, places, remedy.

use std::fmt;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, normalize_untrusted_str};

use super::source::{Sources, Span};

/// Labels of one fault that are at most this many lines apart share an excerpt.
const NEAR: usize = 6;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Label {
    span: Span,
    text: String,
}

/// One fault or warning: what, where (the first label is the primary one), and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    message: String,
    labels: Vec<Label>,
    help: Option<String>,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Fault { message: message.into(), labels: Vec::new(), help: None }
    }

    pub(crate) fn at(span: Span, message: impl Into<String>) -> Self {
        Self::new(message).label(span, "")
    }

    /// Adds a place. The text stands beside the underlined source; it may be empty.
    pub(crate) fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    pub(crate) fn span(&self) -> Option<Span> {
        self.labels.first().map(|label| label.span)
    }

    pub(crate) fn render(&self, level: Level<'_>, sources: &Sources, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let excerpts: Vec<Excerpt<'_>> = self.excerpts(sources);
        let mut group = Group::with_title(level.primary_title(self.message.as_str()));
        for excerpt in &excerpts {
            let annotations = excerpt.labels.iter().map(|(kind, label)| {
                let shift = |offset: usize| (offset.max(excerpt.start) - excerpt.start).min(excerpt.text.len());
                let text = (!label.text.is_empty()).then_some(label.text.as_str());
                kind.span(shift(label.span.start)..shift(label.span.end)).label(text)
            });
            group = group.element(
                Snippet::source(excerpt.text.as_str())
                    .path(excerpt.path.as_str())
                    .line_start(excerpt.line)
                    .annotations(annotations),
            );
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(normalize_untrusted_str(help)));
        }
        renderer.render(&[group])
    }

    /// The source around the labels: those near each other in one piece, the primary one first.
    fn excerpts<'a>(&'a self, sources: &Sources) -> Vec<Excerpt<'a>> {
        let mut pieces: Vec<Piece<'a>> = Vec::new();
        for (index, label) in self.labels.iter().enumerate() {
            let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            let Span { file, start, end } = label.span;
            let (first, last) = (sources.line(file, start), sources.line(file, end.saturating_sub(1).max(start)));
            let near =
                |piece: &&mut Piece<'a>| piece.file == file && first <= piece.last + NEAR && last + NEAR >= piece.first;
            match pieces.iter_mut().find(near) {
                Some(piece) => {
                    (piece.first, piece.last) = (piece.first.min(first), piece.last.max(last));
                    piece.labels.push((kind, label));
                }
                None => pieces.push(Piece { file, first, last, labels: vec![(kind, label)] }),
            }
        }
        let excerpt = |piece: Piece<'a>| {
            let (text, start) = sources.excerpt(piece.file, piece.first, piece.last);
            let path = sources.path(piece.file).display().to_string();
            Excerpt { path, text, start, line: piece.first, labels: piece.labels }
        };
        pieces.into_iter().map(excerpt).collect()
    }
}

/// Lines `first` to `last` of a file, that labels share.
struct Piece<'a> {
    file: usize,
    first: usize,
    last: usize,
    labels: Vec<(AnnotationKind, &'a Label)>,
}

/// A piece of source as it is shown; `start` is its byte offset in the file.
struct Excerpt<'a> {
    path: String,
    text: String,
    start: usize,
    line: usize,
    labels: Vec<(AnnotationKind, &'a Label)>,
}

/// Remarks that do not stop a build, with the sources that they point into.
#[derive(Debug, Clone, Default)]
pub struct Warnings(Report);

/// What is worth knowing and nothing wrong, with the sources that it points into.
#[derive(Debug, Clone, Default)]
pub struct Notes(Report);

/// One fault, warning or note for a program that reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding<'a> {
    /// The file as the command line or the import wrote it; none where the finding is about no place in a file.
    pub path: Option<&'a Path>,
    /// From 1.
    pub line: Option<usize>,
    /// In characters, from 1.
    pub column: Option<usize>,
    pub message: &'a str,
    /// What to do.
    pub help: Option<&'a str>,
}

/// Every fault of a profile, its imports and its nodes, in the order of the files; with the warnings of the same run.
#[derive(Debug, Clone)]
pub struct Faults {
    report: Report,
    warnings: Vec<Fault>,
}

#[derive(Debug, Clone, Default)]
struct Report {
    faults: Vec<Fault>,
    sources: Sources,
}

/// In the order of the files, each once.
fn sorted(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort_by_key(|fault| fault.span());
    faults.dedup();
    faults
}

fn rendered(faults: &[Fault], sources: &Sources, level: &Level<'static>, color: bool) -> String {
    let one = |fault: &Fault| format!("{}\n\n", fault.render(level.clone(), sources, color).trim_end());
    faults.iter().map(one).collect()
}

fn findings<'a>(faults: &'a [Fault], sources: &'a Sources) -> impl Iterator<Item = Finding<'a>> {
    faults.iter().map(|fault| Finding {
        path: fault.span().map(|span| sources.path(span.file)),
        line: fault.span().map(|span| sources.line(span.file, span.start)),
        column: fault.span().map(|span| sources.column(span.file, span.start)),
        message: &fault.message,
        help: fault.help.as_deref(),
    })
}

impl Report {
    fn new(faults: Vec<Fault>, sources: Sources) -> Self {
        Report { faults: sorted(faults), sources }
    }

    fn render(&self, level: &Level<'static>, color: bool) -> String {
        rendered(&self.faults, &self.sources, level, color)
    }

    fn findings(&self) -> impl Iterator<Item = Finding<'_>> {
        findings(&self.faults, &self.sources)
    }

    /// `PATH:LINE` of the primary places; of those without one, the message.
    fn places(&self) -> Vec<String> {
        let place = |finding: Finding<'_>| match (finding.path, finding.line) {
            (Some(path), Some(line)) => format!("{}:{line}", path.display()),
            _ => finding.message.to_owned(),
        };
        self.findings().map(place).collect()
    }
}

impl Faults {
    pub(crate) fn new(faults: Vec<Fault>, sources: Sources) -> Self {
        Faults { report: Report::new(faults, sources), warnings: Vec::new() }
    }

    /// What was found beside the faults: whoever mends these should know it in the same run.
    pub(crate) fn with_warnings(self, warnings: Vec<Fault>) -> Self {
        Faults { warnings: sorted(warnings), ..self }
    }

    /// How many faults there are; never zero. Warnings do not count.
    pub fn count(&self) -> usize {
        self.report.faults.len()
    }

    /// Every fault, then every warning, with its source excerpt and remedy, as text for people; an empty line follows
    /// each.
    pub fn render(&self, color: bool) -> String {
        let warnings = rendered(&self.warnings, &self.report.sources, &Level::WARNING, color);
        self.report.render(&Level::ERROR, color) + &warnings
    }

    /// Each warning of the same run for a program that reads it.
    pub fn warnings(&self) -> impl Iterator<Item = Finding<'_>> {
        findings(&self.warnings, &self.report.sources)
    }

    /// Where each fault is, as `PATH:LINE`.
    pub fn places(&self) -> Vec<String> {
        self.report.places()
    }

    /// Each fault for a program that reads it.
    pub fn findings(&self) -> impl Iterator<Item = Finding<'_>> {
        self.report.findings()
    }

    /// What each fault is, without its place.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        self.report.faults.iter().map(|fault| fault.message.as_str())
    }
}

impl Warnings {
    pub(crate) fn new(faults: Vec<Fault>, sources: Sources) -> Self {
        Warnings(Report::new(faults, sources))
    }

    pub fn count(&self) -> usize {
        self.0.faults.len()
    }

    /// Each warning for a program that reads it.
    pub fn findings(&self) -> impl Iterator<Item = Finding<'_>> {
        self.0.findings()
    }

    /// Every warning with its source excerpt, as text for people; empty where there is none.
    pub fn render(&self, color: bool) -> String {
        self.0.render(&Level::WARNING, color)
    }
}

impl Notes {
    pub(crate) fn new(faults: Vec<Fault>, sources: Sources) -> Self {
        Notes(Report::new(faults, sources))
    }

    /// Each note for a program that reads it.
    pub fn findings(&self) -> impl Iterator<Item = Finding<'_>> {
        self.0.findings()
    }

    /// Every note with its source excerpt, as text for people; empty where there is none.
    pub fn render(&self, color: bool) -> String {
        self.0.render(&Level::NOTE, color)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Faults {}

impl crate::vocab::Remedy for Faults {
    /// Each fault carries its own.
    fn help(&self) -> Option<String> {
        None
    }
}
