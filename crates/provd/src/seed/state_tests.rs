//! The state disk, with directories that stand for `/sys` and `/dev`, and files that stand for disks.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;

use super::*;

const GIB: u64 = 1 << 30;

/// A machine whose system is on sda1.
struct Machine {
    directory: tempfile::TempDir,
    formatted: RefCell<Vec<String>>,
    /// By device's name.
    holds: BTreeMap<&'static str, &'static str>,
    /// Formatting ends in the middle, or before the label.
    fails: Option<&'static str>,
    /// What the CD drives say, look by look; the last answer stays.
    drives: RefCell<Vec<Drive>>,
    /// udev makes its links when it is asked to look again.
    links: bool,
    /// Of the links that udev made and of those that it did not.
    labelled: RefCell<Vec<&'static str>>,
    /// A disk that comes at a look at the disks, with the number of looks before it.
    late: RefCell<Option<(&'static str, usize)>>,
    looks: RefCell<usize>,
}

impl Machine {
    fn new() -> Self {
        let machine = Machine {
            directory: tempfile::tempdir().unwrap(),
            formatted: RefCell::default(),
            holds: BTreeMap::new(),
            fails: None,
            drives: RefCell::default(),
            links: true,
            labelled: RefCell::default(),
            late: RefCell::default(),
            looks: RefCell::default(),
        };
        for path in ["sys/block", "sys/dev/block", "dev/disk/by-label"] {
            fs::create_dir_all(machine.path(path)).unwrap();
        }
        machine.disk("sda", 25 * GIB);
        fs::create_dir(machine.path("sys/devices/sda/sda1")).unwrap();
        machine.says("sda", "sda1/partition", "1");
        symlink(machine.path("sys/devices/sda/sda1"), machine.path("sys/dev/block/8:1")).unwrap();
        let mounts = "22 1 0:20 / /proc rw - proc proc rw\n1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n";
        fs::write(machine.path("mountinfo"), mounts).unwrap();
        machine
    }

    fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    fn disk(&self, name: &str, size: u64) {
        let directory = self.path("sys/devices").join(name);
        fs::create_dir_all(directory.join("device")).unwrap();
        fs::create_dir_all(directory.join("holders")).unwrap();
        symlink(&directory, self.path("sys/block").join(name)).unwrap();
        for (file, text) in [("size", (size / 512).to_string()), ("ro", "0".into()), ("removable", "0".into())] {
            self.says(name, file, &text);
        }
        File::create(self.path("dev").join(name)).unwrap().set_len(size).unwrap();
    }

    fn says(&self, name: &str, file: &str, text: &str) {
        fs::write(self.path("sys/devices").join(name).join(file), format!("{text}\n")).unwrap();
    }

    fn write(&self, name: &str, at: u64) {
        use std::os::unix::fs::FileExt as _;
        File::options().write(true).open(self.path("dev").join(name)).unwrap().write_all_at(b"x", at).unwrap();
    }

    fn label(&self, name: &'static str) {
        self.labelled.borrow_mut().push(name);
        symlink(self.path("dev").join(name), self.path("dev/disk/by-label/provbuild-state")).unwrap();
    }

    fn medium(&self, state: SeedState) {
        let seed = Seed {
            format: Seed::FORMAT,
            deployment: "0".repeat(32),
            generation: 2,
            state,
            secrets: BTreeMap::from([("webhook".parse().unwrap(), "geheim".to_owned())]),
        };
        fs::write(self.path("dev/disk/by-label/PROVSEED"), &*seed.medium(0).unwrap()).unwrap();
    }

    fn prepare(&self) -> Result<Outcome, String> {
        let places = Places {
            sys: self.path("sys"),
            dev: self.path("dev"),
            mountinfo: self.path("mountinfo"),
            medium: self.path("dev/disk/by-label/PROVSEED"),
            memory: self.path("memory"),
            patience: Duration::ZERO,
            apart: Duration::ZERO,
            // As long as it takes for two answers.
            drives: Duration::from_millis(5),
        };
        prepare(&places, self).map_err(|error| {
            let text = error.to_string();
            assert!(!text.contains("geheim"), "{text}");
            text.replace(&format!("{}/", self.directory.path().display()), "")
        })
    }

