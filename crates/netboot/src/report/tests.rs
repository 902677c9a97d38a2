//! The programs as shells run them, against a server, on machines that are folders.

use std::fs;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::inventory::tests::node;
use crate::system::tests::{site, system};
use crate::tempdir::Folder;
use crate::{Release, System, seed_files};

/// Answers one request after the other with the status lines given, and keeps each request's first line and body. It ends
/// with its answers: a request more is refused by the kernel.
struct Server {
    url: String,
    requests: Receiver<(String, String)>,
}

impl Server {
    fn new(answers: &'static [&'static str]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/report/0123456789abcdef0123456789abcdef", listener.local_addr().unwrap());
        let (send, requests) = channel();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut lines = Vec::new();
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if line.trim_end().is_empty() {
                        break;
                    }
                    lines.push(line.trim_end().to_owned());
                }
                let length = lines.iter().find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ").map(|n| n.parse::<usize>().unwrap())
                });
                let mut body = vec![0; length.unwrap_or_default()];
                reader.read_exact(&mut body).unwrap();
                let body = String::from_utf8_lossy(&body).into_owned();
                // Told first: who waits for the answer may look at once.
                let _ = send.send((lines.first().cloned().unwrap_or_default(), body));
                let _ = write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        Server { url, requests }
    }

    fn seen(&self) -> Vec<(String, String)> {
        self.requests.try_iter().collect()
    }
}

const PATH: &str = "POST /report/0123456789abcdef0123456789abcdef";

struct Machine {
    root: Folder,
}

