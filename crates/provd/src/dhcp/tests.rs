//! What dnsmasq's calls become.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use proptest::prelude::*;

use super::*;

fn event(arguments: &[&[u8]], environment: &[(&str, &[u8])]) -> Option<Event> {
    let arguments: Vec<OsString> = arguments.iter().map(|text| OsString::from_vec(text.to_vec())).collect();
    let environment: BTreeMap<&str, &[u8]> = environment.iter().copied().collect();
    Event::of_script(&arguments, |name| Some(OsString::from_vec(environment.get(name)?.to_vec())))
}

#[test]
fn leases_and_files() {
    let lease = event(
        &[b"add", b"52:54:00:aa:bb:cc", b"10.10.1.150", b"given"],
        &[
            ("DNSMASQ_SUPPLIED_HOSTNAME", b"blade\x1b[31m\n7\xff"),
            ("DNSMASQ_VENDOR_CLASS", b"PXEClient"),
            ("DNSMASQ_REQUESTED_OPTIONS", b"1,3,6"),
        ],
    );
    assert_eq!(
        lease,
        Some(Event::Lease {
            mac: "52:54:00:aa:bb:cc".parse().unwrap(),
            address: "10.10.1.150".parse().unwrap(),
            hostname: Some("blade?[31m?7?".to_owned()),
            vendor: Some("PXEClient".to_owned()),
            fingerprint: Some("1,3,6".to_owned()),
        })
    );
    let sent = event(&[b"tftp", b"512", b"10.10.1.21", b"/srv/grub/nodes/52-54-00-00-00-01.cfg"], &[]).unwrap();
    let Event::Sent { path, .. } = &sent else { panic!("{sent:?}") };
    assert_eq!(node_script(path), "52:54:00:00:00:01".parse().ok());
    let nothing: [&[&[u8]]; 8] = [
        &[],
        &[b"init"],
        &[b"del", b"52:54:00:aa:bb:cc", b"10.10.1.150"],
        &[b"add", b"06-52:54:00:aa:bb:cc", b"10.10.1.150"],
        &[b"add", b"00:01:00:01:2a:2a:2a:2a:52:54:00:aa:bb:cc", b"fd00::1"],
        &[b"add", b"52:54:00:aa:bb:cc"],
        &[b"tftp", b"1", b"10.10.1.21", b"\xff"],
        &[b"arp-add", b"52:54:00:aa:bb:cc", b"10.10.1.150"],
    ];
    for call in nothing {
        assert_eq!(event(call, &[]), None, "{call:?}");
    }
}

#[test]
fn only_scripts_of_nodes_count_as_read() {
    for path in [
        "/a/grub/nodes/x.cfg",
        "/a/grub/grub.cfg",
        "grub/nodes/52-54-00-00-00-01.cfg",
        "/nodes/52-54-00-00-00-01.cfg",
        "",
    ] {
        assert_eq!(node_script(path), None, "{path}");
    }
    assert_eq!(unmapped("::ffff:10.10.1.21".parse().unwrap()), "10.10.1.21".parse::<IpAddr>().unwrap());
}

proptest! {
    #[test]
    fn whatever_a_machine_sends_is_bounded(name: Vec<u8>, vendor in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let told = event(
            &[b"old", b"52:54:00:aa:bb:cc", b"10.10.1.150", &name],
            &[("DNSMASQ_VENDOR_CLASS", &vendor), ("DNSMASQ_REQUESTED_OPTIONS", &vendor)],
        );
        let json = serde_json::to_string(&told).unwrap();
        prop_assert!(json.len() < BODY / 2, "{}", json.len());
        prop_assert_eq!(serde_json::from_str::<Option<Event>>(&json).unwrap(), told);
    }
}
