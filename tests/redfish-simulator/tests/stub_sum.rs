//! The stub of SUM: its command line, its exit codes, its files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use redfish_simulator::sum::{Format, StubSum, Wish, read_text, read_xml};

struct Bench {
    directory: tempfile::TempDir,
    stub: StubSum,
}

impl Bench {
    fn new() -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let stub = StubSum::at(&directory.path().join("state"));
        let bench = Bench { directory, stub };
        bench.password("sup3r-s3cret-pw\n", 0o600);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn password(&self, text: &str, mode: u32) {
        let file = self.path("password");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stub-sum"));
        command.env(StubSum::STATE, self.path("state")).args(arguments);
        command
    }

    /// With address, user and password file.
    fn sum(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(&["-i", "192.0.2.9", "-u", "ADMIN"]);
        command.arg("-f").arg(self.path("password")).args(arguments).output().unwrap()
    }

    fn code(&self, arguments: &[&str]) -> i32 {
        self.sum(arguments).status.code().unwrap()
    }

    fn change(&self, xml: &str, more: &[&str]) -> Output {
        let file = self.path("change.xml");
        fs::write(&file, xml).unwrap();
        let mut arguments = vec!["-c", "ChangeBiosCfg", "--file", file.to_str().unwrap()];
        arguments.extend(more);
        self.sum(&arguments)
    }

    fn value(&self, menu: &[&str], name: &str, order: Option<u32>) -> String {
        self.stub.settings().unwrap().bios.value(menu, name, order).unwrap().to_string()
    }
}

fn one(menu: &str, setting: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<BiosCfg><Menu name=\"{menu}\">{setting}</Menu></BiosCfg>"
    )
}

const UEFI: &str = "<Setting name=\"Boot mode select\" selectedOption=\"UEFI\" type=\"Option\"/>";

fn current(bench: &Bench) -> Vec<Wish> {
    let file = bench.path("bios.xml");
    assert_eq!(bench.code(&["-c", "GetCurrentBiosCfg", "--file", file.to_str().unwrap(), "--overwrite"]), 0);
    read_xml(&fs::read(file).unwrap()).unwrap()
}

#[test]
fn it_says_that_it_is_a_stub() {
    let output = Bench::new().command(&["-h"]).output().unwrap();
    assert!(
        String::from_utf8(output.stdout).unwrap().starts_with("stub-sum: a STUB of sum (Supermicro Update Manager)")
    );
}

#[test]
fn what_it_writes_can_be_read_back() {
    let bench = Bench::new();
    let wishes = current(&bench);
    let bios = bench.stub.settings().unwrap().bios;
    // All but the password.
    assert_eq!(wishes.len(), bios.settings.len() - 1);
    for wish in &wishes {
        let setting = bios.check(wish).unwrap();
        assert_eq!(setting.value, wish.value);
    }
    let bytes = fs::read(bench.path("bios.xml")).unwrap();
    assert!(bytes.windows(4).any(|window| window == b"caf\xe9"), "ISO-8859-1");
}

#[test]
fn a_file_that_is_there_is_not_overwritten_unasked() {
    let bench = Bench::new();
    let file = bench.path("bios.xml");
    fs::write(&file, "mine").unwrap();
    assert_eq!(bench.code(&["-c", "getcurrentbioscfg", "--file", file.to_str().unwrap()]), 9);
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert_eq!(bench.code(&["-c", "GetCurrentBiosCfg", "--file", file.to_str().unwrap(), "--overwrite"]), 0);
}

#[test]
fn a_change_waits_for_the_reboot() {
    let bench = Bench::new();
    let output = bench.change(&one("Boot", UEFI), &[]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("is updated for 192.0.2.9") && text.contains("You have to reboot") && text.contains("\u{1b}[1m"),
        "{text}"
    );
    assert_eq!(bench.value(&["Boot"], "Boot mode select", None), "DUAL");
    bench.stub.reboot().unwrap();
    assert_eq!(bench.value(&["Boot"], "Boot mode select", None), "UEFI");
}

#[test]
fn with_reboot_it_applies_at_once_and_a_second_time_changes_nothing() {
    let bench = Bench::new();
    assert_eq!(bench.change(&one("Boot", UEFI), &["--reboot"]).status.code(), Some(0));
    assert_eq!(bench.value(&["Boot"], "Boot mode select", None), "UEFI");
    let again = String::from_utf8(bench.change(&one("Boot", UEFI), &[]).stdout).unwrap();
    assert!(again.contains("No BIOS setting has been changed."), "{again}");
}

#[test]
fn equal_names_are_told_apart_by_order() {
    let bench = Bench::new();
    let nested = "<Menu name=\"Boot Feature\"><Setting name=\"Fast Boot\" order=\"2\" selectedOption=\"Disabled\" type=\"Option\"/></Menu>";
    assert_eq!(bench.change(&one("Advanced", nested), &["--reboot"]).status.code(), Some(0));
    let menu = ["Advanced", "Boot Feature"];
    assert_eq!(bench.value(&menu, "Fast Boot", Some(2)), "Disabled");
    let orderless = nested.replace(" order=\"2\"", "");
    assert_eq!(bench.change(&one("Advanced", &orderless), &[]).status.code(), Some(60));
}

