//! One fault at a time: its whole message, as people see it. Snapshots are `snapshots/*fault_NAME.snap`.

use super::tests::load_texts;
use super::{Controller, Deploy, Link};

const HEAD: &str = r#"[appliance]
name = "mylab"
[appliance.users.ops]
ssh-keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw ops@desk"]
[distribution]
name = "ubuntu"
release = "24.04"
"#;

/// The network of the cases that are not about it.
pub(super) const NETWORK: &str =
    "[network.provisioning]\naddress = \"10.10.1.1/24\"\ndhcp.range = \"10.10.1.100-10.10.1.199\"\n";

pub(super) const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

pub(super) fn profile(network: &str, rest: &str) -> String {
    format!("{HEAD}{network}{}", rest.replace("@SHA", &format!("sha256 = \"{SHA256}\"")))
}

/// A node with further lines.
pub(super) fn node(lines: &str) -> String {
    format!("[[node]]\nhostname = \"node1\"\nmac = \"52:54:00:00:00:01\"\naddress = \"10.10.1.21\"\n{lines}\n")
}

fn second(lines: &str) -> String {
    format!("{}\n[[node]]\n{lines}\n", node("bmc = { address = \"10.10.1.11\", mac = \"52:54:00:00:01:01\" }"))
}

/// Exactly one fault, with this message.
pub(super) fn one(name: &str, profile: &str, nodes: &str) {
    let files = [("profile.toml", profile), ("nodes.toml", nodes), ("here.iso", "twenty bytes of ISO.")];
    match load_texts(&files) {
        Ok(_) => panic!("{name}: no fault was found"),
        Err(faults) => {
            assert_eq!(faults.count(), 1, "{name}: {faults}");
            insta::assert_snapshot!(format!("fault_{name}"), faults.render(false));
        }
    }
}

#[test]
fn faults_of_the_network() {
    let cases = [
        ("prefix_missing", "address = \"10.10.1.1\"", ""),
        ("server_is_broadcast", "address = \"10.10.1.255/24\"", ""),
        ("range_outside_the_subnet", "address = \"10.10.1.1/24\"\ndhcp.range = \"10.10.2.100-10.10.2.199\"", ""),
        ("range_backwards", "address = \"10.10.1.1/24\"\ndhcp.range = \"10.10.1.199-10.10.1.100\"", ""),
        ("server_in_the_range", "address = \"10.10.1.1/24\"\ndhcp.range = \"10.10.1.1-10.10.1.9\"", ""),
        ("gateway_outside_the_subnet", "address = \"10.10.1.1/24\"\ngateway = \"10.10.2.1\"", ""),
        (
            "gateway_in_the_range",
            "address = \"10.10.1.1/24\"\ndhcp.range = \"10.10.1.100-10.10.1.199\"\ngateway = \"10.10.1.150\"",
            "",
        ),
        (
            "range_in_proxy_mode",
            "address = \"10.10.1.1/24\"\nmode = \"proxy\"\ndhcp.range = \"10.10.1.100-10.10.1.199\"",
            "",
        ),
        ("lease_in_proxy_mode", "address = \"10.10.1.1/24\"\nmode = \"proxy\"\ndhcp.lease = \"1h\"", ""),
        (
            "bmc_without_the_filter",
            "address = \"10.10.1.1/24\"\n[network.bmc]\nfilter = false",
            "bmc = { address = \"10.10.1.11\" }",
        ),
        (
            "bmc_outside_its_subnet",
            "address = \"10.10.1.1/24\"\n[network.bmc]\nsubnet = \"10.10.9.0/24\"",
            "bmc = { address = \"10.10.8.11\" }",
        ),
        (
            "range_with_the_broadcast_address",
            "address = \"10.10.1.1/24\"\ndhcp.range = \"10.10.1.100-10.10.1.255\"",
            "",
        ),
        (
            "host_is_localhost",
            "address = \"10.10.1.1/24\"\n[[network.provisioning.host]]\nname = \"localhost\"\naddress = \"10.10.1.2\"",
            "",
        ),
        (
            "host_is_the_appliance",
            "address = \"10.10.1.1/24\"\n[[network.provisioning.host]]\nname = \"mylab\"\naddress = \"10.10.1.2\"",
            "",
        ),
        ("prefix_unusable", "address = \"10.10.1.1/31\"", ""),
        ("range_malformed", "address = \"10.10.1.1/24\"\ndhcp.range = \"10.10.1.100-10.10.1\"", ""),
        ("server_is_loopback", "address = \"127.0.0.1/8\"", ""),
        ("server_is_multicast", "address = \"224.0.0.1/24\"", ""),
        ("networks_overlap", "address = \"10.10.1.1/24\"\n[network.bmc]\nsubnet = \"10.10.0.0/16\"", ""),
        ("uplink_without_gateway", "address = \"10.10.1.1/24\"\n[network.uplink]\naddress = \"192.0.2.10/24\"", ""),
        (
            "host_is_a_lease_time",
            "address = \"10.10.1.1/24\"\n[[network.provisioning.host]]\nname = \"12h\"\naddress = \"10.10.1.2\"",
            "",
        ),
        ("domain_is_an_address", "address = \"10.10.1.1/24\"\ndomain = \"1.2.3.4\"", ""),
        (
            "bmc_is_the_gateway",
            "address = \"10.10.1.1/24\"\ngateway = \"10.10.1.254\"",
            "bmc = { address = \"10.10.1.254\" }",
        ),
        (
            "further_address_is_the_gateway",
            "address = \"10.10.1.1/24\"\ngateway = \"10.10.1.254\"",
            "addresses = { x = \"10.10.1.254\" }",
        ),
        ("further_address_is_broadcast", "address = \"10.10.1.1/24\"", "addresses = { x = \"10.10.1.255\" }"),
        (
            "bmc_is_the_uplinks_router",
            "address = \"10.10.1.1/24\"\n[network.uplink]\naddress = \"192.0.2.10/24\"\ngateway = \"192.0.2.1\"",
            "bmc = { address = \"192.0.2.1\" }",
        ),
        (
            "bmc_is_broadcast_of_its_subnet",
            "address = \"10.10.1.1/24\"\n[network.bmc]\nsubnet = \"10.10.9.0/24\"",
            "bmc = { address = \"10.10.9.255\" }",
        ),
        ("node_is_the_gateway", "address = \"10.10.1.1/24\"\ngateway = \"10.10.1.21\"", ""),
    ];
    for (name, network, nodes) in cases {
        one(name, &profile(&format!("[network.provisioning]\n{network}\n"), ""), &node(nodes));
    }
}

