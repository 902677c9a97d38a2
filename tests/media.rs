//! Installers' media: made by xorriso and tar as publishers make them, served over HTTP with faults, read by provbuild.
//!
//! The ISOs are stand-ins for Ubuntu's, which cannot be had here: the same tool writes them, with the same names in them,
//! but a kernel and an initrd of a few bytes.

#[path = "common/mod.rs"]
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::archive::{DATE, NOW, TestKey, write};
use common::server::{Fault, Server};
use proptest::collection::vec;
use proptest::prelude::{Just, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use provbuild::fetch::{FileFetcher, Network, Store};
use provbuild::media::{self, MediaError, Medium};
use provbuild::profile;
use provbuild::render::{self, Base, Request};
use provbuild::tree::{Change, Contents, MemoryContents, Node, Tree};
use provbuild::vocab::{Digest, DiskIds, Epoch, ImagePath, Remedy, Silent};

const NOBLE: &str = "Ubuntu-Server 24.04.4 LTS \"Noble Numbat\" - Release amd64 (20260210)";
const JAMMY: &str = "Ubuntu-Server 22.04.5 LTS \"Jammy Jellyfish\" - Release amd64 (20240911)";

struct Case {
    dir: tempfile::TempDir,
    server: Server,
}

impl Case {
    fn new() -> Case {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("www")).unwrap();
        let server = Server::start(dir.path().join("www"));
        Case { dir, server }
    }

    fn www(&self, name: &str) -> PathBuf {
        self.dir.path().join("www").join(name)
    }

    /// A stand-in for a live-server ISO, by xorriso's mkisofs emulation with these options; gives its digest.
    fn iso(&self, name: &str, info: &str, options: &[&str]) -> Digest {
        self.iso_of(name, info, options, &kernel())
    }

    fn iso_of(&self, name: &str, info: &str, options: &[&str], kernel: &[u8]) -> Digest {
        let tree = self.dir.path().join(format!("tree-{name}"));
        write(&tree.join(".disk/info"), info.as_bytes());
        write(&tree.join("casper/vmlinuz"), kernel);
        write(&tree.join("casper/initrd"), &initrd());
        write(&tree.join("casper/a-squashfs-with-a-rather-long-name.squashfs"), &[7; 10_000]);
        // No two of a test are equal, even where xorriso writes both within one tick of its clock.
        write(&tree.join("md5sum.txt"), name.as_bytes());
        let path = self.www(name);
        let mut command = Command::new("xorriso");
        command.args(["-as", "mkisofs", "-quiet", "-V", "Ubuntu-Server stand-in"]).args(options).arg("-o").arg(&path);
        let output = command.arg(&tree).output().expect("xorriso cannot be run: install xorriso");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        digest(&path)
    }

    /// A stand-in for Debian's netboot.tar.gz, by tar.
    fn netboot(&self, name: &str, version: &str) -> Digest {
        let tree = self.dir.path().join(format!("tree-{name}"));
        write(&tree.join("version.info"), format!("Debian version:  {version}\nInstaller build: 1\n").as_bytes());
        write(&tree.join("debian-installer/amd64/linux"), &kernel());
        write(&tree.join("debian-installer/amd64/initrd.gz"), &initrd());
        std::os::unix::fs::symlink("debian-installer/amd64/linux", tree.join("a-link")).unwrap();
        let status = Command::new("tar").arg("-C").arg(&tree).arg("-czf").arg(self.www(name)).arg(".").status();
        assert!(status.unwrap().success());
        digest(&self.www(name))
    }

    fn store(&self) -> Store {
        Store::open(&self.dir.path().join("store")).unwrap()
    }

    /// Prepares the one installer of a profile with these lines in it.
    fn prepare(&self, installer: &str, medium: &str, offline: bool) -> Result<Medium, MediaError> {
        let path = self.dir.path().join("profile.toml");
        let text = format!(
            "[appliance]\nname = \"lab\"\n[distribution]\nname = \"debian\"\nrelease = \"13\"\n\
             [network.provisioning]\naddress = \"10.10.1.1/24\"\n[installer.system]\n{installer}\n{medium}\n"
        );
        fs::write(&path, text).unwrap();
        let profile = profile::load(&path).unwrap_or_else(|faults| panic!("{faults}")).profile;
        let installer = &profile.installers["system"];
        let store = self.store();
        let network = Network { patience: Some(Duration::from_secs(2)), offline, ..Network::default() };
        let fetcher = FileFetcher::new(&store, network, &Silent);
        let medium = installer.medium.as_ref().expect("a medium");
        media::verify("system", installer, medium, &fetcher, NOW)?;
        media::prepare("system", installer, medium, &fetcher)
    }

    fn noble(&self, medium: &str) -> Result<Medium, MediaError> {
        self.prepare("distribution = \"ubuntu\"\nrelease = \"24.04\"", medium, false)
    }

    fn trixie(&self, medium: &str) -> Result<Medium, MediaError> {
        self.prepare("distribution = \"debian\"\nrelease = \"13\"", medium, false)
    }

    fn url(&self, name: &str) -> String {
        format!("{}{name}", self.server.url())
    }

    /// An error as it is shown, without what differs from run to run.
    fn told(&self, result: Result<Medium, MediaError>) -> String {
        let error = result.expect_err("no fault was found");
        let text = format!("error: {error}\nhelp: {}", error.help().unwrap_or_default());
        let text = text.replace(self.server.url().as_str(), "http://PUBLISHER/");
        let text = text.replace(&*self.dir.path().to_string_lossy(), "DIR");
        let mut shown = String::new();
        for word in text.split_inclusive(|c: char| !c.is_ascii_hexdigit()) {
            let hex = word.trim_end_matches(|c: char| !c.is_ascii_hexdigit());
            shown += &if hex.len() >= 40 { word.replace(hex, "HEX") } else { word.to_owned() };
        }
        shown
    }
}

