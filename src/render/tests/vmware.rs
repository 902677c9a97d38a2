//! What VMware's tools are told, where there are any.

use super::*;

const SETTINGS: &str = "/etc/vmware-tools/tools.conf";

fn with_tools(packaged: Option<&str>) -> TestBase {
    let mut base = TestBase::new();
    base.add("/usr/bin/vmtoolsd", "a program");
    base.add(
        "/usr/lib/systemd/system/open-vm-tools.service",
        "[Install]\nWantedBy=multi-user.target\nAlias=vmtoolsd.service\n",
    );
    if let Some(text) = packaged {
        base.add(SETTINGS, text);
    }
    base
}

#[test]
fn the_tools_tell_the_uplinks_address_and_keep_their_log() {
    let rendered = with_tools(Some("[logging]\nvmsvc.handler = file")).render(&profile()).unwrap();
    insta::assert_snapshot!(text(&rendered, SETTINGS), @r"
    [logging]
    vmsvc.handler = file
    [guestinfo]
    primary-nics=uplink
    exclude-nics=provisioning,docker*,veth*,virbr*
    ");
    let bare = with_tools(None).render(&profile()).unwrap();
    assert_eq!(format!("[logging]\nvmsvc.handler = file\n{}", text(&bare, SETTINGS)), text(&rendered, SETTINGS));
}

#[test]
fn the_first_boot_leaves_the_tools_enabled() {
    let base = with_tools(None);
    let rendered = base.render(&profile()).unwrap();
    let preset = text(&rendered, "/etc/systemd/system-preset/00-provbuild.preset");
    assert!(preset.contains("enable open-vm-tools.service\n"), "{preset}");
    let tree = rendered.overlay.apply(&base.tree).unwrap();
    let link = ImagePath::literal("/etc/systemd/system/multi-user.target.wants/open-vm-tools.service");
    assert!(matches!(tree.get(&link).unwrap().kind, Kind::Symlink { .. }));
}

#[test]
fn without_the_tools_nothing_is_said_of_them() {
    let rendered = TestBase::new().render(&profile()).unwrap();
    assert!(rendered.overlay.get(&ImagePath::literal(SETTINGS)).is_none());
}
