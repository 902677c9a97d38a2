//! One node, as its firmware, its installer and its new system behave.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant, SystemTime};

use crate::KILLS;
use crate::site::{Places, SERVER};
use crate::wire::{self, Answer};

/// How long one step may take while provd is killed and started again.
const PATIENCE: Duration = Duration::from_secs(120);

/// What happens in this node's installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Ubuntu,
    /// By debian-installer's commands.
    Debian,
    /// Ubuntu, by GRUB and its script over TFTP.
    Grub,
}

pub(crate) fn way(number: usize) -> Way {
    match number % 10 {
        0 => Way::Debian,
        3 => Way::Grub,
        _ => Way::Ubuntu,
    }
}

pub(crate) fn fails(number: usize) -> bool {
    number.is_multiple_of(17)
}

pub(crate) fn hostname(number: usize) -> String {
    format!("fleet{number:03}")
}

pub(crate) fn mac(number: usize) -> String {
    format!("52:54:00:f1:00:{number:02x}")
}

pub(crate) fn address(number: usize) -> String {
    format!("10.10.1.{number}")
}

/// Everything that one node was told, for the judge.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) hostname: String,
    pub(crate) mac: String,
    pub(crate) texts: Vec<String>,
    pub(crate) tokens: std::collections::BTreeSet<String>,
}

/// Number of the node, its thread's id, and how it is told that it is plugged in.
pub(crate) type Ready = (usize, i32, Sender<()>);

pub(crate) struct Node {
    number: usize,
    places: Places,
    ready: Sender<Ready>,
    told: Told,
    /// Whether the last request had to be asked again: its first answer may have been lost.
    again: bool,
}

impl Node {
    pub(crate) fn new(number: usize, places: Places, ready: Sender<Ready>) -> Node {
        let told = Told { hostname: hostname(number), mac: mac(number), ..Told::default() };
        Node { number, places, ready, told, again: false }
    }

    /// The whole way; panics where something is not as it must be.
    pub(crate) fn walk(mut self) -> Told {
        self.plug_in();
        self.dhcp();
        let way = way(self.number);
        let entry = self.text("/boot.ipxe");
        assert!(entry.contains("/nodes/${netX/mac:hexhyp}.ipxe"), "{entry}");
        self.boots_its_own_disk();
        if way == Way::Grub {
            let error = wire::tftp(SocketAddr::new(SERVER, 69), &self.grub_script()).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        }
        self.arm();
        self.reads_no_script_by_tftp();

        let script = match way {
            Way::Grub => self.script_by_tftp(),
            _ => self.script_that_installs(),
        };
        let medium = self.places.media.iter().find(|file| script.contains(&format!("/{}", file.path))).unwrap().clone();
        let kernel = self.ask("GET", &format!("/{}", medium.path), b"");
        assert!(kernel.status == 200 && kernel.body == medium.bytes, "{}", medium.path);
        let seed = token_after(&script, "/seed/").unwrap_or_else(|| panic!("no seed in {script}"));
        self.told.tokens.insert(seed.clone());

        let files = match way {
            Way::Debian => ["preseed.cfg", "early.sh", "late.sh"],
            _ => ["meta-data", "vendor-data", "user-data"],
        };
        let mut report = None;
        for file in files {
            let answer = self.ask("GET", &format!("/seed/{seed}/{file}"), b"");
            let text = String::from_utf8(answer.body).unwrap();
            assert_eq!(answer.status, 200, "{file}: {text}");
            report = token_after(&text, "/report/").or(report);
            self.told.tokens.extend(tokens_after(&text, "/report/"));
            self.told.texts.push(text);
        }
        let report = report.unwrap_or_else(|| panic!("{}: no place to report to", self.told.hostname));
        self.boots_its_own_disk();
        self.install(way, &report);
        // The seed is spent.
        let spent = self.ask("GET", &format!("/seed/{seed}/{}", files[0]), b"");
        assert!((400..500).contains(&spent.status), "{}", spent.status);
        self.told
    }

    fn install(&mut self, way: Way, report: &str) {
        let place = format!("/report/{report}");
        // A time that is believed: one that is a day away is not.
        let begun = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64().floor() + 0.5;
        // Until provd was killed often enough, so that every kill finds nodes on their way.
        for step in 0.. {
            if step >= 6 && self.places.kills.load(Ordering::Relaxed) >= KILLS {
                break;
            }
            let body = |kind: &str, step: u32| {
                let time = begun + f64::from(step);
                let result = if kind == "finish" { ",\"result\":\"SUCCESS\"" } else { "" };
                format!(
                    "{{\"name\":\"subiquity/step-{step}\",\"description\":\"step {step}\",\"event_type\":\"{kind}\",\
                     \"origin\":\"curtin\",\"timestamp\":{time},\"level\":\"INFO\"{result}}}"
                )
            };
            match way {
                Way::Debian => self.report(&format!("{place}/step"), format!("step {step}").as_bytes()),
                // The end before the beginning, the beginning twice, and one from before.
                _ => {
                    for (kind, step) in [("finish", step), ("start", step), ("start", step), ("start", step.max(1) - 1)]
                    {
                        self.report(&place, body(kind, step).as_bytes());
                    }
                }
            }
            std::thread::sleep(Duration::from_millis(700));
        }
        self.boots_its_own_disk();
        if fails(self.number) {
            self.report(&format!("{place}/failed"), b"the disk is broken\nand its log\n");
            self.boots_its_own_disk();
            return;
        }
        self.report(&format!("{place}/installed"), b"");
        self.boots_its_own_disk();
        let system = format!(
            "{{\"hostname\":\"{}\",\"address\":\"{}\",\"ssh-host-keys\":[\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA root@x\"]}}",
            hostname(self.number),
            address(self.number)
        );
        self.report(&format!("{place}/first-boot"), system.as_bytes());
        self.boots_its_own_disk();
    }

