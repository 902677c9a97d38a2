//! One test for each trap: the document is sound but for it, and the findings are in the snapshot, word for word.

use super::{document, found, shown};
use crate::Release;
use crate::lint::lint;

/// A test of the findings on a document.
macro_rules! traps {
    ($($name:ident: $text:expr;)*) => {$(
        #[test]
        fn $name() {
            let text = String::from($text);
            let found = found(&text);
            assert!(!found.is_empty(), "nothing was found in:\n{text}");
            insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "../snapshots", omit_expression => true }, {
                insta::assert_snapshot!(concat!("trap_", stringify!($name)), format!("{text}----\n{found}"));
            });
        }
    )*};
}

const ONE_DISK: &str = "  - {id: disk0, type: disk, ptable: gpt, match: {serial: '*1234'}}\n";
const ESP: &str = "  - {id: efi, type: partition, device: disk0, size: 1G, flag: boot, grub_device: true}
  - {id: efi-fs, type: format, volume: efi, fstype: fat32}
  - {id: efi-mount, type: mount, device: efi-fs, path: /boot/efi}
";
const ROOT: &str = "  - {id: root, type: partition, device: disk0, size: -1}
  - {id: root-fs, type: format, volume: root, fstype: ext4}
  - {id: root-mount, type: mount, device: root-fs, path: /}
";

fn config(actions: &[&str]) -> String {
    document(&[&format!("storage:\n  config:\n{}", actions.concat())])
}

fn storage(text: &str) -> String {
    document(&[&format!("storage: {text}\n")])
}

fn ethernet(text: &str) -> String {
    document(&[&format!("network:\n  version: 2\n  ethernets:\n    enp1s0:\n{text}")])
}

#[test]
fn what_the_traps_are_made_of_is_sound() {
    assert_eq!(found(&document(&[])), "");
    assert_eq!(found(&config(&[ONE_DISK, ESP, ROOT])), "");
    assert_eq!(found(&ethernet("      dhcp4: true\n      optional: 'yes'\n      mtu: '9000'\n")), "");
    assert_eq!(found(&ethernet("      nameservers: {search: [lab.local], addresses: [10.10.1.1]}\n")), "");
    for zone in ["geoip", "Europe/Berlin", "America/Argentina/Buenos_Aires", "UTC", "Etc/GMT+1", "''"] {
        assert_eq!(found(&document(&[&format!("timezone: {zone}\n")])), "", "{zone}");
    }
    for handler in [
        "type: log, level: INFO",
        "type: print",
        "type: journald, identifier: x",
        "type: webhook, endpoint: 'http://a', token_key: k",
    ] {
        assert_eq!(found(&document(&[&format!("reporting: {{a: {{{handler}}}}}\n")])), "", "{handler}");
    }
}

/// What subiquity and curtin take, by their own code.
#[test]
fn sizes_are_read_as_curtin_reads_them() {
    for (size, sound) in [
        ("10G", true),
        ("10GB", true),
        ("10KB", true),
        ("10B", true),
        ("1.5MB", true),
        ("1.5G", true),
        ("'10'", true),
        ("50%", true),
        ("10g", false),
        ("1P", false),
        ("10GiB", false),
        ("10BB", false),
        ("'-2'", false),
        ("B", false),
    ] {
        let text = config(&[ONE_DISK, &ESP.replace("size: 1G", &format!("size: {size}")), ROOT]);
        assert_eq!(found(&text).is_empty(), sound, "{size}: {}", found(&text));
    }
}

#[test]
fn a_document_that_makes_a_reset_partition_only_needs_nobody() {
    let text = "#cloud-config\nautoinstall:\n  version: 1\n  apt: {fallback: abort}\n  storage:\n    layout: {name: direct, reset-partition: true, \
                reset-partition-only: true, match: {serial: '*1234'}}\n";
    assert_eq!(found(text), "");
}

