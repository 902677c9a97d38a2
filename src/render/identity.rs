//! Who the machine is: names, time zone, locale, machine-id, what the console greets with.

use super::{Fault, canvas::Canvas};
use crate::profile::Profile;

pub(super) fn render(canvas: &mut Canvas<'_>, profile: &Profile) {
    let appliance = &profile.appliance;
    let hostname = appliance.hostname.as_str();
    canvas.file("/etc/hostname", format!("{hostname}\n"));
    canvas.file("/etc/hosts", hosts(profile));
    // systemd fills it in at the first boot (machine-id(5)): every copy of the image is a machine of its own.
    canvas.file("/etc/machine-id", "uninitialized\n");

    let zone = &appliance.timezone;
    // Without zoneinfo a machine is on UTC anyway.
    let known = canvas.resolve(&format!("/usr/share/zoneinfo/{zone}")).is_some();
    if !known && zone != "Etc/UTC" {
        canvas.faults.push(Fault::NoTimezone { timezone: zone.clone() });
    }
    canvas.symlink("/etc/localtime", &format!("/usr/share/zoneinfo/{zone}"));
    canvas.file("/etc/timezone", format!("{zone}\n"));

    let locale = &appliance.locale;
    let built_in = matches!(locale.as_str(), "C" | "POSIX" | "C.UTF-8" | "C.utf8");
    if !built_in && canvas.resolve("/usr/lib/locale/locale-archive").is_none() {
        canvas.faults.push(Fault::NoLocale { locale: locale.clone() });
    }
    canvas.file("/etc/locale.conf", format!("LANG={locale}\n"));
    canvas.symlink("/etc/default/locale", "../locale.conf");

    canvas.file("/etc/provbuild-release", release(profile));
    canvas.file("/etc/issue", issue(profile));
    canvas.file("/etc/motd", "");
}

fn hosts(profile: &Profile) -> String {
    let (hostname, domain) = (&profile.appliance.hostname, &profile.network.provisioning.domain);
    format!(
        "127.0.0.1 localhost
127.0.1.1 {hostname}.{domain} {hostname}
::1 localhost ip6-localhost ip6-loopback
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
"
    )
}

/// No build date in here: the same inputs give the same file.
fn release(profile: &Profile) -> String {
    format!(
        "NAME={}\nDISTRIBUTION=\"{} {}\"\nPROVBUILD_VERSION={}\n",
        profile.name,
        distribution(profile),
        profile.distribution.release,
        env!("CARGO_PKG_VERSION"),
    )
}

/// agetty(8) puts in the terminal, the host name and the addresses as they are.
fn issue(profile: &Profile) -> String {
    format!(
        "\\n (\\l): provbuild appliance {}, {} {}\nuplink \\4{{uplink}}  provisioning \\4{{provisioning}}\n\n",
        profile.name,
        distribution(profile),
        profile.distribution.release,
    )
}

pub(super) fn distribution(profile: &Profile) -> &'static str {
    match profile.distribution.name {
        crate::profile::DistributionName::Ubuntu => "Ubuntu",
        crate::profile::DistributionName::Debian => "Debian",
    }
}
