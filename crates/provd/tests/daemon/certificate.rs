//! `provd certificate`, judged by openssl.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use rcgen::{CertificateParams, KeyPair};

use crate::harness::PROVD;

fn certificate(directory: &Path, more: &[&str]) -> (bool, String) {
    let output = Command::new(PROVD).args(["certificate", "--directory"]).arg(directory).args(more).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap().trim().to_owned())
}

fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().expect("install openssl");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {said}");
    said
}

#[test]
fn openssl_accepts_the_certificate_and_it_is_kept() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("tls");
    let names = ["--name", "appliance.lab.example", "--address", "192.0.2.7", "--address", "2001:db8::7"];
    let (made, fingerprint) = certificate(&directory, &names);
    assert!(made, "{fingerprint}");
    let (key, file) = (directory.join("key.pem"), directory.join("certificate.pem"));
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);

    let file_name = file.to_str().unwrap();
    for (check, name) in
        [("-verify_hostname", "appliance.lab.example"), ("-verify_ip", "192.0.2.7"), ("-verify_ip", "2001:db8::7")]
    {
        openssl(&["verify", "-x509_strict", "-purpose", "sslserver", check, name, "-CAfile", file_name, file_name]);
    }
    let shown = openssl(&["x509", "-noout", "-fingerprint", "-sha256", "-in", file_name]);
    assert_eq!(shown.trim().rsplit('=').next(), Some(fingerprint.as_str()));
    let of_key = openssl(&["pkey", "-pubout", "-in", key.to_str().unwrap()]);
    assert_eq!(openssl(&["x509", "-noout", "-pubkey", "-in", file_name]), of_key);

    // It is kept, with its key; and a key that was opened to others is closed again.
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(certificate(&directory, &names), (true, fingerprint.clone()));
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    // Another name, another address.
    let (_, renamed) = certificate(&directory, &["--name", "other"]);
    assert_ne!(renamed, fingerprint);
    let (_, moved) = certificate(&directory, &["--name", "other", "--address", "192.0.2.8"]);
    assert_ne!(moved, renamed);
}

#[test]
fn what_cannot_serve_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let run = || {
        let (made, fingerprint) = certificate(directory.path(), &["--name", "appliance"]);
        assert!(made, "{fingerprint}");
        fingerprint
    };
    let mut last = run();
    let other_key = KeyPair::generate().unwrap().serialize_pem();
    let mut soon = CertificateParams::new(vec!["appliance".to_owned()]).unwrap();
    soon.not_after = (std::time::SystemTime::now() + std::time::Duration::from_secs(29 * 24 * 3600)).into();
    let soon = soon.self_signed(&KeyPair::from_pem(&fs::read_to_string(at("key.pem")).unwrap()).unwrap()).unwrap();
    for (file, text) in [
        ("certificate.pem", soon.pem()),
        ("key.pem", other_key),
        ("key.pem", String::new()),
        ("certificate.pem", "nothing\n".to_owned()),
    ] {
        fs::write(at(file), text).unwrap();
        // Left by a run that was killed.
        fs::write(at("key.new"), "half").unwrap();
        let next = run();
        assert_ne!(next, last, "{file}");
        assert_eq!(run(), next);
        assert_eq!(fs::metadata(at("key.pem")).unwrap().permissions().mode() & 0o777, 0o600);
        last = next;
    }
    let (made, said) = certificate(directory.path(), &["--name", "not a name"]);
    assert!(!made && said.contains("'not a name' is not a host name"), "{said}");
    let (made, said) = certificate(&at("key.pem"), &["--name", "appliance"]);
    assert!(!made && said.contains("key.pem"), "{said}");
}
