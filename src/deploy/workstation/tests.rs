//! A deployment's whole life against a stand-in for vmrun (tests/vmrun, a script), and what it finds after a crash.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::record::{Fate, Pending, StateDisk};
use super::super::{Configuration, Generation, Observed, Record, Release};
use super::layout::{SYSTEM, part};
use super::*;
use crate::manifest::{self, ArtifactRecord, Manifest, Tool};
use crate::profile::{Controller, Link};
use crate::vocab::{Digest, Epoch, Silent};

pub(super) fn settings() -> profile::Workstation {
    profile::Workstation {
        directory: None,
        controller: Controller::Pvscsi,
        uplink: Link::Nat,
        provisioning: Link::HostOnly,
        vmrun: None,
        rest: None,
        gui: false,
    }
}

pub(super) fn machine() -> manifest::Machine {
    manifest::Machine {
        memory_bytes: 4 << 30,
        cpus: 2,
        disk_bytes: 25 << 30,
        firmware: "efi".into(),
        secure_boot: true,
        uplink_mac: "00:50:56:00:00:01".into(),
        provisioning_mac: "00:50:56:00:00:02".into(),
    }
}

/// Enough of a growable VMDK to be given another name, with something to recognise it by.
pub(super) fn disk_of(text: &str) -> Vec<u8> {
    let mut disk = vec![0; 21 * 512];
    disk[..4].copy_from_slice(b"KDMV");
    disk[28] = 1;
    disk[36] = 20;
    let descriptor = b"# Disk DescriptorFile\nRW 1 SPARSE \"lab-disk.vmdk\"\n";
    disk[512..512 + descriptor.len()].copy_from_slice(descriptor);
    disk.extend_from_slice(text.as_bytes());
    disk
}

pub(super) fn holds(disk: &Path, text: &str) -> bool {
    fs::read(disk).unwrap().ends_with(text.as_bytes())
}

/// A finished build of "lab" in DIRECTORY/out.
pub(super) fn release(directory: &Path, text: &str) -> Release {
    let out = directory.join("out");
    fs::create_dir_all(&out).unwrap();
    let vmx = ".encoding = \"UTF-8\"\nconfig.version = \"8\"\nguestOS = \"ubuntu-64\"\nvirtualHW.version = \"17\"\n";
    let artifacts = [("lab-disk.vmdk", disk_of(text)), ("lab.vmx", vmx.as_bytes().to_vec())].map(|(file, bytes)| {
        fs::write(out.join(file), &bytes).unwrap();
        ArtifactRecord { file: file.into(), kind: "vmx".into(), size: bytes.len() as u64, sha256: Digest::of(&bytes) }
    });
    let digest = Digest::of(text.as_bytes());
    let manifest = Manifest {
        format: manifest::FORMAT,
        name: "lab".into(),
        tool: Tool { version: String::new(), source: String::new() },
        inputs: manifest::Inputs { profile: digest, lock: digest, epoch: Epoch(0) },
        stages: Vec::new(),
        machine: machine(),
        daemon: None,
        image_digest: digest,
        artifacts: artifacts.to_vec(),
    };
    Release::new(&out, manifest, "")
}

/// A stand-in of this directory, whose state is beside the link.
fn stand_in(name: &str, directory: &Path) -> PathBuf {
    let link = directory.join(name);
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/deploy/workstation/tests").join(name), &link).unwrap();
    link
}

pub(super) fn wslpath(directory: &Path) -> PathBuf {
    stand_in("wslpath", directory)
}

fn generation(number: u32) -> Generation {
    Generation {
        number,
        id: Digest::of(&[number as u8]),
        image_digest: Digest::of(&[number as u8, 1]),
        made: Epoch(0),
        machine: machine(),
        disk: None,
        fate: Fate::Untried,
    }
}

const PACE: Pace = Pace {
    look: Duration::from_millis(5),
    call: Duration::from_secs(60),
    start: Duration::from_secs(60),
    deaf: Duration::from_millis(50),
    off: Duration::from_millis(100),
};

struct Lab {
    scratch: tempfile::TempDir,
    site: Machine,
    record: Record,
}