#[test]
fn one_bad_setting_refuses_all() {
    let bench = Bench::new();
    for bad in [
        "<Setting name=\"LEGACY to EFI support\" selectedOption=\"Perhaps\" type=\"Option\"/>",
        "<Setting name=\"No Such Thing\" selectedOption=\"Enabled\" type=\"Option\"/>",
        "<Setting name=\"LEGACY to EFI support\" checkedStatus=\"Checked\" type=\"CheckBox\"/>",
        "<Setting",
    ] {
        assert_eq!(bench.change(&one("Boot", &format!("{UEFI}{bad}")), &[]).status.code(), Some(60), "{bad}");
    }
    assert!(bench.stub.settings().unwrap().pending.is_empty());
    let unknown = "<Setting name=\"No Such Thing\" selectedOption=\"Enabled\" type=\"Option\"/>";
    assert_eq!(bench.change(&one("Boot", &format!("{UEFI}{unknown}")), &["--skip_unknown"]).status.code(), Some(0));
    assert_eq!(bench.stub.settings().unwrap().pending.len(), 1);
}

#[test]
fn numbers_have_bounds_and_steps() {
    let bench = Bench::new();
    for (value, code) in [("110", 0), ("105", 60), ("99999", 60), ("many", 60)] {
        let setting = format!(
            "<Menu name=\"CPU Configuration\"><Setting name=\"Correctable Error Threshold\" numericValue=\"{value}\" type=\"Numeric\"/></Menu>"
        );
        assert_eq!(bench.change(&one("Advanced", &setting), &[]).status.code(), Some(code), "{value}");
    }
}

#[test]
fn a_password_in_the_arguments_is_refused_and_seen() {
    let bench = Bench::new();
    let output =
        bench.command(&["-i", "192.0.2.9", "-u", "ADMIN", "-p", "secret", "-c", "GetCurrentBiosCfg"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stdout).unwrap().contains("a password in the arguments is refused"));
    assert!(bench.stub.calls().unwrap()[0].contains(&"-p".to_string()));
}

#[test]
fn the_password_file_must_be_private_and_right() {
    let bench = Bench::new();
    let get = ["-c", "GetCurrentBiosCfg"];
    assert_eq!(bench.code(&get), 0);
    bench.password("sup3r-s3cret-pw", 0o644);
    assert_eq!(bench.code(&get), 12);
    bench.password("wrong", 0o600);
    assert_eq!(bench.code(&get), 146);
    fs::remove_file(bench.path("password")).unwrap();
    assert_eq!(bench.code(&get), 8);
}

#[test]
fn exit_codes_are_those_of_sum() {
    let bench = Bench::new();
    let get = ["-c", "GetCurrentBiosCfg"];
    assert_eq!(bench.command(&get).output().unwrap().status.code(), Some(4));
    assert_eq!(bench.code(&["--nonsense"]), 2);
    assert_eq!(bench.code(&["-c"]), 3);
    assert_eq!(bench.code(&["-c", "Nonsense"]), 6);
    assert_eq!(bench.code(&["-c", "ChangeBiosCfg"]), 5);
    assert_eq!(bench.code(&["-c", "ChangeBiosCfg", "--file", "/nowhere"]), 8);
    bench.stub.change(|settings| settings.fail = 149).unwrap();
    let output = bench.sum(&get);
    assert_eq!(output.status.code(), Some(149));
    assert!(String::from_utf8(output.stdout).unwrap().contains("ExitCode                = 149"));
    bench.stub.change(|settings| settings.licensed = false).unwrap();
    assert_eq!(bench.code(&get), 80);
    bench.stub.change(|settings| settings.reachable = false).unwrap();
    assert_eq!(bench.code(&get), 145);
}

#[test]
fn it_can_hang() {
    let bench = Bench::new();
    bench.stub.change(|settings| settings.hang_seconds = 30).unwrap();
    let mut child = bench.command(&["-c", "GetCurrentBiosCfg"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn changes_can_be_lost_at_the_reboot() {
    let bench = Bench::new();
    bench.stub.change(|settings| settings.loses_changes = true).unwrap();
    assert_eq!(bench.change(&one("Boot", UEFI), &["--reboot"]).status.code(), Some(0));
    assert_eq!(bench.value(&["Boot"], "Boot mode select", None), "DUAL");
}

#[test]
fn the_text_form_has_sections_and_hexadecimal_values() {
    let bench = Bench::new();
    bench.stub.change(|settings| settings.format = Format::Text).unwrap();
    let file = bench.path("bios.txt");
    assert_eq!(bench.code(&["-c", "GetCurrentBiosCfg", "--file", file.to_str().unwrap()]), 0);
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("[Advanced|CPU Configuration]\nHyper-threading=01\t// 00 (Disabled), *01 (Enabled)\n"),
        "{text}"
    );
    let bios = bench.stub.settings().unwrap().bios;
    assert!(read_text(text.as_bytes(), &bios).unwrap().iter().all(|wish| bios.check(wish).is_ok()));
    let change = "[Advanced|CPU Configuration]\nHyper-threading=00 // whatever\n";
    assert_eq!(bench.change(change, &["--reboot"]).status.code(), Some(0));
    assert_eq!(bench.value(&["Advanced", "CPU Configuration"], "Hyper-threading", None), "Disabled");
    assert_eq!(bench.change("[Boot]\nBoot mode select=07\n", &[]).status.code(), Some(60));
}

/// Its own state directory is used when nothing else is said.
#[test]
fn without_the_variable_the_state_is_beside_the_executable() {
    let bench = Bench::new();
    let copy = bench.path("stub-sum");
    fs::copy(Path::new(env!("CARGO_BIN_EXE_stub-sum")), &copy).unwrap();
    let output = Command::new(&copy).env_remove(StubSum::STATE).arg("-h").output().unwrap();
    assert!(output.status.success());
    assert!(bench.path("stub-sum-state/argv.log").is_file());
}
