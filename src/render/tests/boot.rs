//! The boot tree: its files, who installs by it, and that the image's own copy never installs.

use super::*;
use crate::tree::Content;

/// As the fixture, with a medium, and files that stand for it.
fn with_media(media: Media) -> (Profile, BTreeMap<String, InstallerFiles>) {
    let mut profile = profile();
    let installer = profile.installers.get_mut("ubuntu-24-04").unwrap();
    installer.media = media;
    installer.medium = Some(Medium {
        kind: MediumKind::Iso,
        place: Place::Url("https://releases.example/ubuntu.iso".parse().unwrap()),
        sha256: Digest::of(b"iso"),
        size: None,
        signed: None,
    });
    installer.system.kernel_parameters = vec!["console=ttyS0".to_owned(), "odd=a;b".to_owned()];
    let files = InstallerFiles {
        kernel: Content::of(b"kernel"),
        initrd: Content::of(b"initrd"),
        iso: Some(Content::of(b"iso")),
    };
    (profile, BTreeMap::from([("ubuntu-24-04".to_owned(), files)]))
}

fn mac(profile: &Profile, index: usize) -> netboot::MacAddr {
    profile.inventory.nodes[index].mac
}

/// What the image serves, by path below /srv/provbuild.
fn served(rendered: &Rendered) -> Tree {
    let mut tree = Tree::new();
    for (path, change) in rendered.overlay.iter() {
        let (Change::Add(node) | Change::Replace(node)) = change else { continue };
        if let Some(below) = path.as_str().strip_prefix(SERVED).filter(|below| !below.is_empty()) {
            tree.insert_with_parents(ImagePath::literal(below), node.clone());
        }
    }
    tree
}

/// Every script of a tree that was made here, with its text.
fn scripts(rendered: &Rendered, tree: &Tree) -> BTreeMap<String, String> {
    let is_script = |path: &str| path.ends_with(".ipxe") || path.ends_with(".cfg");
    tree.iter()
        .filter(|(path, _)| is_script(path.as_str()))
        .map(|(path, _)| {
            let bytes = rendered.contents.get(&tree.content(path).unwrap()).unwrap();
            (path.to_string(), String::from_utf8(bytes.to_vec()).unwrap())
        })
        .collect()
}

/// Paths of the scripts that start a kernel.
fn installing(scripts: &BTreeMap<String, String>) -> Vec<&str> {
    let starts = |line: &str| line.split_whitespace().any(|word| ["kernel", "linux", "initrd"].contains(&word));
    scripts.iter().filter(|(_, text)| text.lines().any(starts)).map(|(path, _)| path.as_str()).collect()
}

#[test]
fn the_image_arms_nobody_whoever_is_armed_beside_it() {
    for media in [Media::Bake, Media::Fetch] {
        let (profile, files) = with_media(media);
        let armed = Armed::of([mac(&profile, 0)]);
        let rendered = TestBase::new().render_armed(&profile, &files, &armed).unwrap();
        let inside = scripts(&rendered, &served(&rendered));
        // Every loader's first script, and no node's: those are the daemon's to give.
        assert_eq!(inside.len(), 1 + 4, "{:?}", inside.keys());
        let served = served(&rendered);
        assert!(
            !served.iter().any(|(path, _)| path.as_str().contains("/seed") || path.as_str().contains("http/nodes"))
        );
        let link = served.get(&ImagePath::literal("/tftp/grub/nodes")).map(|node| node.kind.clone());
        assert_eq!(link, Some(Kind::Symlink { target: "/run/provbuild/grub-nodes".to_owned() }));
        assert_eq!(installing(&inside), Vec::<&str>::new());
        let nobody = TestBase::new().render_armed(&profile, &files, &Armed::none()).unwrap();
        assert_eq!(nobody.overlay, rendered.overlay);
        // What dnsmasq does is the same as well.
        assert_eq!(boot_text(&rendered, "/dnsmasq.conf"), boot_text(&nobody, "/dnsmasq.conf"));
        let beside = scripts(&rendered, &rendered.boot);
        assert_eq!(
            installing(&beside),
            [
                "/http/grub/nodes/ac-1f-6b-6c-5a-76.cfg",
                "/http/nodes/ac-1f-6b-6c-5a-76.ipxe",
                "/tftp/grub/nodes/ac-1f-6b-6c-5a-76.cfg"
            ]
        );
        assert_eq!(installing(&scripts(&nobody, &nobody.boot)), Vec::<&str>::new());
    }
}