#[test]
fn faults_between_nodes() {
    let cases = [
        ("mac_twice", "hostname = \"b\"\nmac = \"52-54-00-00-00-01\"\naddress = \"10.10.1.22\""),
        ("mac_malformed", "hostname = \"b\"\nmac = \"52:54:00:00:00\"\naddress = \"10.10.1.22\""),
        ("mac_without_separators", "hostname = \"b\"\nmac = \"ac1f6b6c5a76\"\naddress = \"10.10.1.22\""),
        ("mac_of_a_group", "hostname = \"b\"\nmac = \"01:00:5e:00:00:02\"\naddress = \"10.10.1.22\""),
        ("mac_of_a_bmc", "hostname = \"b\"\nmac = \"52:54:00:00:01:01\"\naddress = \"10.10.1.22\""),
        ("address_twice", "hostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.21\""),
        ("address_of_a_bmc", "hostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.11\""),
        ("address_of_the_appliance", "hostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.1\""),
        ("address_with_prefix", "hostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22/24\""),
        ("address_outside_the_subnet", "hostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.2.22\""),
        ("address_in_the_range", "hostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.122\""),
        ("address_malformed", "hostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.256\""),
        ("address_no_text", "hostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = 10"),
        ("address_is_the_subnet", "hostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.0\""),
        ("hostname_twice", "hostname = \"node1\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\""),
        ("hostname_malformed", "hostname = \"Node_2.lab\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\""),
        ("hostname_missing", "mac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\""),
        ("hostname_localhost", "hostname = \"localhost\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\""),
        ("hostname_of_a_bmc", "hostname = \"node1-bmc\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\""),
        ("hostname_ignore", "hostname = \"ignore\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\""),
        ("hostname_infinite", "hostname = \"infinite\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\""),
        ("hostname_lease_time", "hostname = \"7d\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\""),
        (
            "address6_link_local",
            "hostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\"\naddress6 = \"fe80::1/64\"",
        ),
        (
            "address6_mapped",
            "hostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\"\naddress6 = \"::ffff:10.0.0.1/96\"",
        ),
        (
            "derived_name_too_long",
            "hostname = \"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\"\nbmc.address = \"10.10.1.12\"",
        ),
        (
            "name_of_a_network_taken",
            "hostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\"\n\
             bmc = { address = \"10.10.1.12\" }\naddresses = { bmc = \"10.20.0.12\" }",
        ),
        (
            "further_address_taken",
            "hostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\"\naddresses.ceph = \"10.10.1.11\"",
        ),
        (
            "bmc_in_the_range",
            "hostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\"\nbmc.address = \"10.10.1.112\"",
        ),
        (
            "bmc_at_no_address",
            "hostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\"\nbmc.address = \"0.0.0.0\"",
        ),
        (
            "address6_without_prefix",
            "hostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\"\naddress6 = \"fd00::22\"",
        ),
        (
            "address6_is_the_subnet",
            "hostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\"\naddress6 = \"fd00::/64\"",
        ),
        (
            "installer_in_capitals",
            "hostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\"\ninstall = \"Ubuntu-24-04\"",
        ),
        (
            "installer_unknown",
            "hostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\"\ninstall = \"ubuntu2404\"",
        ),
    ];
    let installer = "[installer.ubuntu-24-04]\ndistribution = \"ubuntu\"\nrelease = \"24.04\"\n";
    for (name, lines) in cases {
        one(name, &profile(NETWORK, installer), &second(lines));
    }
}

