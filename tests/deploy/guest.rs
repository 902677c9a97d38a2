//! The guest on paper: what an appliance would do in the machine that the stand-in says is running.
//!
//! In: the machine's .vmx and disks at each start. Out: tools that say an address, and /healthz with the digest that is in the system disk. It
//! reads the seed medium and marks a state disk as its own, so that a test sees whether both reached it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use vmware_stand_in::Bench;
use vmware_stand_in::machine::Machine;

use crate::fake_build::{BEHAVIOURS, Behaviour, MARK};

/// A state disk that an appliance has formatted has it at its end.
const FORMATTED: &[u8] = b"formatted by the guest of a test";

/// One boot of the machine.
#[derive(Debug, Clone)]
pub(crate) struct Boot {
    /// Digest of the image on the system disk.
    pub(crate) image: String,
    /// seed.json of the medium, where there is one.
    pub(crate) seed: Option<Value>,
    /// The state disk had been formatted before this boot.
    pub(crate) state: bool,
}

#[derive(Default)]
struct Life {
    boots: Vec<Boot>,
    behaviour: Option<Behaviour>,
}

pub(crate) struct Guest {
    pub(crate) address: String,
    life: Arc<Mutex<Life>>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Each guest of this process has an address of its own.
fn listen() -> (String, TcpListener) {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let address = format!("127.78.7.{}", NEXT.fetch_add(1, Ordering::Relaxed));
    match TcpListener::bind(format!("{address}:443")) {
        Ok(listener) => (address, listener),
        Err(error) => panic!("port 443 of {address}: {error}"),
    }
}

impl Guest {
    pub(crate) fn new(bench: Arc<Bench>, vmx: PathBuf) -> Guest {
        let (address, listener) = listen();
        let life = Arc::new(Mutex::new(Life::default()));
        let over = Arc::new(AtomicBool::new(false));
        let tls = tls(&address);
        let live = {
            let (life, over, address) = (life.clone(), over.clone(), address.clone());
            thread::spawn(move || live(&bench, &vmx, &address, &life, &over))
        };
        let serve = {
            let (life, over) = (life.clone(), over.clone());
            thread::spawn(move || {
                for stream in listener.incoming() {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    // A client that hangs up is the client's affair.
                    let _ = stream.and_then(|stream| answer(stream, &tls, &life));
                }
            })
        };
        Guest { address, life, over, threads: vec![live, serve] }
    }

    pub(crate) fn boots(&self) -> Vec<Boot> {
        self.life.lock().unwrap().boots.clone()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the one who listens.
        let _ = TcpStream::connect(format!("{}:443", self.address));
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn live(bench: &Bench, vmx: &Path, address: &str, life: &Mutex<Life>, over: &AtomicBool) {
    let mut since = None;
    while !over.load(Ordering::Relaxed) {
        let running = bench.machine(vmx).unwrap().and_then(|state| state.running).map(|running| running.since);
        if running != since {
            since = running;
            let behaviour = running.map(|_| boot(vmx, life));
            let tools = behaviour.is_some_and(|behaviour| behaviour != Behaviour::NoTools);
            life.lock().unwrap().behaviour = behaviour;
            bench.address(tools.then_some(address)).unwrap();
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, text)
}

/// What is on the disks, as an appliance would find it.
fn boot(vmx: &Path, life: &Mutex<Life>) -> Behaviour {
    let machine = Machine::read(vmx).unwrap();
    let (mut system, mut state) = (None, None);
    for disk in &machine.disks {
        let bytes = fs::read(&disk.file).unwrap();
        match find(&bytes, MARK.as_bytes()) {
            Some(at) => {
                let line = bytes[at + MARK.len()..].split(|byte| *byte == b'\n').next().unwrap();
                system = Some(String::from_utf8(line.to_vec()).unwrap());
            }
            None => state = Some((disk.file.clone(), bytes.ends_with(FORMATTED))),
        }
    }
    let line = system.expect("one of the machine's disks is a build's");
    let (image, word) = line.split_once(' ').unwrap();
    let (path, formatted) = state.expect("the machine has a state disk");
    let seed = machine.cds.iter().filter(|cd| cd.connected).find_map(|cd| seed(&fs::read(&cd.file).unwrap()));
    let is_new = seed.as_ref().is_some_and(|seed| seed["state"] == "new");
    if !formatted && is_new {
        // As a guest writes: into the file that is there.
        fs::File::options().append(true).open(path).unwrap().write_all(FORMATTED).unwrap();
    }
    life.lock().unwrap().boots.push(Boot { image: image.to_owned(), seed, state: formatted });
    BEHAVIOURS.iter().find(|(_, known)| *known == word).unwrap().0
}

/// The one JSON document with a deployment in it, wherever the medium has it.
fn seed(medium: &[u8]) -> Option<Value> {
    memchr::memchr_iter(b'{', medium).find_map(|at| {
        let mut documents = serde_json::Deserializer::from_slice(&medium[at..]).into_iter::<Value>();
        documents.next()?.ok().filter(|found| found.get("deployment").is_some())
    })
}

fn tls(address: &str) -> Arc<rustls::ServerConfig> {
    let made = rcgen::generate_simple_self_signed(vec![address.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap())
}

fn answer(stream: TcpStream, tls: &Arc<rustls::ServerConfig>, life: &Mutex<Life>) -> std::io::Result<()> {
    let (image, delivered, behaviour) = {
        let life = life.lock().unwrap();
        // What the last medium said, as the state disk keeps it.
        let seed = life.boots.iter().rev().find_map(|boot| boot.seed.as_ref());
        let delivered =
            seed.map(|seed| serde_json::json!({ "id": seed["deployment"], "generation": seed["generation"] }));
        (life.boots.last().map(|boot| boot.image.clone()), delivered, life.behaviour)
    };
    let (Some(image), Some(behaviour)) = (image, behaviour) else { return Ok(()) };
    let (status, image) = match behaviour {
        Behaviour::Healthy => ("ok", image),
        Behaviour::Unwell => ("failing", image),
        Behaviour::Impostor => ("ok", "0".repeat(64)),
        Behaviour::Silent | Behaviour::NoTools => return Ok(()),
    };
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let connection = rustls::ServerConnection::new(tls.clone()).map_err(std::io::Error::other)?;
    let mut stream = rustls::StreamOwned::new(connection, stream);
    let mut request = Vec::new();
    while find(&request, b"\r\n\r\n").is_none() {
        let mut part = [0; 1024];
        match stream.read(&mut part)? {
            0 => return Ok(()),
            length => request.extend(&part[..length]),
        }
    }
    let body = serde_json::json!({ "status": status, "image": image, "state-disk": true, "deployment": delivered });
    let body = body.to_string();
    let code = if status == "ok" { "200 OK" } else { "503 Service Unavailable" };
    let head = format!("HTTP/1.1 {code}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}
