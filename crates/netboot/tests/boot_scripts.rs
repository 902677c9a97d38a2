//! Whatever the inventory, whoever is armed, whatever the kernel parameters: a script installs an armed node and no other
//! one, and each loader, read by its own rules, hands over exactly the installation's words.
//!
//! The readers here know the loaders' languages from their manuals and nothing of the renderers.

use std::collections::{BTreeMap, BTreeSet};

use netboot::*;
use proptest::prelude::*;

/// A script's lines as lists of words, comments and blank lines left out.
type Commands = Vec<Vec<String>>;

/// iPXE splits a line at blanks, after it has expanded `${...}`; a `#` begins a comment only at the line's beginning.
fn read_ipxe(script: &str) -> Commands {
    assert!(script.starts_with("#!ipxe\n"));
    let line = |line: &str| -> Vec<String> {
        assert!(!line.starts_with("kernel") || !line.contains("${"), "expanded: {line}");
        line.split_whitespace().map(str::to_owned).collect()
    };
    script.lines().filter(|text| !text.starts_with('#')).map(line).filter(|words| !words.is_empty()).collect()
}

/// GRUB's shell: words end at blanks, commands at `;` and newlines; `{ } | & $ ; < >` are special outside quotes; a `\`
/// takes the next character literally; nothing is special in single quotes.
fn read_grub(script: &str) -> Commands {
    let mut commands = vec![vec![]];
    let mut word: Option<String> = None;
    let mut letters = script.chars().peekable();
    while let Some(letter) = letters.next() {
        let end = |commands: &mut Commands, word: &mut Option<String>| {
            commands.last_mut().unwrap().extend(word.take());
        };
        match letter {
            '#' if word.is_none() => while letters.next_if(|letter| *letter != '\n').is_some() {},
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next().expect("a quote is not closed") {
                        '\'' => break,
                        inner => word.push(inner),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(letters.next().expect("a backslash at the end")),
            '"' | '{' | '}' | '|' | '&' | '$' | '<' | '>' => panic!("special: {letter:?} in {script}"),
            '\n' | ';' => {
                end(&mut commands, &mut word);
                commands.push(vec![]);
            }
            blank if blank.is_whitespace() => end(&mut commands, &mut word),
            other => word.get_or_insert_default().push(other),
        }
    }
    commands.retain(|command| !command.is_empty());
    commands
}

/// The words behind a command, before what its failure leads to; `if` and its kin stand before a command.
fn of_command<'a>(commands: &'a Commands, name: &str) -> Vec<&'a [String]> {
    let mut found = Vec::new();
    for words in commands {
        let words = match words[0].as_str() {
            "if" | "then" | "do" => &words[1..],
            _ => &words[..],
        };
        if words.first().is_some_and(|word| word == name) {
            let end = words.iter().position(|word| word == "||").unwrap_or(words.len());
            found.push(&words[1..end]);
        }
    }
    found
}

fn node(index: usize, mac: MacAddr, installer: Option<u8>, secure_boot: bool) -> Node {
    Node {
        hostname: format!("node{index}").parse().unwrap(),
        mac,
        address: [10, 10, (index / 250) as u8, (index % 250) as u8].into(),
        address6: None,
        addresses: BTreeMap::new(),
        memory: None,
        secure_boot,
        install: installer.map(|number| format!("installer-{number}")),
        disk: None,
        bmc: None,
        bios: None,
        roles: BTreeSet::new(),
        dhcp_options: BTreeMap::new(),
    }
}

fn system(kernel_parameters: Vec<String>) -> System {
    System {
        release: Release::Ubuntu2404,
        locale: "C.UTF-8".to_owned(),
        keyboard: Keyboard { layout: "us".to_owned(), variant: None },
        timezone: "Etc/UTC".to_owned(),
        account: Account { name: "admin".to_owned(), password_hash: None, ssh_keys: vec![] },
        storage: Storage::Direct,
        addressing: Addressing::Dhcp,
        packages: vec![],
        mirror: None,
        early_commands: vec![],
        late_commands: vec![],
        kernel_parameters,
    }
}