#[test]
fn secure_boot_takes_the_appliances_distribution() {
    let installers = "[installer.d]\ndistribution = \"debian\"\nrelease = \"13\"\n\
                      [installer.u]\ndistribution = \"ubuntu\"\nrelease = \"22.04\"\n";
    one(
        "secure_boot_of_another_distribution",
        &profile(NETWORK, installers),
        &node("install = \"d\"\nsecure-boot = true"),
    );
    let all = NETWORK.replace("dhcp.range", "secure-boot = true\ndhcp.range");
    one("secure_boot_of_all", &profile(&all, installers), &node("install = \"d\""));
    for (network, lines) in [
        (NETWORK, "install = \"u\"\nsecure-boot = true"),
        (NETWORK, "install = \"d\""),
        (all.as_str(), "install = \"d\"\nsecure-boot = false"),
        (all.as_str(), ""),
    ] {
        let files = [("profile.toml", &*profile(network, installers)), ("nodes.toml", &*node(lines))];
        assert!(load_texts(&files).is_ok(), "{lines}");
    }
}

#[test]
fn an_appliance_takes_no_name_that_dnsmasq_reads_otherwise() {
    one("appliance_named_like_a_lease", &profile(NETWORK, "").replace("mylab", "12"), "");
    let named = profile(NETWORK, "").replace("\"mylab\"", "\"12\"\nhostname = \"lab\"");
    assert!(load_texts(&[("profile.toml", &named)]).is_ok());
    // As a label of the domain it means nothing else.
    let domain = NETWORK.replace("dhcp.range", "domain = \"7d.internal\"\ndhcp.range");
    assert!(load_texts(&[("profile.toml", &profile(&domain, ""))]).is_ok());
    let domain = NETWORK.replace("dhcp.range", &format!("domain = \"{}x\"\ndhcp.range", "x.".repeat(95)));
    let faults = load_texts(&[("profile.toml", &profile(&domain, ""))]).unwrap_err();
    assert!(faults.render(false).contains("no room is left for host names"), "{faults}");
}

#[test]
fn kernel_parameters_that_say_nothing_of_ours_are_accepted() {
    let lines = "[installer.d]\ndistribution = \"debian\"\nrelease = \"13\"\n\
                 kernel-parameters = [\"debian-installer/allow_unauthenticated=true\", \"console=ttyS0\"]\n";
    assert!(load_texts(&[("profile.toml", &profile(NETWORK, lines))]).is_ok());
}

#[test]
fn a_key_that_stands_twice_is_shown_at_both_places() {
    let nodes = "[[node]]\nhostname = \"a\"\nmac = \"52:54:00:00:00:01\"\naddress = \"10.10.1.21\"\n\
                 bmc = { mac = \"52:54:00:00:01:01\", address = \"10.10.1.11\" }\nmac = \"52:54:00:00:00:02\"\n";
    one("key_twice", &profile(NETWORK, ""), nodes);
    one("table_twice", &profile(NETWORK, "[appliance]\ncpus = 2\n"), "");
}

