//! Why no lock could be made or read.

use std::fmt;

use crate::vocab::Remedy;

/// How a package came to be wanted, from the request down to it; each line names one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain(pub Vec<String>);

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, line) in self.0.iter().enumerate() {
            if depth > 0 {
                f.write_str("\n")?;
            }
            write!(f, "  {:1$}{line}", "", depth * 2)?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    #[error("the index of {suite} describes package '{package}' badly: {what}")]
    Stanza { suite: String, package: String, what: &'static str },
    #[error("the index of {suite} describes package '{package}' badly: in {field}, {reason}")]
    Relation { suite: String, package: String, field: &'static str, reason: String },
    #[error("{} in {}: {}", count(.names.len()), .suites.join(", "), show_unknown(.names))]
    UnknownPackages {
        /// Name as asked for, and the names that look like it.
        names: Vec<(String, Vec<String>)>,
        suites: Vec<String>,
    },
    #[error("package '{0}' is both asked for and excluded")]
    ExcludedRequest(String),
    #[error("the packages cannot be installed together\n{chain}\n{reason}")]
    Unsatisfiable { chain: Chain, reason: String },
    #[error("the packages cannot be installed together: {reason}\n{left}\nand\n{right}")]
    Conflict { left: Chain, right: Chain, reason: String },
    #[error("no suite has an index with packages for {0}")]
    Empty(String),
    #[error("the lock file is not readable: {0}")]
    Format(String),
    #[error("the lock file has format {found}; this provbuild reads format {supported}")]
    Version { found: u32, supported: u32 },
    #[error("the lock file was changed by hand: {0}")]
    Edited(String),
}

fn count(unknown: usize) -> &'static str {
    if unknown == 1 { "no such package" } else { "no such packages" }
}

fn show_unknown(names: &[(String, Vec<String>)]) -> String {
    let shown: Vec<String> = names.iter().map(|(name, _)| format!("'{name}'")).collect();
    shown.join(", ")
}

impl Remedy for LockError {
    fn help(&self) -> Option<String> {
        Some(match self {
            LockError::Stanza { .. } | LockError::Relation { .. } | LockError::Empty(_) => "use another mirror".to_owned(),
            LockError::UnknownPackages { names, .. } => {
                let hints: Vec<String> = names
                    .iter()
                    .filter(|(_, like)| !like.is_empty())
                    .map(|(name, like)| format!("for '{name}' did you mean {}?", like.join(", ")))
                    .collect();
                match hints.is_empty() {
                    true => "correct `distribution.packages`, or add the component that has them to \
                             `distribution.components`"
                        .to_owned(),
                    false => hints.join("\n"),
                }
            }
            LockError::ExcludedRequest(name) => {
                format!("take '{name}' out of `distribution.packages` or out of `distribution.exclude`")
            }
            LockError::Unsatisfiable { .. } => {
                "take the first package of the chain out of the profile, stop excluding the missing one, or add the pocket \
                 or component that has it"
                    .to_owned()
            }
            LockError::Conflict { .. } => "take one of the two first packages out of the profile".to_owned(),
            LockError::Format(_) | LockError::Edited(_) => {
                "restore the file from version control, or remove it and run `provbuild lock`".to_owned()
            }
            LockError::Version { .. } => "use the provbuild that wrote it, or remove it and run `provbuild lock`".to_owned(),
        })
    }
}
