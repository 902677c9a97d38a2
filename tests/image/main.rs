//! The image stage from outside: small synthetic trees, judged by e2fsprogs, dosfstools, gdisk, mtools and QEMU's tools.
//!
//! `vmdk` has the VMDKs, judged by a reader of the tests' own (`reader`), QEMU and VMware's open-vmdk; `ovf` the OVF and OVA.

mod ovf;
mod reader;
mod vmdk;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;

use provbuild::image::{Artifact, DiskSpec, ImageError, MachineSpec, write_images_reusing};
use provbuild::profile::{DistributionName, OutputFormat};
use provbuild::tree::{Kind, MemoryContents, Node, Tree};
use provbuild::vocab::{ByteSize, Digest, DiskIds, Epoch, ImagePath, Mode, Owner, Remedy};

const ALL: [OutputFormat; 5] =
    [OutputFormat::Ova, OutputFormat::Vmdk, OutputFormat::Vmx, OutputFormat::Qcow2, OutputFormat::Raw];
/// The ESP of these trees starts at 1 MiB and has its least size.
const ESP: (u64, u64) = (1 << 20, 64 << 20);
const ROOT_START: u64 = ESP.0 + ESP.1;

/// Runs a judge; its output, and whether it was content.
fn judge(package: &str, program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; install the package {package}"));
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text.into_owned())
}

fn must(package: &str, program: &str, arguments: &[&str]) -> String {
    let (content, text) = judge(package, program, arguments);
    assert!(content, "{program} {arguments:?} is not content:\n{text}");
    text
}

struct Sample {
    root: Tree,
    esp: Tree,
    contents: MemoryContents,
    bytes: BTreeMap<ImagePath, Vec<u8>>,
    size: ByteSize,
    seed: Digest,
    epoch: Epoch,
}

impl Sample {
    fn empty() -> Self {
        Sample {
            root: Tree::new(),
            esp: Tree::new(),
            contents: MemoryContents::new(),
            bytes: BTreeMap::new(),
            size: ByteSize::mib(256),
            seed: Digest::of(b"sample"),
            epoch: Epoch(1_714_057_833),
        }
    }

    fn file(&mut self, path: &str, bytes: Vec<u8>) -> Node {
        let path = ImagePath::literal(path);
        let node = Node::file(self.contents.add(bytes.clone()));
        self.root.insert_with_parents(path.clone(), node.clone());
        self.bytes.insert(path, bytes);
        node
    }

    fn node(&mut self, path: &str, kind: Kind, mode: u32, (uid, gid): (u32, u32)) {
        let node = Node { kind, mode: Mode::new(mode), owner: Owner { uid, gid }, xattrs: BTreeMap::new() };
        self.root.insert_with_parents(ImagePath::literal(path), node);
    }

    fn change(&mut self, path: &str, change: impl FnOnce(&mut Node)) {
        let path = ImagePath::literal(path);
        let mut node = self.root.get(&path).unwrap().clone();
        change(&mut node);
        self.root.insert(path, node);
    }

    fn esp_file(&mut self, path: &str, bytes: Vec<u8>) {
        let node = Node::file(self.contents.add(bytes));
        self.esp.insert_with_parents(ImagePath::literal(path), node);
    }

