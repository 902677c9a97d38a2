//! vmrun's commands, texts and exit codes, and the faults that a test can switch on.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use vmware_stand_in::Mode;

use crate::lab::{Lab, VMX};

fn ok(text: &str) -> (i32, String) {
    (0, text.to_owned())
}

fn error(text: &str) -> (i32, String) {
    (255, format!("Error: {text}\n"))
}

#[test]
fn a_machine_is_started_listed_and_stopped() {
    let lab = Lab::new(Mode::Paper);
    let vmx = lab.vmx();
    let shown = vmx.display();
    assert_eq!(lab.vmrun(&["list"]), ok("Total running VMs: 0\n"));
    let off = error(&format!("The virtual machine is not powered on: {shown}"));
    for command in [&["stop", "hard"][..], &["stop", "soft"], &["getGuestIPAddress"], &["reset"]] {
        assert_eq!(lab.asked(command[0], &command[1..]), off, "{command:?}");
    }
    assert_eq!(lab.asked("checkToolsState", &[]), ok("unknown\n"));
    assert_eq!(lab.asked("start", &["nogui"]), ok(""));
    assert_eq!(lab.vmrun(&["list"]), ok(&format!("Total running VMs: 1\n{shown}\n")));
    assert_eq!(lab.asked("start", &["nogui"]), error("The file is already in use"));
    assert_eq!(
        lab.asked("deleteVM", &[]),
        error("The virtual machine should not be powered on. It is already running.")
    );

    let no_tools = error(&format!("The VMware Tools are not running in the virtual machine: {shown}"));
    assert_eq!(lab.asked("getGuestIPAddress", &[]), no_tools);
    assert_eq!(lab.asked("stop", &["soft"]), no_tools);
    assert_eq!(lab.asked("checkToolsState", &[]), ok("installed\n"));
    lab.bench.address(Some("127.0.0.5")).unwrap();
    assert_eq!(lab.asked("getGuestIPAddress", &[]), ok("127.0.0.5\n"));
    assert_eq!(lab.asked("getGuestIPAddress", &["-wait"]), ok("127.0.0.5\n"));
    assert_eq!(lab.asked("readVariable", &["guestVar", "ip"]), ok("127.0.0.5\n"));
    assert_eq!(lab.asked("checkToolsState", &[]), ok("running\n"));
    assert_eq!(lab.asked("reset", &["soft"]), ok(""));
    assert_eq!(lab.asked("stop", &["soft"]), ok(""));
    assert_eq!(lab.vmrun(&["list"]), ok("Total running VMs: 0\n"));
    assert_eq!(lab.asked("start", &[]), ok(""));
    assert_eq!(lab.asked("stop", &["hard"]), ok(""));
    assert_eq!(lab.bench.machine(&vmx).unwrap().unwrap().starts, 2);
}

#[test]
fn every_call_is_recorded() {
    let lab = Lab::new(Mode::Paper);
    lab.asked("start", &["nogui"]);
    lab.vmrun(&["frobnicate"]);
    let calls = lab.bench.calls().unwrap();
    let commands: Vec<(&str, i32)> = calls.iter().map(|call| (call.command(), call.exit)).collect();
    assert_eq!(commands, [("start", 0), ("frobnicate", 255)]);
    assert_eq!(calls[0].arguments, ["-T", "ws", "start", lab.vmx().to_str().unwrap(), "nogui"]);
    assert!(calls[1].said.starts_with("Error: Unrecognized command: frobnicate"), "{}", calls[1].said);
    assert!(calls[0].time <= calls[1].time && calls[0].time > 1.7e9);
}

