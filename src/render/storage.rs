//! What is mounted where, and how much the journal may keep.

use super::STATE;
use super::canvas::Canvas;
use crate::vocab::DiskIds;

/// Label of the state disk's file system (ext4).
const STATE_LABEL: &str = "provbuild-state";

pub(super) fn render(canvas: &mut Canvas<'_>, ids: &DiskIds) {
    canvas.file("/etc/fstab", fstab(ids));
    canvas.directory("/boot/efi");
    canvas.directory(STATE);
    canvas.file(
        "/etc/systemd/journald.conf.d/10-provbuild.conf",
        "[Journal]\nStorage=persistent\nSystemMaxUse=512M\nSystemKeepFree=1G\n",
    );
}

/// The ESP is needed by the firmware only: mounting it is left to whoever wants to look. A machine without a state disk
/// boots all the same: `nofail` keeps the missing disk from being a failure.
fn fstab(ids: &DiskIds) -> String {
    format!(
        "UUID={root} / ext4 errors=remount-ro 0 1
PARTUUID={esp} /boot/efi vfat noauto,umask=0077 0 0
LABEL={STATE_LABEL} {STATE} ext4 nofail,noatime,x-systemd.device-timeout=10s 0 2
",
        root = ids.root_fs,
        esp = ids.esp_partition,
    )
}
