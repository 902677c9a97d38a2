//! Why a reference leads to no secret. Nothing in here was read from where it leads.

use std::io;
use std::path::PathBuf;

use netboot::SecretRef;

use crate::vocab::Remedy;

#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("env:{name}: the variable is not set, or empty")]
    Unset { name: String },
    #[error("{reference}: the secret is not UTF-8")]
    NotText { reference: SecretRef },
    #[error("{reference}: {} cannot be read: {error}", path.display())]
    Read { reference: SecretRef, path: PathBuf, error: io::Error },
    /// A file with a secret, encrypted or not, or with identities.
    #[error("{reference}: {} may be read by others (mode {mode:04o})", path.display())]
    Open { reference: SecretRef, path: PathBuf, mode: u32 },
    #[error("{reference}: {} is longer than 64 KiB", path.display())]
    TooLong { reference: SecretRef, path: PathBuf },
    #[error("{reference}: {} is no age file", path.display())]
    NotAge { reference: SecretRef, path: PathBuf },
    #[error("{reference}: {} is damaged", path.display())]
    Damaged { reference: SecretRef, path: PathBuf },
    #[error("{reference}: {} is protected by a passphrase, and nobody is asked for it", path.display())]
    Passphrase { reference: SecretRef, path: PathBuf },
    #[error("{reference}: {} is encrypted to none of the identities in {}", path.display(), identities.display())]
    OtherIdentity { reference: SecretRef, path: PathBuf, identities: PathBuf },
    #[error("{reference}: there is no file with age identities: HOME is not set")]
    NoIdentities { reference: SecretRef },
    #[error("{reference}: the identities in {} cannot be read: {error}", path.display())]
    Identities { reference: SecretRef, path: PathBuf, error: io::Error },
    #[error("{reference}: the identities in {} are protected by a passphrase, and nobody is asked for it", path.display())]
    LockedIdentities { reference: SecretRef, path: PathBuf },
    /// `line` counts from 1; `None` where there is no identity at all.
    #[error("{reference}: {}: {}", path.display(), match line {
        Some(line) => format!("line {line} is no identity of age"),
        None => "there is no identity in it".to_owned(),
    })]
    NoIdentity { reference: SecretRef, path: PathBuf, line: Option<usize> },
}

impl Remedy for SecretError {
    fn help(&self) -> Option<String> {
        let name = "name your file: --age-identity FILE or PROVBUILD_AGE_IDENTITY";
        Some(match self {
            SecretError::Unset { name } => {
                format!("set it without its value being in the shell's history: read -rs {name} && export {name}")
            }
            SecretError::NotText { .. } => "write USER:PASSWORD as UTF-8 text".to_owned(),
            SecretError::Read { .. } => {
                "a relative path begins at the directory of nodes.toml; the file holds one line, USER:PASSWORD"
                    .to_owned()
            }
            SecretError::Open { path, .. } => format!("keep it to yourself: chmod 600 {}", path.display()),
            SecretError::TooLong { .. } => "is it the right file? It holds one line".to_owned(),
            SecretError::NotAge { path, .. } => {
                format!("encrypt it: age -r RECIPIENT -o {} FILE; or write file: for a plain file", path.display())
            }
            SecretError::Damaged { .. } => "encrypt it again".to_owned(),
            SecretError::Passphrase { .. } => "encrypt it to an identity: age -r RECIPIENT -o FILE".to_owned(),
            SecretError::OtherIdentity { identities, .. } => format!(
                "encrypt it to yours: age -r RECIPIENT -o FILE; `age-keygen -y {}` prints the recipient",
                identities.display()
            ),
            SecretError::NoIdentities { .. } => name.to_owned(),
            SecretError::Identities { path, .. } => {
                format!("make some with `age-keygen -o {}`, or {name}", path.display())
            }
            SecretError::LockedIdentities { path, .. } => {
                format!(
                    "decrypt them into memory for the time: age -d {} > $XDG_RUNTIME_DIR/age.txt; then {name}",
                    path.display()
                )
            }
            SecretError::NoIdentity { .. } => {
                "a line is AGE-SECRET-KEY-1..., as age-keygen makes it; ssh keys and plugins are not read".to_owned()
            }
        })
    }
}
