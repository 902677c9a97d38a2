//! The texts that faults lie in, and places in them.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// A byte range of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) file: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    pub(crate) fn new(file: usize, range: Range<usize>) -> Self {
        Span { file, start: range.start, end: range.end }
    }
}

/// One file as it was read.
#[derive(Debug, Clone)]
struct Source {
    /// As messages show it: as the command line or the import wrote it.
    path: PathBuf,
    text: String,
    /// Byte offset of each line's start.
    lines: Vec<usize>,
    /// What must not be shown: a secret that somebody wrote where only a reference belongs.
    hidden: Vec<Range<usize>>,
}

/// All files of one run, in the order in which they were read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources(Vec<Source>);

impl Sources {
    pub(crate) fn add(&mut self, path: PathBuf, text: String) -> usize {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        self.0.push(Source { path, text, lines, hidden: Vec::new() });
        self.0.len() - 1
    }

    pub(crate) fn path(&self, file: usize) -> &Path {
        &self.0[file].path
    }

    pub(crate) fn text(&self, file: usize) -> &str {
        &self.0[file].text
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|source| source.path.as_path())
    }

    /// Number of files read so far.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Keeps a place out of every excerpt.
    pub(crate) fn hide(&mut self, span: Span) {
        self.0[span.file].hidden.push(span.start..span.end);
    }

    /// Line of a byte offset, from 1.
    pub(crate) fn line(&self, file: usize, offset: usize) -> usize {
        self.0[file].lines.partition_point(|start| *start <= offset)
    }

    /// Column of a byte offset in characters, from 1.
    pub(super) fn column(&self, file: usize, offset: usize) -> usize {
        let source = &self.0[file];
        let start = source.lines[self.line(file, offset) - 1];
        1 + source.text.get(start..offset).map_or(0, |before| before.chars().count())
    }

    /// The whole lines of a file from line `first` to line `last` (from 1), hidden places starred out byte for byte,
    /// and the byte offset at which they start.
    pub(crate) fn excerpt(&self, file: usize, first: usize, last: usize) -> (String, usize) {
        let source = &self.0[file];
        let start = source.lines[first - 1];
        let end = source.lines.get(last).copied().unwrap_or(source.text.len());
        let mut text = source.text[start..end].to_owned();
        for hidden in &source.hidden {
            let range = hidden.start.clamp(start, end) - start..hidden.end.clamp(start, end) - start;
            if let Some(part) = text.get(range.clone()) {
                let stars: String =
                    part.chars().flat_map(|c| starred(c).repeat(c.len_utf8()).into_bytes()).map(char::from).collect();
                text.replace_range(range, &stars);
            }
        }
        (text, start)
    }
}

fn starred(c: char) -> &'static str {
    match c {
        '\n' => "\n",
        '"' | '\'' => "\"",
        _ => "*",
    }
}