/// The appliance's own fetching, as it is rendered into the image, run here.
struct Appliance<'c> {
    case: &'c Case,
    script: PathBuf,
    parameters: PathBuf,
    media: PathBuf,
}

impl<'c> Appliance<'c> {
    fn new(case: &'c Case, installer: &str, medium: &str) -> Self {
        let path = case.dir.path().join("profile.toml");
        let text = format!(
            "[appliance]\nname = \"lab\"\n[distribution]\nname = \"debian\"\nrelease = \"13\"\nkernel = \"none\"\n\
             [network.provisioning]\naddress = \"10.10.1.1/24\"\n[installer.system]\n{installer}\n{medium}\n"
        );
        fs::write(&path, text).unwrap();
        let profile = profile::load(&path).unwrap_or_else(|faults| panic!("{faults}")).profile;
        let (mut tree, mut contents) = (Tree::new(), MemoryContents::new());
        for program in ["/usr/bin/curl", "/usr/bin/bsdtar"] {
            tree.insert_with_parents(ImagePath::literal(program), Node::file(contents.add("here")));
        }
        let ids = DiskIds::derive(&Digest::of(b"test"));
        let (media, armed) = (Default::default(), netboot::Armed::none());
        let base = Base { tree: &tree, contents: &contents };
        let request =
            Request { base, ids: &ids, epoch: Epoch(0), media: &media, armed: &armed, daemon: None, sum: None };
        let rendered = render::render(&profile, &request).unwrap();
        let file = |path: &str, name: &str| {
            let Some(Change::Replace(node)) = rendered.overlay.get(&ImagePath::literal(path)) else {
                panic!("{path} is not rendered")
            };
            let provbuild::tree::Kind::File(content) = &node.kind else { panic!("{path} is no file") };
            write(&case.dir.path().join(name), &rendered.contents.read(content).unwrap());
            case.dir.path().join(name)
        };
        Appliance {
            case,
            script: file("/usr/lib/provbuild/fetch-medium", "fetch-medium"),
            parameters: file("/etc/provbuild/media/system", "parameters"),
            media: case.dir.path().join("state/media"),
        }
    }

    fn run(&self) -> Result<String, String> {
        let mut command = Command::new("sh");
        let output = command.arg(&self.script).arg(&self.parameters).arg(&self.media).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let said = said.replace(self.case.server.url().as_str(), "http://PUBLISHER/");
        if output.status.success() { Ok(said) } else { Err(said) }
    }

