//! Times the image stage on a real root file system:
//! `cargo run --release --example image_bench -- ROOTFS.tar DIRECTORY [FORMAT...]` (formats: ova vmdk vmx qcow2 raw).
//!
//! The archive is first turned into a pack as the rootfs stage leaves one (once per directory). ESP: shim and GRUB of the
//! archive, where it has them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::time::Instant;

use provbuild::image::{DiskSpec, MachineSpec, write_images_reusing};
use provbuild::profile::{DistributionName, OutputFormat};
use provbuild::tree::{Kind, Node, Pack, PackWriter, Tree};
use provbuild::vocab::{ByteSize, Digest, DiskIds, Epoch, ImagePath, Mode, Owner};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(archive), Some(directory)) = (arguments.next(), arguments.next()) else {
        return Err("usage: image_bench ROOTFS.tar DIRECTORY [FORMAT...]".into());
    };
    let mut formats = BTreeSet::new();
    for name in arguments {
        formats.insert(match name.as_str() {
            "ova" => OutputFormat::Ova,
            "vmdk" => OutputFormat::Vmdk,
            "vmx" => OutputFormat::Vmx,
            "qcow2" => OutputFormat::Qcow2,
            "raw" => OutputFormat::Raw,
            other => return Err(format!("unknown format {other}").into()),
        });
    }
    if formats.is_empty() {
        formats = [OutputFormat::Ova, OutputFormat::Vmdk, OutputFormat::Vmx].into();
    }
    let directory = Path::new(&directory);
    let pack_directory = directory.join("pack");
    if !pack_directory.exists() {
        std::fs::create_dir_all(&pack_directory)?;
        pack(Path::new(&archive), &pack_directory)?;
    }
    let started = Instant::now();
    let pack = Pack::open(&pack_directory)?;
    println!(
        "{:8.3} s  open the pack: {} paths, {} MB",
        seconds(started),
        pack.tree.len(),
        pack.tree.content_size() / 1_000_000
    );

    let mut esp = Tree::new();
    for (from, to) in [
        ("/usr/lib/shim/shimx64.efi.signed", "/EFI/BOOT/BOOTX64.EFI"),
        ("/usr/lib/shim/mmx64.efi.signed", "/EFI/debian/mmx64.efi"),
        ("/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", "/EFI/BOOT/grubx64.efi"),
    ] {
        if let Some(content) = pack.tree.content(&ImagePath::literal(from)) {
            esp.insert_with_parents(ImagePath::literal(to), Node::file(content));
        }
    }
    let disk = DiskSpec {
        root: &pack.tree,
        esp: &esp,
        contents: &pack,
        size: ByteSize::gib(25),
        ids: DiskIds::derive(&Digest::of(b"bench")),
        epoch: Epoch(1_714_057_833),
    };
    let machine = MachineSpec {
        name: "bench".into(),
        description: "bench".into(),
        memory: ByteSize::gib(4),
        cpus: 2,
        distribution: DistributionName::Debian,
        uplink_mac: "00:50:56:00:00:01".parse()?,
        provisioning_mac: "00:50:56:00:00:02".parse()?,
        secure_boot: true,
    };
    let images = directory.join("images");
    let earlier = directory.join("earlier");
    // A second run reuses the first one's grains.
    if images.exists() {
        if earlier.exists() {
            std::fs::remove_dir_all(&earlier)?;
        }
        std::fs::rename(&images, &earlier)?;
    }
    std::fs::create_dir_all(&images)?;
    let previous = earlier.exists().then_some(earlier.as_path());
    let started = Instant::now();
    let artifacts = write_images_reusing(&disk, &machine, &formats, &images, previous)?;
    println!("{:8.3} s  write the images", seconds(started));
    for artifact in artifacts {
        println!("{:>12} {} {}", artifact.size, artifact.sha256, artifact.path.display());
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    Ok(())
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

fn pack(archive: &Path, directory: &Path) -> Result<(), Failure> {
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 20, File::open(archive)?));
    let mut writer = PackWriter::create(directory)?;
    let mut tree = Tree::new();
    // A tree's hard link names the first of its paths; an archive's may name any earlier one.
    let mut links = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = String::from_utf8(entry.path_bytes().into_owned())?;
        let path = format!("/{}", path.trim_start_matches("./").trim_matches('/'));
        let path = ImagePath::new(if path == "/." { "/" } else { &path })?;
        let header = entry.header().clone();
        let link = || -> Result<String, Failure> {
            Ok(String::from_utf8(entry.link_name_bytes().unwrap_or_default().into_owned())?)
        };
        let device = || -> Result<(u32, u32), Failure> {
            Ok((header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0)))
        };
        let kind = match header.entry_type() {
            tar::EntryType::Directory => Kind::Directory,
            tar::EntryType::Symlink => Kind::Symlink { target: link()? },
            tar::EntryType::Link => {
                links.push((path, ImagePath::new(format!("/{}", link()?.trim_start_matches("./")))?));
                continue;
            }
            tar::EntryType::Char => device().map(|(major, minor)| Kind::CharDevice { major, minor })?,
            tar::EntryType::Block => device().map(|(major, minor)| Kind::BlockDevice { major, minor })?,
            tar::EntryType::Fifo => Kind::Fifo,
            _ => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes)?;
                Kind::File(writer.add(&bytes)?)
            }
        };
        let mut xattrs = std::collections::BTreeMap::new();
        for extension in entry.pax_extensions()?.into_iter().flatten() {
            let extension = extension?;
            if let Some(name) = extension.key()?.strip_prefix("SCHILY.xattr.") {
                xattrs.insert(name.to_owned(), extension.value_bytes().to_vec());
            }
        }
        let owner = Owner { uid: header.uid()? as u32, gid: header.gid()? as u32 };
        tree.insert(path, Node { kind, mode: Mode::new(header.mode()?), owner, xattrs });
    }
    for (path, target) in links {
        let node = tree.get(&target).ok_or("a hard link without target")?.clone();
        if target < path {
            tree.insert(path, Node { kind: Kind::HardLink { target }, ..node });
        } else {
            tree.insert(target, Node { kind: Kind::HardLink { target: path.clone() }, ..node.clone() });
            tree.insert(path, node);
        }
    }
    tree.check()?;
    writer.finish(tree)?;
    Ok(())
}
