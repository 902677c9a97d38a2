//! vcsim as a process: certificates of its own, its datastore's directory, its faults, what it saw of uploads.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use provbuild::profile;
use provbuild::vocab::Digest;

const PROGRAM: &str = "target/tools/vcsim";

pub(crate) struct Vcsim {
    child: Child,
    lines: Receiver<String>,
    pub(crate) url: String,
    /// Directories of the datastores, by name.
    pub(crate) datastores: BTreeMap<String, PathBuf>,
    /// With the certificates, and vcsim's own temporary files.
    pub(crate) scratch: tempfile::TempDir,
    /// Of the server's certificate.
    pub(crate) fingerprint: String,
}

/// An upload as vcsim's handler saw it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Upload {
    pub(crate) method: String,
    pub(crate) kind: String,
    pub(crate) length: u64,
    pub(crate) sha256: String,
}

fn openssl(directory: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(directory).output().expect("openssl is installed");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority, and a certificate that it has signed.
fn certificates(directory: &Path) {
    fs::write(directory.join("ext"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
    const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    fn with_key<'a>(rest: &[&'a str]) -> Vec<&'a str> {
        [&["req"], &KEY[..], rest].concat()
    }
    openssl(
        directory,
        &with_key(&["-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test authority", "-days", "30"]),
    );
    openssl(directory, &with_key(&["-keyout", "key.pem", "-out", "csr", "-subj", "/CN=vcsim"]));
    let sign = [
        "x509",
        "-req",
        "-in",
        "csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "30",
        "-extfile",
        "ext",
        "-out",
        "cert.pem",
    ];
    openssl(directory, &sign);
    openssl(directory, &["x509", "-in", "cert.pem", "-outform", "DER", "-out", "cert.der"]);
}

impl Vcsim {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(PROGRAM);
        assert!(program.exists(), "{} is missing: run scripts/install-vcsim", program.display());
        let scratch = tempfile::tempdir().unwrap();
        certificates(scratch.path());
        fs::create_dir(scratch.path().join("faults")).unwrap();
        let path = |name: &str| scratch.path().join(name);
        let mut child = Command::new(program)
            .args(arguments)
            .arg("-cert")
            .arg(path("cert.pem"))
            .arg("-key")
            .arg(path("key.pem"))
            .arg("-faults")
            .arg(path("faults"))
            // Its datastores are made in here.
            .env("TMPDIR", scratch.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(path("stderr")).unwrap())
            .spawn()
            .unwrap();
        let (send, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let mut datastores = BTreeMap::new();
        let url = loop {
            let line = lines.recv_timeout(Duration::from_secs(30)).expect("vcsim starts");
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["DATASTORE", name, directory] => drop(datastores.insert(name.to_owned(), PathBuf::from(directory))),
                ["URL", url] => break url.to_owned(),
                _ => {}
            }
        };
        let fingerprint = format!("SHA256:{}", Digest::of(&fs::read(path("cert.der")).unwrap()));
        Vcsim { child, lines, url, datastores, scratch, fingerprint }
    }

    /// See tests/vcsim/main.go.
    pub(crate) fn fault(&self, name: &str, text: &str) {
        fs::write(self.scratch.path().join("faults").join(name), text).unwrap();
    }

    pub(crate) fn is_used_up(&self, fault: &str) -> bool {
        !self.scratch.path().join("faults").join(fault).exists()
    }

    /// SHA-1 of the certificate, as vSphere writes it.
    pub(crate) fn thumbprint(&self) -> String {
        let arguments = ["x509", "-in", "cert.pem", "-noout", "-fingerprint", "-sha1"];
        let output = Command::new("openssl").args(arguments).current_dir(self.scratch.path()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().rsplit_once('=').unwrap().1.to_owned()
    }

    /// The uploads since the last question.
    pub(crate) fn uploads(&self) -> Vec<Upload> {
        let lines = std::iter::from_fn(|| self.lines.recv_timeout(Duration::from_millis(300)).ok());
        lines
            .filter_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
                ["NFC", method, kind, announced, sha256, count, host, cookies] => {
                    assert!(
                        !host.starts_with("localhost") || cookies == "0",
                        "the session's cookie goes to another host"
                    );
                    assert_eq!(announced, count, "announced and sent");
                    let length = count.parse().unwrap();
                    Some(Upload { method: method.to_owned(), kind: kind.to_owned(), length, sha256: sha256.to_owned() })
                }
                _ => None,
            })
            .collect()
    }

    /// Settings that fit the simulator's own inventory.
    pub(crate) fn settings(&self) -> profile::Vsphere {
        profile::Vsphere {
            url: self.url.parse().unwrap(),
            credentials: "env:VSPHERE".parse().unwrap(),
            certificate: Some(self.fingerprint.clone()),
            authorities: None,
            datacenter: None,
            compute: None,
            resource_pool: None,
            folder: None,
            datastore: "LocalDS_0".to_owned(),
            uplink: "VM Network".to_owned(),
            provisioning: "DC0_DVPG0".to_owned(),
        }
    }
}

impl Drop for Vcsim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
