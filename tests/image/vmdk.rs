//! VMDKs: streamOptimized by every rule that its readers have, blank and growable ones by QEMU.
//!
//! VMware's own converter is a judge that CI cannot have: no registry has it. By hand:
//! ```text
//! git clone https://github.com/vmware/open-vmdk && make -C open-vmdk        # a C compiler and zlib1g-dev
//! PATH=$PWD/open-vmdk/build/vmdk:$PATH cargo test --release --test image -- --ignored judge_open_vmdk
//! ```
//! Without `vmdk-convert` in PATH those tests fail, so that nobody takes them for passed; tests/run leaves them out by name.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use provbuild::image::{ImageError, LARGEST_WRITABLE_VMDK, name_vmdk, write_blank_vmdk};
use provbuild::profile::OutputFormat;
use provbuild::vocab::{ByteSize, Digest};

use crate::reader::read;
use crate::{Sample, judge, must, noise, text};

/// More than one grain table, a table without grains, grains of zeros.
fn sample() -> Sample {
    let mut sample = Sample::full();
    sample.file("/usr/lib/large", [vec![0; 1 << 20], noise(33 << 20)].concat());
    sample
}

fn digest(path: &Path) -> Digest {
    Digest::of_reader(&mut File::open(path).unwrap()).unwrap().0
}

#[test]
fn the_stream_keeps_every_rule_and_holds_the_raw_disk() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let sample = sample();
    sample.write(&[OutputFormat::Vmdk, OutputFormat::Raw], directory.path()).unwrap();
    let disk = read(&fs::read(at("mylab.vmdk")).unwrap()).unwrap();
    assert!(disk.raw() == fs::read(at("mylab.raw")).unwrap());
    let last = *disk.grains.last_key_value().unwrap().0;
    assert!(last >= 512 && disk.sectors > 2 * 512 * 128, "more than one table");
    let used = |table: u64| disk.grains.keys().any(|grain| grain / 512 == table);
    assert!((0..disk.sectors / 128 / 512).any(|table| !used(table)), "a table without grains");

    assert_eq!(disk.value("createType"), Some("streamOptimized"));
    assert_eq!(disk.value("version"), Some("1"));
    assert_eq!(disk.value("parentCID"), Some("ffffffff"));
    assert!(disk.descriptor.lines().any(|line| line == format!("RW {} SPARSE \"mylab.vmdk\"", disk.sectors)));
    let cid = disk.value("CID").unwrap();
    assert!(cid.len() == 8 && cid < "fffffffe", "{cid}");
    let long = disk.value("ddb.longContentID").unwrap();
    assert!(long.len() == 32 && long.ends_with(cid), "{long}");
    assert_eq!(disk.value("ddb.adapterType"), Some("lsilogic"));
    assert_eq!(disk.value("ddb.virtualHWVersion"), Some("4"));
    let cylinders = disk.sectors.div_ceil(255 * 63).to_string();
    assert_eq!(disk.value("ddb.geometry.cylinders"), Some(cylinders.as_str()));
    assert_eq!((disk.value("ddb.geometry.heads"), disk.value("ddb.geometry.sectors")), (Some("255"), Some("63")));

    // qemu-img check walks the tables only, converting reads every grain.
    let (vmdk, back) = (at("mylab.vmdk"), at("back.raw"));
    must("qemu-utils", "qemu-img", &["check", "-f", "vmdk", text(&vmdk)]);
    must("qemu-utils", "qemu-img", &["convert", "-f", "vmdk", "-O", "raw", text(&vmdk), text(&back)]);
    assert_eq!(digest(&back), digest(&at("mylab.raw")));
}