impl Lab {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let program = stand_in("vmrun", scratch.path());
        let mut record = Record::new("lab", "5d0e".into());
        record.generations = vec![generation(1), generation(2)];
        record.state = StateDisk::Made;
        record.pending = Some(Pending { generation: 1, from: None });
        let mut lab = Lab { site: Lab::site(scratch.path(), program), scratch, record };
        lab.site.lock().unwrap();
        lab
    }

    fn site(scratch: &Path, program: PathBuf) -> Machine {
        Machine {
            layout: Layout::new(&scratch.join("vm"), "lab"),
            settings: settings(),
            control: Control::Vmrun(Vmrun { program, paths: Paths::Native, gui: false, pace: PACE }),
            pace: PACE,
            booted: None,
            lock: None,
            configured: None,
        }
    }

    /// The same deployment in another process.
    fn again(&mut self) {
        self.site.lock = None;
        self.site = Lab::site(self.scratch.path(), self.scratch.path().join("vmrun"));
        self.site.lock().unwrap();
    }

    fn stage(&mut self, number: u32) {
        let release = release(self.scratch.path(), &format!("build {number}"));
        let disk = self.site.stage(&self.record, number, &release, &Silent).unwrap();
        assert_eq!(disk, format!("generations/{number}/system.vmdk"));
    }

    fn configure(&mut self, number: u32, seed: bool) -> Result<(), DeployError> {
        let generation = generation(number);
        self.site.configure(Configuration { record: &self.record, generation: &generation, seed })
    }

    /// Deployed, running, with secrets.
    fn up(&mut self) {
        let record = self.record.clone();
        self.site.save(&record).unwrap();
        self.stage(1);
        self.site.make_state(&record, ByteSize::gib(20)).unwrap();
        self.site.write_seed(&record, b"PROVSEED").unwrap();
        self.configure(1, true).unwrap();
        self.site.start(&record).unwrap();
    }

    fn say(&self, name: &str, text: &str) {
        fs::write(self.scratch.path().join(name), text).unwrap();
    }

    /// What vmrun was called with since the last look, without the path of the machine.
    fn calls(&self) -> Vec<String> {
        let path = self.scratch.path().join("calls");
        let text = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, "").unwrap();
        let vmx = self.site.layout.vmx().display().to_string();
        text.lines().map(|line| line.trim_start_matches("-T ws ").replace(&vmx, "X")).collect()
    }

    fn observed(&self) -> Observed {
        self.site.observe(Some(&self.record)).unwrap()
    }

    fn files(&self) -> Vec<String> {
        layout::names(&self.site.layout.root).unwrap()
    }

    fn vmx(&self) -> vmx::Dictionary {
        vmx::Dictionary::parse(&fs::read(self.site.layout.vmx()).unwrap()).0
    }
}