fn strings(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn only_armed_nodes_install_and_loaders_pass_every_word_on(
        macs in proptest::collection::btree_set(any::<[u8; 6]>(), 1..6),
        armed_others: Vec<[u8; 6]>,
        choices in proptest::collection::vec((any::<bool>(), proptest::option::of(0_u8..3), any::<bool>()), 6),
        // Everything that can be typed, blanks and quotes included: what cannot pass must be refused, not changed.
        parameters in proptest::collection::vec("[ -~]{0,12}|[a-z]+=[!-~]{0,12}", 0..5),
        media in proptest::collection::btree_set(0_u8..3, 0..4),
    ) {
        let site = Site {
            server: [10, 10, 1, 1].into(),
            subnet: "10.10.0.0/16".parse().unwrap(),
            domain: "lab.example",
            gateway: None,
        };
        let system = system(parameters);
        let nodes: Vec<(Node, bool)> = macs.iter().zip(&choices).enumerate().map(|(index, (mac, choice))| {
            let (armed, installer, secure) = *choice;
            (node(index, MacAddr::from_bytes(*mac), installer, secure), armed)
        }).collect();
        let mut armed: BTreeSet<MacAddr> = armed_others.into_iter().map(MacAddr::from_bytes).collect();
        for (node, arm) in &nodes {
            if *arm { armed.insert(node.mac); } else { armed.remove(&node.mac); }
        }
        let armed = Armed::of(armed);

        for (node, arm) in &nodes {
            let installer = node.install.clone().unwrap_or_default();
            let available = media.iter().any(|number| installer == format!("installer-{number}"));
            let paths = MediaPaths::of(&installer, Release::Ubuntu2404);
            let installation = Installation::of(node, &system, &paths, &site, &netboot::static_seed_path(node));
            let refused = installation.is_err();
            let installation = installation.ok().filter(|_| available);
            let decision = Decision::of(Some(node), &armed, installation.as_ref());
            let (ipxe, grub) = (node_script(node, &decision, &site.url()), grub_node_script(node, &decision));
            let (ipxe, grub) = (read_ipxe(&ipxe), read_grub(&grub));
            let installs = *arm && node.install.is_some() && available && !refused;
            if installs {
                let installation = installation.unwrap();
                let mut expected = vec!["http://10.10.1.1/".to_owned() + installation.kernel(), "initrd=initrd".to_owned()];
                expected.extend(installation.arguments().iter().cloned());
                prop_assert_eq!(of_command(&ipxe, "kernel"), vec![&expected[..]]);
                let initrd = format!("http://10.10.1.1/{}", installation.initrd());
                prop_assert_eq!(of_command(&ipxe, "initrd").len(), 1);
                prop_assert_eq!(strings(of_command(&ipxe, "initrd")[0]), vec!["--name", "initrd", &initrd]);
                let mut expected = vec![format!("/{}", installation.kernel())];
                expected.extend(installation.arguments().iter().cloned());
                prop_assert_eq!(of_command(&grub, "linux"), vec![&expected[..]]);
                let initrd = format!("/{}", installation.initrd());
                prop_assert_eq!(of_command(&grub, "initrd").concat(), vec![initrd]);
                let seed = format!("ds=nocloud;s=http://10.10.1.1/seed/{}/", node.hostname);
                prop_assert!(expected.contains(&seed), "{:?}", expected);
            } else {
                prop_assert!(grub.len() == 1 && grub[0][0] == "echo", "{:?}", grub);
                let harmless = ["echo", "iseq", "sanboot", "exit"];
                for words in &ipxe {
                    prop_assert!(words[0].starts_with(':') || harmless.contains(&words[0].as_str()), "{:?}", words);
                }
            }
        }
    }
}

/// The readers find what the property looks for: a script that installs, and quotes that hide a command's end.
#[test]
fn the_readers_can_tell() {
    let grub = read_grub("# linux x\nif linux /k 'a;b' c\\;d; then\n  initrd /i\nfi\n");
    assert_eq!(
        of_command(&grub, "linux").iter().map(|words| strings(words)).collect::<Vec<_>>(),
        [["/k", "a;b", "c;d"]]
    );
    assert_eq!(strings(of_command(&grub, "initrd")[0]), ["/i"]);
    let cut = read_grub("linux /k ds=nocloud;s=x\n");
    assert_eq!(strings(of_command(&cut, "linux")[0]), ["/k", "ds=nocloud"]);
    let ipxe = read_ipxe("#!ipxe\nkernel http://x/k initrd=initrd a;b || goto local\n");
    assert_eq!(strings(of_command(&ipxe, "kernel")[0]), ["http://x/k", "initrd=initrd", "a;b"]);
}