    /// One of everything that a root file system has.
    fn full() -> Self {
        let mut sample = Sample::empty();
        sample.file("/etc/hostname", b"mylab\n".to_vec());
        sample.file("/etc/empty", Vec::new());
        sample.file("/etc/with space and ünïcode", b"x".to_vec());
        sample.file("/usr/lib/noise", noise(3_000_001));
        sample.file("/usr/lib/zeros", vec![0; 300_000]);
        for index in 0..2000 {
            sample.file(
                &format!("/usr/share/many/entry-with-a-longer-name-{index:05}"),
                format!("{index}\n").into_bytes(),
            );
        }
        let noise = sample.root.get(&ImagePath::literal("/usr/lib/noise")).unwrap().clone();
        for link in ["/usr/lib/noise-again", "/usr/share/noise"] {
            let kind = Kind::HardLink { target: ImagePath::literal("/usr/lib/noise") };
            sample.root.insert(ImagePath::literal(link), Node { kind, ..noise.clone() });
        }
        sample.node("/bin", Kind::Symlink { target: "usr/bin".into() }, 0o777, (0, 0));
        sample.node("/etc/long", Kind::Symlink { target: format!("/{}", "long/".repeat(100)) }, 0o777, (0, 0));
        sample.node("/tmp", Kind::Directory, 0o1777, (0, 0));
        sample.node("/home/admin", Kind::Directory, 0o700, (1000, 1000));
        sample.node("/srv/big-ids", Kind::Directory, 0o2755, (70_000, 4_000_000_000));
        sample.node("/dev/null", Kind::CharDevice { major: 1, minor: 3 }, 0o666, (0, 0));
        sample.node("/dev/nvme0n1p300", Kind::BlockDevice { major: 259, minor: 300 }, 0o660, (0, 6));
        sample.node("/run/fifo", Kind::Fifo, 0o600, (0, 0));
        sample.node("/lost+found", Kind::Directory, 0o700, (0, 0));
        sample.file("/usr/bin/ping", b"ELF".to_vec());
        sample.change("/usr/bin/ping", |node| {
            node.mode = Mode::new(0o4755);
            // cap_net_raw=ep, version 2
            let capability = hex("0100000200200000000000000000000000000000");
            node.xattrs.insert("security.capability".into(), capability);
        });
        sample.node("/var/log/journal", Kind::Directory, 0o2755, (0, 999));
        sample.change("/var/log/journal", |node| {
            // user::rwx, group::r-x, group:4:r-x, mask::r-x, other::r-x
            let acl =
                hex("02000000 01000700ffffffff 04000500ffffffff 0800050004000000 10000500ffffffff 20000500ffffffff");
            node.xattrs.insert("system.posix_acl_access".into(), acl.clone());
            node.xattrs.insert("system.posix_acl_default".into(), acl);
        });
        sample.file("/etc/attributes", b"many".to_vec());
        sample.change("/etc/attributes", |node| {
            node.xattrs.insert("user.long".into(), vec![b'v'; 1000]);
            node.xattrs.insert("user.short".into(), b"s".to_vec());
        });
        sample.change("/", |node| node.mode = Mode::new(0o555));
        sample.esp_file("/EFI/BOOT/BOOTX64.EFI", crate::noise(900_000));
        sample.esp_file("/EFI/BOOT/grubx64.efi", crate::noise(100_000));
        sample.esp_file("/EFI/ubuntu/grub.cfg", b"configfile\n".to_vec());
        sample.esp_file("/EFI/ubuntu/a name that is long enough for three slots.txt", b"long\n".to_vec());
        sample.esp_file("/EFI/ubuntu/empty", Vec::new());
        sample
    }

    fn write(&self, formats: &[OutputFormat], directory: &Path) -> Result<Vec<Artifact>, ImageError> {
        self.write_reusing(formats, directory, None)
    }

    fn write_reusing(
        &self,
        formats: &[OutputFormat],
        directory: &Path,
        previous: Option<&Path>,
    ) -> Result<Vec<Artifact>, ImageError> {
        let disk = DiskSpec {
            root: &self.root,
            esp: &self.esp,
            contents: &self.contents,
            size: self.size,
            ids: DiskIds::derive(&self.seed),
            epoch: self.epoch,
        };
        let formats: BTreeSet<_> = formats.iter().copied().collect();
        write_images_reusing(&disk, &machine(), &formats, directory, previous)
    }
}

