//! BIOS settings and SUM's archive: what is read, and each fault as people see it.

use std::collections::BTreeMap;

use netboot::{BiosSettings, BiosValue};

use super::fault_tests::{NETWORK, SHA256, node, profile};
use super::tests::load_texts;
use super::{Faults, Loaded};

const BMC: &str = "bmc = { address = \"10.10.1.11\", kind = \"supermicro\" }";
const ARCHIVE: &str = "[sum]\npath = \"sum.tar.gz\"\n@SHA\n";
const BY_SUM: &str = "[bios.x11.sum]\n\"Advanced|CPU Configuration|Hyper-threading\" = \"Enabled\"\n";
const SETTINGS: &str = "[bios.x11.settings]\nQuietBoot = true\n";

fn load(lines: &str, nodes: &str) -> Result<Loaded, Faults> {
    let profile = profile(NETWORK, lines);
    load_texts(&[("lab/profile.toml", &profile), ("lab/nodes.toml", nodes), ("lab/sum.tar.gz", "twenty bytes of SUM.")])
}

/// Exactly these faults.
fn told(name: &str, lines: &str, nodes: &str, count: usize) {
    match load(lines, nodes) {
        Ok(_) => panic!("{name}: no fault was found"),
        Err(faults) => {
            assert_eq!(faults.count(), count, "{name}: {faults}");
            insta::assert_snapshot!(format!("bios_{name}"), faults.render(false));
        }
    }
}