/// The reader above must be able to say no.
#[test]
fn the_reader_finds_what_is_broken() {
    let directory = tempfile::tempdir().unwrap();
    Sample::full().write(&[OutputFormat::Vmdk], directory.path()).unwrap();
    let whole = fs::read(directory.path().join("mylab.vmdk")).unwrap();
    let disk = read(&whole).unwrap();
    let places: Vec<usize> = disk.places.values().map(|place| *place as usize).collect();
    let first_entry = ((21 + 1) * 512 + disk.places.first_key_value().unwrap().0 * 4) as usize;
    type Damage<'a> = (&'a str, &'a dyn Fn(&mut Vec<u8>));
    let cases: [Damage<'_>; 13] = [
        ("the stream has no end", &|file| file.truncate(file.len() - 512)),
        ("something follows the end", &|file| file.extend([0; 512])),
        ("not that is the stream's end", &|file| {
            let end = file.len() - 500;
            file[end] = 3;
        }),
        ("magic number", &|file| file[..4].copy_from_slice(b"kdmv")),
        ("version", &|file| file[4] = 1),
        ("flags", &|file| file[8] = 3),
        ("directory at the end", &|file| file[56..64].fill(0xff)),
        ("overhead", &|file| file[64] += 1),
        ("line ends", &|file| file[73] = b'\r'),
        ("an entry of the tables", &|file| file[first_entry] += 1),
        ("an entry too little", &|file| file[first_entry..first_entry + 4].fill(0)),
        ("the sector of a grain", &|file| file[places[1]] += 1),
        ("a grain's data", &|file| file[places[2] + 20] ^= 0x55),
    ];
    for (what, damage) in cases {
        let mut file = whole.clone();
        damage(&mut file);
        assert!(read(&file).is_err(), "{what}");
    }
    // Two neighbours exchanged, with their tables: each is found, but not in order.
    let (one, two) = (places[0], places[1]);
    let mut file = whole[..one].to_vec();
    file.extend_from_slice(&whole[two..places[2]]);
    let second = file.len();
    file.extend_from_slice(&whole[one..two]);
    file.extend_from_slice(&whole[places[2]..]);
    let entry = |grain: u64| ((21 + 1) * 512 + grain * 4) as usize;
    let numbers: Vec<u64> = disk.places.keys().copied().collect();
    file[entry(numbers[1])..][..4].copy_from_slice(&((one / 512) as u32).to_le_bytes());
    file[entry(numbers[0])..][..4].copy_from_slice(&((second / 512) as u32).to_le_bytes());
    let said = read(&file).unwrap_err();
    assert!(said.contains("comes too late"), "{said}");
}

/// A file that a stopped build left is no disk to anybody.
#[test]
fn an_unfinished_stream_is_no_disk() {
    let directory = tempfile::tempdir().unwrap();
    let mut sample = Sample::full();
    let missing = provbuild::tree::Content { digest: Digest::of(b"missing"), size: 1 << 20 };
    let node = provbuild::tree::Node::file(missing);
    sample.root.insert_with_parents(provbuild::vocab::ImagePath::literal("/usr/lib/missing"), node);
    sample.write(&[OutputFormat::Vmdk], directory.path()).unwrap_err();
    let file = directory.path().join("mylab.vmdk");
    assert_eq!(fs::read(&file).unwrap()[..4], *b"kdmv");
    let (content, said) = judge("qemu-utils", "qemu-img", &["info", "-f", "vmdk", text(&file)]);
    assert!(!content, "{said}");
}

