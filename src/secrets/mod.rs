//! Secrets by reference: environment variables, files, files encrypted with age.
//!
//! In: a [`netboot::SecretRef`]. Out: the secret, in memory that is cleared. Invariant: no secret is in an error, a log or an argument.
//! A file that others may read is refused, as ssh refuses such a private key: a warning would be read by nobody.

mod age;
mod error;
mod file;

use std::ffi::OsString;
use std::path::PathBuf;

use netboot::SecretRef;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

pub use error::SecretError;

/// Where references lead. The environment enters here as an argument.
pub struct Secrets<'a> {
    /// What relative paths are relative to: the directory of nodes.toml.
    pub directory: PathBuf,
    /// File with age identities; `None` where nobody named one and there is no home directory to look in.
    pub identities: Option<PathBuf>,
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Secrets<'_> {
    /// The text that a reference leads to, as it stands there.
    ///
    /// # Errors
    /// It leads to nothing, to what others may read as well, or to what cannot be decrypted.
    pub fn get(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        let bytes = match reference {
            SecretRef::Env(name) => {
                let value = (self.variable)(name).filter(|value| !value.is_empty());
                let value = value.ok_or_else(|| SecretError::Unset { name: name.clone() })?;
                Zeroizing::new(value.into_encoded_bytes())
            }
            SecretRef::File(name) => file::read(&self.directory.join(name), reference, file::Access::Private)?,
            SecretRef::Age(name) => age::decrypt(&self.directory.join(name), reference, self.identities.as_deref())?,
        };
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(SecretString::from(text)),
            Err(_) => Err(SecretError::NotText { reference: reference.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::vocab::Remedy as _;

    const SECRET: &str = "ADMIN:correct horse\n";

    fn write(path: &Path, bytes: &[u8], mode: u32) {
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn get(directory: &Path, reference: &str) -> Result<String, SecretError> {
        let variable = |name: &str| match name {
            "BMC_NODE1" => Some(OsString::from(SECRET)),
            "EMPTY" => Some(OsString::new()),
            _ => None,
        };
        let secrets = Secrets {
            directory: directory.to_owned(),
            identities: Some(directory.join("identities")),
            variable: &variable,
        };
        secrets.get(&reference.parse().unwrap()).map(|secret| secret.expose_secret().to_owned())
    }

    /// The message and its remedy, which must not hold the secret.
    fn refused(directory: &Path, reference: &str) -> String {
        let error = get(directory, reference).unwrap_err();
        let text = format!("{error}; {}", error.help().unwrap()).replace(&directory.display().to_string(), "DIR");
        assert!(!format!("{text} {error:?}").contains("horse"), "{text}");
        text
    }

    #[test]
    fn a_variable_that_is_set() {
        let directory = Path::new("/nowhere");
        assert_eq!(get(directory, "env:BMC_NODE1").unwrap(), SECRET);
        for name in ["env:EMPTY", "env:BMC_NODE2"] {
            assert!(refused(directory, name).contains("is not set"));
        }
    }

    #[test]
    fn a_file_beside_nodes_toml_that_only_its_owner_reads() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        write(&directory.join("node1"), SECRET.as_bytes(), 0o600);
        assert_eq!(get(directory, "file:node1").unwrap(), SECRET);
        assert_eq!(get(Path::new("/"), &format!("file:{}", directory.join("node1").display())).unwrap(), SECRET);
        for mode in [0o604, 0o640, 0o660] {
            write(&directory.join("open"), SECRET.as_bytes(), mode);
            insta::allow_duplicates! {
                insta::assert_snapshot!(refused(directory, "file:open").replace(&format!("{mode:o}"), "MODE"), @"file:open: DIR/open may be read by others (mode 0MODE); keep it to yourself: chmod 600 DIR/open");
            }
        }
        insta::assert_snapshot!(refused(directory, "file:none"), @"file:none: DIR/none cannot be read: No such file or directory (os error 2); a relative path begins at the directory of nodes.toml; the file holds one line, USER:PASSWORD");
        assert!(refused(directory, "file:.").contains("not a regular file"));
        write(&directory.join("long"), &[b'x'; 70_000], 0o600);
        assert!(refused(directory, "file:long").contains("64 KiB"));
        write(&directory.join("binary"), b"\xff\xfehorse", 0o600);
        assert!(refused(directory, "file:binary").contains("not UTF-8"));
    }

    fn encrypted(identity: &::age::x25519::Identity) -> Vec<u8> {
        let recipient = identity.to_public();
        let recipients = std::iter::once(&recipient as &dyn ::age::Recipient);
        let mut bytes = Vec::new();
        let mut writer = ::age::Encryptor::with_recipients(recipients).unwrap().wrap_output(&mut bytes).unwrap();
        writer.write_all(SECRET.as_bytes()).unwrap();
        writer.finish().unwrap();
        bytes
    }

    fn line(identity: &::age::x25519::Identity) -> String {
        format!("# mine\n{}\n", identity.to_string().expose_secret())
    }

    #[test]
    fn a_file_encrypted_to_one_of_my_identities() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let (mine, other) = (::age::x25519::Identity::generate(), ::age::x25519::Identity::generate());
        // What is encrypted may be read by everybody.
        write(&directory.join("node1.age"), &encrypted(&mine), 0o644);
        insta::assert_snapshot!(refused(directory, "age:node1.age"), @"age:node1.age: the identities in DIR/identities cannot be read: No such file or directory (os error 2); make some with `age-keygen -o DIR/identities`, or name your file: --age-identity FILE or PROVBUILD_AGE_IDENTITY");
        write(&directory.join("identities"), format!("{}{}", line(&other), line(&mine)).as_bytes(), 0o600);
        assert_eq!(get(directory, "age:node1.age").unwrap(), SECRET);

        write(&directory.join("identities"), line(&other).as_bytes(), 0o600);
        insta::assert_snapshot!(refused(directory, "age:node1.age"), @"age:node1.age: DIR/node1.age is encrypted to none of the identities in DIR/identities; encrypt it to yours: age -r RECIPIENT -o FILE; `age-keygen -y DIR/identities` prints the recipient");
        write(&directory.join("identities"), line(&mine).as_bytes(), 0o644);
        assert!(refused(directory, "age:node1.age").contains("may be read by others"));
        write(&directory.join("identities"), b"correct horse battery staple\n", 0o600);
        assert!(refused(directory, "age:node1.age").contains("line 1 is no identity"));
        write(&directory.join("identities"), b"# none\n", 0o600);
        assert!(refused(directory, "age:node1.age").contains("no identity"));

        write(&directory.join("identities"), line(&mine).as_bytes(), 0o600);
        write(&directory.join("plain.age"), SECRET.as_bytes(), 0o600);
        assert!(refused(directory, "age:plain.age").contains("is no age file"));
        let mut damaged = encrypted(&mine);
        *damaged.last_mut().unwrap() ^= 1;
        write(&directory.join("damaged.age"), &damaged, 0o600);
        assert!(refused(directory, "age:damaged.age").contains("damaged"));
    }

    #[test]
    fn a_passphrase_is_not_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let mut bytes = Vec::new();
        let mut recipient = ::age::scrypt::Recipient::new("horse".into());
        recipient.set_work_factor(2);
        let recipients = std::iter::once(&recipient as &dyn ::age::Recipient);
        let mut writer = ::age::Encryptor::with_recipients(recipients).unwrap().wrap_output(&mut bytes).unwrap();
        writer.write_all(SECRET.as_bytes()).unwrap();
        writer.finish().unwrap();
        write(&directory.join("node1.age"), &bytes, 0o600);
        write(&directory.join("identities"), &bytes, 0o600);
        assert!(refused(directory, "age:node1.age").contains("protected by a passphrase"));
        let mine = ::age::x25519::Identity::generate();
        write(&directory.join("node2.age"), &encrypted(&mine), 0o600);
        assert!(refused(directory, "age:node2.age").contains("are protected by a passphrase"));
    }

    /// The program that people encrypt with, and what it makes: binary and armored.
    #[test]
    #[ignore = "needs Debian's package age"]
    fn judge_age_encrypts_and_we_decrypt() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let identities = directory.join("identities");
        let status = Command::new("age-keygen").arg("-o").arg(&identities).stderr(Stdio::null()).status().unwrap();
        assert!(status.success());
        let recipient = Command::new("age-keygen").arg("-y").arg(&identities).output().unwrap().stdout;
        let recipient = String::from_utf8(recipient).unwrap();
        for (name, armor) in [("binary.age", None), ("armored.age", Some("--armor"))] {
            let mut command = Command::new("age");
            command.args(armor).args(["-r", recipient.trim(), "-o"]).arg(directory.join(name)).stdin(Stdio::piped());
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(SECRET.as_bytes()).unwrap();
            assert!(child.wait().unwrap().success());
            assert_eq!(get(directory, &format!("age:{name}")).unwrap(), SECRET);
        }
    }
}