#[test]
fn settings_are_read_as_they_are_written() {
    let lines = "[bios.x11.settings]\nQuietBoot = true\nBootTimeout = -5\nPowerPolicy = \"Last State\"\n\
                 \"BootOption#1$3\" = \"\"\nSR-IOVSupport_0038 = \"1\"\n[bios.x11.sum]\n\"Advanced|  Power Limit Value\" = \"95\"\n";
    let nodes = node(&format!("bios = \"x11\"\n{BMC}"));
    let loaded = load(&format!("{lines}{ARCHIVE}"), &nodes).unwrap_or_else(|faults| panic!("{faults}"));
    let text = |text: &str| BiosValue::Text(text.to_owned());
    let expected = BiosSettings {
        settings: [
            ("QuietBoot", BiosValue::Flag(true)),
            ("BootTimeout", BiosValue::Number(-5)),
            ("PowerPolicy", text("Last State")),
            ("BootOption#1$3", text("")),
            ("SR-IOVSupport_0038", text("1")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into(),
        sum: BTreeMap::from([("Advanced|  Power Limit Value".to_owned(), "95".to_owned())]),
    };
    assert_eq!(loaded.profile.bios, BTreeMap::from([("x11".to_owned(), expected)]));
    assert_eq!(loaded.profile.inventory.nodes[0].bios.as_deref(), Some("x11"));
    let archive = loaded.profile.sum.unwrap();
    assert_eq!(archive.path.to_str(), Some("lab/sum.tar.gz"));
    assert_eq!(archive.sha256.to_string(), SHA256);
    assert_eq!((loaded.warnings.count(), loaded.notes.findings().count()), (0, 0));
}

#[test]
fn settings_of_imports_merge_key_by_key() {
    let base = "[bios.x11.settings]\nQuietBoot = true\nVMX = \"Enable\"\n[sum]\npath = \"s.tar.gz\"\n";
    let lines = format!("[bios.x11.settings]\nQuietBoot = 1\n[sum]\nsha256 = \"{SHA256}\"\n");
    let importing = format!("imports = [\"base/b.toml\"]\n{}", profile(NETWORK, &lines));
    let files = [("p.toml", importing.as_str()), ("base/b.toml", base), ("base/s.tar.gz", "SUM")];
    let profile = load_texts(&files).unwrap_or_else(|faults| panic!("{faults}")).profile;
    let settings = &profile.bios["x11"].settings;
    assert_eq!(settings["QuietBoot"], BiosValue::Number(1));
    assert_eq!(settings["VMX"], BiosValue::Text("Enable".to_owned()));
    // Relative to the file that names it.
    assert_eq!(profile.sum.unwrap().path.to_str(), Some("base/s.tar.gz"));
}

#[test]
fn the_digest_follows_settings_and_archive_and_not_where_it_lies() {
    let digest = |lines: &str| {
        let text = profile(NETWORK, lines);
        let files = [("p.toml", text.as_str()), ("a.tar.gz", "SUM"), ("b.tar.gz", "SUM")];
        load_texts(&files).unwrap_or_else(|faults| panic!("{faults}")).digest
    };
    let archive = |path: &str, sha256: &str| digest(&format!("[sum]\npath = \"{path}\"\nsha256 = \"{sha256}\"\n"));
    let one = archive("a.tar.gz", SHA256);
    assert_eq!(archive("b.tar.gz", &SHA256.to_uppercase()), one);
    assert_ne!(archive("a.tar.gz", &SHA256.replace('e', "f")), one);
    assert_ne!(digest(""), one);
    assert_ne!(digest(SETTINGS), digest(&SETTINGS.replace("true", "\"true\"")));
}

#[test]
fn faults_of_settings() {
    let cases = [
        ("value_fraction", "[bios.x.settings]\nBootTimeout = 1.5\n"),
        ("value_list", "[bios.x.settings]\nBootOrder = [\"Hdd\"]\n"),
        ("value_table", "[bios.x.settings]\nBoot.Mode = \"UEFI\"\n"),
        ("value_date", "[bios.x.settings]\nDate = 2026-01-01\n"),
        ("value_of_two_lines", "[bios.x.settings]\nTag = \"a\\nb\"\n"),
        ("value_for_sum_no_text", "[bios.x.sum]\n\"Boot|Quiet Boot\" = true\n"),
        ("attribute_with_blank", "[bios.x.settings]\n\"Quiet Boot\" = true\n"),
        ("attribute_with_tab", "[bios.x.settings]\n\"Quiet\\tBoot\" = true\n"),
        ("attribute_empty", "[bios.x.settings]\n\"\" = true\n"),
        ("attribute_password", "[bios.x.settings]\nSetupPassword = \"hunter2\"\n"),
        ("sum_password", "[bios.x.sum]\n\"Security|Administrator password\" = \"hunter2\"\n"),
        ("sum_empty_part", "[bios.x.sum]\n\"Advanced||Quiet Boot\" = \"Enabled\"\n"),
        ("sum_no_menu", "[bios.x.sum]\n\"Quiet Boot\" = \"Enabled\"\n"),
        ("set_empty", "[bios.x]\n"),
        ("set_of_empty_tables", "[bios.x.settings]\n[bios.x.sum]\n"),
        ("set_name", "[bios.\"X11 boards\".settings]\nQuietBoot = true\n"),
        ("set_key_misspelt", "[bios.x.setings]\nQuietBoot = true\n"),
        ("sum_without_archive", BY_SUM),
    ];
    for (name, lines) in cases {
        told(name, lines, "", 1);
        // A secret is never shown, not even a refused one.
        assert!(!load(lines, "").unwrap_err().to_string().contains("hunter2"), "{name}");
    }
}

#[test]
fn faults_of_the_archive() {
    let cases = [
        ("archive_absent", "[sum]\npath = \"gone.tar.gz\"\n@SHA\n"),
        ("archive_without_digest", "[sum]\npath = \"sum.tar.gz\"\n"),
        ("archive_without_path", "[sum]\n@SHA\n"),
        ("archive_digest_malformed", "[sum]\npath = \"sum.tar.gz\"\nsha256 = \"e3b0\"\n"),
        ("archive_by_url", "[sum]\nurl = \"https://example.org/sum.tar.gz\"\npath = \"sum.tar.gz\"\n@SHA\n"),
    ];
    for (name, lines) in cases {
        told(name, lines, "", 1);
        // Whatever is wrong with it: it is there, and nothing else is said of what needs it.
        assert_eq!(load(&format!("{BY_SUM}{lines}"), "").unwrap_err().count(), 1, "{name}");
    }
}

#[test]
fn faults_between_nodes_and_settings() {
    let by_sum = format!("{BY_SUM}{ARCHIVE}");
    let cases = [
        ("unknown_to_the_node", SETTINGS, format!("bios = \"x12\"\n{BMC}")),
        ("unknown_and_none", "", format!("bios = \"x11\"\n{BMC}")),
        ("without_a_bmc", SETTINGS, "bios = \"x11\"".to_owned()),
        ("other_maker", &by_sum, format!("bios = \"x11\"\n{}", BMC.replace("supermicro", "dell"))),
        ("other_maker_by_default", &by_sum, "bios = \"x11\"\nbmc.address = \"10.10.1.11\"".to_owned()),
        ("port_for_sum", &by_sum, format!("bios = \"x11\"\n{}", BMC.replace(", kind", ", port = 8443, kind"))),
    ];
    for (name, lines, nodes) in &cases {
        told(name, lines, &node(nodes), 1);
    }
    // Redfish knows ports, and every maker.
    let nodes = node("bios = \"x11\"\nbmc = { address = \"10.10.1.11\", kind = \"hpe\", port = 8443 }");
    assert!(load(SETTINGS, &nodes).is_ok());
}

#[test]
fn all_faults_come_at_once() {
    let lines = "[bios.a]\n[bios.b.settings]\nX = 1.5\nMyPassword = \"hunter2\"\n\
                 [bios.c.sum]\n\"A|B\" = \"C\"\n[sum]\npath = \"gone\"\nsha256 = \"x\"\n";
    let nodes = node("bios = \"c\"\nbmc = { address = \"10.10.1.11\", kind = \"dell\", port = 8443 }");
    told("all_at_once", lines, &nodes, 7);
}

#[test]
fn settings_that_no_node_uses_are_a_note() {
    let loaded = load(SETTINGS, &node("")).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(loaded.warnings.count(), 0);
    insta::assert_snapshot!("bios_note_unused", loaded.notes.render(false));
}
