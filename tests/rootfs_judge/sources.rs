//! Where the two sides come from: one directory of .debs, mmdebstrap's tar of them, the rootfs stage's pack of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use provbuild::rootfs::PackageFile;
use provbuild::tree::{Contents, Pack};
use provbuild::vocab::{Epoch, ImagePath, Silent};

use crate::compare::Difference;

const SUITE: &str = "trixie";
/// The kinds of packages an appliance has: a kernel, the boot chain, services, set-user-id programs, file capabilities.
const PACKAGES: &str = "linux-image-cloud-amd64,systemd-sysv,systemd-boot,dbus,dnsmasq,nginx-light,nftables,openssh-server,\
grub-efi-amd64-signed,shim-signed,initramfs-tools,zstd,iproute2,libpam-systemd,iputils-ping";
const EPOCH: u32 = 1_760_000_000;

fn run(command: &mut Command) {
    let status =
        command.status().unwrap_or_else(|error| panic!("{command:?}: {error}; run scripts/install-test-tools"));
    assert!(status.success(), "{command:?}: {status}");
}

fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/bench").join(name))
}

/// A directory of .debs with an index: `$PROVBUILD_JUDGE_DEBS`, else downloaded once from the host's own mirror.
pub(crate) fn debs(directory: &Path) -> PathBuf {
    let debs = std::env::var_os("PROVBUILD_JUDGE_DEBS").map_or_else(|| directory.join("debs"), PathBuf::from);
    let arguments = ["--suite", SUITE, "--debs"];
    if !debs.join("Packages").exists() {
        run(script("mirror").arg("fill").args(arguments).arg(&debs).args(["--include", PACKAGES]));
    } else if !debs.join("Release").exists() {
        run(script("mirror").arg("index").args(arguments).arg(&debs));
    }
    debs
}

/// What mmdebstrap makes of them.
pub(crate) fn reference_tar(directory: &Path, debs: &Path) -> PathBuf {
    let tar = directory.join("reference.tar");
    let index = std::fs::read_to_string(debs.join("Packages")).unwrap();
    let names: Vec<&str> = index.lines().filter_map(|line| line.strip_prefix("Package: ")).collect();
    let mode = if nix::unistd::geteuid().is_root() { "root" } else { "unshare" };
    run(Command::new("mmdebstrap")
        .args([&format!("--mode={mode}"), "--variant=minbase", "--quiet", "--format=tar", "--dpkgopt=force-unsafe-io"])
        .args(["--aptopt=APT::Install-Recommends \"false\"", "--aptopt=Acquire::Languages \"none\""])
        .arg(format!("--include={}", names.join(",")))
        .arg(SUITE)
        .arg(&tar)
        .arg(format!("deb [trusted=yes] copy:{} ./", debs.display()))
        .env("SOURCE_DATE_EPOCH", EPOCH.to_string())
        .env("LC_ALL", "C.UTF-8"));
    tar
}

/// What the rootfs stage makes of them.
pub(crate) fn our_pack(directory: &Path, debs: &Path) -> PathBuf {
    let pack = directory.join("pack");
    std::fs::create_dir_all(&pack).unwrap();
    let mut files: Vec<PathBuf> = std::fs::read_dir(debs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    files.sort();
    let packages: Vec<PackageFile> = files
        .into_iter()
        .map(|path| PackageFile { name: path.file_stem().unwrap().to_string_lossy().into_owned(), path })
        .collect();
    let program = Path::new(env!("CARGO_BIN_EXE_provbuild"));
    let log = directory.join("configure.log");
    provbuild::rootfs::build(program, &packages, Epoch(EPOCH), 4 << 30, &pack, &log, &Silent)
        .unwrap_or_else(|error| panic!("{error}; the log is {}", log.display()));
    pack
}

/// Lays both sides of the files whose contents differ into `theirs/` and `ours/`, for `diff -r`.
pub(crate) fn keep_for_reading(directory: &Path, pack: &Pack, differences: &[Difference]) {
    let (theirs, ours) = (directory.join("theirs"), directory.join("ours"));
    for side in [&theirs, &ours] {
        let _ = std::fs::remove_dir_all(side);
        std::fs::create_dir_all(side).unwrap();
    }
    let paths: Vec<&str> = differences.iter().filter(|d| d.kind == "content").map(|d| d.path.as_str()).collect();
    for path in &paths {
        let content = pack.tree.content(&ImagePath::literal(path)).unwrap();
        let file = ours.join(&path[1..]);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, pack.read(&content).unwrap()).unwrap();
    }
    if !paths.is_empty() {
        let mut tar = Command::new("tar");
        tar.arg("-xf").arg(directory.join("reference.tar")).arg("-C").arg(&theirs);
        run(tar.args(paths.iter().map(|path| format!(".{path}"))));
    }
}
