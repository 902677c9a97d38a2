//! Every verb against a Redfish service that others wrote: sushy-tools' emulator with its fake driver, over TLS with basic authentication.
//!
//! What it does by its own lights (version 2.2.0): power takes up to 11 seconds to show, the BIOS answers 501, `Once` stays `Continuous`,
//! there is no session service, and media are downloaded for real. So the test is about honesty: what it cannot do must be an error.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bmc::{
    BootMode, BootTarget, Credentials, Endpoint, Error, Fingerprint, Kind, Machine, Manner, Outcome, Patience,
    PinError, Pins, PowerAction, Trust, Verb,
};
use netboot::BmcKind;

const PASSWORD: &str = "sandbox-pw";
/// The same, by bcrypt: the only form that the emulator reads.
const HTPASSWD: &str = "admin:$2b$04$18ZVUGVufXDFDjN7AHSP4u/h2qW7kp59kgo28h4rDNUkc6xGdqC1G\n";

struct Emulator {
    process: Child,
    port: u16,
    log: PathBuf,
    _directory: tempfile::TempDir,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> PathBuf {
    let installed = PathBuf::from("/opt/provbuild-tests/sushy/bin/sushy-emulator");
    let named = std::env::var_os("PROVBUILD_SUSHY").map(PathBuf::from);
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&in_path).map(|directory| directory.join("sushy-emulator"));
    let found = named.into_iter().chain([installed]).chain(in_path).find(|program| program.is_file());
    found.expect("no sushy-emulator: run scripts/install-test-tools, or let PROVBUILD_SUSHY name the program")
}

impl Emulator {
    fn start() -> Emulator {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        fs::write(at("certificate.pem"), made.cert.pem()).unwrap();
        fs::write(at("key.pem"), made.signing_key.serialize_pem()).unwrap();
        fs::write(at("htpasswd"), HTPASSWD).unwrap();
        fs::create_dir(at("state")).unwrap();
        let quoted = |path: PathBuf| format!("{:?}", path.to_str().unwrap());
        // Python; a state directory that others used before would be a machine with a past.
        let config = format!(
            "SUSHY_EMULATOR_AUTH_FILE = {}\nSUSHY_EMULATOR_STATE_DIR = {}\n",
            quoted(at("htpasswd")),
            quoted(at("state"))
        );
        fs::write(at("emulator.conf"), config).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let log = at("log");
        let process = Command::new(program())
            .args(["--fake", "--interface", "127.0.0.1", "--port", &port.to_string()])
            .arg("--config")
            .arg(at("emulator.conf"))
            .arg("--ssl-certificate")
            .arg(at("certificate.pem"))
            .arg("--ssl-key")
            .arg(at("key.pem"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .expect("sushy-emulator cannot be started");
        let mut emulator = Emulator { process, port, log, _directory: directory };
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = emulator.process.try_wait().unwrap();
            assert!(ended.is_none() && begun.elapsed() < Duration::from_secs(30), "{}", emulator.said());
            std::thread::sleep(Duration::from_millis(50));
        }
        emulator
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn last(&self) -> String {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn machine(&self) -> Machine {
        Machine {
            endpoint: Endpoint { address: Ipv4Addr::LOCALHOST, port: self.port },
            kind: BmcKind::Redfish,
            system: None,
            credentials: Credentials::parse(&format!("admin:{PASSWORD}")).unwrap(),
            trust: Trust::FirstUse(Arc::new(Memory::default())),
            patience: Patience {
                connect: Duration::from_secs(5),
                request: Duration::from_secs(20),
                busy: Duration::from_secs(5),
                graceful: Duration::from_secs(30),
                settle: Duration::from_secs(30),
                post: Duration::from_secs(30),
                whole: None,
                poll: Duration::from_millis(200),
            },
            bios: None,
            sum: None,
        }
    }
}

#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, Fingerprint>>);

impl Pins for Memory {
    fn pinned(&self, endpoint: &str) -> Result<Option<Fingerprint>, PinError> {
        Ok(self.0.lock().unwrap().get(endpoint).copied())
    }

    fn pin(&self, endpoint: &str, fingerprint: Fingerprint) -> Result<(), PinError> {
        self.0.lock().unwrap().insert(endpoint.to_owned(), fingerprint);
        Ok(())
    }
}

/// An image for the emulator to download: every request gets it.
fn image_server() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nISO\n");
        }
    });
    format!("http://{address}/cidata.iso")
}