#[test]
fn an_armed_node_is_told_the_same_by_every_loader() {
    let (profile, files) = with_media(Media::Fetch);
    let rendered = TestBase::new().render_armed(&profile, &files, &Armed::of([mac(&profile, 0)])).unwrap();
    let text = |path: &str| boot_text(&rendered, path);
    insta::assert_snapshot!(format!(
        "{}--- grub\n{}--- readme\n{}",
        text("/http/nodes/ac-1f-6b-6c-5a-76.ipxe"),
        text("/tftp/grub/nodes/ac-1f-6b-6c-5a-76.cfg"),
        text("/README.md")
    ));
    assert_eq!(text("/tftp/grub/grub.cfg"), text("/http/debian-installer/amd64/grub/grub.cfg"));
    let content = |path: &str| rendered.boot.content(&ImagePath::literal(path));
    for root in ["tftp", "http"] {
        let media = format!("/{root}/media/ubuntu-24-04");
        assert_eq!(content(&format!("{media}/vmlinuz")), Some(Content::of(b"kernel")));
        assert_eq!(content(&format!("{media}/initrd")), Some(Content::of(b"initrd")));
        assert_eq!(
            content(&format!("/{root}/shimx64.efi")),
            Some(Content::of(b"/usr/lib/shim/shimx64.efi.signed.latest"))
        );
        let grub = Content::of(b"/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed");
        assert_eq!(content(&format!("/{root}/grubx64.efi")), Some(grub));
    }
    assert_eq!(content("/http/media/ubuntu-24-04/ubuntu-24-04.iso"), Some(Content::of(b"iso")));
    assert_eq!(content("/tftp/media/ubuntu-24-04/ubuntu-24-04.iso"), None);
}

#[test]
fn media_in_the_image_are_baked_or_fetched() {
    let link = |tree: &Tree, path: &str| match tree.get(&ImagePath::literal(path)).map(|node| node.kind.clone()) {
        Some(Kind::Symlink { target }) => target,
        other => panic!("{path}: {other:?}"),
    };
    let (profile, files) = with_media(Media::Fetch);
    for media in [BTreeMap::new(), files] {
        let inside = served(&TestBase::new().render_armed(&profile, &media, &Armed::none()).unwrap());
        for root in ["tftp", "http"] {
            let path = format!("/{root}/media/ubuntu-24-04");
            assert_eq!(link(&inside, &path), "/var/lib/provbuild/media/ubuntu-24-04");
        }
    }
    let (profile, files) = with_media(Media::Bake);
    let inside = served(&TestBase::new().render_armed(&profile, &files, &Armed::none()).unwrap());
    let kernel = "/http/media/ubuntu-24-04/vmlinuz";
    assert_eq!(inside.content(&ImagePath::literal(kernel)), Some(Content::of(b"kernel")));
    assert_eq!(link(&inside, "/tftp/media/ubuntu-24-04/vmlinuz"), format!("{SERVED}{kernel}"));
}

/// A unit that is passed over for its condition is no failure, and these start without a state disk; where one must be there and is not
/// the unit fails, and they do not (systemd.unit(5), `Requires=` with `After=`). A person gets in by ssh all the same.
#[test]
fn nothing_but_ssh_runs_without_the_state_disk_that_must_be_there() {
    let (profile, _) = with_media(Media::Fetch);
    let rendered = TestBase::new().render_armed(&profile, &BTreeMap::new(), &Armed::none()).unwrap();
    let names_it = |unit: &str, key: &str| {
        let text = text(&rendered, &format!("/etc/systemd/system/{unit}"));
        let mut units =
            text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).flat_map(str::split_whitespace);
        units.any(|unit| unit == "provbuild-state.service")
    };
    for unit in [
        "dnsmasq.service.d/10-provbuild.conf",
        "provbuild-medium-ubuntu-24-04.service",
        "provbuild-certificate.service",
        "provbuild-database.service",
    ] {
        assert!(names_it(unit, "Requires") && names_it(unit, "After"), "{unit}");
    }
    let keys = "provbuild-host-keys.service";
    assert!(names_it(keys, "Wants") && !names_it(keys, "Requires"));
}