fn machine() -> MachineSpec {
    MachineSpec {
        name: "mylab".into(),
        description: "a test".into(),
        memory: ByteSize::gib(4),
        cpus: 2,
        distribution: DistributionName::Ubuntu,
        uplink_mac: "00:50:56:00:00:01".parse().unwrap(),
        provisioning_mac: "00:50:56:00:00:02".parse().unwrap(),
        secure_boot: true,
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Bytes that deflate cannot shorten, the same in every run.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64 ^ length as u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A part of a file, as a file of its own.
fn carve(from: &Path, (start, length): (u64, u64), to: &Path) {
    let mut source = File::open(from).unwrap();
    source.seek(SeekFrom::Start(start)).unwrap();
    let copied = std::io::copy(&mut source.take(length), &mut File::create(to).unwrap()).unwrap();
    assert_eq!(copied, length);
}

#[test]
fn every_format_holds_the_same_sound_disk() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let mut sample = Sample::full();
    // Larger than a grain table's 32 MiB.
    sample.file("/usr/lib/large", [vec![0; 1 << 20], noise(33 << 20)].concat());
    let artifacts = sample.write(&ALL, directory.path()).unwrap();

    let names: Vec<_> = artifacts.iter().map(|artifact| text(&artifact.path).rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["mylab.ova", "mylab.vmdk", "mylab.vmx", "mylab-disk.vmdk", "mylab.qcow2", "mylab.raw"]);
    for artifact in &artifacts {
        let (digest, size) = Digest::of_reader(&mut File::open(&artifact.path).unwrap()).unwrap();
        assert_eq!((digest, size), (artifact.sha256, artifact.size), "{}", artifact.path.display());
    }

    let raw = at("mylab.raw");
    assert_eq!(raw.metadata().unwrap().len(), sample.size.bytes());
    for disk in ["mylab.vmdk", "mylab-disk.vmdk", "mylab.qcow2"] {
        compare(&raw, &at(disk));
    }
    must("qemu-utils", "qemu-img", &["check", text(&at("mylab.qcow2"))]);
    let table = must("gdisk", "sgdisk", &["-v", text(&raw)]);
    assert!(table.contains("No problems found"), "{table}");

    let root = format!("{}?offset={ROOT_START}", text(&raw));
    must("e2fsprogs", "fsck.ext4", &["-fn", &root]);
    let esp = at("esp");
    carve(&raw, ESP, &esp);
    must("dosfstools", "fsck.vfat", &["-n", text(&esp)]);
}

fn compare(raw: &Path, other: &Path) {
    let text = must("qemu-utils", "qemu-img", &["compare", "-F", "raw", text(other), text(raw)]);
    assert!(text.contains("Images are identical."), "{text}");
}

#[test]
fn debugfs_lists_the_tree() {
    let directory = tempfile::tempdir().unwrap();
    let sample = Sample::full();
    sample.write(&[OutputFormat::Raw], directory.path()).unwrap();
    let root = format!("{}?offset={ROOT_START}", text(&directory.path().join("mylab.raw")));

    let mut links: BTreeMap<ImagePath, u32> = BTreeMap::new();
    for (path, node) in sample.root.iter() {
        match &node.kind {
            Kind::HardLink { target } => *links.entry(target.clone()).or_default() += 1,
            Kind::Directory => {
                // Its name and its "."; its name in every child.
                *links.entry(path.clone()).or_default() += 2;
                if let Some(parent) = path.parent() {
                    *links.entry(parent).or_default() += 1;
                }
            }
            _ => *links.entry(path.clone()).or_default() += 1,
        }
    }
    let commands = directory.path().join("commands");
    let asked: Vec<_> = sample.root.iter().filter(|(path, _)| path.as_str() != "/lost+found").collect();
    let lines: String = asked.iter().map(|(path, _)| format!("stat \"{path}\"\n")).collect();
    fs::write(&commands, lines).unwrap();
    let listing = must("e2fsprogs", "debugfs", &["-f", text(&commands), &root]);
    let answers: Vec<&str> = listing.split("debugfs: stat ").skip(1).collect();
    assert_eq!(answers.len(), asked.len());
    for ((path, node), answer) in asked.iter().zip(answers) {
        let inode_of = match &node.kind {
            Kind::HardLink { target } => target,
            _ => *path,
        };
        let (kind, size) = match &sample.root.get(inode_of).unwrap().kind {
            Kind::Directory => ("directory", None),
            Kind::File(content) => ("regular", Some(content.size)),
            Kind::Symlink { target } => ("symlink", Some(target.len() as u64)),
            Kind::CharDevice { .. } => ("character special", Some(0)),
            Kind::BlockDevice { .. } => ("block special", Some(0)),
            Kind::Fifo => ("FIFO", Some(0)),
            Kind::HardLink { .. } => unreachable!(),
        };
        let has = |wanted: String| {
            let flat = answer.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(flat.contains(&wanted), "{path}: no '{wanted}' in:\n{answer}");
        };
        has(format!("Type: {kind} Mode: 0{:03o} ", node.mode.bits()));
        // It prints the ids as signed numbers.
        has(format!("User: {} Group: {} ", node.owner.uid as i32, node.owner.gid as i32));
        has(format!("Links: {} ", links[inode_of]));
        has(format!("mtime: 0x{:08x}:00000000", sample.epoch.0));
        has(format!("crtime: 0x{:08x}:00000000", sample.epoch.0));
        if let Some(size) = size {
            has(format!(" Size: {size}"));
        }
        match &node.kind {
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
                has(format!("Device major/minor number: {major:02}:{minor:02}"));
            }
            Kind::Symlink { target } if target.len() < 60 => has(format!("Fast link dest: \"{target}\"")),
            _ => {}
        }
        for (name, value) in &node.xattrs {
            // POSIX ACLs lie on the disk in a shorter form; the mount test compares them as the kernel reads them.
            if !name.starts_with("system.") {
                has(format!("{name} ({})", value.len()));
            }
        }
    }

    let dump = directory.path().join("dump");
    fs::create_dir(&dump).unwrap();
    // Without root it cannot give files away and says so; the bytes are what counts here.
    judge("e2fsprogs", "debugfs", &["-R", &format!("rdump / {}", text(&dump)), &root]);
    for (path, bytes) in &sample.bytes {
        assert!(fs::read(dump.join(path.relative())).unwrap() == *bytes, "{path} has other bytes");
    }
}

