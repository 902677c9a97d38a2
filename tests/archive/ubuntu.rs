//! Genuine Ubuntu material from `../shared/ubuntu`: signatures, digests, a real dependency cycle.

use crate::common::ubuntu_fixtures;
use std::path::Path;

use provbuild::lock::{
    Expectation, Keyring, ReleaseError, SignatureError, UnverifiedRelease, VerifiedIndex, VerifiedIndices, resolve,
};
use provbuild::profile::DistributionName;
use provbuild::vocab::{Digest, Epoch};

use crate::distribution;

/// 2026-09-01.
const NOW: Epoch = Epoch(1_788_220_800);

fn unpack(tar: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    tar::Archive::new(std::fs::File::open(tar).unwrap()).unpack(dir.path()).unwrap();
    dir
}

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = path.as_ref();
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn detached(dir: &Path) -> UnverifiedRelease {
    UnverifiedRelease::Detached { release: read(dir.join("Release")), signature: read(dir.join("Release.gpg")) }
}

/// Ubuntu's own keyring with the CD image key, out of its package.
fn cd_keyring(fixtures: &Path) -> Keyring {
    let dir = tempfile::tempdir().unwrap();
    let status = std::process::Command::new("dpkg-deb")
        .arg("-x")
        .arg(fixtures.join("ubuntu-keyring_2023.11.28.1-0.2_all.deb"))
        .arg(dir.path())
        .status()
        .expect("dpkg-deb runs (install the package dpkg)");
    assert!(status.success());
    Keyring::parse(&read(dir.path().join("usr/share/keyrings/ubuntu-archive-keyring.gpg"))).unwrap()
}

fn verified(release: &UnverifiedRelease, keyring: &Keyring, dists: &Path, components: &[&str]) -> VerifiedIndices {
    let components: Vec<String> = components.iter().map(|name| (*name).to_owned()).collect();
    let expectation = Expectation {
        suite: "jammy",
        architecture: "amd64",
        components: &components,
        now: Some(NOW),
        newest_seen: None,
    };
    let release = release.verify("jammy", keyring, NOW).unwrap().accept(&expectation).unwrap();
    let files = release.indices().iter();
    let texts = files.map(|file| VerifiedIndex::new(file, &read(dists.join(file.path()))).unwrap()).collect();
    let mut indices = VerifiedIndices::default();
    indices.add(&release, texts);
    indices
}

#[test]
fn ubuntu_jammy_cd_pool_is_verified_from_signature_to_debs() {
    let Some(fixtures) = ubuntu_fixtures() else { return };
    let dir = unpack(&fixtures.join("jammy-cd-pool-signed.tar"));
    let dists = dir.path().join("dists/jammy");
    let release = detached(&dists);
    let indices = verified(&release, &cd_keyring(&fixtures), &dists, &["main", "restricted"]);
    // Packages that stand alone on the CD: each is locked by itself, without a base, and its file compared.
    let mut compared = 0;
    for name in ["lto-disabled-list", "oem-qemu-meta", "nvidia-prime", "make", "fakeroot", "b43-fwcutter"] {
        let mut wanted = distribution(name);
        (wanted.name, wanted.codename) = (DistributionName::Ubuntu, "jammy".to_owned());
        let Ok(lock) = resolve(&wanted, &indices) else { continue };
        for package in &lock.packages {
            let Ok(bytes) = std::fs::read(dir.path().join(&package.path)) else { continue };
            assert_eq!((bytes.len() as u64, Digest::of(&bytes)), (package.size, package.sha256), "{}", package.name);
            compared += 1;
        }
    }
    assert!(compared > 0);

    // Ubuntu's archive keys do not vouch for CDs.
    let archive = Keyring::builtin(DistributionName::Ubuntu).unwrap();
    let refused = release.verify("jammy", &archive, NOW).unwrap_err();
    assert!(matches!(refused, ReleaseError::Signature { source: SignatureError::UnknownKey(_), .. }), "{refused}");
}

