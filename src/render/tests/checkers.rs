//! Every generated file before the service's own checker.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::*;

/// Runs a service's own checker; it must be there and be content.
fn judge(program: &str, package: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; install the package {package}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn scratch(name: &str, text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

#[test]
fn accounts_pass_pwck_and_grpck() {
    let base = TestBase::new();
    let rendered = base.render(&profile()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("etc")).unwrap();
    for name in ["passwd", "shadow", "group", "gshadow"] {
        std::fs::write(directory.path().join("etc").join(name), text(&rendered, &format!("/etc/{name}"))).unwrap();
    }
    let path = |name: &str| directory.path().join("etc").join(name).to_str().unwrap().to_owned();
    for (program, files) in [("pwck", ["passwd", "shadow"]), ("grpck", ["group", "gshadow"])] {
        let output = Command::new(format!("/usr/sbin/{program}"))
            .args(["-r", &path(files[0]), &path(files[1])])
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}; install the package passwd"));
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        // They also look for users, shells and home directories on this machine, which has others.
        let elsewhere = ["does not exist", "no changes", "no user admin", "delete member 'admin'?", "no group"];
        for complaint in said.lines().filter(|line| !line.is_empty()) {
            assert!(elsewhere.iter().any(|known| complaint.contains(known)), "{program}: {said}");
        }
    }
}

#[test]
fn sudoers_pass_visudo() {
    let rendered = TestBase::new().render(&profile()).unwrap();
    let (_guard, path) = scratch("sudoers", &text(&rendered, "/etc/sudoers.d/90-provbuild"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
    judge("visudo", "sudo", &["-c", "-f", &path]);
}

/// Profiles that differ in everything that reaches a service's configuration, by what they are about.
fn matrix() -> Vec<(&'static str, Profile)> {
    let vary = |change: &dyn Fn(&mut Profile)| {
        let mut profile = profile();
        change(&mut profile);
        profile
    };
    let provisioning = |change: &dyn Fn(&mut Provisioning)| vary(&|profile| change(&mut profile.network.provisioning));
    vec![
        ("as it is", profile()),
        (
            "reservations only, no nat",
            provisioning(&|p| {
                p.dhcp = Dhcp::Authoritative { range: None, lease_seconds: 600 };
                p.nat = false;
                p.gateway = None;
            }),
        ),
        ("proxy", provisioning(&|p| p.dhcp = Dhcp::Proxy)),
        (
            "proxy, no nat, secure strangers",
            provisioning(&|p| {
                p.dhcp = Dhcp::Proxy;
                p.nat = false;
                p.secure_boot = true;
            }),
        ),
        (
            "secure boot",
            vary(&|profile| {
                profile.network.provisioning.secure_boot = true;
                profile.inventory.nodes[1].secure_boot = true;
            }),
        ),
        (
            "every address",
            vary(&|profile| {
                let node = &mut profile.inventory.nodes[0];
                node.address6 = Some("fd00::21/64".parse().unwrap());
                node.addresses.insert("ceph".to_owned(), "10.20.9.21".parse().unwrap());
                profile.network.provisioning.dns = vec!["2001:db8::1".parse().unwrap(), "9.9.9.9".parse().unwrap()];
            }),
        ),
        (
            "no bmc",
            vary(&|profile| {
                profile.network.bmc_subnet = None;
                profile.inventory.nodes[0].bmc = None;
            }),
        ),
        ("no filter", vary(&|profile| profile.network.bmc_filter = false)),
        (
            "many nodes",
            vary(&|profile| {
                profile.network.provisioning.address = "10.10.0.1/16".parse().unwrap();
                for index in 0..1000_u32 {
                    let [.., high, low] = index.to_be_bytes();
                    let mac = format!("52:54:00:00:{high:02x}:{low:02x}");
                    let mut node = node(&format!("many{index}"), &mac, &format!("10.10.{}.{low}", high + 2));
                    node.secure_boot = index % 2 == 0;
                    profile.inventory.nodes.push(node);
                }
            }),
        ),
    ]
}

/// Panics with the profile's name where a judge does; `output.status` alone would not say which one it was.
fn each(judge: impl Fn(&Profile, &Rendered)) {
    for (name, profile) in matrix() {
        println!("profile: {name}");
        judge(&profile, &TestBase::new().render(&profile).unwrap());
    }
}

#[test]
fn dnsmasq_accepts_its_configuration_of_every_profile() {
    each(|_, rendered| {
        for text in [text(rendered, "/etc/dnsmasq.d/provbuild.conf"), boot_text(rendered, "/dnsmasq.conf")] {
            // Only this account is looked up on the machine that runs the test.
            let (_guard, path) = scratch("dnsmasq.conf", &text.replace("\nuser=dnsmasq\n", "\n"));
            judge("dnsmasq", "dnsmasq-base", &["--test", "-C", &path]);
        }
    });
}

/// Every option's value as people might write it, the sound and the odd.
fn dhcp_values() -> impl Strategy<Value = (u8, String)> {
    let parts = prop_oneof![
        "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}",
        "10\\.10\\.1\\.[0-9]",
        "10\\.20\\.[0-9]\\.0/24",
        "[a-z]{1,9}\\.[a-z]{1,3}"
    ];
    let value = prop_oneof![
        2 => prop::collection::vec(parts, 1..40).prop_map(|parts| parts.join(",")),
        2 => prop::collection::vec("[0-9a-fA-F]{2}", 1..260).prop_map(|bytes| bytes.join(":")),
        1 => "-?[0-9]{1,11}",
        1 => "[0-9]{3,5}",
        1 => "[a-z]{1,9}\\.[a-z]{1,3}(,[a-z]{1,60}){0,3}",
        1 => "10\\.10\\.1\\.[0-9](,10\\.10\\.1\\.[0-9])?",
        3 => "[01248]",
        2 => "[a-z]{1,9}\\.[a-z]{1,3}",
        2 => "[ -~]{1,255}",
        1 => "[\\\\\"#,:=0-9a-f ]{1,40}",
        1 => Just("255.255.240.0".to_owned()),
        1 => Just("0.0.0.0/0,10.10.1.1".to_owned()),
    ];
    (1..=254_u8, value)
}

/// What the check of nodes.toml lets through, dnsmasq takes: one line that it refuses, and no node has an address.
#[test]
fn dnsmasq_accepts_every_dhcp_option_that_the_check_accepts() {
    let host = "n".repeat(63);
    let mut accepted = BTreeSet::new();
    let mut lines = "dhcp-range=10.10.1.0,static,255.255.255.0,600\n".to_owned();
    let mut runner =
        TestRunner::new_with_rng(ProptestConfig::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    for _ in 0..60_000 {
        let (number, value) = dhcp_values().new_tree(&mut runner).unwrap().current();
        let Ok(option) = number.to_string().parse::<netboot::DhcpOption>() else { continue };
        if let Ok(value) = option.value(&value) {
            accepted.insert(number);
            lines += &format!("dhcp-option=tag:node-{host},{}\n", option.words(&value));
        }
    }
    // All but those that are the server's own: none is so narrow that nothing was tried.
    let possible = (1..=254_u8).filter(|number| number.to_string().parse::<netboot::DhcpOption>().is_ok());
    let untried: Vec<_> = possible.filter(|number| !accepted.contains(number)).collect();
    assert!(untried.is_empty(), "{untried:?}");
    let (_guard, path) = scratch("dnsmasq.conf", &lines);
    judge("dnsmasq", "dnsmasq-base", &["--test", "-C", &path]);
    // It can tell.
    let (_guard, path) = scratch("dnsmasq.conf", &format!("{lines}dhcp-option=option:ntp-servr,10.10.1.1\n"));
    let output = Command::new("/usr/sbin/dnsmasq").args(["--test", "-C", &path]).output().unwrap();
    assert!(!output.status.success());
}

/// The names are dnsmasq's, each with its number.
#[test]
fn dnsmasq_knows_the_dhcp_options_by_the_same_names() {
    let listed = judge("dnsmasq", "dnsmasq-base", &["--help", "dhcp"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let rows = listed.lines().filter_map(|line| {
        let (number, name) = line.trim().split_once(' ')?;
        Some((number.parse::<u8>().ok()?, name.trim()))
    });
    // The last is none of DHCP's: dnsmasq sets the header's next server by it.
    let rows: Vec<_> = rows.filter(|(number, _)| *number < 255).collect();
    assert!(rows.len() > 50, "{listed}");
    for (number, name) in rows {
        let by = |text: &str| text.parse::<netboot::DhcpOption>();
        match (by(&number.to_string()), by(name)) {
            (Ok(by_number), Ok(by_name)) => assert_eq!((by_number, by_name.to_string()), (by_name, name.to_owned())),
            // Refused, and not for its name.
            (Err(_), Err(bad)) => assert!(bad.message.contains(&format!("{number}, {name},")), "{bad}"),
            other => panic!("{number} {name}: {other:?}"),
        }
    }
}

#[test]
fn grub_accepts_its_menu() {
    let rendered = TestBase::new().render(&profile()).unwrap();
    let (_guard, path) = scratch("grub.cfg", &text(&rendered, "/boot/grub/grub.cfg"));
    judge("grub-script-check", "grub-common", &[&path]);
}

#[test]
fn grub_accepts_every_script_of_the_boot_tree() {
    let mut profile = profile();
    profile.installers.get_mut("ubuntu-24-04").unwrap().system.kernel_parameters =
        vec!["odd=a;b|c&d<e>$f{g}*h".to_owned()];
    let content = crate::tree::Content::of(b"x");
    let files = InstallerFiles { kernel: content, initrd: content, iso: Some(content) };
    let media = BTreeMap::from([("ubuntu-24-04".to_owned(), files)]);
    let armed = Armed::of([profile.inventory.nodes[0].mac]);
    let rendered = TestBase::new().render_armed(&profile, &media, &armed).unwrap();
    let scripts: Vec<_> = rendered.boot.iter().filter(|(path, _)| path.as_str().ends_with(".cfg")).collect();
    assert_eq!(scripts.len(), 2 * (2 + 2));
    for (path, _) in scripts {
        let (_guard, path) = scratch("grub.cfg", &boot_text(&rendered, path.as_str()));
        judge("grub-script-check", "grub-common", &[&path]);
    }
}

/// Materialises the rendered configuration files below a directory, for checkers that want a root.
pub(super) fn materialise(rendered: &Rendered, base: &dyn Contents, root: &Path) {
    for (path, change) in rendered.overlay.iter() {
        let target = root.join(path.relative());
        let (Change::Add(node) | Change::Replace(node)) = change else {
            if target.symlink_metadata().is_ok() {
                std::fs::remove_file(&target).unwrap();
            }
            continue;
        };
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        if node.kind != Kind::Directory && target.symlink_metadata().is_ok() {
            std::fs::remove_file(&target).unwrap();
        }
        match &node.kind {
            Kind::Directory => std::fs::create_dir_all(&target).unwrap(),
            Kind::Symlink { target: to } => symlink(to, &target).unwrap(),
            Kind::File(content) => {
                let all = Layered(vec![&rendered.contents, base]);
                std::fs::write(&target, all.read(content).unwrap()).unwrap();
            }
            other => panic!("{path}: {other:?}"),
        }
        if !matches!(node.kind, Kind::Symlink { .. }) {
            std::fs::set_permissions(&target, std::fs::Permissions::from_mode(node.mode.bits())).unwrap();
            std::os::unix::fs::lchown(&target, Some(node.owner.uid), Some(node.owner.gid)).unwrap();
        }
    }
}

#[test]
#[ignore = "sandbox: needs network namespaces (root) and nginx, nftables"]
fn sandbox_nginx_and_nft_accept_the_configuration_of_every_profile() {
    each(|_, rendered| {
        for rules in [text(rendered, "/etc/nftables.conf"), boot_text(rendered, "/nftables.conf")] {
            let (_guard, rules) = scratch("nftables.conf", &rules);
            judge("unshare", "util-linux", &["--net", "nft", "-c", "-f", &rules]);
        }
        // The server alone stands among a distribution's own settings; these are some that it could repeat.
        let own = format!(
            "events {{}} http {{ sendfile on; default_type text/html; include /etc/nginx/mime.types; {} }}",
            boot_text(rendered, "/nginx.conf")
        );
        for main in [text(rendered, "/etc/nginx/nginx.conf"), own] {
            let (_guard, main) = scratch("nginx.conf", &main);
            let script = format!("sysctl -qw net.ipv4.ip_nonlocal_bind=1 && nginx -t -q -c {main}");
            let script = format!("mount -t tmpfs none /run && {script}");
            judge("unshare", "util-linux", &["--net", "--mount", "sh", "-c", &script]);
        }
    });
}

/// Different texts of the rendered files that `wanted` picks by path, each with the path.
fn different(wanted: impl Fn(&str) -> bool) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (_, profile) in matrix() {
        let rendered = TestBase::new().render(&profile).unwrap();
        let paths = rendered.overlay.iter().map(|(path, _)| path.as_str()).filter(|path| wanted(path));
        found.extend(paths.map(|path| (path.to_owned(), text(&rendered, path))));
    }
    found
}

fn is_own_unit(path: &str) -> bool {
    let name = path.strip_prefix("/etc/systemd/system/").filter(|name| name.starts_with("prov") && !name.contains('/'));
    name.is_some_and(|name| name.ends_with(".service") || name.ends_with(".socket"))
}

/// The sandbox of the daemon, by systemd's own judgement. It counts what is open; less is better.
#[test]
#[ignore = "sandbox: needs systemd"]
fn sandbox_the_daemon_is_exposed_little() {
    let rendered = TestBase::new().render(&profile()).unwrap();
    let (_guard, unit) = scratch("provd.service", &text(&rendered, "/etc/systemd/system/provd.service"));
    let judged = judge("systemd-analyze", "systemd", &["security", "--offline=yes", "--no-pager", &unit]);
    let said = String::from_utf8_lossy(&judged.stdout).into_owned();
    let level =
        said.lines().find_map(|line| line.split_once("exposure level for provd.service: ")?.1.split(' ').next());
    let level: f32 = level.and_then(|level| level.parse().ok()).unwrap_or_else(|| panic!("{said}"));
    assert!(level <= 1.5, "{said}");
}

#[test]
#[ignore = "sandbox: needs systemd"]
fn sandbox_systemd_knows_every_key_of_the_units() {
    let units = different(is_own_unit);
    assert!(!units.is_empty());
    for (path, text) in units {
        let (_guard, unit) = scratch(ImagePath::literal(&path).file_name(), &text);
        let arguments = ["verify", "--recursive-errors=no", "--man=no", &unit];
        let output = Command::new("systemd-analyze").args(arguments).output().expect("install systemd");
        let said = String::from_utf8_lossy(&output.stderr);
        // Programs and units of the appliance need not be on this machine.
        let ours = said.lines().any(|line| line.contains("Unknown") || line.contains("Failed to parse"));
        assert!(!ours, "{path}: {said}");
    }
}

/// systemd-networkd has no checker. Started on a network without interfaces, it says which keys it does not know.
#[test]
#[ignore = "sandbox: needs network namespaces (root) and systemd-networkd"]
fn sandbox_networkd_knows_every_key_of_the_networks() {
    let directory = tempfile::tempdir().unwrap();
    let networks = different(|path| path.starts_with("/etc/systemd/network/") && path.ends_with(".network"));
    assert!(networks.len() >= 2, "{networks:?}");
    for (index, (_, text)) in networks.iter().enumerate() {
        std::fs::write(directory.path().join(format!("{index}.network")), text).unwrap();
    }
    let listen = |directory: &Path| {
        let script = format!(
            "mount --bind {} /etc/systemd/network && mount -t tmpfs none /run && SYSTEMD_LOG_TARGET=console \
             timeout 5 /lib/systemd/systemd-networkd",
            directory.display()
        );
        let output = Command::new("unshare").args(["--net", "--mount", "sh", "-c", &script]).output().unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = listen(directory.path());
    assert!(said.contains("Enumeration completed"), "networkd did not run: {said}");
    assert!(!said.contains("/etc/systemd/network/"), "{said}");
    // It can tell.
    std::fs::write(directory.path().join("bad.network"), "[Match]\nName=x\n[Network]\nAdress=10.0.0.1/8\n").unwrap();
    assert!(listen(directory.path()).contains("/etc/systemd/network/bad.network"));
}
