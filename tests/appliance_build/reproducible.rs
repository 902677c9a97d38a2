//! The same inputs give the same bytes, wherever they are built; and what has not changed is not done again.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::project::Project;
use crate::digests;

/// Not raw: its 25 GiB of zeros take minutes to read, and images.rs compares the others with it.
const FORMATS: [&str; 4] = ["ova", "vmdk", "vmx", "qcow2"];

#[test]
#[ignore = "builds an appliance from the real archive, twice"]
fn net_two_builds_are_identical_to_the_last_byte() {
    let project = Project::new("twice", &FORMATS, "");
    let _ = std::fs::remove_dir_all(project.directory.join("out"));
    let manifest = project.built(&[]);
    let first = digests(&project.out());
    for record in &manifest.artifacts {
        let (_, digest) =
            first.iter().find(|(path, _)| *path == format!("./{}", record.file)).expect("a file of the manifest");
        assert_eq!(*digest, record.sha256.to_string(), "{}", record.file);
        assert_eq!(project.out().join(&record.file).metadata().unwrap().len(), record.size, "{}", record.file);
    }

    // Another folder, another store that has the downloads and no finished stage, another user mask, language and zone.
    let other = project.directory.join("elsewhere");
    let _ = std::fs::remove_dir_all(&other);
    std::fs::create_dir_all(other.join("store")).unwrap();
    let store = Project::store();
    let copy = format!(
        "set -e; cd '{}'; for part in *; do case $part in stages|tmp|partial) ;; *) cp -al \"$part\" '{}/store/' ;; esac; done; \
         cd '{}'; cp profile.toml profile.lock nodes.toml '{}'",
        store.display(),
        other.display(),
        project.directory.display(),
        other.display()
    );
    assert!(Command::new("sh").args(["-c", &copy]).status().unwrap().success());
    let again = format!(
        "umask 077; cd '{}' && exec '{}' build profile.toml --store store --offline --jobs 1",
        other.display(),
        env!("CARGO_BIN_EXE_provbuild")
    );
    let output = Command::new("sh")
        .args(["-c", &again])
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .env("TZ", "Pacific/Auckland")
        .env("LANG", "de_DE.UTF-8")
        .env("HOME", &other)
        .env("SOURCE_DATE_EPOCH", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let second = digests(&other.join("out").join(project.name));
    let differing: Vec<_> = first.iter().filter(|one| !second.contains(one)).collect();
    assert!(differing.is_empty() && first.len() == second.len(), "not identical: {differing:#?}");
    // The user mask of before closes nothing that is to be served.
    let boot = other.join("out").join(project.name).join("boot");
    let closed = Command::new("find")
        .arg(&boot)
        .args(["(", "-type", "d", "!", "-perm", "755", ")", "-o"])
        .args(["(", "-type", "f", "!", "-perm", "644", ")"])
        .output()
        .unwrap();
    assert!(closed.status.success() && closed.stdout.is_empty(), "{}", String::from_utf8_lossy(&closed.stdout));
    std::fs::remove_dir_all(&other).unwrap();
}

#[test]
#[ignore = "builds an appliance from the real archive"]
fn net_what_has_not_changed_is_not_done_again() {
    let project = Project::new("again", &["vmdk"], "");
    project.built(&[]);
    let before = digests(&project.out());
    let begin = Instant::now();
    project.built(&["--offline"]);
    // The goal is 0.3 s on a quiet machine (docs/performance.md); here others are at work.
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert_eq!(digests(&project.out()), before);

    // Another address for one node: the packages stay as they are, the image changes.
    let nodes = crate::common::project::NODES.replace("10.10.1.21", "10.10.1.31");
    std::fs::write(project.directory.join("nodes.toml"), nodes).unwrap();
    let plan = crate::plan(&project);
    let verdict =
        |stage: &str| plan.lines().find(|line| line.starts_with(stage)).unwrap_or_else(|| panic!("{plan}")).to_owned();
    assert!(verdict("rootfs").contains(" cached "), "{plan}");
    assert!(verdict("image").contains(" run "), "{plan}");
    project.built(&["--offline"]);
    let changed: Vec<_> =
        digests(&project.out()).into_iter().filter(|one| !before.contains(one)).map(|(path, _)| path).collect();
    assert!(
        changed.contains(&"./again.vmdk".to_owned()) && changed.contains(&"./boot/dnsmasq.conf".to_owned()),
        "{changed:?}"
    );

    // And back: the bytes of before.
    std::fs::write(project.directory.join("nodes.toml"), crate::common::project::NODES).unwrap();
    project.built(&["--offline"]);
    assert_eq!(digests(&project.out()), before);
}
