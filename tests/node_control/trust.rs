//! Certificates: seen first, changed, forgotten, and not looked at.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::lab::Lab;

fn fingerprint(lab: &Lab, index: usize) -> String {
    format!("SHA256:{}", hex::encode(lab.bmcs[index].certificate_sha256()))
}

#[test]
fn a_certificate_is_kept_when_it_is_seen_first() {
    let lab = Lab::new(2);
    lab.run(&["trust", "--all"]).is(0, &["not seen yet"]);
    lab.bmcs[0].set_latency(Duration::from_millis(60));
    let said = lab.run(&["status", "--all"]);
    lab.bmcs[0].set_latency(Duration::ZERO);
    let first = |index: usize| format!("node{}: seen for the first time at {}; ", index + 1, lab.bmcs[index].address());
    said.is(0, &[&first(0), &first(1), &fingerprint(&lab, 0), &fingerprint(&lab, 1)]);
    // In the order of the nodes, however late one answers.
    assert!(said.stderr.find(&first(0)) < said.stderr.find(&first(1)), "{said:?}");
    let text = std::fs::read_to_string(lab.pins()).unwrap();
    for index in [0, 1] {
        assert!(text.contains(&format!("{} {}\n", lab.bmcs[index].address(), fingerprint(&lab, index))), "{text}");
    }
    assert_eq!(std::fs::metadata(lab.pins()).unwrap().permissions().mode() & 0o777, 0o600);
    // The second time nothing is said.
    assert!(!lab.run(&["status", "--all"]).stderr.contains("first time"));
    let said = lab.run(&["--json", "trust", "node2"]);
    assert_eq!(said.objects()[0]["certificate"], fingerprint(&lab, 1));
}

#[test]
fn a_changed_certificate_is_told_no_password() {
    let lab = Lab::new(1);
    lab.run(&["status", "node1"]).is(0, &[]);
    let before = fingerprint(&lab, 0);
    lab.bmcs[0].new_certificate();
    lab.bmcs[0].forget_requests();
    let said = lab.run(&["power", "off", "node1", "--now"]);
    said.is(
        12,
        &[&before, &fingerprint(&lab, 0), "another certificate than before", "provbuild node trust node1 --forget"],
    );
    // The handshake was not finished: no request, so no password.
    lab.nothing_was_sent();
    assert_ne!(before, fingerprint(&lab, 0));

    // Whoever asks for it goes on, and nothing is learned from it.
    lab.run(&["status", "node1", "--insecure"]).is(0, &["node1: on"]);
    lab.run(&["status", "node1"]).is(12, &[]);
    lab.run(&["trust", "node1", "--forget"]).is(0, &["node1", &before, "forgotten"]);
    lab.run(&["status", "node1"]).is(0, &["seen for the first time"]);
    lab.run(&["trust", "node1"]).is(0, &[&fingerprint(&lab, 0)]);
}

#[test]
fn a_damaged_record_is_not_a_reason_to_trust() {
    let lab = Lab::new(1);
    lab.run(&["status", "node1"]).is(0, &[]);
    std::fs::write(lab.pins(), "127.0.1.1 SHA256:12\n").unwrap();
    lab.bmcs[0].forget_requests();
    lab.run(&["status", "node1"]).is(9, &["bmc-certificates:1: not an endpoint and a fingerprint"]);
    lab.nothing_was_sent();
}

#[test]
fn the_appliances_certificate_is_shown_under_its_url() {
    let lab = Lab::new(1);
    lab.run(&["trust", "--appliance"]).is(2, &["the profile's uplink gets its address by DHCP", "PROVBUILD_APPLIANCE"]);
    lab.run(&["trust", "--appliance=https://appliance.example:8443"])
        .is(0, &["appliance  https://appliance.example:8443  not seen yet"]);
    lab.run(&["trust", "--appliance=http://appliance.example"]).is(2, &["in the clear"]);
}
