//! The appliance: the real provd with one node that can be installed, and TLS in front of it, as nginx has it there.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::lab::wait_for;

const MAC: &str = "52:54:00:aa:00:01";
const ADDRESS: &str = "10.10.1.11";

pub(crate) struct Appliance {
    directory: tempfile::TempDir,
    provd: Option<Child>,
    front: SocketAddr,
    pub(crate) token: String,
}

fn program() -> PathBuf {
    let provd = Path::new(env!("CARGO_BIN_EXE_provbuild")).with_file_name("provd");
    assert!(provd.exists(), "{} is missing: run `cargo build --release -p provd`", provd.display());
    provd
}

fn declared() -> Value {
    json!({"format": 1, "name": "lab",
        "site": {"server": "10.10.1.1", "subnet": "10.10.1.0/24", "domain": "lab.example", "gateway": "10.10.1.1"},
        "inventory": {"nodes": [{"hostname": "node1", "mac": MAC, "address": ADDRESS, "address6": null, "addresses": {},
            "memory": null, "secure-boot": false, "install": "noble", "disk": null, "bmc": null, "roles": [], "dhcp-options": {}}]},
        "installers": {"noble": {"medium": true, "system": {"release": "ubuntu-24.04", "locale": "C.UTF-8",
            "keyboard": {"layout": "us", "variant": null}, "timezone": "Etc/UTC",
            "account": {"name": "ubuntu", "password-hash": null, "ssh-keys": []},
            "storage": "direct", "addressing": "dhcp", "packages": [], "mirror": null, "early-commands": [],
            "late-commands": [], "kernel-parameters": []}}},
        "control": {"arming": 3600, "silence": 1800, "first-boot": 1800, "webhooks": []}})
}

impl Appliance {
    pub(crate) fn start() -> Appliance {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["served/media/noble", "grub", "sockets"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        for name in ["vmlinuz", "initrd", "noble.iso"] {
            fs::write(at("served/media/noble").join(name), name).unwrap();
        }
        fs::write(at("declared.json"), declared().to_string()).unwrap();
        let made = Command::new(program())
            .args(["certificate", "--name", "localhost", "--address", "127.0.0.1", "--directory"])
            .arg(at("tls"))
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        let front = front(&at("tls"), at("sockets/web.sock"));
        let mut appliance = Appliance { directory, provd: None, front, token: String::new() };
        appliance.start_provd();
        let output = appliance.operate(&["token", "create", "operator"]);
        appliance.token = output.split_whitespace().last().unwrap().to_owned();
        appliance
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.front)
    }

    /// The authority's certificate: its own.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.path("tls/certificate.pem")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn start_provd(&mut self) {
        let mut command = Command::new(program());
        command.arg("serve");
        for (option, name) in [
            ("--declared", "declared.json"),
            ("--database", "state.db"),
            ("--served", "served"),
            ("--grub-nodes", "grub"),
            ("--sockets", "sockets"),
            ("--webhook-secret", "webhook-secret"),
            ("--webhook-authorities", "webhook-ca.pem"),
        ] {
            command.arg(option).arg(self.path(name));
        }
        let log = fs::File::options().append(true).create(true).open(self.path("log")).unwrap();
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut provd = command.spawn().unwrap();
        wait_for("provd's first answer", || {
            let ended = provd.try_wait().unwrap();
            assert!(ended.is_none(), "provd: {}", fs::read_to_string(self.path("log")).unwrap());
            self.ask("local", "GET", "/api/v1/nodes", "").ok()
        });
        self.provd = Some(provd);
    }

    pub(crate) fn kill_provd(&mut self) {
        if let Some(mut provd) = self.provd.take() {
            provd.kill().unwrap();
            provd.wait().unwrap();
        }
    }

    fn operate(&self, arguments: &[&str]) -> String {
        let output = Command::new(program())
            .args(arguments)
            .arg("--socket")
            .arg(self.path("sockets/local.sock"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// One request over one of provd's sockets, from the node's address.
    fn ask(&self, socket: &str, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
        let mut stream = UnixStream::connect(self.path("sockets").join(format!("{socket}.sock")))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: provd\r\nConnection: close\r\nX-Provbuild-Address: {ADDRESS}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.ok_or(io::ErrorKind::InvalidData)?, body.to_owned()))
    }

    pub(crate) fn state(&self) -> String {
        let (_, body) = self.ask("local", "GET", "/api/v1/nodes/node1", "").unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        body["node"]["state"].as_str().unwrap().to_owned()
    }

    fn node(&self, method: &str, path: &str, body: &str) -> String {
        let (status, answer) = self.ask("nodes", method, path, body).unwrap();
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// The node boots from the network and reads its answers; where it reports to.
    pub(crate) fn boots(&self) -> String {
        let script = self.node("GET", &format!("/nodes/{}.ipxe", MAC.replace(':', "-")), "");
        let seed = after(&script, "/seed/");
        let mut report = String::new();
        for file in ["meta-data", "vendor-data", "user-data"] {
            let text = self.node("GET", &format!("/seed/{seed}/{file}"), "");
            if text.contains("/report/") {
                report = after(&text, "/report/");
            }
        }
        format!("/report/{report}")
    }

    /// The installer's first report.
    pub(crate) fn installs(&self, report: &str) {
        let event = json!({"name": "subiquity/Early", "description": "early", "event_type": "start", "origin": "curtin",
            "timestamp": 1_760_000_000.5, "level": "INFO"});
        self.node("POST", report, &event.to_string());
    }

    pub(crate) fn ends(&self, report: &str) {
        self.node("POST", &format!("{report}/installed"), "");
        let system = json!({"hostname": "node1", "address": ADDRESS,
            "ssh-host-keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA root@x"]});
        self.node("POST", &format!("{report}/first-boot"), &system.to_string());
    }

    pub(crate) fn fails(&self, report: &str) {
        self.node("POST", &format!("{report}/failed"), "the disk is broken");
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        self.kill_provd();
    }
}

fn after(text: &str, marker: &str) -> String {
    let rest = text.split(marker).nth(1).unwrap_or_else(|| panic!("no {marker} in {text}"));
    rest.chars().take_while(char::is_ascii_hexdigit).collect()
}

/// A request for each connection.
fn front(tls: &Path, socket: PathBuf) -> SocketAddr {
    let certificate = CertificateDer::from_pem_file(tls.join("certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(tls.join("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (config, socket, stream) = (Arc::clone(&config), socket.clone(), stream.unwrap());
            // A client that has gone away, or a provd that is not there, ends the connection.
            std::thread::spawn(move || forward(stream, config, &socket));
        }
    });
    address
}

fn forward(stream: TcpStream, config: Arc<ServerConfig>, socket: &Path) -> io::Result<()> {
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut tls = StreamOwned::new(connection, stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tls.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    tls.read_exact(&mut body)?;
    let mut server = UnixStream::connect(socket)?;
    write!(server, "{}\r\nX-Provbuild-Address: 127.0.0.1\r\nConnection: close\r\n\r\n", head.trim_end())?;
    server.write_all(&body)?;
    let mut bytes = [0; 4096];
    loop {
        let count = server.read(&mut bytes)?;
        if count == 0 {
            break;
        }
        tls.write_all(&bytes[..count])?;
        tls.flush()?;
    }
    tls.conn.send_close_notify();
    tls.flush()
}