#[test]
fn mtools_list_the_esp() {
    let directory = tempfile::tempdir().unwrap();
    let sample = Sample::full();
    sample.write(&[OutputFormat::Raw], directory.path()).unwrap();
    let image = format!("{}@@{}", text(&directory.path().join("mylab.raw")), ESP.0);
    let listing = must("mtools", "mdir", &["-/", "-b", "-i", &image, "::"]);
    let mut listed: Vec<_> = listing.lines().map(|line| line.trim_start_matches("::").trim_end_matches('/')).collect();
    listed.sort_unstable();
    let mut expected: Vec<_> = sample.esp.iter().map(|(path, _)| path.as_str()).filter(|path| *path != "/").collect();
    expected.sort_unstable();
    assert_eq!(listed, expected);
    for (path, _) in sample.esp.iter() {
        let Some(content) = sample.esp.content(path) else { continue };
        let out = directory.path().join("file");
        must("mtools", "mcopy", &["-n", "-i", &image, &format!("::{path}"), text(&out)]);
        assert!(fs::read(&out).unwrap() == sample.contents.get(&content).unwrap(), "{path} has other bytes");
        fs::remove_file(&out).unwrap();
    }
}

#[test]
fn the_package_is_what_its_manifest_says() {
    let directory = tempfile::tempdir().unwrap();
    let artifacts = Sample::full().write(&[OutputFormat::Ova], directory.path()).unwrap();
    assert_eq!(artifacts.len(), 1);
    let mut left: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["mylab.grains", "mylab.ova"], "no other file is left behind");

    let mut archive = tar::Archive::new(File::open(&artifacts[0].path).unwrap());
    let mut members = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header();
        assert!(header.as_ustar().is_some());
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        assert_eq!((header.mtime().unwrap(), header.mode().unwrap()), (1_714_057_833, 0o644));
        let name = text(&entry.path().unwrap()).to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        members.push((name, bytes));
    }
    let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["mylab.ovf", "mylab.mf", "mylab.vmdk"]);
    let (ovf, disk) = (&members[0].1, &members[2].1);
    let manifest = format!("SHA256(mylab.ovf)= {}\nSHA256(mylab.vmdk)= {}\n", Digest::of(ovf), Digest::of(disk));
    assert_eq!(String::from_utf8_lossy(&members[1].1), manifest);
    let ovf = String::from_utf8_lossy(ovf);
    assert!(ovf.contains(&format!("ovf:size=\"{}\"", disk.len())), "{ovf}");
    assert!(ovf.contains("ovf:capacity=\"256\" ovf:capacityAllocationUnits=\"byte * 2^20\""), "{ovf}");
}

