//! `media insert` and `media eject`, by the standard and by Supermicro's older way.

use bmc::{Kind, Verb};
use redfish_simulator::Fault;

use crate::common::Bench;

const IMAGE: &str = "http://10.10.1.1/images/installer.iso";
const EJECT: Verb = Verb::MediaEject {};

fn insert(image: &str) -> Verb {
    Verb::MediaInsert { image: image.to_owned() }
}

#[tokio::test]
async fn an_image_is_inserted_into_the_slot_for_cds_and_read_back() {
    let bench = Bench::generic().await;
    assert_eq!(bench.line(&insert(IMAGE)).await, format!("CD1 holds {IMAGE}"));
    let state = bench.bmc.state();
    assert_eq!(state.media["CD1"].image.as_deref(), Some(IMAGE));
    assert!(!state.media["USB1"].inserted);
    assert_eq!(bench.writes()[0].body, serde_json::json!({ "Image": IMAGE }), "nothing that boards refuse");
    bench.bmc.forget_requests();
    assert_eq!(bench.line(&insert(IMAGE)).await, format!("CD1 holds {IMAGE} already"));
    assert_eq!(bench.writes(), []);
}

#[tokio::test]
async fn another_image_is_ejected_first() {
    let bench = Bench::generic().await;
    bench.line(&insert("http://10.10.1.1/other.iso")).await;
    assert_eq!(bench.line(&insert(IMAGE)).await, format!("CD1 holds {IMAGE}, instead of http://10.10.1.1/other.iso"));
    assert_eq!(bench.bmc.state().media["CD1"].image.as_deref(), Some(IMAGE));
}

#[tokio::test]
async fn ejecting_leaves_an_empty_slot_and_a_second_time_does_nothing() {
    for bench in [Bench::generic().await, Bench::supermicro().await] {
        bench.line(&insert(IMAGE)).await;
        let line = bench.line(&EJECT).await;
        assert!(line.ends_with(&format!("is empty: {IMAGE} was ejected")), "{line}");
        let state = bench.bmc.state();
        assert!(!state.media["CD1"].inserted && !state.cfg_cd.mounted);
        bench.bmc.forget_requests();
        assert!(bench.line(&EJECT).await.ends_with("is empty already"));
        assert_eq!(bench.writes(), []);
    }
}

#[tokio::test]
async fn an_older_supermicro_board_mounts_it_from_host_and_path() {
    let bench = Bench::supermicro().await;
    assert_eq!(bench.line(&insert(IMAGE)).await, format!("CfgCD holds {IMAGE}"));
    let cd = bench.bmc.state().cfg_cd;
    assert_eq!((cd.host.as_str(), cd.path.as_str(), cd.mounted), ("http://10.10.1.1", "/images/installer.iso", true));
    bench.bmc.forget_requests();
    assert!(bench.line(&insert(IMAGE)).await.ends_with("already"));
    assert_eq!(bench.writes(), []);
    let other = "http://10.10.1.1:8080/b.iso";
    assert_eq!(bench.line(&insert(other)).await, format!("CfgCD holds {other}, instead of {IMAGE}"));
    let error = bench.failure(&insert("https://10.10.1.1/a.iso")).await;
    assert_eq!(error.to_string(), "this BMC takes images by http or smb, not by https");
    assert!(bench.bmc.state().cfg_cd.mounted, "what was in it still is");
}

#[tokio::test]
async fn an_address_that_no_bmc_can_use_is_refused_before_anything_is_sent() {
    let bench = Bench::generic().await;
    for (image, part) in [
        ("http://me:hunter2@10.10.1.1/a.iso", "no user name and no password"),
        ("ftp://10.10.1.1/a.iso", "must begin with http://"),
        ("/srv/a.iso", "is none"),
        ("http://10.10.1.1/", "needs a host and a path"),
    ] {
        let error = bench.failure(&insert(image)).await;
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.to_string().contains(part) && !error.to_string().contains("hunter2"), "{error}");
    }
    assert_eq!(bench.writes(), []);
}

#[tokio::test]
async fn an_insertion_that_is_accepted_and_not_done_is_an_error() {
    for bench in [Bench::generic().await, Bench::supermicro().await] {
        bench.bmc.fault(Fault::MediaIgnored);
        let error = bench.failure(&insert(IMAGE)).await;
        assert_eq!(error.kind(), Kind::NotApplied);
        assert!(error.to_string().ends_with("but there is nothing inserted"), "{error}");
        bench.bmc.heal();
        bench.line(&insert(IMAGE)).await;
        bench.bmc.fault(Fault::MediaIgnored);
        let error = bench.failure(&EJECT).await;
        assert_eq!(error.kind(), Kind::NotApplied);
        assert!(error.to_string().ends_with(&format!("but there is {IMAGE}")), "{error}");
    }
}

#[tokio::test]
async fn a_missing_licence_is_named() {
    for bench in [Bench::generic().await, Bench::supermicro().await] {
        bench.bmc.fault(Fault::Licence);
        let error = bench.failure(&insert(IMAGE)).await;
        assert!(error.to_string().starts_with("the board has no licence to insert an image"), "{error}");
        assert!(error.help().unwrap().contains("activate the licence"));
    }
}

#[tokio::test]
async fn an_image_of_somebody_else_is_shown_without_the_password_in_it() {
    let bench = Bench::generic().await;
    bench.bmc.tamper(|state| {
        let medium = state.media.get_mut("CD1").unwrap();
        (medium.inserted, medium.image) = (true, Some("smb://me:hunter2@10.10.1.1/share/a.iso".into()));
    });
    assert_eq!(bench.line(&EJECT).await, "CD1 is empty: smb://10.10.1.1/share/a.iso was ejected");
}

#[tokio::test]
async fn what_can_be_refused_before_anything_is_recorded_is() {
    let bench = Bench::generic().await;
    assert!(Verb::MediaInsert { image: "smb://me:hunter2@10.10.1.1/a.iso".into() }.check().is_err());
    assert!(Verb::Raw { path: "/etc/passwd".into() }.check().is_err());
    assert!(Verb::BootOrderSet { order: Vec::new() }.check().is_err());
    assert!(insert(IMAGE).check().is_ok());
    assert_eq!(bench.bmc.requests().len(), 0);
}