#[test]
fn ssh_keys_as_people_write_them_are_accepted() {
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw";
    for key in [
        format!("command=\"echo \\\"hi there\\\"\" {KEY}"),
        KEY.replace(' ', "\t"),
        format!("{KEY} of the PRIVATE KEY on my desk"),
    ] {
        let lines = format!(
            "[installer.u]\ndistribution = \"ubuntu\"\nrelease = \"24.04\"\naccount.ssh-keys = ['''{key}''']\n"
        );
        let loaded = load_texts(&[("profile.toml", &profile(NETWORK, &lines))]);
        assert!(loaded.is_ok(), "{}", loaded.unwrap_err());
    }
}

#[test]
fn a_bad_table_name_hides_no_fault_below_it() {
    let tables = "[appliance.users.admin]\npassword-hash = \"hunter2\"\nsudoo = true\n\
                  [installer.\"U 24\"]\ndistribution = \"ubuntoo\"\nrelease = \"24.04\"\n";
    let faults = load_texts(&[("profile.toml", &profile(NETWORK, tables))]).unwrap_err();
    assert_eq!(faults.count(), 5, "{faults}");
    insta::assert_snapshot!("faults_below_bad_names", faults.render(false));
}

#[test]
fn no_excerpt_shows_a_secret() {
    let rest = "[distribution]\nname = \"ubuntu\"\nrelease = \"24.04\"\n";
    for line in [
        "users = { admin = { password-hash = \"hunter2\" } }",
        "users = { ops = { pasword-hash = \"hunter2\" } }",
        "users = \"ops:hunter2\"",
        "user = { admin = { login = [{ pw = \"hunter2\" }] } }",
        "root-pwd = \"hunter2\"",
        "root-password = \"hunter2",
        "users = { ops = { ssh-keys = [\"-----BEGIN OPENSSH PRIVATE KEY----- hunter2\"] } }",
    ] {
        let text = format!("[appliance]\nname = \"mylab\"\n{line}\n{rest}{NETWORK}");
        let shown = load_texts(&[("profile.toml", &text)]).unwrap_err().render(false);
        assert!(shown.contains("profile.toml:3:") && !shown.contains("hunter2"), "{line}: {shown}");
    }
    let nodes = node("bmc = \"ADMIN:hunter2\"");
    let faults = load_texts(&[("profile.toml", &profile(NETWORK, "")), ("nodes.toml", &nodes)]).unwrap_err();
    assert!(!faults.render(false).contains("hunter2"), "{faults}");
}

#[test]
fn warnings_stand_beside_faults() {
    let nodes = second(
        "hostname = \"Node_2.lab\"\nmac = \"52:54:00:00:00:01\"\naddress = \"10.10.1.22\"\ndisk = { model = \"Samsung SSD\" }",
    );
    let faults = load_texts(&[("profile.toml", &profile(NETWORK, "")), ("nodes.toml", &nodes)]).unwrap_err();
    assert_eq!((faults.count(), faults.warnings().count()), (2, 1), "{faults}");
    insta::assert_snapshot!("faults_and_a_warning", faults.render(false));
}

#[test]
fn faults_of_memory() {
    let url = "iso = { url = \"https://example.org/a.iso\", @SHA, size = \"3GiB\" }";
    let unknown = "iso = { url = \"https://example.org/a.iso\", @SHA }";
    for (name, iso) in [("memory", url), ("memory_for_an_iso_of_unknown_size", unknown)] {
        let installer = format!("[installer.u]\ndistribution = \"ubuntu\"\nrelease = \"24.04\"\n{iso}\n");
        one(name, &profile(NETWORK, &installer), &node("install = \"u\"\nmemory = \"4GiB\""));
    }
}

#[test]
fn memory_is_enough_from_the_sum_on() {
    let load = |memory: u64, release: &str| {
        let installer = format!(
            "[installer.u]\n{release}\niso = {{ url = \"https://example.org/a.iso\", @SHA, size = \"3GiB\" }}\n"
        );
        let nodes = node(&format!("install = \"u\"\nmemory = \"{memory}B\""));
        load_texts(&[("profile.toml", &profile(NETWORK, &installer)), ("nodes.toml", &nodes)]).map(drop)
    };
    let ubuntu = "distribution = \"ubuntu\"\nrelease = \"22.04\"";
    assert!(load(7 << 30, ubuntu).is_ok());
    assert_eq!(load((7 << 30) - 1, ubuntu).unwrap_err().count(), 1);
    // debian-installer does not load a medium into memory.
    let debian = "[installer.d]\ndistribution = \"debian\"\nrelease = \"13\"\n\
                  netboot = { url = \"https://example.org/n.tar.gz\", @SHA }\n";
    let nodes = node("install = \"d\"\nmemory = \"1GiB\"");
    load_texts(&[("profile.toml", &profile(NETWORK, debian)), ("nodes.toml", &nodes)]).unwrap();
}

