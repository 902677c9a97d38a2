//! SUM in a whole build. The archive is a stub: its program does nothing but end with a code of its own. Supermicro's cannot be
//! had here.

use std::fs;
use std::path::Path;
use std::process::Command;

use provbuild::vocab::Digest;

use crate::common::project::{NODES, Project};
use crate::images::cut;
use crate::judge;

const ENDS_WITH: u8 = 42;

/// A static program for Linux on x86-64 that ends at once: ELF header, one segment, three instructions.
fn stub_program() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    let code = [0xbf, ENDS_WITH, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05]; // exit(42)
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    [2_u16, 62].iter().for_each(|half| bytes.extend(half.to_le_bytes()));
    bytes.extend(1_u32.to_le_bytes());
    [BASE + 120, 64, 0].iter().for_each(|long| bytes.extend(long.to_le_bytes()));
    bytes.extend(0_u32.to_le_bytes());
    [64_u16, 56, 1, 0, 0, 0].iter().for_each(|half| bytes.extend(half.to_le_bytes()));
    [1_u32, 5].iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    let size = 120 + code.len() as u64;
    [0, BASE, BASE, size, size, 4096].iter().for_each(|long| bytes.extend(long.to_le_bytes()));
    bytes.extend(code);
    bytes
}

/// Writes a stub archive and gives its digest. `data`: what one of the files beside the program holds.
fn stub_archive(path: &Path, data: &str) -> Digest {
    let directory = tempfile::tempdir().unwrap();
    let top = directory.path().join("sum_0.0.0-stub_Linux_x86_64");
    fs::create_dir_all(top.join("ExternalData")).unwrap();
    fs::write(top.join("ExternalData/VENID.txt"), data).unwrap();
    fs::write(top.join("sum"), stub_program()).unwrap();
    judge("coreutils", "chmod", &["0755", top.join("sum").to_str().unwrap()]);
    let (path_text, from) = (path.to_str().unwrap(), directory.path().to_str().unwrap());
    judge("tar", "tar", &["-C", from, "-czf", path_text, "sum_0.0.0-stub_Linux_x86_64"]);
    Digest::of(&fs::read(path).unwrap())
}

#[test]
#[ignore = "builds an appliance from the real archive"]
fn net_a_stub_of_sum_is_in_the_image_and_another_archive_makes_another_image() {
    let more = |sha256: &Digest| {
        format!(
            "\n[bios.x11.settings]\nQuietBoot = false\n[bios.x11.sum]\n\"Advanced|CPU Configuration|Hyper-threading\" = \
             \"Enabled\"\n[sum]\npath = \"stub.tar.gz\"\nsha256 = \"{sha256}\"\n"
        )
    };
    let project = Project::new("with-sum", &["raw"], "");
    let archive = project.directory.join("stub.tar.gz");
    let sha256 = stub_archive(&archive, "vendors, a stub");
    let project = Project::new("with-sum", &["raw"], &more(&sha256));
    let bmc = "bmc = { address = \"10.10.1.31\", kind = \"supermicro\" }\nbios = \"x11\"\n";
    fs::write(project.directory.join("nodes.toml"), format!("{NODES}{bmc}")).unwrap();

    // An altered archive stops the build, before anything of it is looked at.
    let good = fs::read(&archive).unwrap();
    fs::write(&archive, [&good[..], b"x"].concat()).unwrap();
    fs::remove_dir_all(project.directory.join("out")).ok();
    let refused = project.build(&[]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(6) && said.contains(&sha256.to_string()), "{said}");
    assert!(!project.out().exists());
    fs::write(&archive, &good).unwrap();

    let first = project.built(&[]);
    let boot = judge("findutils", "find", &[project.out().join("boot").to_str().unwrap(), "-name", "*VENID*"]);
    assert_eq!(boot, "");
    let part = project.directory.join("part");
    cut(project.out().join("with-sum.raw").to_str().unwrap(), 2, &part);
    let asked = |request: &str| judge("e2fsprogs", "debugfs", &["-R", request, part.to_str().unwrap()]);
    let shape = asked("stat /usr/lib/provbuild/sum/sum");
    assert!(shape.contains("Mode:  0755") && shape.contains("User:     0   Group:     0"), "{shape}");
    assert!(asked("cat /usr/lib/provbuild/sum/ExternalData/VENID.txt").contains("vendors, a stub"));
    let declared = asked("cat /etc/provbuild/provd.json");
    assert!(declared.contains("\"QuietBoot\": false") && declared.contains("\"bios\": \"x11\""), "{declared}");
    let dumped = project.directory.join("dumped");
    asked(&format!("dump -p /usr/lib/provbuild/sum/sum {}", dumped.display()));
    assert_eq!(Command::new(&dumped).status().unwrap().code(), Some(i32::from(ENDS_WITH)));
    for file in [&part, &dumped, &project.out().join("with-sum.raw")] {
        fs::remove_file(file).unwrap();
    }

    let other = stub_archive(&archive, "other vendors, a stub");
    let project = Project::new("with-sum", &["raw"], &more(&other));
    fs::write(project.directory.join("nodes.toml"), format!("{NODES}{bmc}")).unwrap();
    let second = project.built(&[]);
    assert_ne!(first.image_digest, second.image_digest);
    assert_eq!(first.key(provbuild::vocab::Stage::Rootfs), second.key(provbuild::vocab::Stage::Rootfs));
    fs::remove_file(project.out().join("with-sum.raw")).unwrap();
}