    fn formatted(&self) -> Vec<String> {
        self.formatted.borrow().clone()
    }
}

impl Tools for Machine {
    fn probe(&self, device: &Path) -> io::Result<Content> {
        let name = device.file_name().unwrap().to_str().unwrap();
        Ok(match self.holds.get(name) {
            None => Content::Nothing,
            Some(&"unfinished") => Content::Unfinished,
            Some(what) => Content::Other((*what).to_owned()),
        })
    }

    /// Each look begins with this.
    fn labelled(&self) -> io::Result<Vec<PathBuf>> {
        let mut looks = self.looks.borrow_mut();
        if let Some((name, _)) = self.late.borrow_mut().take_if(|(_, at)| *at == *looks) {
            self.disk(name, 2 * GIB);
        }
        *looks += 1;
        Ok(self.labelled.borrow().iter().map(|name| self.path("dev").join(name)).collect())
    }

    fn drive(&self, _: &Path) -> Drive {
        let mut drives = self.drives.borrow_mut();
        if drives.len() > 1 { drives.remove(0) } else { drives[0] }
    }

    fn format(&self, device: &Path) -> io::Result<()> {
        let name = device.file_name().unwrap().to_str().unwrap();
        self.formatted.borrow_mut().push(name.to_owned());
        self.write(name, 5000);
        if self.fails == Some("format") { Err(io::Error::other("cut off")) } else { Ok(()) }
    }

    fn finish(&self, _: &Path) -> io::Result<()> {
        if self.fails == Some("finish") { Err(io::Error::other("cut off")) } else { Ok(()) }
    }

