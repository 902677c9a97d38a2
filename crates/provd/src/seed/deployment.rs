//! Which deployment's seed was laid out on the state disk last: the health page tells it to whoever deploys.
//!
//! In: a seed whose secrets were delivered. Out: a small file without any secret, that everybody may read. Invariant: the file is whole, and
//! names a seed only after everything of that seed is on the disk; what is read is bounded and checked whoever wrote it.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use netboot::Seed;
use serde::{Deserialize, Serialize};

/// Its name in the directory that is the state disk's.
pub const DEPLOYMENT_FILE: &str = "deployment.json";
/// Where it is on an appliance.
pub const DEPLOYMENT: &str = "/var/lib/provbuild/deployment.json";
/// Bytes of the longest file.
const LONGEST: u64 = 1024;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// 32 hexadecimal digits.
    pub deployment: String,
    /// From 1.
    pub generation: u32,
}

impl Deployment {
    pub fn of(seed: &Seed) -> Self {
        Deployment { deployment: seed.deployment.clone(), generation: seed.generation }
    }

    /// # Errors
    /// The file is as it was before.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let aside = path.with_extension("json.new");
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = File::options().write(true).create_new(true).open(&aside)?;
        // The daemon is another user, and the umask here is that of somebody who writes secrets.
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(aside, path)?;
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    }

    /// `None` for a file that is not there, or is none of these.
    pub fn read(path: &Path) -> Option<Self> {
        // A link may lead anywhere, and a pipe would never end.
        let file = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path).ok()?;
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || metadata.len() > LONGEST {
            return None;
        }
        let mut text = Vec::new();
        file.take(LONGEST).read_to_end(&mut text).ok()?;
        let found: Deployment = serde_json::from_slice(&text).ok()?;
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let named = found.deployment.len() == 32 && found.deployment.bytes().all(digit);
        (named && found.generation > 0).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn deployment(generation: u32) -> Deployment {
        Deployment { deployment: "0123456789abcdef".repeat(2), generation }
    }

    #[test]
    fn what_is_written_is_read_by_everybody_and_replaced_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(DEPLOYMENT_FILE);
        assert_eq!(Deployment::read(&path), None);
        // A run that was cut off.
        fs::write(directory.path().join("deployment.json.new"), "{").unwrap();
        for generation in [1, 2] {
            deployment(generation).write(&path).unwrap();
            assert_eq!(Deployment::read(&path), Some(deployment(generation)));
        }
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"deployment\":\"0123456789abcdef0123456789abcdef\",\"generation\":2}\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_none_is_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(DEPLOYMENT_FILE);
        let good = serde_json::to_string(&deployment(3)).unwrap();
        fs::write(&path, &good).unwrap();
        assert!(Deployment::read(&path).is_some());
        for bad in [
            String::new(),
            "null".to_owned(),
            good.replace(":3", ":0"),
            good.replace(":3", ":-1"),
            good.replace("abcdef", "ABCDEF"),
            good.replace("0123", "<b>1"),
            good.replace("0123", ""),
            good.replace('}', ",\"more\":1}"),
            good.clone() + &" ".repeat(2000),
        ] {
            fs::write(&path, &bad).unwrap();
            assert_eq!(Deployment::read(&path), None, "{bad}");
        }
        fs::remove_file(&path).unwrap();
        let elsewhere = directory.path().join("elsewhere");
        fs::write(&elsewhere, &good).unwrap();
        symlink(&elsewhere, &path).unwrap();
        assert_eq!(Deployment::read(&path), None);
        assert_eq!(Deployment::read(directory.path()), None);
    }
}
