//! VMware's tools in the guest, where the base has them: they tell the host the appliance's address, and shut it down when they are asked to.
//!
//! Several interfaces have addresses, the provisioning one even before the uplink has its lease. Whoever asks the host for the machine's
//! address (`vmrun getGuestIPAddress`, vCenter's summary) gets one only: it is to be the uplink's, or none yet.

use super::canvas::Canvas;
use super::network::{PROVISIONING, UPLINK};
use super::units;

const SETTINGS: &str = "/etc/vmware-tools/tools.conf";

pub(super) fn render(canvas: &mut Canvas<'_>) {
    if canvas.resolve("/usr/bin/vmtoolsd").is_none() {
        return;
    }
    // The package's own part is about the log. Groups may come twice in such a file, and the last value counts (GLib, key files).
    let packaged = canvas.text(SETTINGS).unwrap_or_default();
    let separator = if packaged.is_empty() || packaged.ends_with('\n') { "" } else { "\n" };
    canvas.file(SETTINGS, format!("{packaged}{separator}{}", addresses()));
    units::enable(canvas, "open-vm-tools.service");
}

/// A list replaces the default one, whose virtual interfaces are here as well.
fn addresses() -> String {
    format!("[guestinfo]\nprimary-nics={UPLINK}\nexclude-nics={PROVISIONING},docker*,veth*,virbr*\n")
}