#[test]
fn the_same_input_gives_the_same_bytes_and_another_input_others() {
    let digests = |change: fn(&mut Sample)| -> Vec<Digest> {
        let directory = tempfile::tempdir().unwrap();
        let mut sample = Sample::full();
        sample.bytes.clear();
        change(&mut sample);
        let artifacts = sample.write(&ALL, directory.path()).unwrap();
        artifacts.into_iter().filter(|artifact| artifact.path.extension().unwrap() != "vmx").map(|a| a.sha256).collect()
    };
    let first = digests(|_| {});
    assert_eq!(first, digests(|_| {}));
    for other in [digests(|sample| sample.epoch = Epoch(1)), digests(|sample| sample.seed = Digest::of(b"other"))] {
        assert!(first.iter().zip(&other).all(|(one, two)| one != two));
    }
}

/// An earlier build saves work and changes nothing, even when its files were damaged in the meantime.
#[test]
fn reused_grains_give_the_bytes_of_a_fresh_build() {
    let (first, fresh, again) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut sample = Sample::full();
    for (earlier, kept) in [(OutputFormat::Vmdk, "mylab.vmdk"), (OutputFormat::Ova, "mylab.ova")] {
        sample.write(&[earlier], first.path()).unwrap();
        sample.file("/etc/hostname", format!("changed after {kept}\n").into_bytes());
        let both = [OutputFormat::Ova, OutputFormat::Vmdk];
        let digests =
            |artifacts: Vec<Artifact>| artifacts.into_iter().map(|artifact| artifact.sha256).collect::<Vec<_>>();
        let expected = digests(sample.write(&both, fresh.path()).unwrap());
        assert_eq!(digests(sample.write_reusing(&both, again.path(), Some(first.path())).unwrap()), expected);

        let mut bytes = fs::read(first.path().join(kept)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 100_000].fill(0);
        fs::write(first.path().join(kept), bytes).unwrap();
        assert_eq!(digests(sample.write_reusing(&both, again.path(), Some(first.path())).unwrap()), expected);
        fs::write(first.path().join("mylab.grains"), "{").unwrap();
        assert_eq!(digests(sample.write_reusing(&both, again.path(), Some(first.path())).unwrap()), expected);
    }
}