    fn announce(&self, device: &Path) -> io::Result<()> {
        let name = device.file_name().unwrap().to_str().unwrap();
        let labels = self.path("dev/disk/by-label");
        match name {
            _ if !self.links => {}
            "sr0" => fs::rename(self.path("seed.iso"), labels.join("PROVSEED"))?,
            _ if self.labelled.borrow().contains(&name) => symlink(device, labels.join("provbuild-state"))?,
            _ => {}
        }
        Ok(())
    }
}

#[test]
fn without_a_medium_the_state_disk_is_as_it_ever_was() {
    let machine = Machine::new();
    machine.disk("sdb", 2 * GIB);
    assert_eq!(machine.prepare(), Ok(Outcome::None));
    machine.label("sdb");
    assert_eq!(machine.prepare(), Ok(Outcome::Mount));
    assert!(machine.formatted().is_empty() && !machine.path("memory").exists());
}

#[test]
fn the_one_empty_disk_becomes_the_state_disk() {
    let machine = Machine::new();
    machine.disk("sdb", GIB);
    machine.medium(SeedState::New);
    assert_eq!(machine.prepare(), Ok(Outcome::Made(machine.path("dev/sdb"))));
    assert_eq!(machine.formatted(), ["sdb"]);
    let marker = fs::read_to_string(machine.path("memory/deployed")).unwrap();
    assert_eq!(marker, format!("deployment {}\ngeneration 2\n", "0".repeat(32)));
    assert!(!machine.path("memory/formatting").exists());
    // The next boot, with the medium and without.
    machine.label("sdb");
    assert_eq!(machine.prepare(), Ok(Outcome::Mount));
    fs::remove_file(machine.path("dev/disk/by-label/PROVSEED")).unwrap();
    assert_eq!(machine.prepare(), Ok(Outcome::Mount));
    assert_eq!(machine.formatted(), ["sdb"]);
}

#[test]
fn a_deployed_system_does_not_start_without_its_state() {
    let machine = Machine::new();
    machine.disk("sdb", 2 * GIB);
    machine.medium(SeedState::Keep);
    let said = machine.prepare().unwrap_err();
    says_so(&said, "was deployed with a state disk, and there is none with the label provbuild-state");
    says_so(&said, "dev/sda (25600 MiB): the system's own; dev/sdb (2048 MiB): empty");
    fs::remove_file(machine.path("dev/disk/by-label/PROVSEED")).unwrap();
    says_so(&machine.prepare().unwrap_err(), "was deployed with a state disk");
    assert!(machine.formatted().is_empty());
}

fn says_so(said: &str, wanted: &str) {
    assert!(said.contains(wanted), "{said}");
}

#[test]
fn every_sign_of_use_keeps_a_disk_from_being_formatted() {
    type Change = fn(&mut Machine);
    let changes: [(Change, &str); 9] = [
        (|m| m.write("sdb", 0), "not empty"),
        (|m| m.write("sdb", (1 << 20) - 1), "not empty"),
        (|m| m.write("sdb", 2 * GIB - 1), "not empty"),
        (|m| m.write("sdb", 2 * GIB - (1 << 20)), "not empty"),
        (|m| m.says("sdb", "ro", "1"), "read-only"),
        (|m| m.says("sdb", "size", "2097151"), "smaller than 1 GiB"),
        (|m| drop(m.holds.insert("sdb", "LVM2_member")), "holds LVM2_member"),
        (|m| fs::write(m.path("sys/devices/sdb/holders/dm-0"), "").unwrap(), "in use"),
        (
            |m| {
                fs::create_dir(m.path("sys/devices/sdb/sdb1")).unwrap();
                m.says("sdb", "sdb1/partition", "1");
            },
            "has partitions",
        ),
    ];
    for (change, why) in changes {
        let mut machine = Machine::new();
        machine.disk("sdb", 2 * GIB);
        machine.medium(SeedState::New);
        change(&mut machine);
        let said = machine.prepare().unwrap_err();
        assert!(said.contains("none of the disks is empty") && said.contains(why), "{why}: {said}");
        assert!(machine.formatted().is_empty());
    }
}

#[test]
fn what_is_no_disk_is_passed_over_and_two_empty_ones_are_not_chosen_from() {
    let machine = Machine::new();
    for name in ["sr0", "nvme0c0n1", "loop0", "sdb"] {
        machine.disk(name, 2 * GIB);
    }
    machine.says("sr0", "removable", "1");
    machine.says("nvme0c0n1", "hidden", "1");
    fs::remove_dir(machine.path("sys/devices/loop0/device")).unwrap();
    machine.medium(SeedState::New);
    assert_eq!(machine.prepare(), Ok(Outcome::Made(machine.path("dev/sdb"))));

    let machine = Machine::new();
    machine.disk("sdb", 2 * GIB);
    machine.disk("sdc", 2 * GIB);
    machine.medium(SeedState::New);
    let said = machine.prepare().unwrap_err();
    assert!(said.contains("more than one disk is empty") && said.contains("sdc (2048 MiB): empty"), "{said}");
    assert!(machine.formatted().is_empty());
}

#[test]
fn formatting_that_was_cut_off_is_begun_again_on_that_disk_only() {
    let mut machine = Machine::new();
    machine.disk("sdb", 2 * GIB);
    machine.medium(SeedState::New);
    machine.fails = Some("format");
    says_so(&machine.prepare().unwrap_err(), "cannot make the state disk dev/sdb: cut off");
    assert!(machine.path("memory/formatting").exists());
    machine.fails = None;
    assert_eq!(machine.prepare(), Ok(Outcome::Made(machine.path("dev/sdb"))));
    assert!(!machine.path("memory/formatting").exists());

    // What holds something by now is another disk, whatever was noted of its place.
    let mut machine = Machine::new();
    machine.disk("sdb", 2 * GIB);
    machine.medium(SeedState::New);
    machine.fails = Some("format");
    machine.prepare().unwrap_err();
    machine.fails = None;
    machine.holds.insert("sdb", "ext4");
    says_so(&machine.prepare().unwrap_err(), "holds ext4");
    assert_eq!(machine.formatted(), ["sdb"]);
}

#[test]
fn a_medium_that_is_none_stops_everything() {
    let machine = Machine::new();
    machine.disk("sdb", 2 * GIB);
    fs::write(machine.path("dev/disk/by-label/PROVSEED"), vec![0; 100_000]).unwrap();
    says_so(&machine.prepare().unwrap_err(), "there is no volume descriptor");
    assert!(machine.formatted().is_empty());
}

#[test]
fn a_file_system_without_its_label_is_made_again_under_every_build() {
    let mut machine = Machine::new();
    machine.disk("sdb", 2 * GIB);
    machine.medium(SeedState::New);
    machine.fails = Some("finish");
    says_so(&machine.prepare().unwrap_err(), "cannot make the state disk dev/sdb: cut off");
    machine.fails = None;
    // Another build has no note of it.
    fs::remove_dir_all(machine.path("memory")).unwrap();
    says_so(&machine.prepare().unwrap_err(), "wipefs --all DISK");
    machine.holds.insert("sdb", "unfinished");
    assert_eq!(machine.prepare(), Ok(Outcome::Made(machine.path("dev/sdb"))));
    // It counts as empty and not as more than that.
    let mut machine = Machine::new();
    machine.disk("sdb", 2 * GIB);
    machine.disk("sdc", 2 * GIB);
    machine.medium(SeedState::New);
    machine.holds.insert("sdb", "unfinished");
    says_so(&machine.prepare().unwrap_err(), "more than one disk is empty");
    machine.medium(SeedState::Keep);
    says_so(&machine.prepare().unwrap_err(), "there is none with the label");
    assert!(machine.formatted().is_empty());
}

#[test]
fn of_several_labelled_disks_none_is_chosen() {
    let machine = Machine::new();
    for name in ["sdb", "sdc", "sdd"] {
        machine.disk(name, 2 * GIB);
    }
    machine.label("sdc");
    machine.labelled.borrow_mut().push("sdb");
    // Whoever speaks of a state disk, and where nobody does.
    for state in [None, Some(SeedState::Keep), Some(SeedState::New)] {
        if let Some(state) = state {
            machine.medium(state);
        }
        let said = machine.prepare().unwrap_err();
        says_so(&said, "more than one disk has the label provbuild-state");
        says_so(&said, "They are: dev/sdc, dev/sdb");
    }
    assert!(machine.formatted().is_empty());
}

#[test]
fn a_labelled_disk_that_udev_has_not_linked_is_the_state_disk_all_the_same() {
    let mut machine = Machine::new();
    machine.disk("sdb", 2 * GIB);
    machine.disk("sdc", 2 * GIB);
    machine.medium(SeedState::New);
    machine.labelled.borrow_mut().push("sdb");
    machine.links = false;
    says_so(&machine.prepare().unwrap_err(), "dev/sdb has the label provbuild-state, and does not appear");
    machine.links = true;
    assert_eq!(machine.prepare(), Ok(Outcome::Mount));
    assert!(machine.formatted().is_empty());
}

#[test]
fn a_disk_is_seen_twice_before_it_is_formatted() {
    let machine = Machine::new();
    machine.disk("sdb", 2 * GIB);
    machine.medium(SeedState::New);
    machine.prepare().unwrap();
    assert_eq!(*machine.looks.borrow(), 2);
    // A second empty one comes between the two looks.
    let machine = Machine::new();
    machine.disk("sdb", 2 * GIB);
    machine.medium(SeedState::New);
    *machine.late.borrow_mut() = Some(("sdc", 1));
    says_so(&machine.prepare().unwrap_err(), "more than one disk is empty");
    // Or one that holds something.
    let mut machine = Machine::new();
    machine.disk("sdb", 2 * GIB);
    machine.medium(SeedState::New);
    machine.holds.insert("sdc", "xfs");
    *machine.late.borrow_mut() = Some(("sdc", 1));
    says_so(&machine.prepare().unwrap_err(), "the disks change");
    assert!(machine.formatted().is_empty());
}

#[test]
fn a_medium_that_the_drive_reads_late_is_not_missed() {
    let drive = |answers: &[Drive]| {
        let machine = Machine::new();
        machine.disk("sdb", 2 * GIB);
        fs::create_dir(machine.path("sys/block/sr0")).unwrap();
        machine.medium(SeedState::New);
        fs::rename(machine.path("dev/disk/by-label/PROVSEED"), machine.path("seed.iso")).unwrap();
        *machine.drives.borrow_mut() = answers.to_vec();
        machine
    };
    let made = |machine: &Machine| machine.prepare() == Ok(Outcome::Made(machine.path("dev/sdb")));
    assert!(made(&drive(&[Drive::Seed])));
    assert!(made(&drive(&[Drive::Busy, Drive::Seed])));
    // What is there and is not shown is a failure; what never becomes readable is no seed.
    let mut machine = drive(&[Drive::Seed]);
    machine.links = false;
    says_so(&machine.prepare().unwrap_err(), "the seed medium is in dev/sr0, and does not appear");
    for other in [Drive::Empty, Drive::Other, Drive::Busy] {
        assert_eq!(drive(&[other]).prepare(), Ok(Outcome::None), "{other:?}");
    }
    // An answer is not waited for where there is one.
    let machine = drive(&[Drive::Empty, Drive::Seed]);
    assert_eq!(machine.prepare(), Ok(Outcome::None));
    assert_eq!(*machine.drives.borrow(), [Drive::Seed]);
}

/// What is no drive does not answer, and nothing is found by a label that nobody has.
#[test]
#[ignore = "needs util-linux"]
fn judge_drives_and_labels_are_asked_as_they_are() {
    assert_eq!(Programs.drive(Path::new("/nonexistent")), Drive::Busy);
    let directory = tempfile::tempdir().unwrap();
    let seed = Seed {
        format: Seed::FORMAT,
        deployment: "0".repeat(32),
        generation: 1,
        state: SeedState::Keep,
        secrets: BTreeMap::new(),
    };
    let medium = directory.path().join("medium");
    fs::write(&medium, &*seed.medium(0).unwrap()).unwrap();
    assert_eq!(Programs.drive(&medium), Drive::Seed);
    fs::write(&medium, [0; 40_000]).unwrap();
    assert_eq!(Programs.drive(&medium), Drive::Other);
    assert_eq!(Programs.labelled().unwrap(), Vec::<PathBuf>::new());
}

/// blkid, mkfs.ext4 and the check of both ends, on a file that stands for a disk.
#[test]
#[ignore = "needs e2fsprogs and util-linux"]
fn judge_blkid_finds_nothing_on_an_empty_disk_and_the_label_on_a_made_one() {
    let directory = tempfile::tempdir().unwrap();
    let disk = directory.path().join("disk");
    File::create(&disk).unwrap().set_len(GIB).unwrap();
    let probe = || Programs.probe(&disk).unwrap();
    assert_eq!(probe(), Content::Nothing);
    Programs.format(&disk).unwrap();
    assert_eq!(probe(), Content::Unfinished);
    // And again, where that was all.
    Programs.format(&disk).unwrap();
    Programs.finish(&disk).unwrap();
    assert_eq!(probe(), Content::Other("ext4".to_owned()));
    let said = Command::new("/usr/sbin/blkid").args(["-p", "-s", "LABEL", "-o", "value"]).arg(&disk).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), LABEL);
    assert!(Programs.probe(&directory.path().join("none")).is_err());
    for table in ["gpt", "dos"] {
        File::create(&disk).unwrap().set_len(GIB).unwrap();
        let mut child = Command::new("/usr/sbin/sfdisk").arg("-q").arg(&disk).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("label: {table}\n").as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(probe(), Content::Other(table.to_owned()));
    }
}
