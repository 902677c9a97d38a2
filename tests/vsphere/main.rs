//! Deployment to vSphere, against vcsim: VMware's own simulator of vCenter and ESXi (scripts/install-vcsim).
//!
//! What it cannot show: it throws an upload's bytes away (its handler in tests/vcsim digests them first), starts no guest, and takes over neither
//! firmware nor MACs from a descriptor. Its datastores are directories, which the tests look into.

mod build;
mod command;
mod vcsim;

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use build::{PROVISIONING, UPLINK, generation, record, release};
use provbuild::deploy::vsphere::Vsphere;
use provbuild::deploy::{Configuration, DeployError, Kind, Observed, Record, Release, Site, StateDisk};
use provbuild::profile;
use provbuild::vocab::{ByteSize, Event, Progress, Silent};
use secrecy::SecretString;
use vcsim::{Upload, Vcsim};

const STATE: ByteSize = ByteSize::gib(20);

fn try_open(settings: &profile::Vsphere, credentials: &str) -> Result<Box<dyn Site>, DeployError> {
    let credentials = SecretString::from(credentials);
    Vsphere { name: "mylab", settings, credentials, authorities: None }.open()
}

/// In the cluster of the simulator's vCenter.
fn open(vcsim: &Vcsim) -> Box<dyn Site> {
    open_with(&vcsim.settings())
}

fn open_with(settings: &profile::Vsphere) -> Box<dyn Site> {
    let settings = profile::Vsphere { compute: Some("DC0_C0".to_owned()), ..settings.clone() };
    try_open(&settings, "user:pass:word\n").unwrap()
}

struct Lab {
    vcsim: Vcsim,
    site: Box<dyn Site>,
    record: Record,
    directory: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let vcsim = Vcsim::start(&[]);
        let site = open(&vcsim);
        Lab { site, vcsim, record: record(), directory: tempfile::tempdir().unwrap() }
    }

    fn release(&self, text: &str) -> Release {
        let directory = self.directory.path().join(text);
        fs::create_dir(&directory).unwrap();
        release(&directory, text)
    }

    fn disks(&self) -> PathBuf {
        self.vcsim.datastores["LocalDS_0"].join("mylab-disks")
    }

    fn files(&self) -> Vec<String> {
        files(&self.disks())
    }

    fn observed(&self) -> Observed {
        self.site.observe(Some(&self.record)).unwrap()
    }

    /// All of what the engine does for one generation, without a seed.
    fn deploy(&mut self, number: u32, release: &Release) {
        if self.record.generation(number).is_none() {
            generation(&mut self.record, number, release);
        }
        self.site.save(&self.record).unwrap();
        let disk = self.site.stage(&self.record, number, release, &Silent).unwrap();
        assert_eq!(disk, format!("[LocalDS_0] mylab-disks/system-{number}.vmdk"));
        self.site.make_state(&self.record, STATE).unwrap();
        self.switch(number);
    }

    fn switch(&mut self, number: u32) {
        self.configure(number, false).unwrap();
        self.site.start(&self.record).unwrap();
    }

    fn configure(&mut self, number: u32, seed: bool) -> Result<(), DeployError> {
        self.site.stop(&self.record, Duration::from_secs(5))?;
        let generation = self.record.generation(number).unwrap();
        self.site.configure(Configuration { record: &self.record, generation, seed })
    }

    /// By name, whatever the machine shows of them.
    fn disks_attached(&self) -> Option<u32> {
        self.observed().configured
    }

    /// What only the state disk holds.
    fn mark_state(&self) {
        fs::write(self.disks().join("state-flat.vmdk"), "the nodes' state").unwrap();
    }

    fn state_is_untouched(&self) {
        assert_eq!(fs::read_to_string(self.disks().join("state-flat.vmdk")).unwrap(), "the nodes' state");
    }
}

