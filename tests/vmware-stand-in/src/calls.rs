//! The record of calls: `calls.jsonl`, one line for each call that has ended.

use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

pub const FILE_NAME: &str = "calls.jsonl";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Seconds since 1970, at its beginning.
    pub time: f64,
    /// "vmrun" or "vmrest".
    pub program: String,
    /// As given; of vmrest the method, the path and the body.
    pub arguments: Vec<String>,
    /// Exit code, or status of HTTP.
    pub exit: i32,
    /// What was answered.
    pub said: String,
}

impl Call {
    /// The command without vmrun's flags: "start", of vmrest "PUT".
    pub fn command(&self) -> &str {
        let mut words = self.arguments.iter();
        while let Some(word) = words.next() {
            if !word.starts_with('-') {
                return word;
            }
            words.next();
        }
        ""
    }
}

/// # Errors
/// The file cannot be written.
pub fn record(directory: &Path, call: &Call) -> io::Result<()> {
    let mut line = serde_json::to_string(call)?;
    line.push('\n');
    // One write: calls at the same time do not mix.
    std::fs::File::options().create(true).append(true).open(directory.join(FILE_NAME))?.write_all(line.as_bytes())
}

/// # Errors
/// The file cannot be read, or is no such record. One that is not there is empty.
pub fn read(directory: &Path) -> io::Result<Vec<Call>> {
    match std::fs::read_to_string(directory.join(FILE_NAME)) {
        Ok(text) => text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::from)).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