#[test]
fn who_cannot_be_armed_is_named_with_a_remedy() {
    let (mut profile, mut files) = with_media(Media::Fetch);
    let mut bench = node("bench", "52:54:00:10:00:01", "10.10.1.30");
    bench.install = None;
    profile.inventory.nodes.push(bench);
    let armed = Armed::of([mac(&profile, 0), mac(&profile, 2)]);
    let message = |media: &BTreeMap<String, InstallerFiles>| {
        let error = TestBase::new().render_armed(&profile, media, &armed).unwrap_err();
        format!("{error}\n{}", crate::vocab::Remedy::help(&error).unwrap())
    };
    insta::assert_snapshot!(message(&BTreeMap::new()), @r#"
    node node1 cannot be armed: the files of its installer ubuntu-24-04 are not at hand
    node bench cannot be armed: it has no installer
    give [installer.ubuntu-24-04] its medium (`iso` or `netboot` with url or path, and sha256) and build again
    set the node's `install` in nodes.toml to an installer of the profile
    "#);
    // Ubuntu's installer loads the ISO: kernel and initrd alone are not enough.
    files.get_mut("ubuntu-24-04").unwrap().iso = None;
    assert!(message(&files).contains("node node1 cannot be armed"));

    let (mut profile, _) = with_media(Media::Bake);
    profile.installers.get_mut("ubuntu-24-04").unwrap().system.kernel_parameters = vec!["a=${b}".to_owned()];
    let error = TestBase::new().render(&profile).unwrap_err();
    insta::assert_snapshot!(error, @r"
    installer ubuntu-24-04: 'a=${b}' cannot stand on a boot loader's kernel line: no blanks, control characters, quotes or '${'
    installer ubuntu-24-04: its medium is to be part of the image, and its files are not at hand
    ");
}

#[test]
fn the_boot_tree_and_the_esp_are_known() {
    let rendered = TestBase::new().render(&profile()).unwrap();
    let list = |tree: &Tree| tree.iter().map(|(path, _)| format!("{path}\n")).collect::<String>();
    insta::assert_snapshot!(format!(
        "{}--- esp\n{}--- EFI/debian/grub.cfg\n{}--- dnsmasq.conf\n{}",
        list(&rendered.boot),
        list(&rendered.esp),
        {
            let stub = rendered.esp.content(&ImagePath::literal("/EFI/debian/grub.cfg")).unwrap();
            String::from_utf8_lossy(rendered.contents.get(&stub).unwrap()).into_owned()
        },
        boot_text(&rendered, "/dnsmasq.conf"),
    ));
    let shim = rendered.esp.content(&ImagePath::literal("/EFI/BOOT/BOOTX64.EFI"));
    assert_eq!(shim, Some(Content::of(b"/usr/lib/shim/shimx64.efi.signed.latest")));
}

#[test]
fn a_proxy_answers_with_boot_files_only() {
    let mut profile = profile();
    profile.network.provisioning.dhcp = Dhcp::Proxy;
    profile.network.provisioning.nat = false;
    profile.network.provisioning.dns = vec!["9.9.9.9".parse().unwrap()];
    profile.network.uplink.addressing = Addressing::Static {
        address: "192.0.2.10/24".parse().unwrap(),
        gateway: "192.0.2.1".parse().unwrap(),
        dns: vec![],
    };
    let rendered = TestBase::new().render(&profile).unwrap();
    let (dnsmasq, nftables) = (text(&rendered, "/etc/dnsmasq.d/provbuild.conf"), text(&rendered, "/etc/nftables.conf"));
    assert!(!text(&rendered, "/etc/sysctl.d/90-provbuild.conf").contains("ip_forward"));
    insta::assert_snapshot!(format!(
        "{dnsmasq}--- nftables\n{nftables}--- uplink\n{}",
        text(&rendered, "/etc/systemd/network/20-uplink.network")
    ));
}

#[test]
fn what_fetches_the_media_is_missed_in_one_run() {
    let (profile, _) = with_media(Media::Fetch);
    let mut base = TestBase::new();
    for path in ["/usr/bin/curl", "/usr/bin/bsdtar"] {
        base.tree.remove(&ImagePath::literal(path));
    }
    let error = base.render(&profile).unwrap_err();
    let packages: Vec<_> = error
        .faults
        .iter()
        .map(|fault| match fault {
            Fault::Missing { package, .. } => *package,
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(packages, ["curl", "libarchive-tools"]);
}
