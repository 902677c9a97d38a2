//! QEMU really runs what the .vmx describes: the firmware comes up, without anything to boot.

use std::process::Command;
use std::time::{Duration, Instant};

use vmware_stand_in::{Bench, Mode};

use crate::lab::{Lab, VMX};

/// Empty disks that QEMU opens.
fn with_disks(lab: &Lab) {
    for disk in ["system.vmdk", "state.vmdk"] {
        let path = lab.path(disk);
        let status = Command::new("qemu-img").args(["create", "-q", "-f", "vmdk"]).arg(&path).arg("64M").status();
        assert!(status.expect("qemu-img cannot be run: install qemu-utils").success());
    }
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(120), "{what} has not happened");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn comes_up(lab: &mut Lab, tools: &str) {
    lab.bench.set("VMWARE_STANDIN_MEMORY", "256").unwrap();
    with_disks(lab);
    let vmx = lab.vmx();
    let (code, said) = lab.asked("start", &["nogui"]);
    let notes = || std::fs::read_to_string(lab.bench.machine_directory(&vmx).join("notes")).unwrap_or_default();
    assert_eq!((code, said.as_str()), (0, ""), "{}", notes());
    assert_eq!(lab.vmrun(&["list"]).1, format!("Total running VMs: 1\n{}\n", vmx.display()));
    wait_for("the firmware's boot manager", || lab.bench.console(&vmx).contains("BdsDxe"));
    assert!(lab.path("lab.nvram").is_file() && notes().contains(tools), "{}", notes());

    let (code, said) = lab.asked("getGuestIPAddress", &[]);
    assert!(code == 255 && said.contains("The VMware Tools are not running"), "{said}");
    assert!(lab.asked("stop", &["soft"]).1.contains("The VMware Tools are not running"));
    assert_eq!(lab.asked("disconnectNamedDevice", &["sata0:1"]), (0, String::new()));
    assert_eq!(lab.asked("connectNamedDevice", &["sata0:1"]), (0, String::new()));
    assert_eq!(lab.asked("reset", &["hard"]), (0, String::new()));
    assert_eq!(lab.asked("stop", &["hard"]), (0, String::new()));
    assert_eq!(lab.vmrun(&["list"]).1, "Total running VMs: 0\n");
    assert_eq!(lab.asked("start", &["nogui"]).0, 0, "it starts again, with its NVRAM");

    // A machine that ends by itself is noticed, and one whose owner is gone ends.
    let process = lab.bench.machine(&vmx).unwrap().unwrap().running.unwrap().process.unwrap();
    lab.bench.kill_all().unwrap();
    assert_eq!(lab.vmrun(&["list"]).1, "Total running VMs: 0\n");
    wait_for("the end of QEMU", || !std::path::Path::new(&format!("/proc/{}/fd/0", process.id)).exists());
}

#[test]
#[ignore = "boots a virtual machine"]
fn vm_the_firmware_comes_up_with_scsi_disks() {
    comes_up(&mut Lab::new(Mode::Qemu), "on AHCI");
}

#[test]
#[ignore = "boots a virtual machine"]
fn vm_the_firmware_comes_up_with_nvme_disks_and_secure_boot() {
    let mut lab = Lab::new(Mode::Qemu);
    let text = VMX.replace("scsi0.virtualDev = \"pvscsi\"\n", "").replace("scsi0", "nvme0");
    std::fs::write(lab.vmx(), text.replace("secureBoot.enabled = \"FALSE\"", "secureBoot.enabled = \"TRUE\"")).unwrap();
    comes_up(&mut lab, "nvme-ns");
}

#[test]
#[ignore = "boots a virtual machine"]
fn vm_a_machine_does_not_outlive_its_test() {
    let lab = Lab::new(Mode::Qemu);
    with_disks(&lab);
    // A test that dies without cleaning up.
    let mut owner = Command::new("sleep").arg("600").spawn().unwrap();
    let directory = lab.path("second");
    let mut bench = Bench::new(&directory, Mode::Qemu, std::path::Path::new(env!("CARGO_BIN_EXE_stub-vmrun"))).unwrap();
    bench.set("VMWARE_STANDIN_OWNER", &owner.id().to_string()).unwrap();
    bench.set("VMWARE_STANDIN_MEMORY", "256").unwrap();
    let start = Command::new(bench.vmrun()).arg("start").arg(lab.vmx()).output().unwrap();
    assert!(start.status.success(), "{}", String::from_utf8_lossy(&start.stdout));
    let running = || {
        let output = Command::new(bench.vmrun()).arg("list").output().unwrap();
        String::from_utf8(output.stdout).unwrap().starts_with("Total running VMs: 1")
    };
    assert!(running());
    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_for("the end of the machine", || !running());
}