/// Pins every byte of a tiny image: a change of a layout or of a compressor shows here, and must be meant.
#[test]
fn digests_are_pinned() {
    let directory = tempfile::tempdir().unwrap();
    let mut sample = Sample::empty();
    sample.file("/etc/hostname", b"mylab\n".to_vec());
    sample.node("/bin", Kind::Symlink { target: "usr/bin".into() }, 0o777, (0, 0));
    sample.esp_file("/EFI/BOOT/BOOTX64.EFI", b"MZ".to_vec());
    let artifacts = sample.write(&ALL, directory.path()).unwrap();
    let lines: Vec<_> = artifacts
        .iter()
        .map(|artifact| {
            format!("{} {} {}", artifact.sha256, artifact.size, text(&artifact.path).rsplit('/').next().unwrap())
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn errors_name_what_and_say_what_helps() {
    let directory = tempfile::tempdir().unwrap();
    let mut shown = String::new();
    let mut show = |name: &str, error: ImageError| {
        let error_text = error.to_string().replace(text(directory.path()), "DIR");
        let help = error.help().unwrap_or_else(|| "-".into()).replace(text(directory.path()), "DIR");
        shown += &format!("{name}\n  {error_text}\n  help: {help}\n");
    };
    let write = |sample: &Sample| sample.write(&[OutputFormat::Qcow2], directory.path()).unwrap_err();

    let mut sample = Sample::empty();
    sample.file("/srv/image.iso", b"x".to_vec());
    sample.contents = MemoryContents::new();
    show("content missing", write(&sample));

    let mut sample = Sample::empty();
    let content = provbuild::tree::Content { digest: Digest::of(b"large"), size: 3 << 30 };
    sample.root.insert(ImagePath::literal("/large"), Node::file(content));
    show("tree too large", write(&sample));

    let mut sample = Sample::empty();
    sample.size = ByteSize::mib(100);
    show("disk too small", write(&sample));
    sample.size = ByteSize((512 << 20) + 512);
    show("disk not aligned", write(&sample));

    let mut sample = Sample::empty();
    sample.esp_file("/EFI/a", Vec::new());
    sample.esp_file("/EFI/A", Vec::new());
    show("esp names", write(&sample));
    let mut sample = Sample::empty();
    sample.esp.insert(ImagePath::literal("/link"), Node::symlink("x"));
    show("esp link", write(&sample));

    let mut sample = Sample::empty();
    sample.root.insert(ImagePath::literal("/a/b"), Node::directory());
    show("orphan", write(&sample));
    let mut sample = Sample::empty();
    sample.file("/x", Vec::new());
    sample.change("/x", |node| {
        node.xattrs.insert("system.posix_acl_access".into(), vec![1]);
    });
    show("bad acl", write(&sample));

    // Every write to /dev/full fails as it does on a full disk.
    for (format, name) in [(OutputFormat::Vmdk, "mylab.vmdk"), (OutputFormat::Qcow2, "mylab.qcow2")] {
        let full: PathBuf = directory.path().join(name);
        if full.exists() {
            fs::remove_file(&full).unwrap();
        }
        std::os::unix::fs::symlink("/dev/full", &full).unwrap();
        show("host disk full", Sample::full().write(&[format], directory.path()).unwrap_err());
        fs::remove_file(&full).unwrap();
    }
    insta::assert_snapshot!(shown);
}

/// The kernel's own reading of the root file system.
#[test]
#[ignore = "needs root and loop devices"]
fn the_kernel_mounts_the_tree() {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    let directory = tempfile::tempdir().unwrap();
    let sample = Sample::full();
    sample.write(&[OutputFormat::Raw], directory.path()).unwrap();
    let mount = directory.path().join("mount");
    fs::create_dir(&mount).unwrap();
    let options = format!("ro,loop,offset={ROOT_START}");
    must("mount", "mount", &["-t", "ext4", "-o", &options, text(&directory.path().join("mylab.raw")), text(&mount)]);
    let checked = std::panic::catch_unwind(|| {
        for (path, node) in sample.root.iter() {
            let file = mount.join(path.relative());
            let found = file.symlink_metadata().unwrap();
            assert_eq!(
                (found.mode() & 0o7777, found.uid(), found.gid()),
                (node.mode.bits(), node.owner.uid, node.owner.gid)
            );
            let kind = found.file_type();
            assert!(
                match &node.kind {
                    Kind::Directory => kind.is_dir(),
                    Kind::File(_) | Kind::HardLink { .. } =>
                        fs::read(&file).unwrap() == sample.contents.get(&sample.root.content(path).unwrap()).unwrap(),
                    Kind::Symlink { target } => fs::read_link(&file).unwrap() == Path::new(target),
                    Kind::CharDevice { major, minor } =>
                        kind.is_char_device() && found.rdev() == device(*major, *minor),
                    Kind::BlockDevice { major, minor } =>
                        kind.is_block_device() && found.rdev() == device(*major, *minor),
                    Kind::Fifo => kind.is_fifo(),
                },
                "{path}"
            );
            for (name, value) in &node.xattrs {
                assert_eq!(xattr::get(&file, name).unwrap().as_ref(), Some(value), "{path}: {name}");
            }
        }
    });
    must("mount", "umount", &[text(&mount)]);
    checked.unwrap();
}

fn device(major: u32, minor: u32) -> u64 {
    let (major, minor) = (u64::from(major), u64::from(minor));
    ((major & 0xfff) << 8) | (minor & 0xff) | ((minor & !0xff) << 12)
}