#[test]
fn blank_disks_are_empty_and_take_what_a_guest_writes() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Digest::of(b"state");
    for (name, size) in [
        ("small.vmdk", ByteSize::mib(1)),
        ("state.vmdk", ByteSize::gib(20)),
        ("odd.vmdk", ByteSize(ByteSize::gib(3).bytes() + 512)),
        ("largest.vmdk", LARGEST_WRITABLE_VMDK),
    ] {
        let path = directory.path().join(name);
        write_blank_vmdk(&path, size, &identity).unwrap();
        let metadata = path.metadata().unwrap();
        assert!(metadata.blocks() * 512 < 2 << 20, "{name} takes {} bytes", metadata.blocks() * 512);
        // qemu-img goes over every grain, which takes it half a minute for the largest: there, reading and writing must do.
        let whole = size < LARGEST_WRITABLE_VMDK;
        let check = || {
            if whole {
                must("qemu-utils", "qemu-img", &["check", "-f", "vmdk", text(&path)]);
            }
        };
        check();
        let info = must("qemu-utils", "qemu-img", &["info", "-f", "vmdk", "--output=json", text(&path)]);
        let info: serde_json::Value = serde_json::from_str(&info).unwrap();
        assert_eq!(info["virtual-size"], size.bytes(), "{name}");
        let specific = &info["format-specific"]["data"];
        assert_eq!(specific["create-type"], "monolithicSparse");
        assert_eq!(specific["extents"][0]["cluster-size"], 65536);
        assert_eq!(specific["parent-cid"], u32::MAX);
        if whole {
            let map = must("qemu-utils", "qemu-img", &["map", "-f", "vmdk", "--output=json", text(&path)]);
            let map: Vec<serde_json::Value> = serde_json::from_str(&map).unwrap();
            assert!(map.iter().all(|part| part["data"] == false), "{name} has data");
        }

        // First and last sector, as a guest would write them.
        let last = size.bytes() - 512;
        for offset in [0, last] {
            must("qemu-utils", "qemu-io", &["-f", "vmdk", "-c", &format!("write -P 7 {offset} 512"), text(&path)]);
        }
        for offset in [0, last] {
            must("qemu-utils", "qemu-io", &["-f", "vmdk", "-c", &format!("read -P 7 {offset} 512"), text(&path)]);
        }
        check();
    }
}

#[test]
fn a_disk_that_is_there_is_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.vmdk");
    let size = ByteSize::gib(20);
    fs::write(&path, "precious").unwrap();
    let error = write_blank_vmdk(&path, size, &Digest::of(b"a")).unwrap_err();
    assert!(matches!(error, ImageError::Exists { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");

    // Nor what a link points to, nor one that points nowhere.
    let link = directory.path().join("link.vmdk");
    std::os::unix::fs::symlink(directory.path().join("elsewhere"), &link).unwrap();
    assert!(matches!(write_blank_vmdk(&link, size, &Digest::of(b"a")), Err(ImageError::Exists { .. })));
    assert!(!directory.path().join("elsewhere").exists());

    for size in [ByteSize(0), ByteSize(513), ByteSize::gib(8192)] {
        let path = directory.path().join("never.vmdk");
        let error = write_blank_vmdk(&path, size, &Digest::of(b"a")).unwrap_err();
        assert!(matches!(error, ImageError::WritableDiskSize { .. }), "{error}");
        assert!(!path.exists());
    }
}

#[test]
fn equal_identities_make_equal_disks_and_a_name_is_all_that_a_renaming_changes() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    write_blank_vmdk(&at("a.vmdk"), ByteSize::gib(1), &Digest::of(b"a")).unwrap();
    write_blank_vmdk(&at("b.vmdk"), ByteSize::gib(1), &Digest::of(b"a")).unwrap();
    write_blank_vmdk(&at("c.vmdk"), ByteSize::gib(1), &Digest::of(b"c")).unwrap();
    assert_ne!(digest(&at("a.vmdk")), digest(&at("b.vmdk")), "each has its own name in it");
    name_vmdk(&at("a.vmdk"), "b.vmdk").unwrap();
    assert_eq!(digest(&at("a.vmdk")), digest(&at("b.vmdk")));
    name_vmdk(&at("c.vmdk"), "b.vmdk").unwrap();
    assert_ne!(digest(&at("c.vmdk")), digest(&at("b.vmdk")), "another identity");

    // Longer and shorter, and the copy of a system disk.
    Sample::full().write(&[OutputFormat::Vmx], directory.path()).unwrap();
    let disk = at("mylab-disk.vmdk");
    let before = digest(&disk);
    let long = format!("{}.vmdk", "long".repeat(50));
    name_vmdk(&disk, &long).unwrap();
    let head = fs::read(&disk).unwrap()[512..21 * 512].to_vec();
    let head = String::from_utf8(head).unwrap();
    assert!(head.contains(&format!(" SPARSE \"{long}\"\n\n# The Disk Data Base\n")), "{head}");
    must("qemu-utils", "qemu-img", &["check", "-f", "vmdk", text(&disk)]);
    name_vmdk(&disk, "mylab-disk.vmdk").unwrap();
    assert_eq!(digest(&disk), before);

    for name in ["", "a\"b.vmdk", "a\nb.vmdk", "a/b.vmdk"] {
        name_vmdk(&disk, name).unwrap_err();
    }
    let mut other = File::create(at("other")).unwrap();
    other.write_all(&[1; 20_000]).unwrap();
    name_vmdk(&at("other"), "x.vmdk").unwrap_err();
    let mut untouched = vec![0; 20_000];
    File::open(at("other")).unwrap().read_exact_at(&mut untouched, 0).unwrap();
    assert!(untouched.iter().all(|byte| *byte == 1));
}

/// VMware's own converter, from PATH: see the head of this file.
fn vmdk_convert(arguments: &[&str]) -> String {
    let output = Command::new("vmdk-convert").args(arguments).output().unwrap_or_else(|error| {
        panic!("vmdk-convert: {error}; the head of tests/image/vmdk.rs says where it comes from")
    });
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "vmdk-convert {arguments:?}: {said}");
    said.into_owned()
}

