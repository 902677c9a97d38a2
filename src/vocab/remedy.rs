//! What a person can do about an error.

/// An error that knows its remedy. The message says what failed and on what; the remedy is printed after it as `help:`.
pub trait Remedy: std::error::Error {
    /// One or more sentences in the imperative; `None` where nothing useful can be said.
    fn help(&self) -> Option<String>;
}
