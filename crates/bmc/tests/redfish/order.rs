//! The persistent boot order, by the standard and by Supermicro's own resource.

use bmc::{BootEntry, Outcome, Verb};
use redfish_simulator::{Fault, Model};
use serde_json::json;

use crate::common::Bench;

fn set(order: &[&str]) -> Verb {
    Verb::BootOrderSet { order: order.iter().map(|one| (*one).to_owned()).collect() }
}

#[tokio::test]
async fn the_order_is_shown_with_names_for_people() {
    let bench = Bench::generic().await;
    let outcome = bench.run(&Verb::BootOrderGet {}).await.unwrap();
    assert_eq!(outcome.summary(), "Ubuntu, UEFI PXE IPv4 NIC 1, UEFI HTTP IPv4 NIC 1, and 1 more");
    assert_eq!(
        outcome.details(),
        " 1  Boot0001  Ubuntu (Hdd)\n 2  Boot0002  UEFI PXE IPv4 NIC 1 (Pxe)\n \
         3  Boot0003  UEFI HTTP IPv4 NIC 1 (UefiHttp)\n 4  Boot0004  Virtual CD (Cd)\n"
    );
    let json = serde_json::to_value(&outcome).unwrap();
    assert_eq!(json["outcome"], "boot-order");
    assert_eq!(
        json["result"],
        json!({
            "property": "BootOrder",
            "changed": false,
            "entries": [
                { "reference": "Boot0001", "name": "Ubuntu", "alias": "Hdd" },
                { "reference": "Boot0002", "name": "UEFI PXE IPv4 NIC 1", "alias": "Pxe" },
                { "reference": "Boot0003", "name": "UEFI HTTP IPv4 NIC 1", "alias": "UefiHttp" },
                { "reference": "Boot0004", "name": "Virtual CD", "alias": "Cd" },
            ],
        })
    );
}

#[tokio::test]
async fn what_is_named_comes_first_and_the_rest_stays_behind_in_its_order() {
    let bench = Bench::generic().await;
    assert_eq!(bench.line(&set(&["Virtual CD", "pxe"])).await, "Virtual CD, UEFI PXE IPv4 NIC 1, Ubuntu, and 1 more");
    assert_eq!(bench.state().boot_order, ["Boot0004", "Boot0002", "Boot0001", "Boot0003"]);
    bench.bmc.forget_requests();
    let Outcome::BootOrder(again) = bench.run(&set(&["Boot0004"])).await.unwrap() else { panic!("no order") };
    assert!(!again.changed && bench.writes().is_empty(), "nothing is sent where it is so already");
}

#[tokio::test]
async fn an_entry_that_is_not_there_is_refused_before_anything_is_sent() {
    let bench = Bench::generic().await;
    assert_eq!(
        bench.unchanged(&set(&["Boot0002", "Ubunto"])).await,
        "there is no boot entry 'Ubunto'\nhelp: did you mean 'Ubuntu'?"
    );
    assert!(bench.writes().is_empty());
}

#[tokio::test]
async fn an_order_that_is_ignored_is_an_error() {
    let bench = Bench::generic().await;
    bench.bmc.fault(Fault::OrderIgnored);
    assert_eq!(
        bench.unchanged(&set(&["Boot0002"])).await,
        "asked for BootOrder = Boot0002, Boot0001, Boot0003, Boot0004, and the BMC accepted it, but there is \
         Boot0001, Boot0002, Boot0003, Boot0004\n\
         help: set it in the BIOS setup by hand, or update the BMC's firmware"
    );
    let bench = Bench::supermicro().await;
    bench.bmc.fault(Fault::OrderIgnored);
    let text = bench.unchanged(&set(&["UEFI Network"])).await;
    assert!(text.starts_with("asked for FixedBootOrder = UEFI Network:(B2/D0/F0)"), "{text}");
}

#[tokio::test]
async fn supermicros_slots_are_permuted_and_as_many_as_before() {
    let mut model = Model::supermicro_x11();
    model.fixed_boot_order.push("Disabled".into());
    let bench = Bench::new(model).await;
    let outcome = bench.run(&set(&["uefi network", "UEFI CD/DVD"])).await.unwrap();
    let Outcome::BootOrder(order) = &outcome else { panic!("{outcome:?}") };
    assert_eq!((order.property.as_str(), order.changed), ("FixedBootOrder", true));
    let sent = bench.writes()[0].body["FixedBootOrder"].clone();
    assert_eq!(sent.as_array().unwrap().len(), 10);
    assert_eq!(sent[9], "Disabled");
    let now = bench.state().fixed_boot_order;
    assert!(now[0].starts_with("UEFI Network:(B2/D0/F0)"), "{now:?}");
    assert_eq!(now[1..4], ["UEFI CD/DVD", "UEFI Hard Disk:ubuntu (SATA,Port:0)", "UEFI USB Hard Disk"]);
    // Two blanks in a row are the board's own, and nobody types them.
    let name = "UEFI Network:(B2/D0/F0) UEFI PXE IPv4 Intel(R) I210 Gigabit Network Connection - AC1F6B6C5A76";
    assert_eq!(order.entries[0], BootEntry { reference: name.into(), name: None, alias: None });
    assert_eq!(bench.line(&set(&[name])).await, outcome.summary());
}

#[tokio::test]
async fn a_missing_licence_is_named_and_nothing_changes() {
    let bench = Bench::supermicro().await;
    bench.bmc.fault(Fault::Licence);
    assert_eq!(
        bench.unchanged(&set(&["UEFI Network"])).await,
        "the board has no licence to set the boot order: Not licensed to perform this request. The following licenses DCMS were needed\n\
         help: activate the licence that the message names on this board, or do without"
    );
}

#[tokio::test]
async fn a_machine_without_an_order_says_so() {
    let bench = Bench::new(Model { boot_options: vec![], ..Model::generic() }).await;
    assert_eq!(
        bench.failure(&Verb::BootOrderGet {}).await,
        "this BMC cannot show the boot order: its system has no BootOrder"
    );
    assert_eq!(
        bench.unchanged(&set(&["Boot0001"])).await,
        "this BMC cannot set the boot order: its system has no BootOrder"
    );
}
