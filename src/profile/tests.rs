//! Whole profiles, read from memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::load::{Files, load_from};
use super::reader::Decoding;
use super::*;
use crate::vocab::ByteSize;

/// Files in memory.
pub(super) struct Memory(BTreeMap<PathBuf, Vec<u8>>);

impl Memory {
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        Memory(files.iter().map(|(path, text)| (path.into(), text.as_bytes().to_vec())).collect())
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        self.read(path).map(|bytes| bytes.len() as u64)
    }
}

/// Loads the first of these files.
pub(super) fn load_texts(files: &[(&str, &str)]) -> Result<Loaded, Faults> {
    load_from(&Memory::new(files), Path::new(files[0].0), &mut Decoding::default())
}

const SMALL: &str = r#"
[appliance]
name = "mylab"
[distribution]
name = "ubuntu"
release = "24.04"
[network.provisioning]
address = "10.10.1.1/16"
[installer.ubuntu-24-04]
distribution = "ubuntu"
release = "24.04"
"#;

fn sound(files: &[(&str, &str)]) -> Loaded {
    load_texts(files).unwrap_or_else(|faults| panic!("{faults}"))
}

fn faults(files: &[(&str, &str)]) -> Faults {
    match load_texts(files) {
        Ok(_) => panic!("no fault was found"),
        Err(faults) => faults,
    }
}

/// Faults of [`SMALL`] with lines added.
fn faults_with(lines: &str) -> String {
    faults(&[("p.toml", &format!("{SMALL}{lines}"))]).render(false)
}

#[test]
fn a_small_profile_has_all_defaults() {
    let loaded = sound(&[("p.toml", SMALL)]);
    let profile = &loaded.profile;
    assert_eq!(&*profile.appliance.hostname, "mylab");
    assert_eq!(profile.appliance.disk, ByteSize::gib(25));
    assert_eq!(profile.distribution.codename, "noble");
    assert_eq!(profile.distribution.components, ["main", "universe"]);
    assert_eq!(profile.distribution.kernel.as_deref(), Some("linux-image-virtual"));
    assert!(profile.distribution.packages.contains("linux-image-virtual"));
    assert_eq!(profile.network.uplink.addressing, Addressing::Dhcp);
    assert_eq!(profile.network.uplink.allow_tcp, [22, 443].into());
    assert_eq!(profile.network.provisioning.dhcp, Dhcp::Authoritative { range: None, lease_seconds: 43_200 });
    assert_eq!(profile.outputs, [OutputFormat::Ova, OutputFormat::Vmdk, OutputFormat::Vmx].into());
    assert_eq!(loaded.warnings.count(), 0);
}

#[test]
fn the_digest_follows_the_meaning_not_the_text() {
    let one = sound(&[("p.toml", SMALL)]).digest;
    let respelled = SMALL.replace("[appliance]", "# a remark\n[appliance]\nmemory = \"4096MiB\"");
    assert_eq!(sound(&[("p.toml", &respelled)]).digest, one);
    let other = SMALL.replace("[appliance]", "[appliance]\ncpus = 3");
    assert_ne!(sound(&[("p.toml", &other)]).digest, one);
}

#[test]
fn imports_merge_tables_and_lists_and_the_importer_wins() {
    let loaded = sound(&[
        (
            "lab/p.toml",
            &format!("imports = [\"../base/a.toml\", \"../base/b.toml\"]\n{SMALL}packages = []\n")
                .replace("release = \"24.04\"\n[network", "release = \"24.04\"\npackages = [\"mine\"]\n[network")
                .replace("packages = []\n", ""),
        ),
        (
            "base/a.toml",
            "imports = [\"c.toml\"]\n[appliance]\ncpus = 4\nmemory = \"4GiB\"\n[distribution]\npackages = [\"from-a\"]\n",
        ),
        (
            "base/b.toml",
            "imports = [\"c.toml\"]\n[appliance]\ncpus = 8\n[distribution]\npackages = [\"from-b\"]\nexclude = { replace = [\"bb\"] }\n",
        ),
        (
            "base/c.toml",
            "[appliance]\ncpus = 1\nname = \"base\"\n[distribution]\npackages = [\"from-c\"]\nexclude = [\"cc\"]\n",
        ),
    ]);
    let profile = &loaded.profile;
    assert_eq!(profile.name, "mylab");
    assert_eq!(profile.appliance.cpus, 8, "the later import wins");
    assert_eq!(profile.appliance.memory, ByteSize::gib(4));
    for package in ["mine", "from-a", "from-b", "from-c"] {
        assert!(profile.distribution.packages.contains(package), "{package}");
    }
    assert_eq!(profile.distribution.exclude, ["bb".to_owned()].into(), "replaced");
    let files: Vec<_> = loaded.files.iter().map(|path| path.display().to_string()).collect();
    assert_eq!(files, ["lab/p.toml", "base/a.toml", "base/c.toml", "base/b.toml"], "c is read once");
}