#[test]
fn a_running_machine_has_workstations_traces() {
    let lab = Lab::new(Mode::Paper);
    let read = || fs::read_to_string(lab.vmx()).unwrap();
    lab.asked("start", &["nogui"]);
    for lock in ["lab.vmx.lck", "system.vmdk.lck", "state.vmdk.lck"] {
        assert!(lab.path(lock).is_dir(), "{lock}");
    }
    assert!(read().contains("uuid.location = \"56 4d ") && read().contains("cleanShutdown = \"FALSE\""), "{}", read());
    // What was there before stays.
    for line in VMX.lines().filter(|line| !line.starts_with(['#', '.'])) {
        assert!(read().contains(line), "{line}");
    }
    lab.asked("stop", &["hard"]);
    assert!(!lab.path("lab.vmx.lck").exists() && read().contains("cleanShutdown = \"TRUE\""));
    assert_eq!(lab.asked("start", &["nogui"]).0, 0, "it reads what it has written");
}

#[test]
fn a_disk_is_used_by_one_machine() {
    let lab = Lab::new(Mode::Paper);
    fs::create_dir(lab.path("other")).unwrap();
    let other = lab.path("other/other.vmx");
    let text = VMX.replace("\"seed.iso\"", "\"../seed.iso\"").replace("system.vmdk", "own.vmdk");
    fs::write(&other, text.replace("state.vmdk", "../state.vmdk")).unwrap();
    fs::copy(lab.path("system.vmdk"), lab.path("other/own.vmdk")).unwrap();
    lab.asked("start", &["nogui"]);
    let (code, said) = lab.vmrun(&["start", other.to_str().unwrap(), "nogui"]);
    assert!(code == 255 && said.contains("Cannot open the disk") && said.contains("Failed to lock the file"), "{said}");
    lab.asked("stop", &["hard"]);
    assert_eq!(lab.vmrun(&["start", other.to_str().unwrap(), "nogui"]), ok(""));
    // The same machine under another spelling of its path.
    let detour = lab.path("other/../other/other.vmx");
    assert_eq!(lab.vmrun(&["stop", detour.to_str().unwrap(), "hard"]), ok(""));
}

#[test]
fn a_cd_is_taken_out_of_a_running_machine() {
    let lab = Lab::new(Mode::Paper);
    assert_eq!(lab.asked("disconnectNamedDevice", &["sata0:1"]).0, 255, "it is off");
    lab.asked("start", &["nogui"]);
    assert!(lab.asked("disconnectNamedDevice", &["sata0:2"]).1.contains("was not found"));
    let connected = || lab.bench.machine(&lab.vmx()).unwrap().unwrap().devices["sata0:1"].connected;
    assert!(connected());
    assert_eq!(lab.asked("disconnectNamedDevice", &["sata0:1"]), ok(""));
    assert!(!connected());
    assert_eq!(lab.asked("connectNamedDevice", &["sata0:1"]), ok(""));
    assert!(connected());
}

#[test]
fn a_deleted_machine_takes_its_disks_along() {
    let lab = Lab::new(Mode::Paper);
    assert_eq!(lab.asked("deleteVM", &[]), ok(""));
    for gone in ["lab.vmx", "system.vmdk", "state.vmdk"] {
        assert!(!lab.path(gone).exists(), "{gone}");
    }
    assert!(lab.path("seed.iso").exists(), "a CD is not the machine's own");
    let (code, said) = lab.asked("start", &["nogui"]);
    assert!(code == 255 && said.contains("The virtual machine cannot be found"), "{said}");
}

#[test]
fn variables_of_the_guest_are_kept_while_it_runs() {
    let lab = Lab::new(Mode::Paper);
    assert_eq!(lab.asked("readVariable", &["runtimeConfig", "MEMSIZE"]), ok("512\n"));
    assert_eq!(lab.asked("writeVariable", &["guestVar", "x", "1"]).0, 255);
    lab.asked("start", &["nogui"]);
    assert_eq!(lab.asked("writeVariable", &["guestVar", "x", "1"]), ok(""));
    assert_eq!(lab.asked("readVariable", &["guestVar", "x"]), ok("1\n"));
}