    /// Every name below the directory of media.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut open = vec![self.media.clone()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path.clone());
                }
                names.push(path.strip_prefix(&self.media).unwrap().display().to_string());
            }
        }
        names.sort();
        names
    }
}

const READY: [&str; 5] = ["system", "system/initrd", "system/sha256", "system/system.iso", "system/vmlinuz"];

#[test]
fn judge_the_appliance_fetches_an_iso_continues_and_verifies_it() {
    let case = Case::new();
    let sha256 = case.iso("noble.iso", NOBLE, &["-J", "-joliet-long", "-R"]);
    let noble = "distribution = \"ubuntu\"\nrelease = \"24.04\"";
    let appliance = Appliance::new(&case, noble, &iso_at(&case.url("noble.iso"), &sha256));

    case.server.fault("noble.iso", Fault::Cut { after: 400_000, times: 1 });
    let said = appliance.run().unwrap_err();
    assert!(said.contains("what arrived is kept"), "{said}");
    assert_eq!(appliance.names(), [format!(".system.{sha256}.partial")]);
    case.server.log();
    appliance.run().unwrap();
    assert_eq!(case.server.log(), ["/noble.iso range bytes=400000-"]);
    assert_eq!(appliance.names(), READY);
    assert_eq!(fs::read(appliance.media.join("system/vmlinuz")).unwrap(), kernel());
    assert_eq!(fs::read(appliance.media.join("system/initrd")).unwrap(), initrd());
    assert_eq!(digest(&appliance.media.join("system/system.iso")), sha256);

    // Once it is there nobody is asked again.
    assert_eq!(appliance.run().unwrap(), "system: ready\n");
    assert!(case.server.log().is_empty());

    // A complete part that never got its name, as after a power cut.
    let ready = appliance.media.join("system");
    fs::rename(ready.join("system.iso"), appliance.media.join(format!(".system.{sha256}.partial"))).unwrap();
    fs::remove_dir_all(&ready).unwrap();
    appliance.run().unwrap();
    assert_eq!((case.server.log().len(), appliance.names().len()), (0, READY.len()));

    // A verified one that never got its name: nothing is read again.
    fs::rename(&ready, appliance.media.join(".system.ready")).unwrap();
    assert_eq!(appliance.run().unwrap(), "system: verified and ready\n");
    assert_eq!((case.server.log().len(), appliance.names().len()), (0, READY.len()));

    // One that has lost a file is no medium, whatever its name says.
    fs::write(ready.join("vmlinuz"), "").unwrap();
    appliance.run().unwrap();
    assert_eq!((case.server.log().len(), fs::read(ready.join("vmlinuz")).unwrap().len()), (1, kernel().len()));

    // A new point release replaces the old one, and only when it is complete.
    let newer = case.iso("newer.iso", &NOBLE.replace("24.04.4", "24.04.5"), &["-J", "-R"]);
    let appliance = Appliance::new(&case, noble, &iso_at(&case.url("newer.iso"), &newer));
    case.server.fault("newer.iso", Fault::Status(503));
    appliance.run().unwrap_err();
    assert_eq!(digest(&appliance.media.join("system/system.iso")), sha256, "the old one still serves");
    case.server.no_fault();
    appliance.run().unwrap();
    assert_eq!(digest(&appliance.media.join("system/system.iso")), newer);
    assert_eq!(appliance.names(), READY);
}

