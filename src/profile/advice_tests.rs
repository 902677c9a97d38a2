//! Faults whose remedy the table of options knows, and those of DHCP options. Snapshots are `snapshots/*advice_NAME.snap`.

use super::fault_tests::{NETWORK, node, profile};
use super::tests::load_texts;

/// All faults of a profile and its nodes.
fn faults(name: &str, profile: &str, nodes: &str) {
    match load_texts(&[("profile.toml", profile), ("nodes.toml", nodes)]) {
        Ok(_) => panic!("{name}: no fault was found"),
        Err(faults) => insta::assert_snapshot!(format!("advice_{name}"), faults.render(false)),
    }
}

#[test]
fn dhcp_options_are_checked_by_name_and_kind() {
    let options = |lines: &str| node(&format!("[node.dhcp-options]\n{lines}"));
    faults(
        "dhcp_options",
        &profile(NETWORK, ""),
        &options(
            "ntp-servr = \"10.10.1.254\"\nrouter = \"not-an-ip\"\nnetmask = \"24\"\n\"42\" = \"a,b\"\n\
             dns-server = \"10.10.1.300\"\nmtu = \"abc\"\n\"43\" = \"01:04:zz\"\nbootfile-name = \"x\"\n\
             hostname = \"a b\"\n\"53\" = 1\nboot-file-name = \"x\"\nlog-server = [\"10.10.1.1\"]\n",
        ),
    );
    faults(
        "dhcp_option_twice",
        &profile(NETWORK, ""),
        &options("\"42\" = \"10.10.1.1\"\nntp-server = \"10.10.1.2\"\n"),
    );

    // Numbers and yes or no need no quotes.
    let nodes = options("mtu = 9000\nip-forward-enable = true\n\"42\" = \"10.10.1.1\"\n");
    let loaded = load_texts(&[("profile.toml", &profile(NETWORK, "")), ("nodes.toml", &nodes)])
        .unwrap_or_else(|faults| panic!("{faults}"));
    let options = &loaded.profile.inventory.nodes[0].dhcp_options;
    let words: Vec<_> = options.iter().map(|(option, value)| option.words(value)).collect();
    assert_eq!(words, ["option:ip-forward-enable,1", "option:mtu,9000", "option:ntp-server,10.10.1.1"]);
}

#[test]
fn what_is_to_stand_where_a_table_or_a_list_does() {
    let installer = "[installer.noble]\ndistribution = \"ubuntu\"\nrelease = \"24.04\"\n\
                     keyboard = \"us\"\nstorage = \"lvm\"\niso = \"https://example.org/a.iso\"\n\
                     kernel-parameters = \"quiet\"\naccount.ssh-keys = \"ssh-ed25519 x\"\n[deploy]\nvsphere = true\n";
    faults(
        "types",
        &profile(NETWORK, installer),
        &node("disk = \"/dev/sda\"\nbmc = \"10.10.1.11\"\nroles = \"storage\"\ndhcp-options = \"x\""),
    );
    faults(
        "types_of_whole_tables",
        "appliance = \"x\"\ninstaller = \"noble\"\noutputs = [\"ova\"]\n",
        "node = [\"node1\"]\n",
    );
}

#[test]
fn where_a_misplaced_key_belongs() {
    let profile = profile(
        "",
        "[provisioning]\naddress = \"10.10.1.1/24\"\n[network.provisioning]\ndhcp-range = \"x\"\n\
                               [iso]\nurl = \"x\"\n[frobnicate]\nx = 1\n",
    );
    faults("misplaced", &profile, &node("serial = \"S3Z9\"\ndisk = { size = \"200GB\" }"));
}

#[test]
fn syntax_errors_have_remedies_where_they_are_certain() {
    let single = "[node]\nhostname = \"a\"\nmac = \"52:54:00:00:00:01\"\naddress = \"10.10.1.21\"\n";
    let again = single.replace("\"a\"", "\"b\"").replace(":01\"", ":02\"");
    faults("single_brackets", &profile(NETWORK, ""), &format!("{single}{again}"));
    let broken = "[appliance]\nname = lab\nmemory = \ncpus = 1 2\ntimezone = \"Etc/UTC\nhostname = \"h\"\n\
                  hostname = \"i\"\n[outputs\n[network.uplink]\n[network.uplink]\n";
    faults("syntax", broken, "");
}

#[test]
fn a_medium_that_is_fetched_brings_what_fetches_it() {
    let installer = "[installer.noble]\ndistribution = \"ubuntu\"\nrelease = \"24.04\"\n\
                     iso = { url = \"https://example.org/a.iso\", @SHA }\n";
    let packages = |profile: &str| {
        let loaded = load_texts(&[("profile.toml", profile)]).unwrap_or_else(|faults| panic!("{faults}"));
        loaded.profile.distribution.packages
    };
    for package in ["curl", "libarchive-tools"] {
        assert!(packages(&profile(NETWORK, installer)).contains(package), "{package}");
        let baked = installer.replace("iso =", "media = \"bake\"\niso =");
        assert!(!packages(&profile(NETWORK, &baked)).contains(package), "{package}");
    }
    let excluding = profile(NETWORK, installer).replace("[network", "exclude = [\"curl\"]\n[network");
    faults("fetching_without_curl", &excluding, "");
}