#[test]
fn flags_stand_before_the_command() {
    let lab = Lab::new(Mode::Paper);
    let vmrun = |arguments: &[&str]| Command::new(lab.bench.vmrun()).args(arguments).output().unwrap();
    assert!(vmrun(&["list"]).status.success());
    for arguments in [&["-T", "esx", "list"][..], &["-Q", "list"], &["list", "-T", "ws"], &[]] {
        let output = vmrun(arguments);
        assert_eq!((output.status.code(), output.stderr.len()), (Some(255), 0), "{arguments:?}");
    }
}

#[test]
fn commands_fail_as_often_as_a_test_wants() {
    let lab = Lab::new(Mode::Paper);
    lab.bench.fault("start-fails", "2 The operation was canceled").unwrap();
    assert_eq!(lab.asked("start", &["nogui"]), error("The operation was canceled"));
    assert_eq!(lab.asked("start", &["nogui"]), error("The operation was canceled"));
    assert_eq!(lab.asked("start", &["nogui"]), ok(""));
    // It is done, and the answer is a lie.
    lab.bench.fault("stop-done-but-fails", "1 Unknown error").unwrap();
    assert_eq!(lab.asked("stop", &["hard"]), error("Unknown error"));
    assert_eq!(lab.vmrun(&["list"]), ok("Total running VMs: 0\n"));
}

#[test]
fn a_command_hangs_and_a_guest_never_comes_up_or_down() {
    let mut lab = Lab::new(Mode::Paper);
    lab.bench.set("VMWARE_STANDIN_SOFT_STOP", "1").unwrap();
    lab.bench.set("VMWARE_STANDIN_ADDRESS", "127.0.0.5").unwrap();
    lab.asked("start", &["nogui"]);
    assert_eq!(lab.asked("getGuestIPAddress", &[]), ok("127.0.0.5\n"));
    lab.bench.fault("tools-never", "").unwrap();
    assert!(lab.asked("getGuestIPAddress", &[]).1.contains("Tools are not running"));
    lab.bench.heal(Some("tools-never")).unwrap();
    lab.bench.fault("soft-stop-ignored", "").unwrap();
    assert!(lab.asked("stop", &["soft"]).1.starts_with("Error: The operation was canceled"));
    assert_eq!(lab.vmrun(&["list"]).1.lines().count(), 2);
    lab.bench.heal(None).unwrap();
    lab.bench.fault("hang", "list 1.5").unwrap();
    let begin = Instant::now();
    lab.vmrun(&["list"]);
    assert!(begin.elapsed() >= Duration::from_millis(1500));
    assert_eq!(lab.asked("stop", &["soft"]), ok(""));
}

#[test]
fn a_machine_goes_off_by_itself() {
    let lab = Lab::new(Mode::Paper);
    lab.bench.fault("dies-after-start", "0").unwrap();
    assert_eq!(lab.asked("start", &["nogui"]), ok(""));
    assert_eq!(lab.vmrun(&["list"]), ok("Total running VMs: 0\n"));
    assert!(!lab.path("lab.vmx.lck").exists());
    lab.bench.heal(None).unwrap();
    lab.asked("start", &["nogui"]);
    lab.bench.kill_all().unwrap();
    assert_eq!(lab.vmrun(&["list"]), ok("Total running VMs: 0\n"));
}

#[test]
fn the_caller_is_killed_before_or_after_what_it_asked_for() {
    let lab = Lab::new(Mode::Paper);
    let call = |command: &str| {
        // A caller that goes on: the last command is not an exec.
        let script = format!("'{}' {command} '{}'; echo alive", lab.bench.vmrun().display(), lab.vmx().display());
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().contains("alive")
    };
    lab.bench.fault("kills-caller", "start before").unwrap();
    assert!(!call("start"));
    assert_eq!(lab.vmrun(&["list"]), ok("Total running VMs: 0\n"));
    lab.bench.fault("kills-caller", "start after").unwrap();
    assert!(!call("start"));
    assert_eq!(lab.vmrun(&["list"]).1.lines().count(), 2);
    lab.bench.fault("kills-caller", "reset after 2").unwrap();
    assert!(call("reset") && !call("reset") && call("reset"));
}