#[test]
fn judge_the_appliance_refuses_what_is_not_the_medium() {
    let case = Case::new();
    let sha256 = case.iso("noble.iso", NOBLE, &["-J", "-R"]);
    let jammy = case.iso("jammy.iso", JAMMY, &["-J", "-R"]);
    let noble = "distribution = \"ubuntu\"\nrelease = \"24.04\"";
    let refused = |medium: &str| {
        let appliance = Appliance::new(&case, noble, medium);
        let said = appliance.run().unwrap_err();
        assert!(!appliance.media.join("system").exists());
        said
    };
    let said = refused(&iso_at(&case.url("jammy.iso"), &sha256));
    assert!(said.contains(&format!("has not the SHA-256 {sha256}: removed")), "{said}");
    let said = refused(&iso_at(&case.url("jammy.iso"), &jammy));
    assert!(said.contains("does not say that it is 'Ubuntu-Server 24.04'"), "{said}");
    let said = refused(&iso_at(&case.url("absent.iso"), &sha256));
    assert!(said.contains("HTTP status 404"), "{said}");
    fs::write(case.www("text.iso"), "hello").unwrap();
    let said = refused(&iso_at(&case.url("text.iso"), &Digest::of(b"hello")));
    assert!(said.contains("cannot be read"), "{said}");

    let hollow = case.iso_of("hollow.iso", NOBLE, &["-J", "-R"], b"");
    let said = refused(&iso_at(&case.url("hollow.iso"), &hollow));
    assert!(said.contains("'casper/vmlinuz' on the medium is empty"), "{said}");

    // debian-installer's archive, the same way.
    let sha256 = case.netboot("netboot.tar.gz", "13 (trixie)");
    let trixie = "distribution = \"debian\"\nrelease = \"13\"";
    let appliance = Appliance::new(&case, trixie, &netboot_at(&case.url("netboot.tar.gz"), &sha256));
    appliance.run().unwrap();
    assert_eq!(appliance.names(), ["system", "system/initrd", "system/sha256", "system/vmlinuz"]);
    assert_eq!(fs::read(appliance.media.join("system/initrd")).unwrap(), initrd());
    let old = case.netboot("old.tar.gz", "12 (bookworm)");
    let appliance = Appliance::new(&case, trixie, &netboot_at(&case.url("old.tar.gz"), &old));
    assert!(appliance.run().unwrap_err().contains("does not say that it is"));
    assert_eq!(fs::read_to_string(appliance.media.join("system/sha256")).unwrap().trim(), sha256.to_string());
}

/// Several blocks, and not a multiple of one.
fn kernel() -> Vec<u8> {
    (0..300_001_u32).map(|at| (at % 251) as u8).collect()
}

fn initrd() -> Vec<u8> {
    (0..700_003_u32).map(|at| (at % 241) as u8).collect()
}

fn digest(path: &Path) -> Digest {
    Digest::of(&fs::read(path).unwrap())
}

fn iso_at(url: &str, sha256: &Digest) -> String {
    format!("iso = {{ url = {url:?}, sha256 = \"{sha256}\" }}")
}

fn netboot_at(url: &str, sha256: &Digest) -> String {
    format!("netboot = {{ url = {url:?}, sha256 = \"{sha256}\" }}")
}

/// Whatever the bytes say: an answer, no panic, no endless reading. The digest of each is right, as of one that a stranger published.
#[test]
fn judge_damaged_media_get_an_answer() {
    let case = Case::new();
    case.iso("sound.iso", NOBLE, &["-J", "-R"]);
    case.netboot("sound.tar.gz", "13 (trixie)");
    let sound = fs::read(case.www("sound.iso")).unwrap();
    // Descriptors, path tables and directories; the files' contents are behind them.
    let end = sound.windows(20).position(|bytes| bytes == &kernel()[..20]).unwrap();
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let bytes = || vec((32_768..end, prop_oneof![Just(0), Just(0xff), any::<u8>()]), 1..12);
    runner
        .run(&bytes(), |changes| {
            let mut damaged = sound.clone();
            changes.into_iter().for_each(|(at, byte)| damaged[at] = byte);
            let path = case.dir.path().join("damaged.iso");
            fs::write(&path, &damaged).unwrap();
            let line = format!("iso = {{ path = {path:?}, sha256 = \"{}\" }}", Digest::of(&damaged));
            // Sound, or a fault: both are answers.
            let _ = case.noble(&format!("media = \"bake\"\n{line}"));
            Ok(())
        })
        .unwrap();
    let sound = fs::read(case.www("sound.tar.gz")).unwrap();
    runner
        .run(&vec((2..sound.len(), any::<u8>()), 1..6), |changes| {
            let mut damaged = sound.clone();
            changes.into_iter().for_each(|(at, byte)| damaged[at] = byte);
            let path = case.dir.path().join("damaged.tar.gz");
            fs::write(&path, &damaged).unwrap();
            let line = format!("netboot = {{ path = {path:?}, sha256 = \"{}\" }}", Digest::of(&damaged));
            let _ = case.trixie(&format!("media = \"bake\"\n{line}"));
            Ok(())
        })
        .unwrap();
}

