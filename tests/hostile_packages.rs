//! Packages that try to write outside of their tree, and packages that are damaged: each is refused by name, and the host
//! stays as it was.

use std::fs;
use std::path::{Path, PathBuf};

use provbuild::rootfs::{self, Failure, PackageFile, RootfsError};
use provbuild::vocab::{Epoch, Remedy, Silent};

const TREE_LIMIT: u64 = 64 << 20;

/// A .deb (deb(5)) of these entries, under a chosen package name.
fn deb(directory: &Path, name: &str, fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> PackageFile {
    let mut control = tar::Builder::new(Vec::new());
    let text = format!("Package: {name}\nVersion: 1\nArchitecture: all\n");
    add(&mut control, b"./control", tar::EntryType::Regular, "", text.as_bytes());
    let mut data = tar::Builder::new(Vec::new());
    fill(&mut data);
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar", control.into_inner().unwrap()),
        ("data.tar", data.into_inner().unwrap()),
    ];
    let mut bytes = b"!<arch>\n".to_vec();
    for (member, data) in members {
        bytes.extend(format!("{member:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, data.len()).bytes());
        bytes.extend(&data);
        bytes.extend((data.len() % 2 == 1).then_some(b'\n'));
    }
    let path = directory.join(format!("{name}.deb"));
    fs::write(&path, bytes).unwrap();
    PackageFile { name: name.to_owned(), path }
}

/// Adds an entry whose name is written as it stands: the tar crate's own setter would refuse a hostile one.
fn add(archive: &mut tar::Builder<Vec<u8>>, name: &[u8], kind: tar::EntryType, link: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o4755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    header.set_cksum();
    archive.append(&header, bytes).unwrap();
}

fn file(archive: &mut tar::Builder<Vec<u8>>, name: &str, bytes: &[u8]) {
    add(archive, name.as_bytes(), tar::EntryType::Regular, "", bytes);
}

/// Unpacks the packages in the real sandbox and gives its verdict.
fn build(packages: &[PackageFile]) -> Result<(), RootfsError> {
    let scratch = tempfile::tempdir().unwrap();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_provbuild"));
    rootfs::build(&program, packages, Epoch(0), TREE_LIMIT, scratch.path(), &scratch.path().join("log"), &Silent)
}

/// The failure's text and its remedy.
fn refused(packages: &[PackageFile]) -> String {
    match build(packages) {
        Err(error @ RootfsError::Work { .. }) => match error.help() {
            Some(help) => format!("{error}\nhelp: {help}"),
            None => error.to_string(),
        },
        other => panic!("expected a refusal: {other:?}"),
    }
}

#[test]
#[ignore = "needs namespaces"]
fn sandbox_names_that_lead_out_of_the_tree_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let climbing = deb(dir, "climbing", |tar| file(tar, "./../../../../tmp/provbuild-evil", b"evil"));
    insta::assert_snapshot!(refused(&[climbing]), @r#"
    climbing 1: file name "./../../../../tmp/provbuild-evil" leads out of the tree
    help: the file's checksum is the lock's: the archive itself ships it so; exclude the package
    "#);
    let absolute = deb(dir, "absolute", |tar| file(tar, "/tmp/provbuild-evil", b"evil"));
    insta::assert_snapshot!(refused(&[absolute]), @r#"
    absolute 1: file name "/tmp/provbuild-evil" is absolute
    help: the file's checksum is the lock's: the archive itself ships it so; exclude the package
    "#);
    assert!(!Path::new("/tmp/provbuild-evil").exists());
}

#[test]
#[ignore = "needs namespaces"]
fn sandbox_links_lead_nowhere_but_into_the_tree() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("host");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("precious"), "mine").unwrap();
    let link = target.to_str().unwrap();
    // By symbolic link, absolute and relative, and by hard link.
    for (name, kind, to) in [
        ("absolute-link", tar::EntryType::Symlink, link.to_owned()),
        ("climbing-link", tar::EntryType::Symlink, format!("../../../../../..{link}")),
    ] {
        let package = deb(directory.path(), name, |tar| {
            add(tar, b"./out", kind, &to, b"");
            file(tar, "./out/evil", b"evil");
            file(tar, "./out/precious", b"overwritten");
        });
        let verdict = refused(&[package]);
        assert!(verdict.starts_with(name), "{verdict}");
    }
    let hard = deb(directory.path(), "hard-link", |tar| {
        add(tar, b"./out", tar::EntryType::Link, &format!("../../../..{link}/precious"), b"");
    });
    assert!(refused(&[hard]).contains("leads out of the tree"));
    assert_eq!(fs::read_to_string(target.join("precious")).unwrap(), "mine");
    assert!(!target.join("evil").exists());
}

#[test]
#[ignore = "needs namespaces"]
fn sandbox_device_nodes_odd_entries_and_foreign_owners_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let device = deb(directory.path(), "device", |tar| add(tar, b"./disk", tar::EntryType::Block, "", b""));
    assert!(refused(&[device]).contains("/disk is a device node"));
    let owner = deb(directory.path(), "owner", |tar| {
        let mut header = tar::Header::new_gnu();
        header.set_path("x").unwrap();
        header.set_uid(4_000_000);
        header.set_gid(0);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_size(0);
        header.set_cksum();
        tar.append(&header, &b""[..]).unwrap();
    });
    assert!(refused(&[owner]).contains("owner 4000000 is out of range"));
}

