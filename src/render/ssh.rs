//! The ssh server. Host keys are made at the first boot, on the state disk: no two appliances share one, and an upgraded
//! appliance keeps its own.

use super::canvas::Canvas;
use super::storage::STATE_UNIT;
use super::{STATE, units};
use crate::profile::Profile;

const KEYS_UNIT: &str = "provbuild-host-keys.service";

pub(super) fn render(canvas: &mut Canvas<'_>, profile: &Profile) {
    if !canvas.has("/usr/sbin/sshd", "remote login", "openssh-server") {
        return;
    }
    canvas.file("/etc/ssh/sshd_config.d/10-provbuild.conf", drop_in(profile));
    units::install(canvas, KEYS_UNIT, &keys_unit());
    // One way in on both distributions: Ubuntu would have systemd listen and start the server at the first connection.
    units::disable(canvas, "ssh.socket");
    units::enable(canvas, "ssh.service");
}

fn drop_in(profile: &Profile) -> String {
    let appliance = &profile.appliance;
    let hashes = appliance.users.iter().any(|user| user.password_hash.is_some());
    let passwords = if hashes && appliance.ssh.password_authentication { "yes" } else { "no" };
    let mut users: Vec<&str> = appliance.users.iter().map(|user| user.name.as_str()).collect();
    users.sort_unstable();
    let allow = if users.is_empty() { String::new() } else { format!("AllowUsers {}\n", users.join(" ")) };
    format!(
        "Port {}
HostKey {STATE}/ssh/ssh_host_ed25519_key
PermitRootLogin no
PasswordAuthentication {passwords}
KbdInteractiveAuthentication no
X11Forwarding no
{allow}",
        appliance.ssh.port
    )
}

/// The key gets its final name only when it is complete: a machine that is switched off meanwhile makes a new one.
fn keys_unit() -> String {
    let key = format!("{STATE}/ssh/ssh_host_ed25519_key");
    format!(
        "[Unit]
Description=Make this machine's ssh host key
ConditionPathExists=!{key}
Wants={STATE_UNIT}
After={STATE_UNIT} var-lib-provbuild.mount
Before=ssh.service

[Service]
Type=oneshot
RemainAfterExit=yes
UMask=0077
ExecStartPre=/usr/bin/install -d -m 0700 {STATE}/ssh
ExecStartPre=/usr/bin/rm -f {key}.new {key}.new.pub
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N \"\" -C \"\" -f {key}.new
ExecStart=/usr/bin/sync
ExecStart=/usr/bin/mv {key}.new.pub {key}.pub
ExecStart=/usr/bin/mv {key}.new {key}
ExecStart=/usr/bin/sync

[Install]
WantedBy=ssh.service
"
    )
}