    /// A network namespace for this thread, with one cable in it.
    fn plug_in(&self) {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let (plugged, wait) = mpsc::channel();
        self.ready.send((self.number, nix::unistd::gettid().as_raw(), plugged)).unwrap();
        wait.recv().unwrap();
        for device in ["lo", "eth0"] {
            run(Command::new("ip").args(["link", "set", device, "up"]));
        }
    }

    /// As iPXE asks (RFC 3004: user class), and takes the address.
    fn dhcp(&self) {
        let lease = self.places.work.join(format!("lease-{}", self.number));
        let script = lease.with_extension("sh");
        let text = format!(
            "#!/bin/sh\n[ \"$1\" = bound ] || exit 0\nip addr add \"$ip/$mask\" dev eth0\nenv > {}\n",
            lease.display()
        );
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new("busybox");
        command.args(["udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "20", "-T", "3", "-O", "bootfile"]);
        command.args(["-x", "0x5d:0007", "-x", "0x4d:69505845", "-x", "0xaf:130101180101", "-s"]).arg(script);
        run(&mut command);
        let fields = std::fs::read_to_string(lease).unwrap();
        let has = |line: &str| fields.lines().any(|field| field == line);
        assert!(has(&format!("ip={}", address(self.number))), "{fields}");
        let script = format!("http://{SERVER}/boot.ipxe");
        assert!(has(&format!("bootfile={script}")) || has(&format!("boot_file={script}")), "{fields}");
    }

    fn arm(&mut self) {
        let hostname = hostname(self.number);
        let body = format!("{{\"reason\":\"the fleet\",\"confirm\":\"{hostname}\"}}");
        let socket = self.places.sockets.join("local.sock");
        let (answer, again) =
            patiently(|| wire::local(&socket, "POST", &format!("/api/v1/nodes/{hostname}/arm"), body.as_bytes()));
        let said = String::from_utf8_lossy(&answer.body);
        // An arming whose answer was lost is there.
        assert!(answer.status == 200 || (again && answer.status == 409), "{} {said}", answer.status);
    }

    fn boot_script(&self) -> String {
        format!("/nodes/{}.ipxe", self.told.mac.replace(':', "-"))
    }

    fn grub_script(&self) -> String {
        format!("grub/nodes/{}.cfg", self.told.mac.replace(':', "-"))
    }

    fn boots_its_own_disk(&mut self) {
        let script = self.text(&self.boot_script());
        assert!(script.contains("boots its own disk") && !script.contains("kernel "), "{script}");
        let script = self.text(&format!("/{}", self.grub_script()));
        assert!(!script.contains("linux "), "{script}");
    }

    fn script_that_installs(&mut self) -> String {
        let script = self.text(&self.boot_script());
        assert!(script.contains("kernel http://10.10.0.1/"), "{script}");
        script
    }

    /// A file that is there or is not; while provd starts again it may be away for a moment.
    fn script_by_tftp(&mut self) -> String {
        let (start, name) = (Instant::now(), self.grub_script());
        loop {
            match wire::tftp(SocketAddr::new(SERVER, 69), &name) {
                Ok(script) => {
                    let script = String::from_utf8(script).unwrap();
                    assert!(script.contains("if linux /media/"), "{script}");
                    self.told.texts.push(script.clone());
                    return script;
                }
                Err(error) => assert!(start.elapsed() < PATIENCE, "{name}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// TFTP asks nobody who asks: there are scripts only of nodes that cannot do without. Neither another node's nor its own is there
    /// for any other, whether armed or not.
    fn reads_no_script_by_tftp(&self) {
        for number in [self.number, self.number + 1] {
            if way(number) != Way::Grub {
                let name = format!("grub/nodes/{}.cfg", mac(number).replace(':', "-"));
                let error = wire::tftp(SocketAddr::new(SERVER, 69), &name).unwrap_err();
                assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{name}: {error}");
            }
        }
    }

    /// Reports until it is taken; one that ended the attempt may have been taken although its answer was lost.
    fn report(&mut self, path: &str, body: &[u8]) {
        let answer = self.ask("POST", path, body);
        let taken = answer.status == 200 || (self.again && answer.status == 410);
        assert!(taken, "{}: {} {}", self.told.hostname, answer.status, String::from_utf8_lossy(&answer.body));
    }

    fn text(&mut self, path: &str) -> String {
        let answer = self.ask("GET", path, b"");
        let text = String::from_utf8(answer.body).unwrap();
        assert_eq!(answer.status, 200, "{path}: {text}");
        self.told.texts.push(text.clone());
        text
    }

    fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> Answer {
        let (answer, again) = patiently(|| wire::http(SocketAddr::new(SERVER, 80), method, path, body));
        self.again = again;
        answer
    }
}

/// Asks until the server answers for itself; whether that took more than one time.
fn patiently(mut ask: impl FnMut() -> std::io::Result<Answer>) -> (Answer, bool) {
    let start = Instant::now();
    for again in 0.. {
        match ask() {
            Ok(answer) if answer.status < 500 => return (answer, again > 0),
            Ok(answer) => assert!(start.elapsed() < PATIENCE, "status {}", answer.status),
            Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(150));
    }
    unreachable!()
}

pub(crate) fn tokens_after(text: &str, before: &str) -> Vec<String> {
    let places = text.match_indices(before).map(|(at, _)| at + before.len());
    let words = places.filter_map(|at| text.get(at..at + 32));
    words.filter(|word| word.bytes().all(|b| b.is_ascii_hexdigit())).map(str::to_owned).collect()
}

fn token_after(text: &str, before: &str) -> Option<String> {
    tokens_after(text, before).pop()
}

pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
}