#[test]
fn the_shipped_profiles_are_sound_and_alike() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let load = |name: &str| load(&root.join("profiles").join(name)).unwrap_or_else(|faults| panic!("{faults}"));
    let (ubuntu, debian) = (load("ubuntu.toml"), load("debian.toml"));
    assert_eq!((ubuntu.warnings.count(), debian.warnings.count()), (0, 0));
    // They name no ISO: a note for the one installer that nodes use.
    assert_eq!((ubuntu.notes.findings().count(), debian.notes.findings().count()), (1, 1));
    assert_eq!(ubuntu.profile.inventory, debian.profile.inventory);
    assert_eq!(ubuntu.profile.inventory.nodes.len(), 3);
    let without_kernel = |profile: &Profile| {
        let mut packages = profile.distribution.packages.clone();
        assert!(packages.remove(profile.distribution.kernel.as_ref().unwrap()));
        packages
    };
    assert_eq!(without_kernel(&ubuntu.profile), without_kernel(&debian.profile));
    assert_eq!(
        (ubuntu.profile.distribution.codename.as_str(), debian.profile.distribution.codename.as_str()),
        ("noble", "trixie")
    );
}

fn many_nodes(count: u32) -> String {
    let node = |index: u32| {
        let (high, low) = (index / 250, index % 250 + 2);
        let (a, b) = (index >> 8, index & 0xff);
        format!(
            "[[node]]\nhostname = \"node{index}\"\nmac = \"52:54:00:00:{a:02x}:{b:02x}\"\naddress = \"10.10.{high}.{low}\"\n\
             install = \"ubuntu-24-04\"\ndisk = {{ serial = \"S{index}*\", min-size = \"200GB\" }}\n\
             bmc = {{ address = \"10.10.{}.{low}\", mac = \"52:54:01:00:{a:02x}:{b:02x}\", credentials = \"env:BMC\" }}\n",
            high + 100
        )
    };
    (0..count).map(node).collect()
}

#[test]
fn a_thousand_nodes_are_accepted() {
    let profile = SMALL.replace("10.10.1.1/16", "10.10.255.1/16");
    let loaded = sound(&[("p.toml", &profile), ("nodes.toml", &many_nodes(1000))]);
    assert_eq!(loaded.profile.inventory.nodes.len(), 1000);
}

/// Speed by count of work, not by the clock: twice the nodes must not cost four times. Bounded generously.
#[test]
fn a_thousand_faulty_nodes_are_reported_one_by_one() {
    let nodes = many_nodes(1000).replace("install = \"ubuntu-24-04\"", "install = \"ubuntu-2404\"");
    let profile = SMALL.replace("10.10.1.1/16", "10.10.255.1/16");
    let faults = faults(&[("p.toml", &profile), ("nodes.toml", &nodes)]);
    assert_eq!(faults.count(), 1000);
    assert!(faults.render(false).contains("did you mean \"ubuntu-24-04\"?"));
}

#[test]
fn twenty_five_faults_in_four_files_are_all_reported_at_their_lines() {
    let files = [
        ("lab/profile.toml", include_str!("testdata/faulty/lab/profile.toml")),
        ("lab/nodes.toml", include_str!("testdata/faulty/lab/nodes.toml")),
        ("base/common.toml", include_str!("testdata/faulty/base/common.toml")),
        ("base/extra.toml", include_str!("testdata/faulty/base/extra.toml")),
    ];
    let faults = faults(&files);
    // Each faulty line says so: the places that the files announce are those that are reported.
    let announced = files.iter().flat_map(|(path, text)| {
        let lines = text.lines().enumerate().filter(|(_, line)| line.contains("FAULT"));
        lines.map(move |(index, _)| format!("{path}:{}", index + 1))
    });
    let mut announced: Vec<_> = announced.collect();
    let mut reported = faults.places();
    reported.dedup();
    announced.sort();
    reported.sort();
    assert_eq!(reported, announced, "{faults}");
    assert!(faults.count() >= 25, "{}", faults.count());
    insta::assert_snapshot!("faulty", faults.render(false));
}