#[test]
fn faults_of_media() {
    let cases = [
        (
            "media_two",
            "ubuntu",
            "iso = { url = \"https://example.org/a.iso\", @SHA }\n\
             netboot = { url = \"https://example.org/n.tar.gz\", @SHA }",
        ),
        ("media_iso_for_debian", "debian", "iso = { url = \"https://example.org/a.iso\", @SHA }"),
        ("media_netboot_for_ubuntu", "ubuntu", "netboot = { url = \"https://example.org/n.tar.gz\", @SHA }"),
        (
            "media_url_and_path",
            "ubuntu",
            "media = \"bake\"\niso = { url = \"https://example.org/a.iso\", path = \"here.iso\", @SHA }",
        ),
        ("media_nowhere", "ubuntu", "iso = { @SHA }"),
        ("media_scheme", "ubuntu", "iso = { url = \"file:///srv/a.iso\", @SHA }"),
        ("media_without_digest", "ubuntu", "iso = { url = \"https://example.org/a.iso\" }"),
        (
            "media_sums_without_signature",
            "ubuntu",
            "iso = { url = \"https://example.org/a.iso\", @SHA, sums = \"https://example.org/SHA256SUMS\" }",
        ),
        (
            "media_signature_without_sums",
            "ubuntu",
            "iso = { url = \"https://example.org/a.iso\", @SHA, signature = \"SHA256SUMS.gpg\" }",
        ),
        ("media_bake_nothing", "ubuntu", "media = \"bake\""),
        ("media_fetch_a_file", "ubuntu", "media = \"fetch\"\niso = { path = \"here.iso\", @SHA }"),
        ("media_absent", "ubuntu", "media = \"bake\"\niso = { path = \"gone.iso\", @SHA }"),
        ("media_cut_off", "ubuntu", "media = \"bake\"\niso = { path = \"here.iso\", @SHA, size = \"3GiB\" }"),
        ("mirror_scheme", "ubuntu", "mirror = \"file:///srv/ubuntu\""),
        ("kernel_parameter_with_quote", "ubuntu", "kernel-parameters = [\"dyndbg=\\\"+p\\\"\"]"),
        ("kernel_parameter_of_our_own", "ubuntu", "kernel-parameters = [\"console=ttyS0\", \"ds=none\"]"),
        ("kernel_parameter_that_parts", "ubuntu", "kernel-parameters = [\"---\"]"),
        ("kernel_parameters_too_long", "ubuntu", &format!("kernel-parameters = [\"a={}\"]", "b".repeat(1030))),
        (
            "account_with_option_unknown",
            "ubuntu",
            "account.ssh-keys = [\"foo ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw\"]",
        ),
        (
            "account_with_commented_key",
            "ubuntu",
            "account.ssh-keys = [\"# ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw\"]",
        ),
        ("account_with_private_key", "ubuntu", "account.ssh-keys = [\"-----BEGIN OPENSSH PRIVATE KEY----- b3Blb\"]"),
        ("account_with_cut_hash", "ubuntu", "account.password-hash = \"$6$rounds=05000$salt$x\""),
        ("account_with_weak_hash", "ubuntu", "account.password-hash = \"$1$salt$qJH7.N4xYta3aEG/dfqo/0\""),
        ("account_with_unknown_hash", "ubuntu", "account.password-hash = \"$9$salt$x\""),
        ("account_reserved", "ubuntu", "account.name = \"maas\""),
        ("account_with_plain_password", "ubuntu", "account.password-hash = \"hunter2\""),
        ("account_with_cut_key", "ubuntu", "account.ssh-keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAA\"]"),
        ("not_installable", "debian-12", ""),
    ];
    for (name, system, lines) in cases {
        let (distribution, release) = match system {
            "ubuntu" => ("ubuntu", "24.04"),
            "debian-12" => ("debian", "12"),
            _ => ("debian", "13"),
        };
        let installer = format!("[installer.i]\ndistribution = \"{distribution}\"\nrelease = \"{release}\"\n{lines}\n");
        one(name, &profile(NETWORK, &installer), "");
    }
}

