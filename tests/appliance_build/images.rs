//! The trusted tools' verdict on real images: partitions, file systems, disk formats, the OVA.

use std::path::Path;

use crate::common::project::Project;
use crate::judge;

/// Cuts a partition out of a raw disk, sparse: (first, last) sector from sgdisk.
pub(crate) fn cut(raw: &str, number: u32, into: &Path) {
    let info = judge("gdisk", "sgdisk", &["-i", &number.to_string(), raw]);
    let sector = |label: &str| -> u64 {
        let line = info.lines().find_map(|line| line.strip_prefix(label)).unwrap_or_else(|| panic!("{info}"));
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let (first, last) = (sector("First sector: "), sector("Last sector: "));
    let arguments = [
        format!("if={raw}"),
        format!("of={}", into.display()),
        format!("skip={}", first * 512),
        format!("count={}", (last - first + 1) * 512),
        "bs=1M".into(),
        "iflag=skip_bytes,count_bytes".into(),
        "conv=sparse".into(),
        "status=none".into(),
    ];
    judge("coreutils", "dd", &arguments.each_ref().map(String::as_str));
}

#[test]
#[ignore = "builds an appliance from the real archive"]
fn net_the_judges_accept_the_images() {
    let project = Project::new("judged", &["ova", "vmdk", "vmx", "qcow2", "raw"], "");
    let manifest = project.built(&[]);
    let out = project.out();
    let file = |kind: &str| {
        let record =
            manifest.artifacts.iter().find(|artifact| artifact.kind == kind && !artifact.file.ends_with(".vmx"));
        out.join(&record.unwrap_or_else(|| panic!("no {kind} in the manifest")).file).to_str().unwrap().to_owned()
    };
    let raw = file("raw");

    let verdict = judge("gdisk", "sgdisk", &["-v", &raw]);
    assert!(verdict.contains("No problems found"), "{verdict}");
    let part = project.directory.join("part");
    cut(&raw, 1, &part);
    judge("dosfstools", "fsck.vfat", &["-n", part.to_str().unwrap()]);
    cut(&raw, 2, &part);
    judge("e2fsprogs", "fsck.ext4", &["-f", "-n", part.to_str().unwrap()]);
    let kernel = judge("e2fsprogs", "debugfs", &["-R", "ls -p /boot", part.to_str().unwrap()]);
    assert!(kernel.contains("/vmlinuz-"), "{kernel}");
    std::fs::remove_file(&part).unwrap();

    judge("qemu-utils", "qemu-img", &["check", &file("qcow2")]);
    judge("qemu-utils", "qemu-img", &["compare", "-f", "qcow2", "-F", "raw", &file("qcow2"), &raw]);
    judge("qemu-utils", "qemu-img", &["compare", "-f", "vmdk", "-F", "raw", &file("vmdk"), &raw]);

    // The OVA: descriptor first, then the manifest of digests, and its disk is the VMDK.
    let ova = file("ova");
    let listing = judge("tar", "tar", &["-tf", &ova]);
    let names: Vec<&str> = listing.lines().collect();
    assert!(names[0].ends_with(".ovf") && names.iter().any(|name| name.ends_with(".mf")), "{names:?}");
    let unpacked = project.directory.join("ova");
    let _ = std::fs::remove_dir_all(&unpacked);
    std::fs::create_dir(&unpacked).unwrap();
    judge("tar", "tar", &["-xf", &ova, "-C", unpacked.to_str().unwrap()]);
    let sums =
        std::fs::read_to_string(unpacked.join(names.iter().find(|name| name.ends_with(".mf")).unwrap())).unwrap();
    assert!(!sums.trim().is_empty());
    for line in sums.lines() {
        let (name, digest) =
            line.strip_prefix("SHA256(").and_then(|rest| rest.split_once(")= ")).unwrap_or_else(|| panic!("{sums}"));
        let said = judge("coreutils", "sha256sum", &[unpacked.join(name).to_str().unwrap()]);
        assert_eq!(said.split_whitespace().next(), Some(digest), "{name}");
    }
    let disk = names.iter().find(|name| name.ends_with(".vmdk")).unwrap();
    judge(
        "qemu-utils",
        "qemu-img",
        &["compare", "-f", "vmdk", "-F", "raw", unpacked.join(disk).to_str().unwrap(), &raw],
    );
    std::fs::remove_dir_all(&unpacked).unwrap();
    std::fs::remove_file(&raw).unwrap();
}