#[test]
#[ignore = "needs vmdk-convert of VMware's open-vmdk, which no registry has"]
fn judge_open_vmdk_reads_both_kinds_back_to_the_raw_disk() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let formats = [OutputFormat::Vmdk, OutputFormat::Vmx, OutputFormat::Raw];
    sample().write(&formats, directory.path()).unwrap();
    for disk in ["mylab.vmdk", "mylab-disk.vmdk"] {
        let (disk, back) = (at(disk), at("back"));
        vmdk_convert(&[text(&disk), text(&back)]);
        assert_eq!(digest(&back), digest(&at("mylab.raw")), "{}", disk.display());
        fs::remove_file(back).unwrap();
    }
    let blank = at("blank.vmdk");
    write_blank_vmdk(&blank, ByteSize::gib(20), &Digest::of(b"a")).unwrap();
    let said = vmdk_convert(&["-i", text(&blank)]);
    assert!(said.contains("\"capacity\": 21474836480") && said.contains("\"used\": 0"), "{said}");
}

/// Its writer and ours follow the same rules: our reader takes its files, and they have the same head and the same grains.
#[test]
#[ignore = "needs vmdk-convert of VMware's open-vmdk, which no registry has"]
fn judge_open_vmdk_writes_the_same_layout() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    sample().write(&[OutputFormat::Vmdk, OutputFormat::Raw], directory.path()).unwrap();
    fs::create_dir(at("theirs")).unwrap();
    let theirs = at("theirs/mylab.vmdk");
    vmdk_convert(&[text(&at("mylab.raw")), text(&theirs)]);
    let (ours, theirs) = (fs::read(at("mylab.vmdk")).unwrap(), fs::read(theirs).unwrap());
    assert_eq!(ours[..512], theirs[..512], "the headers differ");
    let (our_disk, their_disk) = (read(&ours).unwrap(), read(&theirs).unwrap());
    assert_eq!(our_disk.grains, their_disk.grains);
    let fields = |disk: &crate::reader::Disk| {
        let mut names: Vec<_> = disk.descriptor.lines().filter_map(|line| line.split_once('=')).collect();
        // What is drawn by lot there and follows from the content here.
        names.retain(|(name, _)| !matches!(name.trim(), "CID" | "ddb.longContentID"));
        names.sort();
        names.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
    };
    assert_eq!(fields(&our_disk), fields(&their_disk));
}
