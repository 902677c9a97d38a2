//! SUM and the BIOS settings in the image.

use netboot::{BiosSettings, BiosValue, Declared, SUM_PROGRAM};

use super::*;

/// A program and two files beside it.
fn files() -> (Tree, MemoryContents) {
    let (mut tree, mut contents) = (Tree::new(), MemoryContents::new());
    for (path, mode) in
        [("/sum", Mode::EXECUTABLE), ("/ExternalData/VENID.txt", Mode::FILE), ("/driver/load.sh", Mode::EXECUTABLE)]
    {
        let node = Node::file(contents.add(format!("stand-in for {path}"))).with_mode(mode);
        tree.insert_with_parents(ImagePath::literal(path), node);
    }
    (tree, contents)
}

#[test]
fn sum_lies_in_a_directory_of_its_own_and_not_in_the_boot_tree() {
    let base = TestBase::new();
    let (files, contents) = files();
    let (without, with) = (base.render(&profile()).unwrap(), base.render_with_sum(&profile(), &files).unwrap());
    assert_eq!((&with.boot, &with.esp), (&without.boot, &without.esp));
    let tree = with.overlay.apply(&base.tree).unwrap();
    assert_eq!(tree.check(), Ok(()));
    let home = ImagePath::literal(SUM_PROGRAM).parent().unwrap();
    let shape: Vec<String> = tree
        .below(&home)
        .map(|(path, node)| format!("{path} {:04o} {}:{}", node.mode.bits(), node.owner.uid, node.owner.gid))
        .collect();
    insta::assert_snapshot!(shape.join("\n"), @"
    /usr/lib/provbuild/sum 0755 0:0
    /usr/lib/provbuild/sum/ExternalData 0755 0:0
    /usr/lib/provbuild/sum/ExternalData/VENID.txt 0644 0:0
    /usr/lib/provbuild/sum/driver 0755 0:0
    /usr/lib/provbuild/sum/driver/load.sh 0755 0:0
    /usr/lib/provbuild/sum/sum 0755 0:0
    ");
    let program = tree.content(&ImagePath::literal(SUM_PROGRAM)).unwrap();
    assert_eq!(contents.get(&program).unwrap(), b"stand-in for /sum");
    // Everything else is as it is without.
    let rest = without.overlay.apply(&base.tree).unwrap();
    let others = tree.iter().filter(|(path, _)| !path.is_within(&home));
    assert!(others.eq(rest.iter()), "SUM changed something else in the image");
}

#[test]
fn a_file_of_the_profile_in_sums_place_is_a_fault() {
    let mut profile = profile();
    let file = ExtraFile { content: b"x".to_vec(), mode: Mode::FILE };
    profile.files.insert(ImagePath::literal(SUM_PROGRAM), file);
    let error = TestBase::new().render_with_sum(&profile, &files().0).unwrap_err();
    assert_eq!(error.faults, [Fault::TwiceDefined { path: ImagePath::literal(SUM_PROGRAM) }]);
}

#[test]
fn the_daemon_is_told_the_bios_settings_and_which_node_has_which() {
    let mut profile = profile();
    let settings = BTreeMap::from([
        ("QuietBoot".to_owned(), BiosValue::Flag(true)),
        ("BootTimeout".to_owned(), BiosValue::Number(5)),
        ("PowerPolicy".to_owned(), BiosValue::Text("Last State".to_owned())),
    ]);
    let sum = BTreeMap::from([("Advanced|CPU Configuration|Hyper-threading".to_owned(), "Enabled".to_owned())]);
    profile.bios.insert("x11".to_owned(), BiosSettings { settings, sum });
    profile.inventory.nodes[0].bios = Some("x11".to_owned());
    let rendered = TestBase::new().render(&profile).unwrap();
    let declared: Declared = serde_json::from_str(&text(&rendered, netboot::DECLARED_PATH)).unwrap();
    assert_eq!(declared.bios, profile.bios);
    assert_eq!(declared.inventory.nodes[0].bios.as_deref(), Some("x11"));
    assert_eq!(declared.inventory.nodes[1].bios, None);
}