#[test]
fn from_nothing_to_a_second_build_to_nothing() {
    let mut lab = Lab::new();
    let record = lab.record.clone();
    assert_eq!(lab.site.load().unwrap(), None);
    assert_eq!(lab.observed(), Observed::default());
    lab.up();
    assert_eq!(lab.site.load().unwrap().as_ref(), Some(&record));
    let first = Observed { exists: true, running: true, configured: Some(1), staged: vec![1], state: true, seed: true };
    assert_eq!(lab.observed(), first);
    for private in ["lab.vmx", "deployment.json", "state.vmdk", "seed.iso", "generations/1/system.vmdk"] {
        let mode = fs::metadata(lab.site.layout.root.join(private)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{private}");
    }
    lab.say("address", "192.168.190.128\n");
    assert_eq!(lab.site.address(&record).unwrap(), Some("192.168.190.128".parse().unwrap()));
    lab.calls();
    lab.site.wipe_seed(&record).unwrap();
    assert_eq!(lab.calls(), ["list", "disconnectNamedDevice X sata0:1"]);
    assert_eq!(lab.observed(), Observed { seed: false, ..first.clone() });
    // The running machine's configuration still names it.
    assert_eq!(fs::read(lab.site.layout.seed()).unwrap(), [0; 8]);
    lab.site.wipe_seed(&record).unwrap();
    assert_eq!(lab.calls(), ["list", "list"]);
    // One that was wiped is no medium for another start.
    lab.site.stop(&record, Duration::from_secs(20)).unwrap();
    assert!(lab.configure(1, true).unwrap_err().message.ends_with("seed.iso is missing"));
    lab.site.start(&record).unwrap();

    fs::write(lab.site.layout.state(), "what the appliance has written").unwrap();
    lab.stage(2);
    lab.site.make_state(&record, ByteSize::gib(20)).unwrap();
    lab.site.stop(&record, Duration::from_secs(20)).unwrap();
    lab.configure(2, false).unwrap();
    assert!(!lab.site.layout.seed().exists() && lab.vmx().get("sata0:1.present").is_none());
    lab.site.start(&record).unwrap();
    assert_eq!((lab.observed().configured, lab.observed().staged), (Some(2), vec![1, 2]));
    lab.site.remove_generation(&record, 1).unwrap();
    assert_eq!(lab.site.remove_generation(&record, 2).unwrap_err().kind, Kind::Refused);
    assert_eq!(lab.observed().staged, [2]);

    assert!(lab.site.remove_machine(&record).unwrap_err().message.ends_with("runs"));
    lab.site.stop(&record, Duration::from_secs(20)).unwrap();
    for file in ["lab.nvram", "lab.vmsd", "lab.vmxf", "vmware.log", "vmware-0.log", "lab-12ab.vmem", "notes.txt"] {
        fs::write(lab.site.layout.root.join(file), "").unwrap();
    }
    assert_eq!(lab.site.remove_state(&record).unwrap_err().kind, Kind::Refused);
    lab.site.remove_machine(&record).unwrap();
    assert_eq!(lab.files(), [".lock", "deployment.json", "notes.txt", "state.vmdk"]);
    assert_eq!(fs::read_to_string(lab.site.layout.state()).unwrap(), "what the appliance has written");
    fs::remove_file(lab.site.layout.root.join("notes.txt")).unwrap();
    lab.site.remove_state(&record).unwrap();
    lab.site.remove_state(&record).unwrap();
    assert!(!lab.site.layout.root.exists());
}

#[test]
fn a_machine_that_runs_is_not_started_and_one_that_does_not_is_not_stopped() {
    let mut lab = Lab::new();
    let record = lab.record.clone();
    // On a busy host the first `list` alone may take longer than the others' patience.
    lab.site.pace.deaf = Duration::from_secs(10);
    lab.up();
    lab.calls();
    lab.site.start(&record).unwrap();
    assert_eq!(lab.calls(), ["list"]);
    lab.site.stop(&record, Duration::from_secs(20)).unwrap();
    assert_eq!(lab.calls(), ["list", "stop X soft", "list"]);
    lab.site.stop(&record, Duration::from_secs(20)).unwrap();
    assert_eq!(lab.calls(), ["list"]);
    if let Control::Vmrun(vmrun) = &mut lab.site.control {
        vmrun.gui = true;
    }
    lab.site.start(&record).unwrap();
    assert_eq!(lab.calls(), ["list", "start X gui"]);
}

#[test]
fn a_guest_that_does_not_shut_down_is_switched_off() {
    // (who is asked, for how long, whether once is enough)
    for (kind, patience, once) in
        [("deaf", Duration::from_secs(60), false), ("stubborn", Duration::from_millis(300), true)]
    {
        let mut lab = Lab::new();
        let record = lab.record.clone();
        lab.up();
        lab.say(kind, "");
        lab.calls();
        lab.site.pace.deaf = Duration::from_secs(2);
        lab.site.stop(&record, patience).unwrap();
        let calls = lab.calls();
        assert_eq!(calls[1], "stop X soft", "{kind}");
        assert_eq!(calls[calls.len() - 2..], ["stop X hard", "list"], "{kind}");
        let asked = calls.iter().filter(|call| *call == "stop X soft").count();
        assert_eq!(asked == 1, once, "{calls:?}");
    }
}

#[test]
fn what_vmrun_says_is_told_in_one_plain_line() {
    let mut lab = Lab::new();
    let record = lab.record.clone();
    lab.up();
    lab.say("deaf", "");
    lab.say("eternal", "");
    let eternal = lab.site.stop(&record, Duration::ZERO).unwrap_err();
    assert!(eternal.message.ends_with(" off: Insufficient permissions"), "{eternal}");
    fs::remove_file(lab.site.layout.vmx()).unwrap();
    lab.say("running", "");
    let missing = lab.site.start(&record).unwrap_err();
    assert!(missing.message.contains("The virtual machine cannot be found"), "{missing}");
    lab.say("broken", "");
    let broken = lab.site.start(&record).unwrap_err();
    assert_eq!(broken.message, "vmrun cannot list the machines that run: Unable to connect to [31m host.");
}

#[test]
fn an_address_comes_when_the_tools_tell_it() {
    let mut lab = Lab::new();
    let record = lab.record.clone();
    lab.up();
    assert_eq!(lab.site.address(&record).unwrap(), None);
    for nothing in ["unknown\r\n", "169.254.7.7\n", "fe80::1\n", "0.0.0.0\n", ""] {
        lab.say("address", nothing);
        assert_eq!(lab.site.address(&record).unwrap(), None, "{nothing}");
    }
    lab.say("address", "10.0.0.7\r\n");
    assert_eq!(lab.site.address(&record).unwrap(), Some("10.0.0.7".parse().unwrap()));
    lab.say("running", "");
    let stopped = lab.site.address(&record).unwrap_err();
    assert!(stopped.message.ends_with("has stopped"), "{stopped}");
}

#[test]
fn a_medium_is_removed_at_once_when_the_machine_is_off() {
    let mut lab = Lab::new();
    let record = lab.record.clone();
    lab.up();
    lab.site.stop(&record, Duration::from_secs(20)).unwrap();
    assert_eq!(lab.vmx().get("sata0:1.fileName"), Some("seed.iso"));
    lab.site.wipe_seed(&record).unwrap();
    assert_eq!(lab.vmx().get("sata0:1.fileName"), None);
    assert!(!lab.site.layout.seed().exists());
    lab.site.wipe_seed(&record).unwrap();
    assert_eq!(lab.observed().configured, Some(1));
    // The bytes go even if VMware cannot be asked.
    lab.site.write_seed(&record, b"PROVSEED").unwrap();
    lab.say("broken", "");
    lab.site.wipe_seed(&record).unwrap_err();
    assert_eq!(fs::read(lab.site.layout.seed()).unwrap(), [0; 8]);
}

#[test]
fn what_a_crash_left_behind_is_done_anew() {
    let mut lab = Lab::new();
    let record = lab.record.clone();
    let root = lab.site.layout.root.clone();
    // Every file that is made aside, half written.
    for half in ["deployment.json", "state.vmdk", "seed.iso", "lab.vmx"] {
        fs::write(part(&root.join(half)), "half").unwrap();
    }
    for half in ["generations/1.part", "generations/2.part", "generations/1.gone"] {
        fs::create_dir_all(root.join(half)).unwrap();
        fs::write(root.join(half).join(SYSTEM), "half").unwrap();
    }
    assert_eq!(lab.observed(), Observed { seed: true, ..Observed::default() });
    lab.up();
    lab.site.remove_generation(&record, 2).unwrap();
    let mut left = lab.files();
    left.retain(|name| name.ends_with(".part"));
    assert!(left.is_empty(), "{left:?}");
    assert!(!root.join("generations/2.part").exists());

    // An empty machine's file, as a host that lost its power may leave it; and none at all.
    lab.site.stop(&record, Duration::from_secs(20)).unwrap();
    for crash in [Some(""), Some("\0\0\0"), None] {
        match crash {
            Some(text) => fs::write(lab.site.layout.vmx(), text).unwrap(),
            None => fs::remove_file(lab.site.layout.vmx()).unwrap(),
        }
        lab.again();
        assert!(!lab.observed().exists);
        lab.configure(1, true).unwrap();
        assert_eq!(lab.observed().configured, Some(1));
    }

    // Half removed.
    fs::rename(root.join("generations"), root.join("generations.gone")).unwrap();
    lab.site.remove_machine(&record).unwrap();
    assert_eq!(lab.files(), [".lock", "deployment.json", "state.vmdk"]);
    fs::remove_file(lab.site.layout.state()).unwrap();
    lab.site.remove_state(&record).unwrap();
    assert!(!root.exists());
}

#[test]
fn a_state_disk_is_never_made_over() {
    let mut lab = Lab::new();
    let record = lab.record.clone();
    fs::write(lab.site.layout.state(), "precious").unwrap();
    lab.site.make_state(&record, ByteSize::gib(1)).unwrap();
    fs::remove_file(lab.site.layout.state()).unwrap();
    // Not even one that is only a name.
    symlink("/nowhere/state.vmdk", lab.site.layout.state()).unwrap();
    lab.site.make_state(&record, ByteSize::gib(1)).unwrap();
    assert_eq!(fs::read_link(lab.site.layout.state()).unwrap(), Path::new("/nowhere/state.vmdk"));
}

#[test]
fn machines_of_others_and_snapshots_are_left_alone() {
    let mut lab = Lab::new();
    let record = lab.record.clone();
    lab.up();
    lab.stage(2);
    lab.site.stop(&record, Duration::from_secs(20)).unwrap();
    let ours = fs::read_to_string(lab.site.layout.vmx()).unwrap();
    let cases = [
        (ours.replace("\"state.vmdk\"", "\"state-000001.vmdk\""), "state disk"),
        (ours.replace("system.vmdk", "system-000001.vmdk"), "snapshots"),
        ("displayName = \"lab\"\nscsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"lab.vmdk\"\n".to_owned(), "another"),
        (ours.clone() + "encryption.keySafe = \"x\"\n", "encrypted"),
    ];
    for (text, what) in cases {
        fs::write(lab.site.layout.vmx(), &text).unwrap();
        let refused = [
            lab.configure(2, false).unwrap_err(),
            lab.site.remove_generation(&record, 2).unwrap_err(),
            lab.site.remove_machine(&record).unwrap_err(),
            lab.site.stop(&record, Duration::ZERO).unwrap_err(),
        ];
        assert!(refused.iter().all(|refused| refused.kind == Kind::Refused), "{what}");
        assert_eq!(fs::read_to_string(lab.site.layout.vmx()).unwrap(), text, "{what}");
        assert_eq!(lab.observed().staged, [1, 2], "{what}");
    }
    fs::write(lab.site.layout.vmx(), &ours).unwrap();
    fs::write(lab.site.layout.root.join("state-000001.vmdk"), "since a snapshot").unwrap();
    assert!(lab.configure(2, false).unwrap_err().message.ends_with("the machine has snapshots"));
}

#[test]
fn a_snapshots_file_is_kept_whatever_became_of_the_machines() {
    for place in ["state-000001.vmdk", "generations/1/system-000001.vmdk"] {
        for left in [Some(""), Some("\0\0\0"), None] {
            let mut lab = Lab::new();
            let record = lab.record.clone();
            lab.up();
            lab.site.stop(&record, Duration::from_secs(20)).unwrap();
            let root = lab.site.layout.root.clone();
            fs::write(root.join(place), "since a snapshot").unwrap();
            fs::write(root.join("lab.vmsd"), "snapshot.numSnapshots = \"1\"\n").unwrap();
            match left {
                Some(text) => fs::write(lab.site.layout.vmx(), text).unwrap(),
                None => fs::remove_file(lab.site.layout.vmx()).unwrap(),
            }
            lab.again();
            lab.calls();
            let before = lab.files();
            let refused = [
                lab.configure(1, false).unwrap_err(),
                lab.site.start(&record).unwrap_err(),
                lab.site.stop(&record, Duration::ZERO).unwrap_err(),
                lab.site.stage(&record, 1, &release(lab.scratch.path(), "1"), &Silent).unwrap_err(),
                lab.site.remove_generation(&record, 1).unwrap_err(),
                lab.site.remove_machine(&record).unwrap_err(),
            ];
            for refused in refused {
                assert_eq!(refused.kind, Kind::Refused);
                assert_eq!(refused.message, format!("{}: the machine has snapshots", root.join(place).display()));
                assert!(refused.help.unwrap().contains("lab.vmx is missing or empty"));
            }
            assert_eq!(lab.site.remove_state(&record).unwrap_err().kind, Kind::Refused);
            assert_eq!(lab.files(), before);
            assert_eq!(fs::read_to_string(root.join(place)).unwrap(), "since a snapshot");
            assert!(lab.calls().iter().all(|call| call == "list"));
        }
    }
}

#[test]
fn a_disk_that_somebody_added_is_not_dropped() {
    let mut lab = Lab::new();
    let record = lab.record.clone();
    lab.up();
    lab.stage(2);
    lab.site.stop(&record, Duration::from_secs(20)).unwrap();
    let ours = fs::read_to_string(lab.site.layout.vmx()).unwrap();
    let added = ours.clone() + "scsi0:2.present = \"TRUE\"\nscsi0:2.fileName = \"D:\\x\\data.vmdk\"\n";
    fs::write(lab.site.layout.vmx(), &added).unwrap();
    let refused = [
        lab.configure(2, false).unwrap_err(),
        lab.site.stop(&record, Duration::ZERO).unwrap_err(),
        lab.site.remove_machine(&record).unwrap_err(),
    ];
    for refused in refused {
        assert_eq!(refused.kind, Kind::Refused);
        let what = "lab.vmx: scsi0:2 is a disk that provbuild has not given it: D:\\x\\data.vmdk";
        assert!(refused.message.ends_with(what), "{refused}");
    }
    assert_eq!(fs::read_to_string(lab.site.layout.vmx()).unwrap(), added);
    // The secrets go all the same, and the disk stays.
    lab.site.wipe_seed(&record).unwrap();
    assert_eq!((lab.vmx().get("sata0:1.fileName"), lab.vmx().is_true("scsi0:2.present")), (None, true));
    // A CD and an adapter are no data.
    let more = "sata0:0.present = \"TRUE\"\nsata0:0.deviceType = \"cdrom-raw\"\nsata0:0.fileName = \"auto detect\"\n\
                ethernet2.present = \"TRUE\"\n";
    fs::write(lab.site.layout.vmx(), ours + more).unwrap();
    lab.configure(2, false).unwrap();
    assert!(lab.vmx().get("sata0:0.present").is_none() && lab.vmx().get("ethernet2.present").is_none());
}

#[test]
fn a_generation_that_the_record_does_not_know_is_copied_anew_or_left_alone() {
    let mut lab = Lab::new();
    lab.up();
    let disk = |lab: &Lab, number: u32| lab.site.layout.generation(number).join(SYSTEM);
    // The record was lost, and its numbers begin anew: what runs has the number of what is to be staged.
    let build = release(lab.scratch.path(), "another build");
    let refused = lab.site.stage(&lab.record, 1, &build, &Silent).unwrap_err();
    assert_eq!(refused.kind, Kind::Refused);
    assert!(refused.message.ends_with("generations/1 is in use, and the record does not know it"), "{refused}");
    assert!(holds(&disk(&lab, 1), "build 1"));
    // Nothing uses it.
    lab.stage(2);
    let build = release(lab.scratch.path(), "another build");
    lab.site.stage(&lab.record, 2, &build, &Silent).unwrap();
    assert!(holds(&disk(&lab, 2), "another build"));
    let lock = lab.site.layout.generation(2).join("system.vmdk.lck");
    fs::create_dir(&lock).unwrap();
    fs::write(lock.join("M1.lck"), "").unwrap();
    assert_eq!(lab.site.stage(&lab.record, 2, &build, &Silent).unwrap_err().kind, Kind::Refused);
    // It knows both.
    for generation in &mut lab.record.generations {
        generation.disk = Some(Layout::system_in_vmx(generation.number));
    }
    lab.stage(1);
    lab.stage(2);
    assert!(holds(&disk(&lab, 1), "build 1") && holds(&disk(&lab, 2), "another build"));
}

#[test]
fn locks_of_before_a_power_cut_hold_nothing() {
    let mut lab = Lab::new();
    let record = lab.record.clone();
    lab.up();
    lab.say("running", "");
    for disk in ["state.vmdk.lck", "generations/1/system.vmdk.lck"] {
        let lock = lab.site.layout.root.join(disk);
        fs::create_dir(&lock).unwrap();
        fs::write(lock.join("M12345.lck"), "").unwrap();
    }
    let held = lab.configure(1, false).unwrap_err();
    assert!(held.message.contains("state.vmdk.lck is held"), "{held}");
    lab.site.booted = Some(std::time::SystemTime::now() + Duration::from_secs(1));
    lab.configure(1, false).unwrap();
    lab.site.start(&record).unwrap();
    assert!(lab.site.layout.root.join("state.vmdk.lck/M12345.lck").exists());
}

#[test]
fn a_disk_that_somebody_holds_is_waited_for() {
    let mut lab = Lab::new();
    let record = lab.record.clone();
    lab.up();
    lab.site.stop(&record, Duration::from_secs(20)).unwrap();
    let lock = lab.site.layout.root.join("state.vmdk.lck");
    fs::create_dir(&lock).unwrap();
    lab.configure(1, false).unwrap();
    fs::write(lock.join("M12345.lck"), "").unwrap();
    let held = lab.configure(1, false).unwrap_err();
    assert!(held.message.contains("state.vmdk.lck is held"), "{held}");
    assert!(lock.join("M12345.lck").exists());
    lab.site.pace.off = Duration::from_secs(20);
    let later = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        fs::remove_dir_all(lock).unwrap();
    });
    lab.configure(1, false).unwrap();
    later.join().unwrap();
}

