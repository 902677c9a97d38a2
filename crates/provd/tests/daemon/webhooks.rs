//! Webhooks through receivers that fail, hang and redirect, and through a daemon that is killed.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use provd::store::Audited;
use ring::hmac;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::harness::{Lab, PROVD, declared, wait_for};
use crate::receiver::{Act, Receiver};

#[test]
fn every_line_arrives_in_order_whatever_the_receiver_does() {
    let troubled =
        Receiver::start(&[Act::Fail, Act::Take, Act::Redirect, Act::Take, Act::Close, Act::Take, Act::Hang], None);
    let dead = Receiver::start(&[Act::Hang; 100], None);
    let good = Receiver::start(&[], None);
    let urls = [&troubled, &dead, &good].map(|receiver| format!("http://127.0.0.1:{}/a/secret-path", receiver.port));
    let lab = Lab::new(&declared(6, &urls));
    fs::write(lab.path("webhook-secret"), "a shared secret\n").unwrap();

    let daemon = lab.start();
    // Nobody waits for the others.
    wait_for(|| (good.posted().len() == 6).then_some(()));
    wait_for(|| troubled.posted().iter().any(|posted| posted.act == Act::Hang).then_some(()));
    drop(daemon);
    let _daemon = lab.start();
    wait_for(|| (troubled.posted().iter().filter(|posted| posted.act == Act::Take).count() == 6).then_some(()));

    let audit = lab.audit();
    let posted = troubled.posted();
    let line = |body: &str| serde_json::from_str::<Audited>(body).unwrap();
    let taken: Vec<Audited> = posted.iter().filter(|p| p.act == Act::Take).map(|p| line(&p.body)).collect();
    assert_eq!(taken, audit);
    // What was not taken is what was posted next.
    for (at, missed) in posted.iter().enumerate().filter(|(_, posted)| posted.act != Act::Take) {
        assert_eq!(missed.body, posted[at + 1].body);
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"a shared secret");
    for posted in &posted {
        assert_eq!(posted.path, "/a/secret-path", "a redirect was followed");
        let signature = posted.signature.as_ref().unwrap().strip_prefix("sha256=").unwrap();
        hmac::verify(&key, posted.body.as_bytes(), &hex::decode(signature).unwrap()).unwrap();
    }
    assert!(!lab.log().contains("secret"), "{}", lab.log());
}

#[test]
fn receivers_are_known_by_their_authority() {
    // What `provd certificate` makes for the page serves a receiver as well.
    let directory = tempfile::tempdir().unwrap();
    let made = Command::new(PROVD)
        .args(["certificate", "--name", "localhost", "--directory"])
        .arg(directory.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let certificate = fs::read(directory.path().join("certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(directory.path().join("key.pem")).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from_pem_slice(&certificate).unwrap()], key)
        .unwrap();
    let receiver = Receiver::start(&[], Some(Arc::new(config)));

    let lab = Lab::new(&declared(2, &[format!("https://localhost:{}/", receiver.port)]));
    let daemon = lab.start();
    wait_for(|| lab.log().contains("certificate").then_some(()));
    assert_eq!(receiver.posted().len(), 0);
    drop(daemon);
    fs::write(lab.path("webhook-ca.pem"), certificate).unwrap();
    let _daemon = lab.start();
    wait_for(|| (receiver.posted().len() == 2).then_some(()));
    assert!(receiver.posted().iter().all(|posted| posted.signature.is_none()));
}

#[test]
fn a_useless_file_is_told_and_nodes_are_served_all_the_same() {
    let lab = Lab::new(&declared(1, &["http://127.0.0.1:9/".to_owned()]));
    fs::write(lab.path("webhook-ca.pem"), "no certificate").unwrap();
    let _daemon = lab.start();
    assert!(lab.log().contains("no webhooks: "), "{}", lab.log());
    assert!(lab.log().contains("webhook-ca.pem: no certificate that can be used"), "{}", lab.log());
}
