//! The seed's secrets as the files that the daemon reads.
//!
//! ```text
//! SECRETS/webhook          the daemon's, 0600
//! SECRETS/bmc/HOSTNAME     the daemon's, 0600
//! ```
//! In: a seed, the declared nodes. Out: the files, whole or as they were. The directories are there and their owners right: the unit
//! before this one makes them. Nothing is removed: what somebody put there by hand stays unless the seed has it too, and so does what is
//! there of nodes that this image does not declare. The daemon reads that of declared nodes only, and a system that is rolled back to
//! declares them again.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::Path;

use netboot::{Hostname, SecretName, Seed};

const MODE: u32 = 0o600;
/// Longer than any secret of a seed: a file that is longer is another one.
const LONGEST: u64 = 8192;

/// What was done, by names; sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    pub written: Vec<String>,
    /// They were there as the seed has them.
    pub unchanged: Vec<String>,
    /// Of nodes that the image does not declare, there since another one.
    pub kept: Vec<String>,
    /// In the seed, of nodes that the image does not declare.
    pub left_out: Vec<String>,
}

/// Lays out the seed's secrets. `owner`: user and group of the files; `None` leaves them whoever runs this.
///
/// # Errors
/// A file that cannot be written or removed, with its path in the message.
pub fn deliver(
    seed: &Seed,
    secrets: &Path,
    declared: &BTreeSet<Hostname>,
    owner: Option<u32>,
) -> io::Result<Delivered> {
    let mut delivered = Delivered::default();
    let bmc = secrets.join("bmc");
    for (name, secret) in &seed.secrets {
        let (directory, file) = match name {
            SecretName::Webhook => (secrets, "webhook"),
            SecretName::Bmc(hostname) if declared.contains(hostname) => (&*bmc, hostname.as_str()),
            SecretName::Bmc(_) => {
                delivered.left_out.push(name.to_string());
                continue;
            }
        };
        if is_already(&directory.join(file), secret.as_bytes(), owner) {
            delivered.unchanged.push(name.to_string());
            continue;
        }
        put(directory, file, secret.as_bytes(), owner).map_err(named("write", &directory.join(file)))?;
        delivered.written.push(name.to_string());
    }
    for entry in fs::read_dir(&bmc).map_err(named("read", &bmc))? {
        let name = entry.map_err(named("read", &bmc))?.file_name();
        let Some(name) = name.to_str() else { continue };
        // A run that was cut off leaves its file aside; whatever else is there is somebody's.
        let aside = name.strip_prefix('.').and_then(|name| name.strip_suffix(".new"));
        if aside.is_some_and(|name| name.parse::<Hostname>().is_ok()) {
            fs::remove_file(bmc.join(name)).map_err(named("remove", &bmc.join(name)))?;
        }
        if name.parse::<Hostname>().is_ok_and(|hostname| !declared.contains(&hostname)) {
            delivered.kept.push(format!("bmc/{name}"));
        }
    }
    delivered.kept.sort();
    for directory in [&*bmc, secrets] {
        File::open(directory).and_then(|file| file.sync_all()).map_err(named("sync", directory))?;
    }
    Ok(delivered)
}

fn named<'a>(what: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> io::Error + use<'a> {
    move |error| io::Error::new(error.kind(), format!("cannot {what} {}: {error}", path.display()))
}

fn is_already(path: &Path, secret: &[u8], owner: Option<u32>) -> bool {
    // A link is replaced by a file, wherever it leads.
    let Ok(metadata) = fs::symlink_metadata(path) else { return false };
    let owned = owner.is_none_or(|id| metadata.uid() == id && metadata.gid() == id);
    if !metadata.is_file() || metadata.mode() & 0o7777 != MODE || !owned || metadata.len() > LONGEST {
        return false;
    }
    let mut found = zeroize::Zeroizing::new(Vec::with_capacity(LONGEST as usize));
    File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut found)).is_ok() && *found == secret
}

