//! Many small resources, read for an overview: few at a time, not endlessly many, and one that fails does not end it.

use serde_json::Value;

use crate::error::Error;
use crate::machine::Talk;
use crate::plain::plain;
use crate::service::{link, linked};

/// Requests of one overview.
const MOST: usize = 250;
/// Requests at the same time: a BMC is a small computer.
const AT_ONCE: usize = 4;
/// Answers that may be broken off or make no sense, before the rest is left.
const MOST_BROKEN: usize = 3;

/// Reads resources, and notes what could not be had.
pub(crate) struct Gather<'a> {
    talk: &'a Talk<'a>,
    left: usize,
    broken: usize,
    /// In words, for whoever reads the overview.
    pub(crate) notes: Vec<String>,
}

impl<'a> Gather<'a> {
    pub(crate) fn new(talk: &'a Talk<'a>) -> Gather<'a> {
        Gather { talk, left: MOST, broken: 0, notes: Vec::new() }
    }

    /// One resource; `None` where there is no link, where it is not there, and where it fails (noted).
    ///
    /// # Errors
    /// Failures that all other requests would have as well.
    pub(crate) async fn one(&mut self, from: &Value, what: &str) -> Result<Option<Value>, Error> {
        let Some(path) = link(from) else { return Ok(None) };
        Ok(self.all(&[path], what).await?.pop())
    }

    /// All members of a collection.
    pub(crate) async fn members(&mut self, collection: &Value, what: &str) -> Result<Vec<Value>, Error> {
        let mut found = Vec::new();
        let mut next = self.one(collection, what).await?;
        while let Some(page) = next {
            let paths = linked(&page["Members"]);
            found.extend(self.all(&paths, what).await?);
            let more = page["Members@odata.nextLink"].as_str().map(str::to_owned);
            next = match more {
                Some(path) => self.all(&[path], what).await?.pop(),
                None => None,
            };
        }
        Ok(found)
    }

    /// All of these resources, in this order, without those that cannot be had.
    pub(crate) async fn all(&mut self, paths: &[String], what: &str) -> Result<Vec<Value>, Error> {
        let allowed = paths.len().min(self.left);
        if allowed < paths.len() {
            self.note(format!("{what}: more than {MOST} resources, the rest is left out"));
        }
        self.left -= allowed;
        let (talk, mut found) = (self.talk, Vec::new());
        for few in paths[..allowed].chunks(AT_ONCE) {
            let read = async |index: usize| match few.get(index) {
                Some(path) => talk.client.find(path, what).await.map(|answer| answer.map(|answer| answer.body)),
                None => Ok(None),
            };
            let (a, b, c, d) = tokio::join!(read(0), read(1), read(2), read(3));
            for (index, result) in [a, b, c, d].into_iter().enumerate() {
                match result {
                    Ok(body) => found.extend(body),
                    Err(error) => self.tolerate(error, few.get(index).map_or("", String::as_str))?,
                }
            }
        }
        Ok(found)
    }

    fn tolerate(&mut self, error: Error, path: &str) -> Result<(), Error> {
        match error {
            Error::Cut { .. } | Error::Nonsense { .. } if self.broken < MOST_BROKEN => self.broken += 1,
            Error::Forbidden { .. } | Error::Licence { .. } | Error::Unsupported { .. } | Error::Refused { .. } => {}
            other => return Err(other),
        }
        self.note(format!("{}: {error}", plain(path)));
        Ok(())
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// Rows with columns of one width each; the last is as long as it is.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).min(60);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut lines = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        lines += cells.join("  ").trim_end();
        lines.push('\n');
    }
    lines
}

/// Notes as lines of their own.
pub(crate) fn noted(notes: &[String]) -> String {
    notes.iter().map(|note| format!("note: {note}\n")).collect()
}