#[test]
fn faults_of_storage() {
    const PART: &str = "[[installer.i.storage.partition]]\n";
    let cases = [
        ("storage_no_partitions", "storage.layout = \"partitions\"", vec![]),
        ("storage_partitions_without_layout", "", vec!["mount = \"/\""]),
        ("storage_partitions_with_lvm", "storage.layout = \"lvm\"", vec!["mount = \"/\""]),
        ("storage_no_root", "storage.layout = \"partitions\"", vec!["mount = \"/srv\""]),
        ("storage_two_rests", "storage.layout = \"partitions\"", vec!["mount = \"/\"", "mount = \"/srv\""]),
        (
            "storage_rest_not_last",
            "storage.layout = \"partitions\"",
            vec!["mount = \"/\"", "mount = \"/srv\"\nsize = \"10GiB\""],
        ),
        (
            "storage_mount_twice",
            "storage.layout = \"partitions\"",
            vec!["mount = \"/\"\nsize = \"10GiB\"", "mount = \"/\""],
        ),
        (
            "storage_mount_relative",
            "storage.layout = \"partitions\"",
            vec!["mount = \"/\"", "mount = \"srv\"\nsize = \"1GiB\""],
        ),
        (
            "storage_swap_mounted",
            "storage.layout = \"partitions\"",
            vec!["mount = \"/swap\"\nsize = \"10GiB\"\nformat = \"swap\"", "mount = \"/\""],
        ),
        ("storage_no_mount", "storage.layout = \"partitions\"", vec!["size = \"10GiB\"", "mount = \"/\""]),
        (
            "storage_bootloader_listed",
            "storage.layout = \"partitions\"",
            vec!["mount = \"/boot/efi\"\nsize = \"1GiB\"", "mount = \"/\""],
        ),
        ("storage_zfs_on_debian", "storage.layout = \"zfs\"", vec![]),
        ("storage_sizing_without_lvm", "storage.sizing = \"all\"", vec![]),
        ("storage_layout_unknown", "storage.layout = \"lmv\"", vec![]),
    ];
    for (name, lines, partitions) in cases {
        let (distribution, release) = if name.ends_with("debian") { ("debian", "13") } else { ("ubuntu", "24.04") };
        let partitions: String = partitions.iter().map(|lines| format!("{PART}{lines}\n")).collect();
        let installer =
            format!("[installer.i]\ndistribution = \"{distribution}\"\nrelease = \"{release}\"\n{lines}\n{partitions}");
        one(name, &profile(NETWORK, &installer), "");
    }
}

#[test]
fn faults_of_the_control() {
    let cases = [
        ("control_arming_without_unit", "arming = \"60\""),
        ("control_silence_in_months", "silence = \"1m\""),
        ("control_first_boot_too_short", "first-boot = \"59s\""),
        ("control_arming_too_long", "arming = \"31d\""),
        ("control_key_misspelt", "webhook = []"),
        ("control_webhook_scheme", "webhooks = [\"ftp://example.org/hook\"]"),
        ("control_webhook_with_password", "webhooks = [\"https://me:hunter2@example.org/hook\"]"),
        ("control_webhook_no_url", "webhooks = [\"example.org/hook\"]"),
    ];
    for (name, line) in cases {
        one(name, &profile(NETWORK, &format!("[control]\n{line}\n")), "");
    }
}

#[test]
fn the_control_is_read() {
    let lines = "[control]\narming = \"90s\"\nsilence = \"5min\"\nfirst-boot = \"2h\"\n\
                 webhooks = [\"http://hooks.example/a?b\", \"http://hooks.example/a?b\"]\n";
    let read =
        |text: &str| load_texts(&[("profile.toml", text)]).unwrap_or_else(|faults| panic!("{faults}")).profile.control;
    let webhooks = vec!["http://hooks.example/a?b".to_owned()];
    let expected = netboot::Control { arming: 90, silence: 300, first_boot: 7200, webhooks };
    assert_eq!(read(&profile(NETWORK, lines)), expected);
    assert_eq!(read(&profile(NETWORK, "")), netboot::Control::default());
}