/// No other user can open the file at any moment.
fn put(directory: &Path, name: &str, secret: &[u8], owner: Option<u32>) -> io::Result<()> {
    let aside = directory.join(format!(".{name}.new"));
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(MODE).open(&aside)?;
    file.write_all(secret)?;
    fchown(&file, owner, owner)?;
    file.sync_all()?;
    fs::rename(aside, directory.join(name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use netboot::SeedState;

    use super::*;

    fn seed(secrets: &[(&str, &str)]) -> Seed {
        Seed {
            format: Seed::FORMAT,
            deployment: "0".repeat(32),
            generation: 1,
            state: SeedState::Keep,
            secrets: secrets.iter().map(|(name, text)| (name.parse().unwrap(), (*text).to_owned())).collect(),
        }
    }

    fn declared(names: &[&str]) -> BTreeSet<Hostname> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn place() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("bmc")).unwrap();
        directory
    }

    fn names(mut found: Vec<&str>) -> Vec<String> {
        found.sort_unstable();
        found.into_iter().map(str::to_owned).collect()
    }

    fn files(directory: &Path) -> Vec<String> {
        let mut found: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        found.sort();
        found
    }

    #[test]
    fn secrets_become_files_of_the_daemon_alone_and_a_second_run_changes_nothing() {
        let place = place();
        let seed = seed(&[("webhook", "key"), ("bmc/node1", "root:geheim\n"), ("bmc/node9", "a:b")]);
        let nodes = declared(&["node1", "node2"]);
        let first = deliver(&seed, place.path(), &nodes, None).unwrap();
        assert_eq!(first.written, names(vec!["bmc/node1", "webhook"]));
        assert_eq!(first.left_out, ["bmc/node9"]);
        for (name, text) in [("webhook", "key"), ("bmc/node1", "root:geheim\n")] {
            let path = place.path().join(name);
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        }
        assert_eq!(
            (files(place.path()), files(&place.path().join("bmc"))),
            (vec!["bmc".into(), "webhook".into()], vec!["node1".into()])
        );
        let inode = fs::metadata(place.path().join("webhook")).unwrap().ino();
        let second = deliver(&seed, place.path(), &nodes, None).unwrap();
        assert_eq!((second.written.len(), second.unchanged), (0, names(vec!["bmc/node1", "webhook"])));
        assert_eq!(fs::metadata(place.path().join("webhook")).unwrap().ino(), inode);
        // The daemon reads it.
        assert!(!format!("{first:?}").contains("geheim"));
    }

    #[test]
    fn nothing_that_is_there_is_removed() {
        let place = place();
        let bmc = place.path().join("bmc");
        for name in ["node2", "node3", ".node1.new", "Notes about them", ".notes of mine.new"] {
            fs::write(bmc.join(name), "by hand").unwrap();
        }
        let nodes = declared(&["node1", "node2"]);
        let done = deliver(&seed(&[("bmc/node1", "a:b")]), place.path(), &nodes, None).unwrap();
        assert_eq!((done.written, done.kept), (vec!["bmc/node1".to_owned()], vec!["bmc/node3".to_owned()]));
        assert_eq!(files(&bmc), [".notes of mine.new", "Notes about them", "node1", "node2", "node3"]);
        for name in ["node2", "node3"] {
            assert_eq!(fs::read_to_string(bmc.join(name)).unwrap(), "by hand");
        }
        // The image before that one declares the node: nothing has to come again.
        let back = deliver(&seed(&[]), place.path(), &declared(&["node3"]), None).unwrap();
        assert_eq!(back.kept, ["bmc/node1", "bmc/node2"]);
        assert_eq!(fs::read_to_string(bmc.join("node3")).unwrap(), "by hand");
    }

    #[test]
    fn open_files_and_links_are_replaced() {
        let place = place();
        let bmc = place.path().join("bmc");
        fs::write(place.path().join("elsewhere"), "old").unwrap();
        symlink(place.path().join("elsewhere"), bmc.join("node1")).unwrap();
        fs::write(bmc.join("node2"), "a:b").unwrap();
        fs::set_permissions(bmc.join("node2"), fs::Permissions::from_mode(0o644)).unwrap();
        let seed = seed(&[("bmc/node1", "old"), ("bmc/node2", "a:b")]);
        let done = deliver(&seed, place.path(), &declared(&["node1", "node2"]), None).unwrap();
        assert_eq!(done.written.len(), 2);
        assert!(fs::symlink_metadata(bmc.join("node1")).unwrap().is_file());
        assert_eq!(fs::read_to_string(place.path().join("elsewhere")).unwrap(), "old");
        assert_eq!(fs::metadata(bmc.join("node2")).unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn files_get_their_owner() {
        let place = place();
        if fs::metadata(place.path()).unwrap().uid() != 0 {
            println!("LEFT OUT: only root gives files away");
            return;
        }
        deliver(&seed(&[("bmc/node1", "a:b")]), place.path(), &declared(&["node1"]), Some(880)).unwrap();
        let metadata = fs::metadata(place.path().join("bmc/node1")).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (880, 880));
        fchown(File::open(place.path().join("bmc/node1")).unwrap(), Some(0), Some(0)).unwrap();
        let again = deliver(&seed(&[("bmc/node1", "a:b")]), place.path(), &declared(&["node1"]), Some(880)).unwrap();
        assert_eq!(again.written, ["bmc/node1"]);
    }

    #[test]
    fn a_failure_names_the_file_and_not_the_secret() {
        let place = tempfile::tempdir().unwrap();
        let error = deliver(&seed(&[("bmc/node1", "a:geheim")]), place.path(), &declared(&["node1"]), None);
        let said = format!("{:?}", error.unwrap_err());
        assert!(said.contains("bmc/node1") && !said.contains("geheim"), "{said}");
    }
}
