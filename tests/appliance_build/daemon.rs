//! The daemon inside the image: the static program that was built, its account's files, and nothing that is secret.

use std::fs;
use std::process::Command;

use provbuild::vocab::Digest;

use crate::common::project::{Project, daemon};
use crate::images::cut;
use crate::judge;

#[test]
#[ignore = "builds an appliance from the real archive"]
fn net_the_daemon_is_in_the_image_and_what_it_is_declared_is_not_for_everybody() {
    let user = "[appliance.users.tester]\nsudo = true\nssh-keys = [\"ssh-ed25519 \
                AAAAC3NzaC1lZDI1NTE5AAAAIDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw ops@desk\"]\n";
    let project = Project::new("daemon", &["raw"], user);
    let manifest = project.built(&[]);
    let program = fs::read(daemon()).unwrap();
    let recorded = manifest.daemon.as_ref().unwrap();
    assert_eq!((recorded.sha256, recorded.size), (Digest::of(&program), program.len() as u64));

    let part = project.directory.join("part");
    cut(project.out().join("daemon.raw").to_str().unwrap(), 2, &part);
    let asked = |request: &str| judge("e2fsprogs", "debugfs", &["-R", request, part.to_str().unwrap()]);
    let shape = |path: &str| {
        let said = asked(&format!("stat {path}"));
        let word = |label: &str| {
            let rest = said.split_once(label).unwrap_or_else(|| panic!("{path}: {said}")).1;
            rest.split_whitespace().next().unwrap().to_owned()
        };
        (word("Mode:"), word("User:"), word("Group:"))
    };
    let is = |mode: &str, user: &str, group: &str| (mode.to_owned(), user.to_owned(), group.to_owned());
    assert_eq!(shape("/usr/bin/provd"), is("0755", "0", "0"));
    assert_eq!(shape("/etc/provbuild/provd.json"), is("0640", "0", "880"));
    assert_eq!(shape("/usr/lib/provbuild/dhcp-event"), is("0755", "0", "0"));
    let dumped = project.directory.join("provd");
    asked(&format!("dump /usr/bin/provd {}", dumped.display()));
    assert_eq!(Digest::of(&fs::read(&dumped).unwrap()), recorded.sha256);
    // It runs where there is nothing else: no library, no file.
    let alone = tempfile::tempdir().unwrap();
    let copy = alone.path().join("provd");
    fs::copy(&dumped, &copy).unwrap();
    fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let root = format!("--root={}", alone.path().display());
    let said = judge("util-linux", "unshare", &["--map-root-user", &root, "/provd", "--version"]);
    assert!(said.starts_with("provd "), "{said}");

    // It says of itself what the manifest says.
    assert!(asked("cat /usr/lib/provbuild/image-digest").contains(&manifest.image_digest.to_string()));
    assert!(asked("cat /etc/passwd").contains("\nprovd:x:880:880:"));
    assert!(asked("cat /etc/group").contains("\nprovd:x:880:tester\n"));

    // Nobody has a token, an attempt or a certificate yet: whatever installs is made on the state disk.
    let declared = asked("cat /etc/provbuild/provd.json");
    assert!(declared.contains("\"hostname\": \"node1\"") && !declared.contains("token"), "{declared}");
    for path in
        ["/var/lib/provbuild/provd", "/var/lib/provbuild/tls", "/srv/provbuild/http/seed", "/srv/provbuild/http/nodes"]
    {
        let said = asked(&format!("stat {path}"));
        assert!(said.contains("File not found"), "{path}: {said}");
    }
    for file in [&part, &dumped, &project.out().join("daemon.raw")] {
        fs::remove_file(file).unwrap();
    }
}

#[test]
#[ignore = "builds an appliance from the real archive"]
fn net_another_daemon_makes_another_image_and_a_dynamic_one_none() {
    let project = Project::new("other-daemon", &["vmdk"], "");
    let first = project.built(&[]);
    // The same program with a byte behind it that nobody loads.
    let other = project.directory.join("provd");
    let mut bytes = fs::read(daemon()).unwrap();
    bytes.push(0);
    fs::write(&other, bytes).unwrap();
    let ask = |command: &str, daemon: &std::path::Path| {
        Command::new(env!("CARGO_BIN_EXE_provbuild"))
            .args([command, "profile.toml", "--offline", "--store"])
            .arg(Project::store())
            .env("PROVBUILD_PROVD", daemon)
            .current_dir(&project.directory)
            .output()
            .unwrap()
    };
    let plan = String::from_utf8(ask("plan", &other).stdout).unwrap();
    let image = plan.lines().find(|line| line.starts_with("image")).unwrap();
    assert!(image.contains(" run ") && image.contains("the appliance's daemon changed"), "{plan}");
    let rootfs = plan.lines().find(|line| line.starts_with("rootfs")).unwrap();
    assert!(rootfs.contains(" cached "), "{plan}");
    assert!(ask("build", &other).status.success());
    let second = provbuild::manifest::Manifest::read(&project.out()).unwrap();
    assert_ne!(first.image_digest, second.image_digest);
    assert_ne!(first.daemon, second.daemon);

    for (daemon, what) in [
        (std::path::Path::new(env!("CARGO_BIN_EXE_provbuild")), "linked dynamically"),
        (&project.directory.join("profile.toml"), "not a 64-bit program"),
        (&project.directory.join("nowhere"), "is not there"),
    ] {
        let refused = ask("build", daemon);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(
            refused.status.code() == Some(8) && said.contains(what) && said.contains("scripts/build-provd"),
            "{said}"
        );
    }
    // What was built stays.
    assert_eq!(provbuild::manifest::Manifest::read(&project.out()).unwrap(), second);
}