#[test]
fn faults_of_the_deployment() {
    let vsphere = "[deploy.vsphere]\ncredentials = \"env:V\"\ndatastore = \"d\"\n\
                   networks = { uplink = \"a\", provisioning = \"b\" }\n";
    let cases = [
        ("deploy_unknown_target", "[deploy.esx]\n".to_owned()),
        ("deploy_state_disk_too_small", "[deploy]\nstate-disk = \"100MiB\"\n".to_owned()),
        ("deploy_link_misspelt", "[deploy.workstation]\nnetworks.uplink = \"NAT\"\n".to_owned()),
        ("deploy_link_without_number", "[deploy.workstation]\nnetworks.uplink = \"vmnet\"\n".to_owned()),
        ("deploy_link_with_a_zero", "[deploy.workstation]\nnetworks.uplink = \"vmnet02\"\n".to_owned()),
        ("deploy_controller_unknown", "[deploy.workstation]\ncontroller = \"lsilogic\"\n".to_owned()),
        ("deploy_rest_without_credentials", "[deploy.workstation.rest]\nurl = \"http://127.0.0.1:8697\"\n".to_owned()),
        (
            "deploy_rest_in_clear",
            "[deploy.workstation.rest]\nurl = \"http://192.0.2.1:8697\"\ncredentials = \"env:V\"\n".to_owned(),
        ),
        (
            "deploy_without_its_output",
            "[outputs]\nformats = { replace = [\"qcow2\"] }\n[deploy.workstation]\n".to_owned(),
        ),
        (
            "deploy_vsphere_without_datastore",
            format!("{vsphere}url = \"https://vc.example\"\n").replace("datastore = \"d\"\n", ""),
        ),
        ("deploy_vsphere_in_clear", format!("{vsphere}url = \"http://vc.example\"\n")),
        ("deploy_vsphere_with_user", format!("{vsphere}url = \"https://me@vc.example\"\n")),
        (
            "deploy_vsphere_fingerprint",
            format!("{vsphere}url = \"https://vc.example\"\ncertificate = \"SHA1:00:11\"\n"),
        ),
        ("deploy_password_in_place_of_a_reference", "[deploy]\nwebhook-key = \"hunter2\"\n".to_owned()),
    ];
    for (name, lines) in cases {
        one(name, &profile(NETWORK, &lines), "");
    }
}

#[test]
fn a_deployment_that_would_serve_the_wrong_network_is_a_warning() {
    let warnings = |lines: &str| {
        let loaded =
            load_texts(&[("profile.toml", &profile(NETWORK, lines))]).unwrap_or_else(|faults| panic!("{faults}"));
        loaded.warnings.render(false)
    };
    let workstation = |networks: &str| warnings(&format!("[deploy.workstation]\nnetworks = {{ {networks} }}\n"));
    insta::assert_snapshot!("warning_one_network_twice", workstation("uplink = \"bridged\""));
    insta::assert_snapshot!("warning_provisioning_by_nat", workstation("uplink = \"bridged\", provisioning = \"nat\""));
    assert_eq!(workstation("provisioning = \"vmnet2\""), "");
    let vsphere = "[deploy.vsphere]\nurl = \"https://vc.example\"\ncredentials = \"env:V\"\ndatastore = \"d\"\n\
                   networks = { uplink = \"VM Network\", provisioning = \"VM Network\" }\n";
    assert!(warnings(vsphere).contains("are the same network"));
}

#[test]
fn the_deployment_is_read_and_no_part_of_what_is_built() {
    let read = |text: &str| load_texts(&[("profile.toml", text)]).unwrap_or_else(|faults| panic!("{faults}"));
    let lines = "[deploy]\nkeep = 5\nhealth-timeout = \"90s\"\nstate-disk = \"8GiB\"\n\
                 [deploy.workstation]\nnetworks = { uplink = \"bridged\", provisioning = \"vmnet2\" }\n";
    let (without, with) = (read(&profile(NETWORK, "")), read(&profile(NETWORK, lines)));
    assert_eq!(without.profile.deploy, Deploy::default());
    assert_eq!(with.digest, without.digest);
    let deploy = with.profile.deploy;
    assert_eq!(
        (deploy.keep, deploy.health_timeout.as_secs(), deploy.state_disk),
        (5, 90, crate::vocab::ByteSize::gib(8))
    );
    let workstation = deploy.workstation.unwrap();
    assert_eq!((workstation.uplink, workstation.provisioning), (Link::Bridged, Link::Named("vmnet2".to_owned())));
    assert_eq!(workstation.controller, Controller::Pvscsi);
}