traps! {
    disk_by_link: config(&[&ONE_DISK.replace("match: {serial: '*1234'}", "path: /dev/disk/by-id/ata-x"), ESP, ROOT]);
    disk_by_short_serial: config(&[&ONE_DISK.replace("match: {serial: '*1234'}", "serial: S467NX0M"), ESP, ROOT]);
    disk_by_wwn: config(&[&ONE_DISK.replace("match: {serial: '*1234'}", "wwn: '0x5002538e'"), ESP, ROOT]);
    efi_with_a_slash: config(&[ONE_DISK, &ESP.replace("/boot/efi", "/boot/efi/"), ROOT]);
    layout_dd: storage("{layout: {name: dd, match: {serial: '*1234'}}}");
    match_as_a_list: storage("{layout: {name: direct, match: [{serial: '*1234'}, {size: largest}]}}");
    layout_with_config: document(&[&format!(
        "storage:\n  layout: {{name: direct, match: {{serial: '*1234'}}}}\n  config:\n{ONE_DISK}{ESP}{ROOT}"
    )]);
    unknown_layout: storage("{layout: {name: lmv, match: {serial: '*1234'}}}");
    layout_hybrid: storage("{layout: {name: hybrid, match: {serial: '*1234'}}}");
    layout_without_match: storage("{layout: {name: lvm}}");
    layout_keys: storage("{layout: {name: direct, match: {serial: '*1'}, password: x, sizing-policy: al, ptabel: gpt}}");
    storage_without_anything: storage("{swap: {size: 0}}");
    no_storage: "#cloud-config\nautoinstall: {version: 1, user-data: {users: []}, apt: {fallback: abort}}\n";
    unknown_match_key: storage("{layout: {name: direct, match: {wwn: '0x5002538d0000', serail: '*1234'}}}");
    empty_match: storage("{layout: {name: direct, match: {}}}");
    match_size: storage("{layout: {name: direct, match: {size: '>= 10GiB'}}}");
    match_kinds: storage("{layout: {name: direct, match: {serial: 1234, ssd: 'true', install-media: 1}}}");
    match_prefixes: storage("{layout: {name: direct, match: {serial: S3Z8NB0K, model: Samsung, path: /dev/nvme}}}");
    match_links_and_blanks: storage("{layout: {name: lvm, match: [{path: /dev/disk/by-id/x}, {model: WDC WD10}, {serial: '*'}]}}");
    root_not_mounted: config(&[ONE_DISK, ESP]);
    no_boot_loader: config(&[ONE_DISK, ROOT]);
    efi_without_grub_device: config(&[ONE_DISK, &ESP.replace(", grub_device: true", ""), ROOT]);
    efi_not_fat: config(&[ONE_DISK, &ESP.replace("fat32", "ext4").replace("flag: boot, ", ""), ROOT]);
    bios_on_gpt: config(&["  - {id: disk0, type: disk, ptable: gpt, grub_device: true, match: {serial: '*1234'}}\n", ROOT]);
    unknown_ids: config(&[ONE_DISK, ESP, &ROOT.replace("volume: root", "volume: roof")]);
    later_and_double_ids: config(&[ESP, ONE_DISK, ROOT, "  - {id: root, type: format, fstype: ext4, volume: root}\n"]);
    action_without_type_or_id: config(&[ONE_DISK, ESP, ROOT, "  - {id: x}\n  - {type: mount, path: /srv, device: root-fs}\n"]);
    unknown_action: config(&[ONE_DISK, ESP, ROOT, "  - {id: cache, type: bcache, backing_device: root}\n"]);
    action_keys: config(&[ONE_DISK, ESP, ROOT, "  - {id: lv, type: lvm_partition, sise: 1G}\n"]);
    selector_beside_match: config(&["  - {id: disk0, type: disk, size: largest}\n", ESP, ROOT]);
    selector_twice: config(&["  - {id: disk0, type: disk, serial: 'S3*', match: {ssd: true}}\n", ESP, ROOT]);
    sizes: config(&[ONE_DISK, ESP, &ROOT.replace("size: -1", "size: 10GiB"), "  - {id: p, type: partition, device: disk0, size: -1}
  - {id: q, type: partition, device: disk0, size: 50%}\n"]);
    ssh_keys_unknown: document(&["ssh: {install-server: true, authorised-keys: [], permit-root: false}\n"]);
    ssh_key_broken: document(&["ssh: {install-server: true, authorized-keys: [ssh-ed25519 AAAA_YOUR_KEY me@desk]}\n"]);
    ssh_without_server: document(&["ssh:
  authorized-keys:
    - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKpJb0Y1lHDhJ1cKyy7pnmKzKkQ1S2MXwPdE6TQKpHnv ops@desk\n"]);
    ssh_nobody: document(&["ssh: {install-server: true, allow-pw: false}\n"]);
    no_header: document(&[]).replace("#cloud-config\n", "");
    misspelt_header: document(&[]).replace("#cloud-config\n", "# cloud-config\n");
    no_wrapper: "#cloud-config\nversion: 1\napt: {fallback: abort}\nuser-data: {users: [ops]}\nstorage: {layout: {name: direct, match: {serial: '*1'}}}\n";
    misspelt_wrapper: document(&[]).replace("autoinstall:", "autoinstal:");
    no_autoinstall: "#cloud-config\npackages: [git]\n";
    misplaced_sections: format!("{}late-commands: [reboot]\npackages: [git]\n", document(&[]));
    nobody: "#cloud-config\nautoinstall: {version: 1, apt: {fallback: abort}, storage: {layout: {name: direct, match: {serial: '*1'}}}}\n";
    user_data_without_users: document(&["user-data: {disable_root: true}\n"]);
    users: document(&["user-data:
  users:
    - {name: 007, passwd: hunter2}
    - {shell: /bin/sh, plain_text_passwd: hunter2}
    - {name: ops, passwd: '$6$s$bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb'}
    - {name: dev, ssh_authorized_keys: [ssh-rsa]}\n"]);
    address_without_prefix: ethernet("      addresses: [10.10.1.21, 10.10.1.300/24, 'fd00::1']\n");
    gateways: ethernet("      addresses: [10.10.1.21/24]\n      gateway4: 10.10.1.1\n      gateway6: fe80::1/64\n");
    ethernet_keys: ethernet("      dhcp4: ja\n      dhpc6: true\n      match: {mac: x}\n");
    mac_as_number: ethernet("      match: {macaddress: 52:54:00:12:34:56}\n      set-name: eth0\n");
    match_at_the_wrong_level: document(&["network: {version: 2, ethernets: {match: {name: 'en*', dhcp4: true}}}\n"]);
    set_name_without_match: ethernet("      set-name: eth0\n");
    nameserver_and_route: ethernet("      nameservers: {addresses: [10.0.0.1/8]}\n      routes: [{via: 10.0.0.1}]\n");
    network_twice: document(&["network: {network: {version: 2}, ethernets: {}}\n"]);
    network_version: document(&["network: {version: 1, config: []}\n"]);
    identity_groups: document(&[&format!("{}  groups: [adm]\n", super::IDENTITY)]);
    identity_incomplete: document(&["identity: {username: ops, pasword: x}\n"]);
    reserved_user: document(&[&super::IDENTITY.replace("ops", "admin")]);
    user_name: document(&[&super::IDENTITY.replace("ops", "Ops!").replace("node1", "node_1")]);
    plain_password: document(&["identity: {username: ops, hostname: a, password: correct horse}\n"]);
    unknown_hash: document(&["identity: {username: ops, hostname: a, password: $9$salt$abc}\n"]);
    weak_hash: document(&["identity: {username: ops, hostname: a, password: $1$salt$qJH7.N4xYta3aEG/dfqo/0}\n"]);
    cut_hash: document(&["identity: {username: ops, hostname: a, password: $6$salt$qJH7.N4xYta3aEG/dfqo/0}\n"]);
    locked_password: document(&["identity: {username: ops, hostname: a, password: '*'}\n"]);
    gateway_and_scalars: ethernet("      gateway: 10.10.1.1\n      nameservers: {search: lab.local, addresses: 10.10.1.1, serach: []}\n");
    gateway_of_a_bridge: document(&["network:\n  version: 2\n  ethernets: {a: {}}\n  bridges:\n    br0: {interfaces: [a], gateway: x}\n"]);
    reporters: document(&["reporting:\n  a: {type: webhok}\n  b: {type: webhook, endpiont: 'http://a'}\n  c: {type: print, level: INFO}\n  d: {type: none}\n"]);
    time_zone: document(&["timezone: Europe/Berln\n"]);
    time_zone_of_no_area: document(&["timezone: Pacfic/auckland\n"]);
    time_zone_of_no_form: document(&["timezone: my office\n"]);
    interactive_with_reporting: document(&["interactive-sections: [network]\n", "reporting: {hook: {type: webhook}}\n"]);
    interactive_unknown: document(&["interactive-sections: [netwrok]\n"]);
    fallback_left_out: document(&["apt: {geoip: false}\n"]);
    mirrors: document(&["apt: {fallback: abort, mirror-selection: {primary: [country, {url: 'http://a'}]}}\n"]);
    sections: document(&["late-comands: []\n", "kernel-crash-dumps: {enabled: true}\n", "yes: no\n"]);
    version: document(&["version: 2\n"]);
    types: document(&[
        "locale: no\n", "timezone: 12\n", "packages: git\n", "updates: al\n", "shutdown: halt\n", "keyboard: {toggle: 1}\n",
        "snaps: [{channel: edge, clasic: true}]\n", "oem: {install: maybe}\n", "early-commands: [[echo, 1], 22, a: b]\n",
        "codecs: {install: 'yes'}\n", "proxy: []\n", "refresh-installer:\n", "reporting: {hook: {level: DEBUG}}\n",
    ]);
    kernel_and_token: document(&["kernel: {flavor: hwe, package: linux-generic}\n", "ubuntu-advantage: {token: C0}\n"]);
    duplicate_key: document(&["ssh: {install-server: true, install-server: false}\n"]);
    merges_and_aliases: document(&["ssh: &ssh {install-server: true, allow-pws: true}\n", "codecs: {<<: *ssh}\n", "drivers: {<<: 3, install: *none}\n"]);
    tab: document(&["locale:\tC.UTF-8\n"]);
    second_document: format!("{}---\na: 1\n", document(&[]));
    syntax: document(&["locale: a: b\n"]);
    indentation: document(&["ssh:\n  install-server: true\n allow-pw: true\n"]);
    tags: document(&["locale: !!python/name:os.system x\n", "timezone: !!int Etc\n"]);
    empty: "#cloud-config\n";
    not_a_mapping: "#cloud-config\n- autoinstall\n";
    wrapper_is_a_list: "#cloud-config\nautoinstall: [version]\n";
    template: format!("## template: jinja\n{}", document(&["locale: '{{ x }}'\n"]));
    blank_before_the_header: format!("\n{}", document(&[]));
    match_longer_prefixes: storage("{layout: {name: direct, match: [{serial: Samsung_SSD}, {serial: Samsung_SSD_870}, {model: Samsung_SSD},
    {model: Samsung_SSD_870}, {model: ST4000}, {vendor: Sams}, {id_path: pci-0000}, {id_path: 'pci-0000:00:1f.2-ata'},
    {devpath: /devices/pci0000}]}}");
    users_without_a_way_in: document(&["ssh: {install-server: true, allow-pw: false}\n", "user-data: {users: [{name: ops}]}\n"]);
    users_with_a_locked_password: document(&["user-data: {users: [{name: ops, plain_text_passwd: hunter2}]}\n"]);
    keys_of_nobody: document(&["ssh:
  install-server: true
  authorized-keys:
    - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKpJb0Y1lHDhJ1cKyy7pnmKzKkQ1S2MXwPdE6TQKpHnv ops@desk\n",
        "user-data: {users: [{name: ops, lock_passwd: true}]}\n"]);
    default_user_without_keys: document(&["user-data: {users: [default]}\n"]);
    ssh_without_keys_of_users: document(&["ssh: {install-server: true, allow-pw: false}\n",
        "user-data: {users: [{name: ops, plain_text_passwd: hunter2, lock_passwd: false}]}\n"]);
    user_keys: document(&["user-data:
  users:
    - {name: ops, ssh_authorised_keys: [], lock-passwd: true, uid: 1000, pasword: hunter2, ssh-import-id: [gh:ops]}\n"]);
    root_on_fat: config(&[ONE_DISK, ESP, &ROOT.replace("ext4", "fat32")]);
    root_on_swap: config(&[ONE_DISK, ESP, &ROOT.replace("ext4", "swap")]);
    percents: config(&[ONE_DISK, ESP, &ROOT.replace("-1", "60%"), "  - {id: p, type: partition, device: disk0, size: 150%}
  - {id: q, type: partition, device: disk0, size: 41%}\n"]);
    layout_with_half_a_config: document(&[&format!(
        "storage:\n  layout: {{name: direct, match: {{serial: '*1234'}}}}\n  config:\n{ONE_DISK}"
    )]);
    tab_as_indentation: document(&["ssh:\n\tinstall-server: true\n"]);
    tab_before_a_key: document(&["ssh:\n  install-server: true\n \tallow-pw: true\n"]);
    netplan_references: document(&["network:
  version: 2
  ethernets: {enp1s0: {}, enp2s0: {}}
  bonds: {bond0: {interfaces: [enp1s0, enp2so]}}
  bridges: {br0: {interfaces: [vlan7, eth0]}}
  vlans: {vlan7: {id: 7, link: bond1}}\n"]);
    control_character: document(&["locale: \u{1}\n"]);
}

#[test]
fn older_media_differ() {
    let text = document(&[
        "storage: {layout: {name: zfs, match: [{serial: '*1', id_path: 'pci*'}]}}\n",
        "codecs: {install: true}\n",
        "apt: {}\n",
    ]);
    let findings = lint(&text, Release::Ubuntu2204).findings;
    insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "../snapshots", omit_expression => true }, {
        insta::assert_snapshot!("older_media_differ", format!("{text}----\n{}", shown(&text, &findings)));
    });
    assert_eq!(
        lint(&text, Release::Ubuntu2404).findings.len(),
        2,
        "24.04 wants a fallback, and its first media no list"
    );
}

#[test]
fn first_media_of_22_04_differ() {
    let text = document(&[
        "storage: {layout: {name: lvm, sizing-policy: all, match: {serial: '*1'}}}\n",
        "apt: {fallback: abort, mirror-selection: {primary: [country-mirror]}}\n",
    ]);
    let findings = lint(&text, Release::Ubuntu2204).findings;
    insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "../snapshots", omit_expression => true }, {
        insta::assert_snapshot!("first_media_of_22_04_differ", format!("{text}----\n{}", shown(&text, &findings)));
    });
    assert_eq!(found(&text), "");
}

/// Values that could be whole, and ways in: of each of these nothing is to be said.
#[test]
fn what_looks_like_a_trap_and_is_none() {
    for matched in [
        "serial: Samsung_SSD_870_EVO_500GB_S5Y1NJ0N123456A",
        "serial: Samsung_SSD_970_EVO_1TB_S467NX0M123456_1",
        "serial: '36001405a1b2c3d4e5f60718293a4b5c6'",
        "serial: eui.0025385b71b2c3d4",
        "serial: 0QEMU_QEMU_HARDDISK_drive-scsi0",
        "serial: 'Samsung_*'",
        "model: ST4000DM004-2CV104",
        "model: Samsung_SSD_870_EVO_500GB",
        "model: QEMU_HARDDISK",
        "vendor: ATA",
        "vendor: '0x1af4'",
        "path: /dev/nvme0n1",
        "path: /dev/mapper/mpatha",
        "id_path: pci-0000:00:1f.2-ata-1",
        "id_path: pci-0000:00:05.0",
        "id_path: platform-fe340000.mmc",
        "devpath: /devices/pci0000:00/0000:00:05.0/virtio1/block/vda",
    ] {
        assert_eq!(found(&storage(&format!("{{layout: {{name: direct, match: {{{matched}}}}}}}"))), "", "{matched}");
    }
    for users in [
        "users: [default], ssh_import_id: [gh:ops]",
        "users: [default], password: x, chpasswd: {expire: false}",
        "users: [{name: ops, ssh_import_id: [gh:ops]}]",
        "users: [{name: ops}], chpasswd: {list: ['ops:x']}",
        "users: [{snapuser: ops@lab.example}]",
    ] {
        assert_eq!(found(&document(&[&format!("user-data: {{{users}}}\n")])), "", "{users}");
    }
    let netplan = "network: {version: 2, modems: {m: {}}, dummy-devices: {d: {}}, vlans: {v: {id: 1, link: d}}, \
                   bridges: {b: {interfaces: [v, m]}}}\n";
    assert_eq!(found(&document(&[netplan])), "");
    assert_eq!(found(&config(&[ONE_DISK, ESP, &ROOT.replace("-1", "100%")])), "");
    assert_eq!(found(&document(&[]).replace("#cloud-config", "#cloud-config  # vim: ft=yaml")), "");
}

/// All that is hidden in a text.
fn hidden(text: &str) -> Vec<&str> {
    lint(text, Release::Ubuntu2404).secrets.into_iter().map(|range| &text[range]).collect()
}

#[test]
fn secrets_of_any_spelling_are_hidden() {
    let text = document(&["user-data:
  users:
    - {name: a, pasword: p1, hashed-passwd: 'p2', lock_passwd: false, sise: 1}
    - {name: b, plain_text_passwd: p3, plain_text_passwd: p4}
  chpasswd:
    expire: false
    list: |
      a:p5
      b:p6
    users: [{name: a, type: text, pw: p7}]
  chef: {validation_secret: [p8, p9]} # token: p10
late-commands: ['echo ops:p11 | chpasswd']
"]);
    let linted = lint(&text, Release::Ubuntu2404);
    let mut starred = text.clone();
    for range in linted.secrets {
        starred.replace_range(range.clone(), &"*".repeat(range.len()));
    }
    for number in 1..=11 {
        assert!(!starred.contains(&format!("p{number}")), "p{number} is shown in:\n{starred}");
    }
    for shown in ["name: a", "lock_passwd: false", "sise: 1", "expire: false", "late-commands"] {
        assert!(starred.contains(shown), "{shown} is hidden in:\n{starred}");
    }
}

#[test]
fn secrets_are_hidden_where_the_document_cannot_be_read() {
    assert_eq!(hidden("#cloud-config\na: b: c\npasword: hunter2\n"), ["hunter2"]);
    assert_eq!(hidden("#cloud-config\na: {passwd: hunter2, b\n"), ["hunter2, b"]);
    assert_eq!(hidden("#cloud-config\na: b: c\nchpasswd:\n  list: |\n    ops:hunter2\n"), ["list: |", "ops:hunter2"]);
    let (text, linted) = crate::lint::lint_bytes(b"#cloud-config\npassword: hunter2\xff\n", Release::Ubuntu2404);
    let hidden: Vec<&str> = linted.secrets.into_iter().map(|range| &text[range]).collect();
    assert_eq!(hidden, ["hunter2\u{fffd}"]);
}

#[test]
fn secrets_are_known() {
    let text =
        document(&["user-data: {users: [{name: a, passwd: p1}], chpasswd: {users: [{name: a, password: p2}]}}\n"]);
    let secrets: Vec<&str> = lint(&text, Release::Ubuntu2404).secrets.into_iter().map(|range| &text[range]).collect();
    assert_eq!(secrets, ["p1", "p2"]);
}

#[test]
fn debian_has_no_user_data() {
    let findings = lint(&document(&[]), Release::Debian13).findings;
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].message, "debian 13 is not installed by autoinstall user-data");
}
