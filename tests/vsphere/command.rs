//! `provbuild deploy` itself against vcsim, with a guest on paper: an address that the tools tell, and /healthz there.
//!
//! The simulator has no bytes of the disks, so that the test says which image the guest runs; what the seed medium says it reads itself.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use provbuild::vocab::Digest;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

use crate::build::{UPLINK, release};
use crate::files;
use crate::vcsim::Vcsim;

const ADDRESS: &str = "127.78.8.1";
const LOGIN: &str = "user:pass:word";

#[derive(Default)]
struct Guest {
    image: Mutex<String>,
    /// What the last medium said.
    seed: Mutex<Option<Value>>,
    over: AtomicBool,
}

impl Guest {
    /// The tools tell the address whenever the server is asked something; a medium is read while it lies there.
    fn live(&self, fault: &Path, medium: &Path) {
        while !self.over.load(Ordering::Relaxed) {
            fs::write(fault, format!("{UPLINK} {ADDRESS}")).unwrap();
            if let Some(seed) = fs::read(medium).ok().and_then(|bytes| seed(&bytes)) {
                *self.seed.lock().unwrap() =
                    Some(json!({ "id": seed["deployment"], "generation": seed["generation"] }));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn answer(&self, stream: TcpStream, tls: &Arc<rustls::ServerConfig>) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let connection = rustls::ServerConnection::new(tls.clone()).map_err(std::io::Error::other)?;
        let mut stream = rustls::StreamOwned::new(connection, stream);
        let mut request = Vec::new();
        while memchr::memmem::find(&request, b"\r\n\r\n").is_none() {
            let mut part = [0; 1024];
            match stream.read(&mut part)? {
                0 => return Ok(()),
                length => request.extend(&part[..length]),
            }
        }
        let (image, seed) = (self.image.lock().unwrap().clone(), self.seed.lock().unwrap().clone());
        let body = json!({ "status": "ok", "image": image, "state-disk": true, "deployment": seed }).to_string();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes())?;
        stream.conn.send_close_notify();
        stream.flush()
    }
}

/// The one JSON document with a deployment in it, wherever the medium has it.
fn seed(medium: &[u8]) -> Option<Value> {
    memchr::memchr_iter(b'{', medium).find_map(|at| {
        let mut documents = serde_json::Deserializer::from_slice(&medium[at..]).into_iter::<Value>();
        documents.next()?.ok().filter(|found| found.get("deployment").is_some())
    })
}

fn tls() -> Arc<rustls::ServerConfig> {
    let made = rcgen::generate_simple_self_signed(vec![ADDRESS.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap())
}

struct Project {
    directory: PathBuf,
}

impl Project {
    fn new(directory: &Path, vcsim: &Vcsim) -> Self {
        let project = Project { directory: directory.canonicalize().unwrap() };
        let secret = |name: &str, text: &str| {
            fs::write(project.directory.join(name), text).unwrap();
            fs::set_permissions(project.directory.join(name), fs::Permissions::from_mode(0o600)).unwrap();
        };
        secret("node1", "ADMIN:c0rrect-horse-battery");
        secret("vsphere", LOGIN);
        let nodes = "[[node]]\nhostname = \"node1\"\nmac = \"52:54:00:aa:00:01\"\naddress = \"10.10.1.11\"\n\
                     bmc = { address = \"10.10.2.11\", kind = \"redfish\", credentials = \"file:node1\" }\n";
        fs::write(project.directory.join("nodes.toml"), nodes).unwrap();
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/debian.toml");
        let (url, certificate) = (&vcsim.url, &vcsim.fingerprint);
        let text = format!(
            "imports = [{base:?}]\nnodes = \"nodes.toml\"\n\n[appliance]\nname = \"mylab\"\n\n\
             [network.provisioning]\naddress = \"10.10.1.1/24\"\ndhcp.range = \"10.10.1.100-10.10.1.150\"\n\n\
             [outputs]\nformats = {{ replace = [\"ova\"] }}\n\n\
             [deploy]\nstate-disk = \"1GiB\"\nhealth-timeout = \"1min\"\nstop-timeout = \"1min\"\n\n\
             [deploy.vsphere]\nurl = {url:?}\ncredentials = \"file:vsphere\"\ncertificate = {certificate:?}\n\
             compute = \"DC0_C0\"\ndatastore = \"LocalDS_0\"\n\
             networks = {{ uplink = \"VM Network\", provisioning = \"DC0_DVPG0\" }}\n"
        );
        fs::write(project.directory.join("profile.toml"), text).unwrap();
        project
    }

    fn build(&self, text: &str) -> Digest {
        let directory = self.directory.join("out/mylab");
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        release(&directory, text).manifest.image_digest
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let (command, rest) = arguments.split_first().unwrap();
        let mut run = Command::new(env!("CARGO_BIN_EXE_provbuild"));
        run.args([command, "profile.toml"]).args(rest).current_dir(&self.directory).stdin(Stdio::null());
        let output = run.env_clear().env("HOME", &self.directory).env("PATH", "/usr/bin:/bin").output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {out}\n{err}");
        assert!(!format!("{out}{err}").contains("pass:word"));
        out.into_owned()
    }

    #[track_caller]
    fn current(&self) -> u64 {
        let said: Value = serde_json::from_str(&self.run(&["generations", "--json"])).unwrap();
        said["record"]["current"].as_u64().unwrap()
    }
}

#[test]
#[ignore = "needs vcsim"]
fn sandbox_vcsim_the_command_deploys_upgrades_goes_back_and_destroys() {
    let vcsim = Vcsim::start(&[]);
    let directory = tempfile::tempdir().unwrap();
    let project = Project::new(directory.path(), &vcsim);
    let disks = vcsim.datastores["LocalDS_0"].join("mylab-disks");
    let guest = Guest::default();
    let listener = TcpListener::bind((ADDRESS, 443)).expect("port 443 of a loopback address");
    let tls = tls();
    let fault = vcsim.scratch.path().join("faults/address");
    thread::scope(|scope| {
        let over = Over(&guest);
        scope.spawn(|| guest.live(&fault, &disks.join("seed.iso")));
        scope.spawn(|| {
            for stream in listener.incoming() {
                if guest.over.load(Ordering::Relaxed) {
                    return;
                }
                // A client that hangs up is the client's affair.
                let _ = stream.and_then(|stream| guest.answer(stream, &tls));
            }
        });
        let first = project.build("first");
        *guest.image.lock().unwrap() = first.to_string();
        let said = project.run(&["deploy", "--no-build"]);
        assert!(said.contains(ADDRESS), "{said}");
        assert_eq!(project.current(), 1);
        assert_eq!(guest.seed.lock().unwrap().as_ref().unwrap()["generation"], 1);
        assert!(!disks.join("seed.iso").exists(), "the medium is wiped");
        let uploads = vcsim.uploads().len();
        project.run(&["deploy", "--no-build"]);
        assert_eq!((uploads, vcsim.uploads().len()), (1, 0), "nothing is to be done");

        fs::write(disks.join("state-flat.vmdk"), "the nodes' state").unwrap();
        let second = project.build("second");
        *guest.image.lock().unwrap() = second.to_string();
        project.run(&["deploy", "--no-build"]);
        assert_eq!(project.current(), 2);
        *guest.image.lock().unwrap() = first.to_string();
        project.run(&["deploy", "--rollback"]);
        assert_eq!(project.current(), 1);
        assert_eq!(fs::read_to_string(disks.join("state-flat.vmdk")).unwrap(), "the nodes' state");
        assert_eq!(
            files(&disks).iter().filter(|file| file.starts_with("lock") || file.starts_with("seed")).count(),
            0,
            "{:?}",
            files(&disks)
        );
        project.run(&DESTROY);
        assert!(!disks.exists(), "{:?}", files(&disks));
        drop(over);
    });
}

const DESTROY: [&str; 2] = ["destroy", "--with-state"];

/// Ends the guest's threads, also where the test fails.
struct Over<'a>(&'a Guest);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
        // Wakes the one who listens.
        let _ = TcpStream::connect((ADDRESS, 443));
    }
}