#[test]
fn a_conflict_shows_both_places() {
    let nodes = "[[node]]\nhostname = \"a\"\nmac = \"52:54:00:00:00:01\"\naddress = \"10.10.1.5\"\n\
                 [[node]]\nhostname = \"b\"\nmac = \"52:54:00:00:00:01\"\naddress = \"10.10.1.6\"\n";
    let faults = faults(&[("p.toml", SMALL), ("nodes.toml", nodes)]);
    insta::assert_snapshot!(faults.render(false));
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let text =
        faults_with("[appliance.users.ops]\npassword-hash = \"hunter2\"\nssh-keys = []\nroot-password = \"hunter2\"\n");
    assert!(!text.contains("hunter2"), "{text}");
    insta::assert_snapshot!(text);
    let nodes = "[[node]]\nhostname = \"A\"\nmac = \"52:54:00:00:00:01\"\naddress = \"10.10.1.5\"\n\
                 bmc = { address = \"nowhere\", credentials = \"ADMIN:hunter2\" }\n";
    let text = faults(&[("p.toml", SMALL), ("nodes.toml", nodes)]).render(false);
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn imports_that_run_in_a_circle_or_lead_nowhere() {
    let faults = faults(&[
        ("p.toml", &format!("imports = [\"a.toml\", \"missing.toml\"]\n{SMALL}")),
        ("a.toml", "imports = [\"b.toml\"]\n"),
        ("b.toml", "imports = [\"a.toml\"]\n"),
    ]);
    insta::assert_snapshot!(faults.render(false));
}

#[test]
fn syntax_errors_come_together_and_hide_no_other_fault() {
    let faults = faults(&[
        (
            "p.toml",
            "[appliance]\nname = \"x\nmemory = \ncpus = 1 2\ndisk = 25GiB\n[distribution\nname = \"ubuntoo\"\n[network]\nuplin = 1\n",
        ),
        ("nodes.toml", "[[node]]\nhostname = \"a\"\nhostname = \"b\"\nmac = \"x\"\n"),
    ]);
    insta::assert_snapshot!(faults.render(false));
}

#[test]
fn a_missing_profile_says_what_to_do() {
    let error = load_from(&Memory::new(&[]), Path::new("p.toml"), &mut Decoding::default()).unwrap_err();
    insta::assert_snapshot!(error.render(false));
}

#[test]
fn colour_is_an_argument() {
    let faults = faults(&[("p.toml", "")]);
    assert!(faults.render(true).contains('\u{1b}'));
    assert!(!faults.render(false).contains('\u{1b}'));
}

fn label() -> impl Strategy<Value = String> {
    "[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_makes_it_panic(profile in "\\PC{0,200}", nodes in "\\PC{0,200}") {
        if let Err(faults) = load_texts(&[("p.toml", &profile), ("nodes.toml", &nodes)]) {
            faults.render(false);
        }
    }

    /// A sound profile with a piece cut out and another put in comes nearer to the interesting places.
    #[test]
    fn no_damage_makes_it_panic(at in 0usize..2000, length in 0usize..40, piece in "[\\[\\]{}=.,\"'#\\n\\\\a-z0-9é\\u{1b}-]{0,12}") {
        let (profile, nodes) = init("mylab").unwrap();
        let damaged = |text: &str| {
            let text: Vec<char> = text.replace("\n#", "\n").chars().collect();
            let start = at.min(text.len());
            let end = (start + length).min(text.len());
            let (head, tail): (String, String) = (text[..start].iter().collect(), text[end..].iter().collect());
            format!("{head}{piece}{tail}")
        };
        if let Err(faults) = load_texts(&[("p.toml", &damaged(&profile)), ("nodes.toml", &damaged(&nodes))]) {
            prop_assert!(faults.count() > 0);
            faults.render(true);
        }
    }

    #[test]
    fn every_valid_inventory_is_accepted(
        names in proptest::collection::btree_set(label(), 0..30),
        upper in any::<bool>(),
    ) {
        let node = |(index, name): (usize, &String)| {
            let mac = format!("02:00:00:00:ab:{index:02x}");
            let mac = if upper { mac.to_uppercase().replace(':', "-") } else { mac };
            format!("[[node]]\nhostname = \"n{name}\"\nmac = \"{mac}\"\naddress = \"10.10.2.{}\"\n", index + 1)
        };
        let nodes: String = names.iter().enumerate().map(node).collect();
        let loaded = load_texts(&[("p.toml", SMALL), ("nodes.toml", &nodes)]);
        prop_assert!(loaded.is_ok(), "{}", loaded.unwrap_err());
        prop_assert_eq!(loaded.unwrap().profile.inventory.nodes.len(), names.len());
    }

    /// What the daemon and the renderers rely on: no two machines share anything, and no node's address is given away.
    #[test]
    fn an_accepted_inventory_has_no_conflict(nodes in proptest::collection::vec(any_node(), 0..4)) {
        let profile = format!("{SMALL}[network.provisioning.dhcp]\nrange = \"10.10.1.100-10.10.1.199\"\n");
        let text: String = nodes.concat();
        match load_texts(&[("p.toml", &profile), ("nodes.toml", &text)]) {
            Err(faults) => drop(faults.render(false)),
            Ok(loaded) => {
                let nodes = &loaded.profile.inventory.nodes;
                let bmcs = || nodes.iter().filter_map(|node| node.bmc.as_ref());
                let mut names = vec!["mylab".to_owned()];
                let mut addresses = vec![std::net::Ipv4Addr::new(10, 10, 1, 1)];
                for node in nodes {
                    names.push(node.hostname.to_string());
                    names.extend(node.bmc.as_ref().map(|_| format!("{}-bmc", node.hostname)));
                    names.extend(node.addresses.keys().map(|network| format!("{}-{network}", node.hostname)));
                    addresses.push(node.address);
                    addresses.extend(node.addresses.values());
                    let last = node.address.octets();
                    prop_assert!(last[..2] == [10, 10] && !(last[2] == 1 && (100..200).contains(&last[3])), "{}", node.address);
                }
                addresses.extend(bmcs().map(|bmc| bmc.address));
                let macs: Vec<_> = nodes.iter().map(|node| node.mac).chain(bmcs().filter_map(|bmc| bmc.mac)).collect();
                prop_assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
                prop_assert_eq!(addresses.iter().collect::<BTreeSet<_>>().len(), addresses.len());
                prop_assert_eq!(macs.iter().collect::<BTreeSet<_>>().len(), macs.len());
            }
        }
    }
}