#[test]
fn what_is_no_fault_is_a_warning_or_a_note() {
    let load = |profile: &str, nodes: &str| {
        load_texts(&[("profile.toml", profile), ("nodes.toml", nodes)]).unwrap_or_else(|faults| panic!("{faults}"))
    };
    let installer = "[installer.u]\ndistribution = \"ubuntu\"\nrelease = \"24.04\"\naccount.ssh-keys = []\n";
    let iso = "iso = { url = \"https://example.org/a.iso\", @SHA }\n";
    let nodes = node("install = \"u\"\nbmc = { address = \"10.10.1.11\", mac = \"52:54:00:00:01:01\" }");

    // Without a medium nothing can be installed yet: no warning that nobody could log in.
    let loaded = load(&profile(NETWORK, installer), &nodes);
    assert_eq!(loaded.warnings.count(), 0);
    insta::assert_snapshot!("note_no_medium", loaded.notes.render(false));
    let loaded = load(&profile(NETWORK, &format!("{installer}{iso}")), &nodes);
    assert_eq!(loaded.notes.findings().count(), 0);
    insta::assert_snapshot!("warning_nobody_can_log_in", loaded.warnings.render(false));
    // An installer that no node names says nothing.
    let loaded = load(&profile(NETWORK, installer), &node(""));
    assert_eq!((loaded.warnings.count(), loaded.notes.findings().count()), (0, 0));

    let proxy = "[network.provisioning]\naddress = \"10.10.1.1/24\"\nmode = \"proxy\"\n";
    insta::assert_snapshot!("warning_proxy", load(&profile(proxy, ""), &second(
        "hostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\"\ndhcp-options.42 = \"10.10.1.1\"\n\
         bmc = { address = \"10.10.1.12\", mac = \"52:54:00:00:01:02\" }",
    )).warnings.render(false));

    // Nor can it take back an import's partitions.
    let layout = "[installer.u.storage]\nlayout = \"lvm\"\n";
    let base = "[installer.u]\ndistribution = \"ubuntu\"\nrelease = \"24.04\"\nstorage.layout = \"partitions\"\n\
                [[installer.u.storage.partition]]\nmount = \"/\"\n";
    let importing = format!("imports = [\"base.toml\"]\n{}", profile(NETWORK, layout));
    let files = [("profile.toml", importing.as_str()), ("base.toml", base)];
    let installers = load_texts(&files).unwrap_or_else(|faults| panic!("{faults}")).profile.installers;
    assert_eq!(installers["u"].system.storage, netboot::Storage::Lvm { sizing: netboot::Sizing::All });

    // The range of an import is no fault: a profile cannot take it back.
    let base = "[network.provisioning]\ndhcp.range = \"10.10.1.1-10.10.1.99\"\n";
    let importing = format!("imports = [\"base.toml\"]\n{}", profile(proxy, ""));
    let files = [("profile.toml", importing.as_str()), ("base.toml", base), ("nodes.toml", &node(""))];
    assert_eq!(load_texts(&files).unwrap_or_else(|faults| panic!("{faults}")).warnings.count(), 0);

    let elsewhere = node("bmc = { address = \"10.30.0.11\", mac = \"52:54:00:00:01:01\" }");
    insta::assert_snapshot!("warning_bmc_elsewhere", load(&profile(NETWORK, ""), &elsewhere).warnings.render(false));

    let closed = "[network.uplink]\nallow-tcp = [22]\n";
    insta::assert_snapshot!("warning_page_closed", load(&profile(NETWORK, closed), "").warnings.render(false));

    let disks = "disk = { serial = \"S3Z9\", model = \"Samsung SSD\" }";
    let nodes = format!(
        "{}[[node]]\nhostname = \"b\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.10.1.22\"\n\
         disk = {{ serial = \"S3Z9\" }}\n",
        node(disks)
    );
    insta::assert_snapshot!("warning_disks", load(&profile(NETWORK, ""), &nodes).warnings.render(false));

    let lasting = |path: &str| load(&profile(NETWORK, ""), &node(&format!("disk = {{ path = \"{path}\" }}"))).warnings;
    for path in ["/dev/disk/by-id/nvme-SN1", "/dev/disk/by-path/pci-0000:00:1f.2-ata-1", "/dev/nvme?n1"] {
        assert_eq!(lasting(path).count(), 0, "{path}");
    }
    insta::assert_snapshot!("warning_disk_by_the_kernels_name", lasting("/dev/sda").render(false));
}