#[test]
fn judge_isos_of_every_kind_are_read_and_broken_downloads_continued() {
    let case = Case::new();
    for (name, options) in [
        ("both.iso", &["-J", "-joliet-long", "-R"][..]),
        ("rock.iso", &["-R"][..]),
        ("joliet.iso", &["-J", "--norock"][..]),
    ] {
        let sha256 = case.iso(name, NOBLE, options);
        case.server.fault(name, Fault::Cut { after: 500_000, times: 1 });
        let medium = case.noble(&iso_at(&case.url(name), &sha256)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(medium.kernel.digest, Digest::of(&kernel()), "{name}");
        assert_eq!(medium.initrd.digest, Digest::of(&initrd()), "{name}");
        assert_eq!((medium.whole.digest, medium.whole.size), (sha256, fs::metadata(case.www(name)).unwrap().len()));
        let asked = case.server.log();
        assert!(asked.len() == 2 && asked[1].contains("range bytes=500000-"), "{asked:?}");
        // From the store now, with nobody to ask.
        let again =
            case.prepare("distribution = \"ubuntu\"\nrelease = \"24.04\"", &iso_at("http://[::1]:1/", &sha256), true);
        assert_eq!(again.unwrap(), medium);
        assert!(case.server.log().is_empty());
    }
}

#[test]
fn judge_debians_archive_is_read() {
    let case = Case::new();
    let sha256 = case.netboot("netboot.tar.gz", "13 (trixie)");
    let medium = case.trixie(&netboot_at(&case.url("netboot.tar.gz"), &sha256)).unwrap();
    assert_eq!((medium.kernel.digest, medium.initrd.digest), (Digest::of(&kernel()), Digest::of(&initrd())));
}

#[test]
fn judge_a_file_of_this_machine_is_copied_and_not_read_again() {
    let case = Case::new();
    let sha256 = case.iso("here.iso", NOBLE, &["-J", "-R"]);
    let line = format!("media = \"bake\"\niso = {{ path = \"www/here.iso\", sha256 = \"{sha256}\" }}");
    let medium = case.noble(&line).unwrap();
    // The store has it: nobody looks at the file again.
    fs::write(case.www("here.iso"), "changed").unwrap();
    assert_eq!(case.noble(&line).unwrap(), medium);
}

#[test]
fn judge_truncated_swapped_and_foreign_files_are_told_apart() {
    let case = Case::new();
    let sha256 = case.iso("good.iso", NOBLE, &["-J", "-R"]);
    let cut = fs::read(case.www("good.iso")).unwrap();
    fs::write(case.www("cut.iso"), &cut[..cut.len() / 2]).unwrap();
    case.iso("other.iso", JAMMY, &["-J", "-R"]);
    fs::write(case.www("page.iso"), "<!DOCTYPE html><title>Mirror is being updated</title>".repeat(2000)).unwrap();
    let told = |name: &str| case.told(case.noble(&iso_at(&case.url(name), &sha256)));
    let size = cut.len();
    insta::assert_snapshot!(told("cut.iso").replace(&size.to_string(), "SIZE").replace(&(size / 2).to_string(), "HALF"), @r"
    error: installer 'system': the medium of installer 'system' cannot be had
      http://PUBLISHER/cut.iso: it gives other content: SHA-256 HEX instead of HEX; it is cut off: it says that it has SIZE bytes, but HALF are there
    help: check the digest in the profile against the publisher's SHA256SUMS, and that the address is that of the same point release
    ");
    insta::assert_snapshot!(told("other.iso"), @r#"
    error: installer 'system': the medium of installer 'system' cannot be had
      http://PUBLISHER/other.iso: it gives other content: SHA-256 HEX instead of HEX; it says that it is 'Ubuntu-Server 22.04.5 LTS "Jammy Jellyfish" - Release amd64 (20240911)'
    help: check the digest in the profile against the publisher's SHA256SUMS, and that the address is that of the same point release
    "#);
    insta::assert_snapshot!(told("page.iso"), @r"
    error: installer 'system': the medium of installer 'system' cannot be had
      http://PUBLISHER/page.iso: it gives other content: SHA-256 HEX instead of HEX; it is not an ISO 9660 image (it begins with '<!DOCTYPE html><title>Mirror is ')
    help: check the digest in the profile against the publisher's SHA256SUMS, and that the address is that of the same point release
    ");
    insta::assert_snapshot!(told("absent.iso"), @r"
    error: installer 'system': the medium of installer 'system' cannot be had
      http://PUBLISHER/absent.iso: it has no such file (404)
    help: the publisher has moved or replaced it: look up the address and digest of the current point release
    ");
    let line = format!("media = \"bake\"\niso = {{ path = \"www/cut.iso\", sha256 = \"{sha256}\" }}");
    let here = case.told(case.noble(&line)).replace(&size.to_string(), "SIZE").replace(&(size / 2).to_string(), "HALF");
    insta::assert_snapshot!(here, @r"
    error: installer 'system': DIR/www/cut.iso is not the medium of installer 'system': its SHA-256 is HEX, the profile says HEX; it is cut off: it says that it has SIZE bytes, but HALF are there
    help: download it again, or write the digest that the publisher's SHA256SUMS has for it
    ");
    let offline =
        case.prepare("distribution = \"ubuntu\"\nrelease = \"24.04\"", &iso_at(&case.url("good.iso"), &sha256), true);
    insta::assert_snapshot!(case.told(offline), @r"
    error: installer 'system': the medium of installer 'system' is not in the store, and the network may not be used
    help: run once without the offline option
    ");
    assert!(case.store().object(&sha256).is_none(), "nothing unverified is an object");
}

#[test]
fn judge_a_medium_of_another_release_or_kind_is_refused_though_its_digest_is_right() {
    let case = Case::new();
    let jammy = case.iso("jammy.iso", JAMMY, &["-J", "-R"]);
    insta::assert_snapshot!(case.told(case.noble(&iso_at(&case.url("jammy.iso"), &jammy))), @r#"
    error: installer 'system': the medium says that it is 'Ubuntu-Server 22.04.5 LTS "Jammy Jellyfish" - Release amd64 (20240911)', not 'Ubuntu-Server 24.04...'
    help: make the installer's `release` and its medium agree
    "#);
    fs::remove_dir_all(case.dir.path().join("tree-empty.iso")).ok();
    let tree = case.dir.path().join("plain");
    write(&tree.join("readme.txt"), b"hello");
    let status = Command::new("xorriso")
        .args(["-as", "mkisofs", "-quiet", "-J", "-R", "-o"])
        .arg(case.www("empty.iso"))
        .arg(&tree)
        .status();
    assert!(status.unwrap().success());
    let empty = digest(&case.www("empty.iso"));
    insta::assert_snapshot!(case.told(case.noble(&iso_at(&case.url("empty.iso"), &empty))), @r"
    error: installer 'system': the medium holds no '.disk/info': it is not the installer of ubuntu 24.04
    help: take the live-server ISO for Ubuntu, netboot.tar.gz (not the graphical one) for Debian
    ");
    fs::write(case.www("text.iso"), "hello").unwrap();
    insta::assert_snapshot!(case.told(case.noble(&iso_at(&case.url("text.iso"), &Digest::of(b"hello")))), @r"
    error: installer 'system': the medium is not an ISO 9660 image: it begins with 'hello'
    help: `iso` takes the live-server ISO; Debian's netboot.tar.gz stands under `netboot`
    ");
    let old = case.netboot("old.tar.gz", "12 (bookworm)");
    insta::assert_snapshot!(case.told(case.trixie(&netboot_at(&case.url("old.tar.gz"), &old))), @r"
    error: installer 'system': the medium says that it is 'Debian version:  12 (bookworm)', not 'Debian version:  13...'
    help: make the installer's `release` and its medium agree
    ");
    insta::assert_snapshot!(case.told(case.trixie(&netboot_at(&case.url("jammy.iso"), &jammy))), @r"
    error: installer 'system': the medium is not a gzip-compressed tar archive: it does not begin as gzip does
    help: `netboot` takes debian-installer's netboot.tar.gz
    ");
    let good = case.netboot("good.tar.gz", "13 (trixie)");
    let bytes = fs::read(case.www("good.tar.gz")).unwrap();
    fs::write(case.www("cut.tar.gz"), &bytes[..bytes.len() / 2]).unwrap();
    insta::assert_snapshot!(case.told(case.trixie(&netboot_at(&case.url("cut.tar.gz"), &good))), @r"
    error: installer 'system': the medium of installer 'system' cannot be had
      http://PUBLISHER/cut.tar.gz: it gives other content: SHA-256 HEX instead of HEX; the medium is not a gzip-compressed tar archive: it is cut off
    help: check the digest in the profile against the publisher's SHA256SUMS, and that the address is that of the same point release
    ");
}

#[test]
fn judge_a_signed_list_must_name_the_digest() {
    let case = Case::new();
    let sha256 = case.iso("signed.iso", NOBLE, &["-J", "-R"]);
    let (key, stranger) = (TestKey::new("media"), TestKey::new("stranger"));
    fs::write(case.dir.path().join("keys.pgp"), key.keyring()).unwrap();
    let list = format!("{sha256} *ubuntu-24.04.4-live-server-amd64.iso\n");
    let publish = |text: &str, key: &TestKey| {
        fs::write(case.www("SHA256SUMS"), text).unwrap();
        fs::write(case.www("SHA256SUMS.gpg"), key.detach(text, DATE)).unwrap();
    };
    let line = format!(
        "iso = {{ url = {:?}, sha256 = \"{sha256}\", sums = {:?}, signature = {:?}, keyring = \"keys.pgp\" }}",
        case.url("signed.iso"),
        case.url("SHA256SUMS"),
        case.url("SHA256SUMS.gpg")
    );

    publish(&list, &stranger);
    insta::assert_snapshot!(case.told(case.noble(&line)), @r"
    error: installer 'system': the signature of SHA256SUMS: it is signed by HEX, which the keyring does not hold
    help: take SHA256SUMS and SHA256SUMS.gpg from the same directory of the publisher, or set `iso.keyring` to the key that signs them
    ");
    publish(&list, &key);
    fs::write(case.www("SHA256SUMS"), list.replace("24.04.4", "24.04.3")).unwrap();
    insta::assert_snapshot!(case.told(case.noble(&line)), @r"
    error: installer 'system': the signature of SHA256SUMS: the text was altered after HEX signed it
    help: take SHA256SUMS and SHA256SUMS.gpg from the same directory of the publisher, or set `iso.keyring` to the key that signs them
    ");
    publish(&format!("{} *ubuntu-24.04.5-live-server-amd64.iso\n", Digest::of(b"newer")), &key);
    insta::assert_snapshot!(case.told(case.noble(&line)), @r"
    error: installer 'system': the signed SHA256SUMS does not list the digest HEX; it lists ubuntu-24.04.5-live-server-amd64.iso
    help: the digest in the profile belongs to another point release, or to another file: copy it from SHA256SUMS
    ");
    assert!(case.store().object(&sha256).is_none(), "nothing was fetched before the list was believed");
    publish(&list, &key);
    case.noble(&line).unwrap();
}

/// The key that signs Ubuntu's media is built in: it vouches for the genuine index of a CD.
#[test]
fn ubuntu_the_built_in_key_verifies_a_genuine_cd() {
    let Some(folder) = common::ubuntu_fixtures() else { return };
    let keyring = provbuild::lock::Keyring::builtin_media(profile::DistributionName::Ubuntu).unwrap();
    let read = |name: &str| fs::read(folder.join("cd-server-2204").join(name)).unwrap();
    let (text, signature) = (read("Release"), read("Release.gpg"));
    let signer = provbuild::lock::verify_detached(&text, &signature, &keyring, NOW).unwrap();
    assert_eq!(signer, "843938DF228D22F7B3742BC0D94AA3F0EFE21092");
    provbuild::lock::verify_detached(&[&text[..], b"x"].concat(), &signature, &keyring, NOW).unwrap_err();
}
