//! Archives made in memory, good and bad. What stands for SUM here is a header without a program: SUM itself cannot be had.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

use super::*;
use crate::vocab::Remedy;

const TOP: &str = "sum_2.14.0_Linux_x86_64";

/// The least that counts as a program.
fn elf() -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[16] = 2;
    bytes[18] = 62;
    bytes
}

/// An entry; its name is written as it is, which `tar` itself would refuse for some.
fn entry(name: &str, kind: EntryType, mode: u32, bytes: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(bytes.len() as u64);
    header.set_cksum();
    let mut entry = header.as_bytes().to_vec();
    entry.extend(bytes);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

fn file(name: &str, mode: u32, bytes: &[u8]) -> Vec<u8> {
    entry(&format!("{TOP}/{name}"), EntryType::Regular, mode, bytes)
}

fn program() -> Vec<u8> {
    file("sum", 0o755, &elf())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    gzip(&[entries.concat(), vec![0; 1024]].concat())
}

fn refused(entries: &[Vec<u8>]) -> String {
    parse(&archive(entries)).unwrap_err().to_string()
}

/// A file with these bytes, and the archive of a profile that names it.
fn on_disk(directory: &Path, bytes: &[u8]) -> SumArchive {
    let path = directory.join(format!("{TOP}_20240215.tar.gz"));
    fs::write(&path, bytes).unwrap();
    SumArchive { path, sha256: Digest::of(bytes) }
}

#[test]
fn the_files_below_the_one_directory_are_read() {
    let entries = [
        entry("./", EntryType::Directory, 0o755, b""),
        entry(&format!("./{TOP}/"), EntryType::Directory, 0o755, b""),
        file("ExternalData/VENID.txt", 0o644, b"vendors"),
        file("driver/load.sh", 0o755, b"#!/bin/sh\n"),
        // The program is one, whatever mode the archive gives it.
        file("sum", 0o644, &elf()),
    ];
    let sum = parse(&archive(&entries)).unwrap();
    let found: Vec<String> = sum
        .tree
        .iter()
        .map(|(path, node)| {
            format!("{path} {:04o} {}", node.mode.bits(), sum.tree.content(path).map_or(0, |content| content.size))
        })
        .collect();
    assert_eq!(
        found,
        [
            "/ 0755 0",
            "/ExternalData 0755 0",
            "/ExternalData/VENID.txt 0644 7",
            "/driver 0755 0",
            "/driver/load.sh 0755 10",
            "/sum 0755 64"
        ]
    );
}

#[test]
fn an_archive_that_tar_wrote_is_read_with_a_long_name() {
    let long = format!("{TOP}/ExternalData/{}.txt", "n".repeat(150));
    let mut builder = Builder::new(Vec::new());
    for (name, bytes) in [(format!("{TOP}/sum"), elf()), (long, b"text".to_vec())] {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    let sum = parse(&gzip(&builder.into_inner().unwrap())).unwrap();
    assert!(sum.tree.iter().any(|(path, _)| path.as_str().len() > 150 && path.as_str().ends_with("nn.txt")));
}

#[test]
fn paths_out_of_the_directory_are_refused() {
    for name in
        ["/etc/passwd", &format!("{TOP}/../../etc/passwd"), "..", &format!("{TOP}/a\\b"), &format!("{TOP}/a\nb")]
    {
        let message = refused(&[program(), entry(name, EntryType::Regular, 0o644, b"x")]);
        assert!(message.contains("leads out of the archive's directory"), "{name}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn only_files_and_directories_are_taken() {
    let kinds = [
        (EntryType::Symlink, "a symbolic link"),
        (EntryType::Link, "a hard link"),
        (EntryType::Char, "a device"),
        (EntryType::Block, "a device"),
        (EntryType::Fifo, "a pipe"),
        (EntryType::new(b'V'), "something special"),
        (EntryType::Continuous, "something special"),
    ];
    for (kind, what) in kinds {
        let bad = entry(&format!("{TOP}/libx.so"), kind, 0o644, b"");
        let message = refused(&[program(), bad]);
        assert_eq!(message, format!("'{TOP}/libx.so' is {what}, and only files and directories are taken"));
    }
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    // 8 GiB are announced, and none are there.
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..TOP.len() + 2].copy_from_slice(format!("{TOP}/a").as_bytes());
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_size((8 << 30) - 1);
    header.set_cksum();
    assert!(refused(&[program(), header.as_bytes().to_vec()]).contains("more than 512 MiB"));

    let many: Vec<_> = (0..=ENTRIES).map(|n| file(&format!("f{n}"), 0o644, b"")).collect();
    assert!(refused(&many).contains("more than 4096 files"));
}

#[test]
fn what_is_no_whole_archive_is_refused() {
    let whole = archive(&[program(), file("a", 0o644, &[7; 4000])]);
    assert!(parse(&whole).is_ok());
    let told = |bytes: &[u8]| parse(bytes).unwrap_err().to_string();
    assert_eq!(told(&whole[..whole.len() / 2]), "it is not a gzip-compressed tar archive: it is cut off");
    assert_eq!(told(b"PK\x03\x04"), "it is not a gzip-compressed tar archive: it does not begin as gzip does");
    assert_eq!(told(b""), "it is not a gzip-compressed tar archive: it does not begin as gzip does");
    // A tar file that ends inside of an entry.
    let cut = gzip(&[program(), file("a", 0o644, &[7; 4000])].concat()[..2000]);
    assert_eq!(told(&cut), "it is not a gzip-compressed tar archive: it is cut off");
    assert!(told(&gzip(&[b'x'; 2048])).contains("not a gzip-compressed tar archive"));
    for length in 0..whole.len() {
        let _ = parse(&whole[..length]);
    }
}

#[test]
fn another_archive_is_not_taken_for_sums() {
    assert_eq!(refused(&[]), "it holds no program 'sum'");
    assert_eq!(refused(&[file("saa", 0o755, &elf())]), "it holds no program 'sum'");
    assert_eq!(refused(&[file("bin/sum", 0o755, &elf())]), "it holds no program 'sum'");
    let no_program = "its 'sum' is no program for Linux on x86-64";
    assert_eq!(refused(&[file("sum", 0o755, b"#!/bin/sh\n")]), no_program);
    let mut arm = elf();
    arm[18] = 183;
    assert_eq!(refused(&[file("sum", 0o755, &arm)]), no_program);
    assert_eq!(refused(&[file("sum", 0o755, &elf()[..40])]), no_program);
    let other = "sum_2.15.0_Linux_x86_64/sum";
    assert_eq!(
        refused(&[program(), entry(other, EntryType::Regular, 0o755, &elf())]),
        "it holds 'sum_2.14.0_Linux_x86_64' and 'sum_2.15.0_Linux_x86_64', and SUM's has one directory"
    );
    for top in ["sum_2.15.0_Win_x86_64", "saa_1.2.0_Linux_x86_64", "sum"] {
        let message = refused(&[entry(&format!("{top}/sum"), EntryType::Regular, 0o755, &elf())]);
        assert_eq!(
            message,
            format!("its directory is '{top}', and SUM's for Linux is called sum_VERSION_Linux_x86_64")
        );
    }
    assert_eq!(refused(&[program(), program()]), format!("'{TOP}/sum' is in it twice"));
    assert_eq!(
        refused(&[program(), file("a", 0o644, b""), file("a/b", 0o644, b"")]),
        format!("'{TOP}/a/b' is in it twice")
    );
    assert_eq!(
        refused(&[program(), file("a/b", 0o644, b""), file("a", 0o644, b"")]),
        format!("'{TOP}/a' is in it twice")
    );
}

#[test]
fn nothing_is_parsed_that_has_another_digest() {
    let directory = tempfile::tempdir().unwrap();
    let good = archive(&[program()]);
    let mut named = on_disk(directory.path(), &good);
    assert!(read(&named).is_ok());
    // Not even gzip: the digest speaks first.
    fs::write(&named.path, b"altered").unwrap();
    let error = read(&named).unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("SUM's archive: "), "{message}");
    assert!(message.contains(&Digest::of(b"altered").to_string()), "{message}");
    assert!(message.contains(&named.sha256.to_string()), "{message}");
    assert!(error.help().unwrap().contains("[sum]"));

    named.path = directory.path().join("gone.tar.gz");
    assert!(matches!(read(&named).unwrap_err().reason, Reason::File { .. }));
    named.path = directory.path().to_owned();
    assert!(matches!(read(&named).unwrap_err().reason, Reason::File { .. }));
}

#[test]
fn the_program_is_laid_out_once_for_its_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let entries = [program(), file("ExternalData/VENID.txt", 0o644, b"vendors")];
    let named = on_disk(directory.path(), &archive(&entries));
    let path = super::program(&named, &store).unwrap();
    assert_eq!(fs::read(&path).unwrap(), elf());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let home = path.parent().unwrap();
    assert_eq!((mode(home), mode(&path)), (0o700, 0o700));
    assert_eq!((mode(&home.join("ExternalData")), mode(&home.join("ExternalData/VENID.txt"))), (0o700, 0o600));

    // The second time the archive is not needed; another one is another program.
    fs::remove_file(&named.path).unwrap();
    assert_eq!(super::program(&named, &store).unwrap(), path);
    let other = on_disk(directory.path(), &archive(&[program()]));
    assert_ne!(super::program(&other, &store).unwrap(), path);
}

#[test]
fn a_bad_archive_leaves_nothing_in_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let named = on_disk(directory.path(), &archive(&[file("saa", 0o755, &elf())]));
    let error = super::program(&named, &store).unwrap_err();
    assert_eq!(error.to_string(), "SUM's archive: it holds no program 'sum'");
    for name in ["stages", "tmp", "objects"] {
        assert_eq!(fs::read_dir(store.join(name)).unwrap().count(), 0, "{name}");
    }
}