#[test]
#[ignore = "needs namespaces"]
fn sandbox_a_package_larger_than_the_limit_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let huge = deb(directory.path(), "huge", |tar| file(tar, "./huge", &vec![7; (TREE_LIMIT + (1 << 20)) as usize]));
    insta::assert_snapshot!(refused(&[huge]), @r"
    the unpacked packages do not fit into 64 MiB of memory
    help: free memory, or ask for fewer packages
    ");
}

#[test]
#[ignore = "needs namespaces"]
fn sandbox_two_packages_with_one_path_are_named_whatever_thread_came_first() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..5 {
        let one = deb(directory.path(), "one", |tar| file(tar, "./usr/bin/tool", b"1"));
        let two = deb(directory.path(), "two", |tar| file(tar, "./bin/tool", b"2"));
        insta::allow_duplicates! {
            insta::assert_snapshot!(refused(&[two, one]), @r#"
            /usr/bin/tool: shipped by two and by one, and neither replaces the other
            help: exclude one of the two: distribution.exclude = ["one"]
            "#);
        }
    }
}

#[test]
#[ignore = "needs namespaces"]
fn sandbox_damaged_packages_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let whole = deb(directory.path(), "cut", |tar| file(tar, "./x", &[0; 4096]));
    let bytes = fs::read(&whole.path).unwrap();
    fs::write(&whole.path, &bytes[..bytes.len() - 2000]).unwrap();
    assert!(refused(&[whole]).contains("cut.deb: not a Debian package: member data.tar is cut short"));
    let page = PackageFile { name: "page".into(), path: directory.path().join("page.deb") };
    fs::write(&page.path, "<!DOCTYPE html><title>Sign in to this network</title>").unwrap();
    assert!(refused(&[page]).contains("page.deb: not a Debian package: no ar signature"));
}

#[test]
#[ignore = "needs namespaces"]
fn sandbox_a_failing_script_shows_its_last_words() {
    // A tree without a shell: the first program of the target that is needed cannot be run.
    let directory = tempfile::tempdir().unwrap();
    let lonely = deb(directory.path(), "lonely", |tar| file(tar, "./x", b"x"));
    match build(&[lonely]) {
        Err(RootfsError::Work { failure: Failure::Io { step, .. }, .. }) => {
            assert_eq!(step, "run dpkg --configure --pending --force-unsafe-io");
        }
        other => panic!("{other:?}"),
    }
}