#[test]
fn ubuntu_genuine_noble_inrelease_is_accepted_and_pins_its_indices() {
    let Some(fixtures) = ubuntu_fixtures() else { return };
    let dir = unpack(&fixtures.join("noble-minbase-signed.tar"));
    let lists = dir.path().join("var/lib/apt/lists");
    let name = |end: &str| read(lists.join(format!("archive.ubuntu.com_ubuntu_dists_noble_{end}")));
    let keyring = Keyring::builtin(DistributionName::Ubuntu).unwrap();
    let components = ["main".to_owned(), "universe".to_owned()];
    let expectation = |suite| Expectation {
        suite,
        architecture: "amd64",
        components: &components,
        now: Some(NOW),
        newest_seen: None,
    };
    let inline = UnverifiedRelease::Inline(name("InRelease"));
    let both =
        [inline.clone(), UnverifiedRelease::Detached { release: name("Release"), signature: name("Release.gpg") }];
    for file in both {
        let release = file.verify("noble", &keyring, NOW).unwrap().accept(&expectation("noble")).unwrap();
        assert_eq!(release.locked().signer, "F6ECB3762474EDA9D21B7022871920D1991BC93C");
        assert!(release.by_hash());
        let paths: Vec<&str> = release.indices().iter().map(|file| file.path()).collect();
        assert_eq!(paths, ["main/binary-amd64/Packages.xz", "universe/binary-amd64/Packages.xz"]);
    }
    let wrong = inline.verify("noble-updates", &keyring, NOW).unwrap().accept(&expectation("noble-updates"));
    assert!(matches!(wrong, Err(ReleaseError::WrongSuite { .. })));
    let debian = Keyring::builtin(DistributionName::Debian).unwrap();
    assert!(inline.verify("noble", &debian, NOW).is_err());
}

#[test]
fn ubuntu_tampered_noble_is_refused() {
    let Some(fixtures) = ubuntu_fixtures() else { return };
    let error = detached(&fixtures.join("tampered-noble")).verify("noble", &cd_keyring(&fixtures), NOW).unwrap_err();
    insta::assert_snapshot!(error, @"the signed index of noble is refused: the text was altered after 843938DF228D22F7B3742BC0D94AA3F0EFE21092 signed it");
}

#[test]
fn ubuntu_linux_generic_cycle_is_resolved() {
    let Some(fixtures) = ubuntu_fixtures() else { return };
    let dists = fixtures.join("cd-server-2204");
    let mut indices = verified(&detached(&dists), &cd_keyring(&fixtures), &dists, &["main"]);
    let mut wanted = distribution("linux-generic");
    (wanted.name, wanted.codename) = (DistributionName::Ubuntu, "jammy".to_owned());
    // The CD's pool leaves out what its root file system has; stand-ins take the place of that.
    let stand_ins = [
        "libc6 2.35-0ubuntu3",
        "libssl3 3.0.2-0ubuntu1",
        "libelf1 0.186-1build1",
        "zlib1g 1:1.2.11.dfsg-2ubuntu9",
        "linux-base 4.5ubuntu9",
        "kmod 29-1ubuntu1",
        "coreutils 8.32-4.1ubuntu1",
    ];
    crate::choice::suite(&mut indices, "jammy-stand-ins", &stand_ins);
    let essential = ["base-files", "e2fsprogs", "libss2", "ncurses-base"];
    wanted.exclude.extend(essential.map(str::to_owned));
    let lock = resolve(&wanted, &indices).unwrap();
    let shown: Vec<String> = lock
        .packages
        .iter()
        .filter(|package| package.suite == "jammy")
        .map(|package| format!("{} {}", package.name, package.version))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    amd64-microcode 3.20191218.1ubuntu2
    intel-microcode 3.20220809.0ubuntu0.22.04.1
    iucode-tool 2.3.1-1build1
    linux-firmware 20220329.git681281e4-0ubuntu3.10
    linux-generic 5.15.0.60.58
    linux-headers-5.15.0-60 5.15.0-60.66
    linux-headers-5.15.0-60-generic 5.15.0-60.66
    linux-headers-generic 5.15.0.60.58
    linux-image-5.15.0-60-generic 5.15.0-60.66
    linux-image-generic 5.15.0.60.58
    linux-modules-5.15.0-60-generic 5.15.0-60.66
    linux-modules-extra-5.15.0-60-generic 5.15.0-60.66
    wireless-regdb 2022.06.06-0ubuntu1~22.04.1
    ");
}