/// From few values, so that some inventories are sound and many have two of a kind; and any text at all.
fn any_node() -> impl Strategy<Value = String> {
    let or_any = |usual: BoxedStrategy<String>| prop_oneof![12 => usual, 1 => any::<String>()];
    let name = or_any("(a|b|a-bmc|a-x|mylab)".boxed());
    let mac = || or_any("52:54:00:00:00:0[1-6]".boxed());
    let address = || or_any("10\\.10\\.(1|2)\\.(1|2|3|4|150|255)".boxed());
    let further = proptest::option::of(("(x|bmc)", address()));
    let bmc = proptest::option::of((address(), proptest::option::of(mac())));
    (name, mac(), address(), further, bmc).prop_map(|(name, mac, address, further, bmc)| {
        let text = |text: String| toml::Value::String(text).to_string();
        let mut node =
            format!("[[node]]\nhostname = {}\nmac = {}\naddress = {}\n", text(name), text(mac), text(address));
        if let Some((network, address)) = further {
            node += &format!("addresses.{network} = {}\n", text(address));
        }
        if let Some((address, mac)) = bmc {
            node += &format!("bmc.address = {}\n", text(address));
            node += &mac.map(|mac| format!("bmc.mac = {}\n", text(mac))).unwrap_or_default();
        }
        node
    })
}

#[test]
fn a_hash_made_by_another_implementation_is_accepted() {
    use sha_crypt::PasswordHasher as _;
    let made =
        sha_crypt::ShaCrypt::default().hash_password_with_salt(b"correct horse", b"twelve bytes").unwrap().to_string();
    assert_eq!(netboot::crypt::check(&made), Ok(()), "{made}");
}
