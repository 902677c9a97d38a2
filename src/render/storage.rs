//! What is mounted where, and how much the journal may keep.

use super::canvas::Canvas;
use super::{STATE, provd, units};
use crate::vocab::DiskIds;

/// Label of the state disk's file system (ext4).
const STATE_LABEL: &str = "provbuild-state";

/// Services that keep state order themselves after it.
pub(super) const STATE_UNIT: &str = "provbuild-state.service";

pub(super) fn render(canvas: &mut Canvas<'_>, ids: &DiskIds, daemon: bool) {
    canvas.file("/etc/fstab", fstab(ids));
    canvas.directory("/boot/efi");
    canvas.directory(STATE);
    if daemon {
        canvas.has("/usr/sbin/mkfs.ext4", "the state disk, which is made and checked at boot", "e2fsprogs");
    }
    units::install(canvas, STATE_UNIT, &state_unit(daemon));
    // On a busy host, or emulated, devices may take minutes to appear; waiting costs nothing where they are quick.
    canvas.file(
        "/etc/systemd/system.conf.d/10-provbuild.conf",
        "[Manager]\nDefaultDeviceTimeoutSec=300s\nDefaultTimeoutStartSec=180s\n",
    );
    canvas.file(
        "/etc/systemd/journald.conf.d/10-provbuild.conf",
        "[Journal]\nStorage=persistent\nSystemMaxUse=512M\nSystemKeepFree=1G\n",
    );
}

/// Nothing but the root is mounted at boot by this table. The ESP is needed by the firmware only; the state disk is
/// mounted by [`STATE_UNIT`].
fn fstab(ids: &DiskIds) -> String {
    format!(
        "UUID={root} / ext4 errors=remount-ro 0 1
PARTUUID={esp} /boot/efi vfat noauto,umask=0077 0 0
LABEL={STATE_LABEL} {STATE} ext4 noauto,noatime 0 2
",
        root = ids.root_fs,
        esp = ids.esp_partition,
    )
}

/// Mounts the state disk before whoever keeps state. A mount with `nofail` and a device timeout would either make every
/// boot without such a disk wait, or, on a slow machine, start the services before the disk is seen and split the state
/// in two. This asks once udev has seen every disk: no disk, nothing to do; a disk that cannot be mounted is a failure.
///
/// The daemon's program looks for the disk: it also makes it where a seed medium says so, and fails (255) where there must be one and is
/// not. An exit status from 1 to 254 is no failure, and nothing is mounted (systemd.service(5), `ExecCondition=`).
///
/// Services must not use `StateDirectory=` below the mount point: systemd takes it as a requirement of the mount.
fn state_unit(daemon: bool) -> String {
    let find = match daemon {
        // Whatever else it ends with is a failure, and none that may be passed over.
        true => format!("{} state; s=$$?; test $$s -le 1 || exit 255; exit $$s", provd::PROGRAM),
        false => format!("test -e /dev/disk/by-label/{STATE_LABEL}"),
    };
    format!(
        "[Unit]
Description=Mount the state disk, where there is one
After=systemd-udev-trigger.service
Wants=systemd-udev-trigger.service

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=15min
ExecCondition=/bin/sh -c 'udevadm settle --timeout=300; {find}'
ExecStart=/usr/bin/systemctl start var-lib-provbuild.mount

[Install]
WantedBy=multi-user.target
"
    )
}