/// What must come of a verb.
enum Expected {
    /// A summary that begins so.
    Line(&'static str),
    /// This kind of error, with this in its text.
    Fails(Kind, &'static str),
}

use Expected::{Fails, Line};

fn power(action: PowerAction, manner: Manner) -> Verb {
    Verb::Power { action, manner }
}

fn once(target: BootTarget) -> Verb {
    Verb::BootOnce { target, mode: BootMode::Uefi }
}

fn raw(path: &str) -> Verb {
    Verb::Raw { path: path.to_owned() }
}

#[tokio::test]
#[ignore = "needs sushy-tools: scripts/install-test-tools; takes a minute"]
async fn sandbox_every_verb_against_sushy_tools() {
    let emulator = Emulator::start();
    let machine = emulator.machine();
    let image = image_server();
    let verbs = [
        (Verb::Status {}, Line("off")),
        (power(PowerAction::Off, Manner::Forced), Line("off already")),
        (power(PowerAction::Reset, Manner::Forced), Fails(Kind::Input, "there is nothing to restart")),
        (power(PowerAction::On, Manner::Graceful), Line("off -> on (On)")),
        (power(PowerAction::Cycle, Manner::Forced), Line("on -> on (ForceOff, On)")),
        // It shows Off for a while, which proves it.
        (power(PowerAction::Reset, Manner::Graceful), Line("restarted (GracefulRestart)")),
        (power(PowerAction::Off, Manner::ThenForced), Line("on -> off (GracefulShutdown)")),
        (
            once(BootTarget::Pxe),
            Fails(
                Kind::NotApplied,
                "asked for BootSourceOverrideEnabled = Once, and the BMC accepted it, but there is Continuous",
            ),
        ),
        (once(BootTarget::None), Line("as always")),
        (once(BootTarget::Bios), Fails(Kind::Refused, "cannot boot once from bios: its targets are Pxe, Cd, Hdd")),
        (Verb::BootOrderGet {}, Fails(Kind::Refused, "its system has no BootOrder")),
        (Verb::BootOrderSet { order: vec!["pxe".to_owned()] }, Fails(Kind::Refused, "its system has no BootOrder")),
        (Verb::BiosGet { attributes: vec![] }, Fails(Kind::Refused, "this BMC cannot ")),
        (Verb::BiosDiff {}, Fails(Kind::Refused, "this BMC cannot ")),
        (Verb::Sensors {}, Line("")),
        (Verb::Inventory {}, Line("")),
        (Verb::MediaInsert { image: image.clone() }, Line("")),
        (Verb::MediaEject {}, Line("")),
        (raw("/redfish/v1/Systems"), Line("/redfish/v1/Systems: ")),
        (raw("/redfish/v1/SessionService"), Fails(Kind::Refused, "status 404")),
    ];
    let mut faults = Vec::new();
    for (verb, expected) in verbs {
        let begun = Instant::now();
        let result = machine.run(&verb, &|_| {}).await;
        let said = match &result {
            Ok(outcome) => outcome.summary(),
            Err(error) => format!("{:?}: {error}", error.kind()),
        };
        println!("{:>5.1} s  {:<16} {said}", begun.elapsed().as_secs_f64(), verb.title());
        assert!(!format!("{said} {result:?}").contains(PASSWORD), "{}", verb.title());
        let good = match (&result, &expected) {
            (Ok(outcome), Line(line)) => outcome.summary().starts_with(line),
            (Err(error), Fails(kind, text)) => error.kind() == *kind && error.to_string().contains(text),
            _ => false,
        };
        if !good {
            faults.push(format!("{}: {said}", verb.title()));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}\n{}", emulator.last());

    let Outcome::Status(status) = machine.run(&Verb::Status {}, &|_| {}).await.unwrap() else { panic!("no status") };
    assert_eq!((status.power.as_deref(), status.authentication.as_str()), (Some("Off"), "basic"));
    assert!(!status.boot.is_set(), "{:?}", status.boot);

    // Last: a wrong password is told so, and nothing else.
    let wrong = Machine { credentials: Credentials::parse("admin:not-it").unwrap(), ..machine };
    let error = wrong.run(&power(PowerAction::On, Manner::Forced), &|_| {}).await.unwrap_err();
    assert!(matches!(error, Error::Credentials { .. }), "{error}");
    assert!(Path::new("/proc").join(emulator.process.id().to_string()).exists(), "the emulator has ended by itself");
}