#[test]
fn a_running_machine_is_not_configured() {
    let mut lab = Lab::new();
    lab.up();
    let failed = lab.configure(1, false).unwrap_err();
    assert!(failed.message.starts_with("cannot configure the machine"), "{failed}");
}

#[test]
fn a_window_that_writes_the_old_file_back_is_noticed() {
    let mut lab = Lab::new();
    let record = lab.record.clone();
    lab.up();
    lab.say("undo", &fs::read_to_string(lab.site.layout.vmx()).unwrap());
    lab.site.stop(&record, Duration::from_secs(20)).unwrap();
    lab.stage(2);
    lab.configure(2, false).unwrap();
    let undone = lab.site.start(&record).unwrap_err();
    assert!(undone.message.starts_with("VMware Workstation has undone"), "{undone}");
}

#[test]
fn a_record_of_another_format_is_an_error_and_stays() {
    let lab = Lab::new();
    fs::write(lab.site.layout.record(), "{\"format\": 9}").unwrap();
    assert!(lab.site.load().unwrap_err().message.contains("is no record of a deployment"));
}

#[test]
fn opening_finds_the_program_and_the_directory() {
    let scratch = tempfile::tempdir().unwrap();
    stand_in("vmrun", scratch.path());
    let open = |settings: profile::Workstation, home: Option<&Path>, os_release: Option<&str>| {
        let workstation = Workstation {
            name: "lab",
            settings: &settings,
            state_disk: ByteSize::gib(20),
            rest_credentials: None,
            home: home.map(Path::to_owned),
            path: Some(scratch.path().into()),
            os_release: os_release.map(str::to_owned),
            vmware_config: None,
            windows_variables: BTreeMap::new(),
        };
        workstation.open().map(|site| site.title())
    };
    let title = open(settings(), Some(scratch.path()), None).unwrap();
    assert_eq!(title, format!("VMware Workstation in {}/vmware/lab", scratch.path().display()));
    assert!(!scratch.path().join("vmware").exists());
    let named = profile::Workstation { directory: Some("/srv/vm".into()), ..settings() };
    assert_eq!(open(named, None, None).unwrap(), "VMware Workstation in /srv/vm/lab");
    assert!(open(settings(), None, None).unwrap_err().message.ends_with("HOME neither"));
    let wsl = open(settings(), Some(scratch.path()), Some("5.15-microsoft-standard-WSL2")).unwrap_err();
    assert_eq!(wsl.message, "deploy.workstation.directory is not set, and this is WSL");
}