fn files(directory: &std::path::Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[derive(Default)]
struct Heard(Mutex<Vec<Event>>);

impl Progress for Heard {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

#[test]
#[ignore = "needs vcsim"]
fn sandbox_vcsim_deploy_upgrade_go_back_remove() {
    let mut lab = Lab::new();
    assert_eq!(lab.site.load().unwrap(), None);
    assert_eq!(lab.site.observe(None).unwrap(), Observed::default());
    lab.site.lock().unwrap();
    let first = lab.release("first");
    generation(&mut lab.record, 1, &first);
    lab.site.save(&lab.record).unwrap();
    assert_eq!(lab.site.load().unwrap().as_ref(), Some(&lab.record));

    let heard = Heard::default();
    lab.site.stage(&lab.record, 1, &first, &heard).unwrap();
    let vmdk = first.artifact("vmdk", ".vmdk").unwrap();
    let expected = Upload {
        method: "POST".to_owned(),
        kind: "application/x-vnd.vmware-streamVmdk".to_owned(),
        length: vmdk.size,
        sha256: vmdk.sha256.to_string(),
    };
    assert_eq!(lab.vcsim.uploads(), [expected], "the disk arrives byte for byte");
    let advanced = heard
        .0
        .lock()
        .unwrap()
        .iter()
        .map(|event| if let Event::TransferAdvanced { bytes } = event { *bytes } else { 0 })
        .sum::<u64>();
    assert_eq!(advanced, vmdk.size);
    assert!(lab.files().contains(&"system-1.vmdk".to_owned()));
    assert!(!lab.vcsim.datastores["LocalDS_0"].join("mylab-generation-1").exists(), "the carrier is gone");

    lab.site.make_state(&lab.record, STATE).unwrap();
    lab.mark_state();
    lab.site.make_state(&lab.record, STATE).unwrap();
    lab.site.write_seed(&lab.record, &[0x5e; 40_960]).unwrap();
    lab.configure(1, true).unwrap();
    // Once more changes nothing.
    lab.configure(1, true).unwrap();
    let seen = Observed { exists: true, running: false, configured: Some(1), staged: vec![1], state: true, seed: true };
    assert_eq!(lab.observed(), seen);
    for _ in 0..2 {
        lab.site.start(&lab.record).unwrap();
    }
    assert_eq!(lab.site.address(&lab.record).unwrap(), None);
    lab.vcsim.fault("address", &format!("{PROVISIONING} 10.9.0.1"));
    assert_eq!(lab.site.address(&lab.record).unwrap(), None, "the provisioning side's is not it");
    lab.vcsim.fault("address", &format!("{UPLINK} 192.0.2.7"));
    assert_eq!(lab.site.address(&lab.record).unwrap().unwrap().to_string(), "192.0.2.7");
    for _ in 0..2 {
        lab.site.wipe_seed(&lab.record).unwrap();
        assert_eq!(lab.observed(), Observed { running: true, seed: false, ..seen.clone() });
    }

    let second = lab.release("second");
    lab.deploy(2, &second);
    assert_eq!(
        lab.observed(),
        Observed { exists: true, running: true, configured: Some(2), staged: vec![1, 2], state: true, seed: false }
    );
    let error = lab.site.remove_generation(&lab.record, 2).unwrap_err();
    assert_eq!(error.kind, Kind::Refused);
    lab.switch(1);
    assert_eq!(lab.observed().configured, Some(1));
    for _ in 0..2 {
        lab.site.remove_generation(&lab.record, 2).unwrap();
    }
    assert_eq!(lab.observed().staged, [1]);
    assert!(lab.site.remove_state(&lab.record).unwrap_err().message.contains("still there"));
    let error = lab.site.remove_machine(&lab.record).unwrap_err();
    assert!(error.message.contains("not switched off"), "{error}");
    lab.site.stop(&lab.record, Duration::from_secs(5)).unwrap();
    for _ in 0..2 {
        lab.site.remove_machine(&lab.record).unwrap();
    }
    assert_eq!(lab.observed(), Observed { state: true, ..Observed::default() });
    lab.state_is_untouched();
    assert_eq!(lab.site.load().unwrap().as_ref(), Some(&lab.record), "the record outlives the machine");
    assert_eq!(lab.site.address(&lab.record).unwrap_err().kind, Kind::Hypervisor);

    // The state goes on with a new machine.
    let third = lab.release("third");
    lab.deploy(3, &third);
    lab.state_is_untouched();
    lab.site.stop(&lab.record, Duration::from_secs(5)).unwrap();
    lab.site.remove_machine(&lab.record).unwrap();
    for _ in 0..2 {
        lab.site.remove_state(&lab.record).unwrap();
    }
    assert_eq!(lab.site.load().unwrap(), None);
    let directory = lab.disks();
    drop(lab.site);
    assert!(!directory.exists(), "{:?}", files(&directory));
}

/// A stage that is cut off at each of its steps, and then repeated.
#[test]
#[ignore = "needs vcsim"]
fn sandbox_vcsim_a_stage_that_is_cut_off_is_made_good() {
    let mut lab = Lab::new();
    let first = lab.release("first");
    lab.deploy(1, &first);
    lab.mark_state();
    let second = lab.release("second");
    generation(&mut lab.record, 2, &second);
    let cuts = [
        ("refuse", "ImportVApp"),
        ("nfc", "100000"),
        ("nfc-status", "500"),
        ("refuse", "HttpNfcLeaseComplete"),
        ("refuse", "ReconfigVM_Task"),
        ("refuse", "MoveVirtualDisk_Task"),
        ("refuse", "Destroy_Task"),
    ];
    for (fault, value) in cuts {
        lab.vcsim.fault(fault, value);
        let error = lab.site.stage(&lab.record, 2, &second, &Silent).unwrap_err();
        assert!(lab.vcsim.is_used_up(fault), "{fault} {value}");
        let kind = match fault {
            "nfc" => Kind::Unreachable,
            "nfc-status" => Kind::Hypervisor,
            _ => Kind::Refused,
        };
        assert_eq!(error.kind, kind, "{fault} {value}: {error}");
        assert_eq!(lab.observed().configured, Some(1), "the machine still has its disk");
        assert!(lab.observed().running);
        lab.site
            .stage(&lab.record, 2, &second, &Silent)
            .unwrap_or_else(|error| panic!("after {fault} {value}: {error}"));
        assert_eq!(lab.observed().staged, [1, 2]);
        assert_eq!(files(&lab.vcsim.datastores["LocalDS_0"].join("mylab-generation-2")), [""; 0]);
        // The record did not learn of it: it is imported anew.
        assert_eq!(
            lab.vcsim.uploads().last().unwrap().sha256,
            second.artifact("vmdk", ".vmdk").unwrap().sha256.to_string()
        );
    }
    lab.state_is_untouched();
    lab.switch(2);
    assert_eq!(lab.observed().configured, Some(2));
}

#[test]
#[ignore = "needs vcsim"]
fn sandbox_vcsim_other_steps_that_are_cut_off_are_made_good() {
    let mut lab = Lab::new();
    let first = lab.release("first");
    generation(&mut lab.record, 1, &first);
    lab.site.stage(&lab.record, 1, &first, &Silent).unwrap();
    lab.site.make_state(&lab.record, STATE).unwrap();
    lab.mark_state();
    lab.site.write_seed(&lab.record, b"secret").unwrap();
    // The machine is made, and has no disks yet.
    for method in ["CreateVM_Task", "ReconfigVM_Task"] {
        lab.vcsim.fault("refuse", method);
        assert_eq!(lab.configure(1, true).unwrap_err().kind, Kind::Refused, "{method}");
    }
    lab.configure(1, true).unwrap();
    lab.site.start(&lab.record).unwrap();
    for method in ["ReconfigVM_Task", "DeleteDatastoreFile_Task"] {
        lab.vcsim.fault("refuse", method);
        let result = lab.site.wipe_seed(&lab.record);
        assert!(lab.vcsim.is_used_up("refuse"));
        // A device that may not be removed is emptied instead.
        assert_eq!(result.is_err(), method == "DeleteDatastoreFile_Task", "{method}: {result:?}");
        if method == "ReconfigVM_Task" {
            assert!(!lab.observed().seed);
            lab.site.write_seed(&lab.record, b"secret").unwrap();
        } else {
            assert_eq!(fs::read(lab.disks().join("seed.iso")).unwrap(), [0; 6], "overwritten before it is removed");
        }
    }
    lab.site.wipe_seed(&lab.record).unwrap();
    assert!(!lab.observed().seed);
    // The session ends in the middle of everything.
    lab.vcsim.fault("logout", "now");
    assert!(lab.observed().running);
    lab.site.stop(&lab.record, Duration::from_secs(5)).unwrap();
    for method in ["ReconfigVM_Task", "Destroy_Task", "DeleteVirtualDisk_Task"] {
        lab.vcsim.fault("refuse", method);
        assert_eq!(lab.site.remove_machine(&lab.record).unwrap_err().kind, Kind::Refused, "{method}");
        lab.state_is_untouched();
    }
    lab.site.remove_machine(&lab.record).unwrap();
    lab.state_is_untouched();
    // The record's name is given last.
    lab.record.state = StateDisk::InUse;
    lab.site.save(&lab.record).unwrap();
    let kept = lab.record.clone();
    lab.record.state = StateDisk::Made;
    lab.vcsim.fault("refuse", "MoveDatastoreFile_Task");
    assert!(lab.site.save(&lab.record).is_err());
    assert_eq!(lab.site.load().unwrap(), Some(kept), "the old one, whole");
    fs::remove_file(lab.disks().join("deployment.json")).unwrap();
    assert_eq!(lab.site.load().unwrap().as_ref(), Some(&lab.record), "the one that was to take its place");
    fs::write(lab.disks().join("deployment.json"), "{").unwrap();
    assert_eq!(lab.site.load().unwrap_err().kind, Kind::Io);
}

#[test]
#[ignore = "needs vcsim"]
fn sandbox_vcsim_all_missing_places_are_said_at_once() {
    let vcsim = Vcsim::start(&[]);
    let said = |settings: &profile::Vsphere| {
        let error = try_open(settings, "user:pass:word").err().expect("something is missing");
        assert_eq!(error.kind, Kind::Refused);
        format!("{error}\nhelp: {}", error.help.as_deref().unwrap())
            .replace(vcsim.url.trim_start_matches("https://").trim_end_matches("/sdk"), "HOST")
    };
    let settings = profile::Vsphere {
        datastore: "LocalDS_1".to_owned(),
        uplink: "VM network".to_owned(),
        provisioning: "elsewhere".to_owned(),
        folder: Some("appliances".to_owned()),
        ..vcsim.settings()
    };
    insta::assert_snapshot!("several_places_are_missing", said(&settings));
    let settings = profile::Vsphere {
        compute: Some("DC0_C1".to_owned()),
        datacenter: Some("dc1".to_owned()),
        uplink: "lan".to_owned(),
        ..vcsim.settings()
    };
    insta::assert_snapshot!("the_first_places_are_missing", said(&settings));
    // By path, and a host by its name.
    let settings = profile::Vsphere {
        compute: Some("DC0_C0/DC0_C0_H1".to_owned()),
        datacenter: Some("DC0".to_owned()),
        ..vcsim.settings()
    };
    try_open(&settings, "user:pass:word").unwrap();
}

#[test]
#[ignore = "needs vcsim"]
fn sandbox_vcsim_whom_to_trust() {
    let vcsim = Vcsim::start(&[]);
    let host = vcsim.url.trim_start_matches("https://").trim_end_matches("/sdk").to_owned();
    let failed = |settings: &profile::Vsphere, credentials: &str| {
        let error = try_open(settings, credentials).err().expect("it is refused");
        let text = format!("{error}; {}", error.help.as_deref().unwrap_or_default()).replace(&host, "HOST");
        assert!(!format!("{text}{error:?}").contains("secret"), "{text}");
        (error.kind, text)
    };
    let good = profile::Vsphere { compute: Some("DC0_H0".to_owned()), ..vcsim.settings() };
    let (kind, text) = failed(&good, "user:secret");
    assert_eq!(kind, Kind::Trust);
    insta::assert_snapshot!("wrong_password", text);
    assert_eq!(failed(&good, "secret").0, Kind::Settings);

    let other = profile::Vsphere { certificate: Some(format!("SHA256:{}", "0f".repeat(32))), ..good.clone() };
    let (kind, text) = failed(&other, "user:secret");
    assert_eq!(kind, Kind::Trust);
    insta::assert_snapshot!("another_certificate", text);
    let unsigned = profile::Vsphere { certificate: None, ..good.clone() };
    let (kind, text) = failed(&unsigned, "user:secret");
    assert_eq!(kind, Kind::Trust);
    insta::assert_snapshot!("an_unknown_authority", text);
    let signed = profile::Vsphere { authorities: Some(vcsim.scratch.path().join("ca.pem")), ..unsigned };
    try_open(&signed, "user:pass:word").unwrap();

    drop(vcsim);
    assert_eq!(failed(&good, "user:secret").0, Kind::Unreachable);
}

#[test]
#[ignore = "needs vcsim"]
fn sandbox_vcsim_machines_of_others_are_left_alone() {
    let mut lab = Lab::new();
    let first = lab.release("first");
    lab.deploy(1, &first);
    // Another deployment of the same name: the first one's record was lost.
    lab.record.deployment = "ffff0000111122223333444455556666".to_owned();
    assert!(!lab.observed().exists);
    lab.site.stop(&lab.record, Duration::from_secs(1)).unwrap();
    for (result, what) in [
        (lab.configure(1, false), "configure"),
        (lab.site.remove_state(&lab.record), "remove_state"),
        (lab.site.remove_generation(&lab.record, 1), "remove_generation"),
        (lab.site.remove_machine(&lab.record), "remove_machine"),
        (lab.site.stage(&lab.record, 1, &first, &Silent).map(drop), "stage"),
    ] {
        assert_eq!(result.expect_err(what).kind, Kind::Refused, "{what}");
    }
    let files = lab.files();
    for file in ["system-1.vmdk", "state.vmdk"] {
        assert!(files.contains(&file.to_owned()), "{files:?}");
    }
}

/// What somebody has done to the machine in vSphere's client.
#[test]
#[ignore = "needs vcsim"]
fn sandbox_vcsim_a_machine_that_was_changed_by_hand_goes_on_running() {
    let mut lab = Lab::new();
    let first = lab.release("first");
    lab.deploy(1, &first);
    lab.mark_state();
    let patience = Duration::from_secs(5);
    let acts = [
        ("snapshot|mylab", "no-snapshot|mylab", "has snapshots"),
        ("disk|mylab|[LocalDS_0] backup/data.vmdk", "no-disk|mylab", "[LocalDS_0] backup/data.vmdk"),
        ("disk|mylab|[LocalDS_0] mylab-disks/mine.vmdk", "no-disk|mylab", "[LocalDS_0] mylab-disks/mine.vmdk"),
        ("twin|mylab|DC0_H0_VM0", "no-twin|DC0_H0_VM0", "'DC0_H0_VM0'"),
        ("unmark|mylab", "", "provbuild.deployment"),
    ];
    for (act, undo, named) in acts {
        let before = lab.disks_attached();
        lab.vcsim.fault("act", act);
        let (site, record) = (&mut lab.site, &lab.record);
        let generation = record.generation(1).unwrap();
        for (result, what) in [
            (site.stop(record, patience), "stop"),
            (site.write_seed(record, b"secret"), "write_seed"),
            (site.configure(Configuration { record, generation, seed: true }), "configure"),
            (site.remove_machine(record), "remove_machine"),
        ] {
            let error = result.expect_err(what);
            assert_eq!(error.kind, Kind::Refused, "{act}, {what}: {error}");
            assert!(error.message.contains(named) && error.help.is_some(), "{act}, {what}: {error}");
        }
        assert!(!lab.files().contains(&"seed.iso".to_owned()));
        lab.state_is_untouched();
        if undo.is_empty() {
            return;
        }
        // Which a mere look may show.
        let seen = lab.site.observe(Some(&lab.record));
        assert_eq!(seen.is_ok(), !act.starts_with("twin"), "{act}");
        lab.vcsim.fault("act", undo);
        assert!(lab.observed().running, "{act}");
        assert_eq!(lab.disks_attached(), before);
    }
}

#[test]
#[ignore = "needs vcsim"]
fn sandbox_vcsim_a_suspended_machine_does_not_run() {
    let mut lab = Lab::new();
    let first = lab.release("first");
    lab.deploy(1, &first);
    lab.mark_state();
    let suspend = |lab: &Lab| {
        lab.vcsim.fault("act", "suspend|mylab");
        let seen = lab.observed();
        assert!(seen.exists && !seen.running && seen.configured == Some(1), "{seen:?}");
    };
    suspend(&lab);
    lab.site.start(&lab.record).unwrap();
    assert!(lab.observed().running, "it goes on");
    suspend(&lab);
    lab.site.stop(&lab.record, Duration::from_secs(5)).unwrap();
    lab.configure(1, false).unwrap();
    lab.site.start(&lab.record).unwrap();
    // Without being stopped before: its memory belongs to what it was.
    suspend(&lab);
    lab.site.write_seed(&lab.record, b"secret").unwrap();
    let generation = lab.record.generation(1).unwrap();
    lab.site.start(&lab.record).unwrap();
    suspend(&lab);
    lab.site.configure(Configuration { record: &lab.record, generation, seed: true }).unwrap();
    lab.site.start(&lab.record).unwrap();
    suspend(&lab);
    lab.site.remove_machine(&lab.record).unwrap();
    lab.state_is_untouched();
}

#[test]
#[ignore = "needs vcsim"]
fn sandbox_vcsim_a_guest_that_boots_is_asked_again() {
    let mut lab = Lab::new();
    let first = lab.release("first");
    lab.deploy(1, &first);
    lab.vcsim.fault("refuse", "ShutdownGuest ToolsUnavailable");
    let begun = Instant::now();
    lab.site.stop(&lab.record, Duration::from_secs(60)).unwrap();
    let taken = begun.elapsed();
    assert!(lab.vcsim.is_used_up("refuse") && !lab.observed().running);
    assert!(taken > Duration::from_secs(1) && taken < Duration::from_secs(20), "{taken:?}");
    // Not for longer than it is given.
    lab.site.start(&lab.record).unwrap();
    lab.vcsim.fault("refuse", "ShutdownGuest ToolsUnavailable");
    let begun = Instant::now();
    lab.site.stop(&lab.record, Duration::from_secs(1)).unwrap();
    assert!(!lab.observed().running && begun.elapsed() < Duration::from_secs(15));
}

/// The medium of a deployment that was cut off is still in the machine, which runs.
#[test]
#[ignore = "needs vcsim"]
fn sandbox_vcsim_a_medium_is_taken_off_before_it_is_written() {
    let mut lab = Lab::new();
    let first = lab.release("first");
    generation(&mut lab.record, 1, &first);
    lab.site.stage(&lab.record, 1, &first, &Silent).unwrap();
    lab.site.make_state(&lab.record, STATE).unwrap();
    lab.site.write_seed(&lab.record, b"first").unwrap();
    lab.configure(1, true).unwrap();
    lab.site.start(&lab.record).unwrap();
    lab.vcsim.fault("refuse", "ReconfigVM_Task");
    lab.site.write_seed(&lab.record, b"second").unwrap();
    assert!(lab.vcsim.is_used_up("refuse"), "it is emptied where it may not be removed");
    assert_eq!(fs::read(lab.disks().join("seed.iso")).unwrap(), b"second");
    fs::remove_file(lab.disks().join("seed.iso")).unwrap();
    assert!(!lab.observed().seed, "no drive has it");
}

/// Without a record, what is there is seen all the same; a record that is listed is not said to be missing.
#[test]
#[ignore = "needs vcsim"]
fn sandbox_vcsim_what_is_there_without_a_record() {
    let mut lab = Lab::new();
    let first = lab.release("first");
    lab.deploy(1, &first);
    let seen = lab.observed();
    assert!(seen.exists && seen.running && seen.state && seen.staged == [1], "{seen:?}");
    assert_eq!(lab.site.observe(None).unwrap(), seen);
    lab.vcsim.fault("act", "unmark|mylab");
    assert_eq!(lab.site.observe(None).unwrap(), seen, "by its disks");
    lab.vcsim.fault("hide", "deployment.json");
    let error = lab.site.load().unwrap_err();
    assert!(lab.vcsim.is_used_up("hide") && error.kind == Kind::Io, "{error}");
    assert_eq!(lab.site.load().unwrap().as_ref(), Some(&lab.record));
    fs::remove_file(lab.disks().join("deployment.json")).unwrap();
    assert_eq!(lab.site.load().unwrap(), None);
    assert_eq!(lab.site.observe(None).unwrap(), seen);
}

#[test]
#[ignore = "needs vcsim"]
fn sandbox_vcsim_one_process_at_a_time() {
    let mut lab = Lab::new();
    lab.site.lock().unwrap();
    lab.site.lock().unwrap();
    let mut other = open(&lab.vcsim);
    let error = other.lock().unwrap_err();
    assert!(error.message.contains("another process"), "{error}");
    lab.site.save(&lab.record).unwrap();

    // Somebody has a higher number: the first one ends at its next step, whatever that is.
    fs::create_dir(lab.disks().join("lock-2")).unwrap();
    fs::write(lab.disks().join("lock-2/somebody"), "1").unwrap();
    let first = lab.release("first");
    generation(&mut lab.record, 1, &first);
    let (site, record) = (&mut lab.site, &lab.record);
    let generation = record.generation(1).unwrap();
    for (result, what) in [
        (site.save(record), "save"),
        (site.stage(record, 1, &first, &Silent).map(drop), "stage"),
        (site.make_state(record, STATE), "make_state"),
        (site.write_seed(record, b"secret"), "write_seed"),
        (site.wipe_seed(record), "wipe_seed"),
        (site.configure(Configuration { record, generation, seed: true }), "configure"),
        (site.start(record), "start"),
        (site.stop(record, Duration::from_secs(5)), "stop"),
        (site.remove_generation(record, 1), "remove_generation"),
        (site.remove_machine(record), "remove_machine"),
        (site.remove_state(record), "remove_state"),
    ] {
        let error = result.expect_err(what);
        assert!(error.message.contains("another process"), "{what}: {error}");
    }
    assert!(lab.vcsim.uploads().is_empty());
    // What was lost does not come back.
    fs::remove_dir_all(lab.disks().join("lock-2")).unwrap();
    assert!(lab.site.save(&lab.record).is_err());
    fs::create_dir(lab.disks().join("lock-2")).unwrap();
    fs::write(lab.disks().join("lock-2/somebody"), "1").unwrap();
    lab.site = open(&lab.vcsim);
    assert_eq!(fs::read_to_string(lab.disks().join("lock-2/somebody")).unwrap(), "1", "not ours to release");

    // Whoever that was shows no sign of life. Of two who wait for that, one gets it.
    let begun = Instant::now();
    let over = AtomicBool::new(false);
    let settings = lab.vcsim.settings();
    let won = std::thread::scope(|scope| {
        let wait = || {
            let mut site = open_with(&settings);
            let won = site.lock().is_ok();
            while won && !over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(50));
            }
            won
        };
        let waiting = [scope.spawn(wait), scope.spawn(wait)];
        while !waiting.iter().any(|thread| thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let error = other.lock().unwrap_err();
        assert!(error.message.contains("another process"), "{error}");
        over.store(true, Ordering::Relaxed);
        waiting.map(|thread| thread.join().unwrap())
    });
    assert!(begun.elapsed() > Duration::from_secs(30));
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    other.lock().unwrap();
    other.save(&lab.record).unwrap();
    drop(other);
    assert_eq!(lab.files(), ["deployment.json"]);
}

#[test]
#[ignore = "needs vcsim"]
fn sandbox_vcsim_a_single_host() {
    let vcsim = Vcsim::start(&["-esx"]);
    let settings = profile::Vsphere { provisioning: "VM Network".to_owned(), ..vcsim.settings() };
    let site = try_open(&settings, "user:pass:word").unwrap();
    assert!(site.title().contains("ESXi"), "{}", site.title());
    let mut lab = Lab { site, vcsim, record: record(), directory: tempfile::tempdir().unwrap() };
    lab.site.lock().unwrap();
    let first = lab.release("first");
    lab.deploy(1, &first);
    assert_eq!(lab.site.load().unwrap().as_ref(), Some(&lab.record));
    assert!(lab.observed().running);
    lab.site.stop(&lab.record, Duration::from_secs(5)).unwrap();
    lab.site.remove_machine(&lab.record).unwrap();
    lab.site.remove_state(&lab.record).unwrap();
}

#[test]
#[ignore = "needs vcsim"]
fn sandbox_vcsim_a_changed_ova_is_not_sent() {
    let mut lab = Lab::new();
    let first = lab.release("first");
    generation(&mut lab.record, 1, &first);
    let path = first.path(first.artifact("ova", ".ova").unwrap());
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = lab.site.stage(&lab.record, 1, &first, &Silent).unwrap_err();
    assert!(error.kind == Kind::Settings && error.message.contains("another one"), "{error}");
    assert!(lab.vcsim.uploads().is_empty() && lab.observed() == Observed::default());
}

/// A lease names another host: here the same server by another name, which its certificate does not have.
#[test]
#[ignore = "needs vcsim"]
fn sandbox_vcsim_a_disk_goes_to_another_host_only_by_its_thumbprint() {
    let mut lab = Lab::new();
    let first = lab.release("first");
    generation(&mut lab.record, 1, &first);
    let port = lab.vcsim.url.trim_end_matches("/sdk").rsplit_once(':').unwrap().1.to_owned();
    let host = format!("localhost:{port}");
    for thumbprint in [String::new(), "0F:".repeat(19) + "0F"] {
        lab.vcsim.fault("nfc-host", &format!("{host} {thumbprint}"));
        let error = lab.site.stage(&lab.record, 1, &first, &Silent).unwrap_err();
        assert!(error.kind == Kind::Trust && error.message.starts_with(&host), "{error}");
        assert!(lab.vcsim.uploads().is_empty());
    }
    lab.vcsim.fault("nfc-host", &format!("{host} {}", lab.vcsim.thumbprint()));
    lab.site.stage(&lab.record, 1, &first, &Silent).unwrap();
    assert_eq!(lab.vcsim.uploads().len(), 1);
}