impl Machine {
    fn new() -> Machine {
        let machine = Machine { root: Folder::plain() };
        machine.write("sys/class/net/lo/address", "00:00:00:00:00:00\n");
        machine.write("sys/class/net/eno1/address", "52:54:00:12:34:56\n");
        machine.write("sys/class/net/eno2/address", "52:54:00:12:34:57\n");
        machine.write("proc/sys/kernel/hostname", "node1\n");
        machine.write("etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 AAAAC3Nza+/= root@node1\n");
        machine.write("etc/ssh/ssh_host_rsa_key.pub", "ssh-rsa AAAAB3 root@\"odd\"");
        machine.write("etc/ssh/ssh_host_bad_key.pub", "ssh-\"x\" AAAA\n");
        machine.write("etc/ssh/ssh_host_ed25519_key", "secret\n");
        // As iproute2 prints it.
        let ip = "#!/bin/sh\ncase \"$*\" in\n*eno1*) echo '2: eno1    inet 10.10.1.21/24 brd 10.10.1.255 scope global eno1\\       \
                  valid_lft forever preferred_lft forever';;\n*) echo '3: eno2    inet 192.0.2.9/24 scope global eno2';;\nesac\n";
        machine.write("bin/ip", ip);
        fs::set_permissions(machine.root.join("bin/ip"), fs::Permissions::from_mode(0o755)).unwrap();
        machine
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Runs a text of ours whose paths are those of a real machine: they are moved below the folder.
    fn moved(&self, shell: &[&str], text: &str, arguments: &[&str]) -> Output {
        let root = self.root.to_str().unwrap();
        let mut moved = text.to_owned();
        for path in ["/run/provbuild", "/target/", "/usr/lib/"] {
            moved = moved.replace(&format!(" {path}"), &format!(" {root}{path}"));
            moved = moved.replace(&format!(">{path}"), &format!(">{root}{path}"));
        }
        self.run(Command::new(shell[0]).args(&shell[1..]).args(["-c", &moved, "sh"]).args(arguments))
    }

    fn run(&self, command: &mut Command) -> Output {
        let path = format!("{}:{}", self.root.join("bin").display(), std::env::var("PATH").unwrap());
        let pauses = [("PROVBUILD_PAUSE", "0"), ("PROVBUILD_LONGEST_PAUSE", "0")];
        command.env("PROVBUILD_ROOT", self.root.as_os_str()).env("PATH", path).envs(pauses).output().unwrap()
    }

    /// The new system's folder is the machine's own from here on.
    fn lay_out_first_boot(&self, url: &str) {
        self.write("run/provbuild/url", url);
        let text = first_boot(&node("node1", "52:54:00:12:34:56", "10.10.1.21"));
        let output = self.moved(&["sh"], &text, &[]);
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        for folder in ["var", "etc/systemd"] {
            let to = self.root.join(folder);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::rename(self.root.join("target").join(folder), to).unwrap();
        }
    }

    fn first_boot(&self, limit: &str) -> Output {
        let program = self.root.join("var/lib/provbuild/first-boot");
        self.run(Command::new("bash").arg(program).env("PROVBUILD_LIMIT", limit))
    }

    fn gone(&self) -> bool {
        let units = self.root.join("etc/systemd/system");
        !self.root.join("var/lib/provbuild").exists()
            && !units.join(UNIT_NAME).exists()
            && units.join("multi-user.target.wants").join(UNIT_NAME).symlink_metadata().is_err()
    }
}

#[test]
fn the_first_boot_is_told_until_the_server_takes_it() {
    let server = Server::new(&["503 Service Unavailable", "429 Too Many Requests", "200 OK"]);
    let machine = Machine::new();
    machine.lay_out_first_boot(&server.url);
    let mode = |path: &str| fs::metadata(machine.root.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("var/lib/provbuild"), 0o700);
    assert_eq!((mode("var/lib/provbuild/report-url"), mode("var/lib/provbuild/first-boot")), (0o600, 0o600));
    let unit = format!("etc/systemd/system/multi-user.target.wants/{UNIT_NAME}");
    assert_eq!(machine.read(&unit), UNIT, "the link leads to the unit");
    assert!(!machine.read("var/lib/provbuild/first-boot").contains("0123456789abcdef"));

    let output = machine.first_boot("60");
    assert!(output.status.success() && output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen = server.seen();
    let told = (
        format!("{PATH}/first-boot HTTP/1.1"),
        r#"{"hostname":"node1","address":"10.10.1.21","ssh-host-keys":["ssh-ed25519 AAAAC3Nza+/=","ssh-rsa AAAAB3"]}"#
            .to_owned(),
    );
    assert_eq!(seen, vec![told; 3]);
    assert!(machine.gone());
}

#[test]
fn a_refused_first_boot_is_not_told_again() {
    let server = Server::new(&["403 Forbidden"]);
    let machine = Machine::new();
    machine.lay_out_first_boot(&server.url);
    machine.first_boot("60");
    assert_eq!(server.seen().len(), 1);
    assert!(machine.gone());
}

#[test]
fn a_first_boot_that_nobody_hears_ends_too() {
    let machine = Machine::new();
    // Nobody listens there; and a machine without host keys has nothing to tell yet.
    let server = Server::new(&[]);
    machine.lay_out_first_boot(&server.url);
    machine.first_boot("1");
    assert!(machine.gone());

    let server = Server::new(&["200 OK"]);
    let machine = Machine::new();
    machine.lay_out_first_boot(&server.url);
    fs::remove_dir_all(machine.root.join("etc/ssh")).unwrap();
    machine.first_boot("1");
    assert_eq!(server.seen(), []);
    assert!(machine.gone());
}

#[test]
fn ubuntu_tells_why_it_failed_and_that_it_ended() {
    let server = Server::new(&["200 OK", "502 Bad Gateway", "200 OK", "200 OK"]);
    let machine = Machine::new();
    let prepared = machine.moved(&["sh"], &prepare_ubuntu(&server.url), &[]);
    assert!(prepared.status.success(), "{}", String::from_utf8_lossy(&prepared.stderr));
    assert_eq!(machine.read("run/provbuild/url"), server.url);
    let program = machine.root.join("run/provbuild/report");
    let report = |word: &str| assert!(machine.run(Command::new("bash").arg(&program).arg(word)).status.success());

    // Without any log.
    report("failed");
    let log = format!("{}\nERROR first\nfinish: x: FAIL: late \u{1b}[31m\n\0tail", "line\n".repeat(100_000));
    machine.write("var/log/installer/subiquity-server-debug.log", &log);
    machine.write("var/log/installer/curtin-install.log", "curtin's end\n");
    report("failed");
    machine.write("run/provbuild/reason", "two disks\n   match\n");
    report("failed");
    let seen = server.seen();
    assert!(seen.iter().all(|(line, _)| *line == format!("{PATH}/failed HTTP/1.1")), "{seen:?}");
    assert_eq!(seen[0].1.lines().next(), Some("the installer has failed, and its log does not say why"));
    assert_eq!(seen[1], seen[2], "not now, then again");
    let body = &seen[1].1;
    assert!(
        body.starts_with("finish: x: FAIL: late [31m\n--- curtin-install.log\ncurtin's end\n---"),
        "{}",
        &body[..200]
    );
    assert!(body.ends_with("\ntail") && body.len() < 300_000, "{}", body.len());
    assert_eq!(seen[3].1.lines().next(), Some("two disks match "));

    // Nobody listens any more: the command ends well all the same.
    report("installed");
    let server = Server::new(&["200 OK"]);
    machine.write("run/provbuild/url", &server.url);
    report("installed");
    assert_eq!(server.seen(), [(format!("{PATH}/installed HTTP/1.1"), String::new())]);
}

#[test]
fn debian_tells_its_steps_and_its_failure() {
    let server = Server::new(&["200 OK", "200 OK", "503 Service Unavailable", "200 OK", "200 OK"]);
    let machine = Machine::new();
    for shell in [&["busybox", "sh"][..], &["dash"]] {
        if Command::new(shell[0]).arg("true").output().is_err() {
            continue;
        }
        // Without the word nothing happens.
        machine.moved(shell, &prepare_debian("http://127.0.0.1:1/x"), &[]);
        assert!(!machine.root.join("run/provbuild/url").exists());
    }
    let prepared = machine.moved(&["sh"], &prepare_debian(&server.url), &["prepare"]);
    assert!(prepared.status.success() && prepared.stderr.is_empty(), "{}", String::from_utf8_lossy(&prepared.stderr));
    let hook = machine.root.join("usr/lib/pre-pkgsel.d/95provbuild");
    assert_eq!(fs::metadata(&hook).unwrap().permissions().mode() & 0o777, 0o755);
    let hooks = |folder: &str| fs::read_dir(machine.root.join("usr/lib").join(folder)).unwrap().count();
    let counts = ["base-installer.d", "pre-pkgsel.d", "finish-install.d"].map(hooks);
    assert_eq!(counts, [1, 1, 2]);
    machine.moved(&["sh"], &fs::read_to_string(&hook).unwrap(), &[]);
    machine.write("var/log/syslog", "what happened\n");
    // The preflight's own call.
    let stopped = format!("root=$PROVBUILD_ROOT\n{DEBIAN_STOPPED}stopped 'no disk\n    matches'");
    machine.run(Command::new("sh").args(["-c", &stopped]));
    machine.moved(&["sh"], &machine.read("usr/lib/finish-install.d/96provbuild"), &[]);
    let seen = server.seen();
    let told = |path: &str, body: &str| (format!("{PATH}/{path} HTTP/1.1"), body.to_owned());
    let failed = told("failed", "no disk     matches\nwhat happened\n");
    assert_eq!(
        seen,
        [
            told("step", "preseed: has read its answers\n"),
            told("step", "pkgsel: installs packages\n"),
            failed.clone(),
            failed,
            told("installed", ""),
        ]
    );
    let left: Vec<_> =
        fs::read_dir(machine.root.join("run/provbuild")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn every_program_parses() {
    let bash = [format!("{POST}{UBUNTU}"), format!("own_mac=x\n{POST}{FIRST_BOOT}")];
    let sh = [prepare_ubuntu("http://a"), prepare_debian("http://a"), DEBIAN.to_owned(), UBUNTU_STOPPED.to_owned()];
    let texts = bash.iter().map(|text| ("bash", text)).chain(sh.iter().map(|text| ("sh", text)));
    for (shell, text) in texts {
        let output = Command::new(shell).args(["-n", "-c", text]).output().unwrap();
        assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    }
}

const URL: &str = "http://10.10.1.1/report/0123456789abcdef0123456789abcdef";

/// The documents that report, without the long scripts.
#[test]
fn documents_that_report() {
    let node = node("node1", "52:54:00:12:34:56", "10.10.1.21");
    let mut text = String::new();
    for release in [Release::Ubuntu2404, Release::Debian13] {
        let early_commands = vec!["modprobe x".to_owned()];
        let system = System { release, early_commands, late_commands: vec!["true".to_owned()], ..system() };
        let plain = seed_files(&node, &system, &site(), None).unwrap();
        for ((name, with), (_, without)) in seed_files(&node, &system, &site(), Some(URL)).unwrap().iter().zip(plain) {
            let _ = writeln!(text, "--- {release}, {name}");
            let known: std::collections::BTreeSet<&str> = without.lines().collect();
            let programs = format!("{POST}{UBUNTU}{DEBIAN}{FIRST_BOOT}{UNIT}");
            let programs: std::collections::BTreeSet<&str> = programs.lines().map(str::trim).collect();
            for line in with.lines().filter(|line| !known.contains(line) && !programs.contains(line.trim())) {
                let _ = writeln!(text, "{line}");
            }
            // The URL is a secret: only where it must be.
            let count = if *name == "user-data" { 2 } else { usize::from(*name == "early.sh") };
            assert_eq!(with.matches(URL).count(), count, "{name}");
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_preflight_that_stops_says_so() {
    for told in [disk_choice_script(Release::Ubuntu2404), disk_choice_script(Release::Debian13)] {
        assert_eq!(told.matches("\n    stopped \"$1\"\n").count(), 1);
    }
    let machine = Machine::new();
    machine.write("proc/self/mountinfo", "22 1 0:21 / / rw - tmpfs tmpfs rw\n");
    machine.write("run/provbuild/url", URL);
    let output = machine.run(Command::new("sh").args(["-c", &disk_choice_script(Release::Ubuntu2404)]));
    assert!(!output.status.success());
    assert!(machine.read("run/provbuild/reason").starts_with("no disk matches"));
}

fn disk_choice_script(release: Release) -> String {
    let node = node("node1", "52:54:00:12:34:56", "10.10.1.21");
    match release {
        Release::Debian13 => crate::disk_choice::script(&node, crate::disk_choice::Told::Debian, true),
        _ => crate::disk_choice::for_subiquity(&node, true),
    }
}

#[test]
#[ignore = "needs systemd-analyze"]
fn sandbox_systemd_knows_the_unit() {
    let folder = Folder::new();
    let path: &Path = &folder.join(UNIT_NAME);
    fs::write(path, UNIT).unwrap();
    let output = Command::new("systemd-analyze").arg("verify").arg(path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let about_us: Vec<&str> = said.lines().filter(|line| line.contains("provbuild")).collect();
    assert!(about_us.is_empty(), "{said}");
}
