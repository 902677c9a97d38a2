//! Installers' media that the appliance fetches by itself: a script, and a unit for each of them.
//!
//! The state disk keeps what was fetched, so that a replaced system disk finds it again. Until a medium is complete and
//! verified nothing of it has a name in the boot tree.

use std::fmt::Write as _;

use super::canvas::Canvas;
use super::storage::STATE_UNIT;
use super::{STATE, units};
use crate::profile::{Installer, Media, Medium, MediumKind, Place, Profile};
use crate::vocab::Mode;

/// The script's programs and their packages; profiles with such media ask for these by themselves.
const FETCHING: [(&str, &str); 2] = [("/usr/bin/curl", "curl"), ("/usr/bin/bsdtar", "libarchive-tools")];

const SCRIPT: &str = "/usr/lib/provbuild/fetch-medium";

/// Where the appliance keeps an installer's fetched files.
pub(super) fn fetched(installer: &str) -> String {
    format!("{STATE}/media/{installer}")
}

pub(super) fn render(canvas: &mut Canvas<'_>, profile: &Profile) {
    let fetched = profile.installers.iter().filter_map(|(name, installer)| {
        let medium = installer.medium.as_ref().filter(|_| installer.media == Media::Fetch)?;
        match &medium.place {
            Place::Url(url) => Some((name, installer, medium, url)),
            Place::File(_) => None,
        }
    });
    let mut any = false;
    for (name, installer, medium, url) in fetched {
        let file = format!("/etc/provbuild/media/{name}");
        canvas.file(&file, parameters(name, installer, medium, url.as_str()));
        units::install(canvas, &format!("provbuild-medium-{name}.service"), &unit(name, &file));
        any = true;
    }
    if !any {
        return;
    }
    let need = "fetching the installers' media";
    // Each is asked for: what is missing is told in one run.
    let programs = FETCHING.map(|(path, package)| canvas.has(path, need, package));
    if programs == [true; 2] {
        let script = include_str!("fetch-medium.sh");
        canvas.file_with(SCRIPT, script, |node| node.with_mode(Mode::EXECUTABLE));
    }
}

/// Shell assignments, every value in quotes.
fn parameters(name: &str, installer: &Installer, medium: &Medium, url: &str) -> String {
    let traits = installer.system.release.traits();
    let (identity, says) = traits.identity.unwrap_or_default();
    let kind = match medium.kind {
        MediumKind::Iso => "iso",
        MediumKind::Netboot => "netboot",
    };
    let sha256 = medium.sha256.to_string();
    let values = [
        ("NAME", name),
        ("URL", url),
        ("SHA256", &sha256),
        ("KIND", kind),
        ("KERNEL", traits.kernel),
        ("INITRD", traits.initrd),
        ("IDENTITY", identity),
        ("SAYS", says),
    ];
    let mut text = String::new();
    for (key, value) in values {
        let _ = writeln!(text, "{key}='{}'", value.replace('\'', r"'\''"));
    }
    text
}

/// It may take an hour and must hold up nothing: the boot does not wait for it. It tries again until it has succeeded, less
/// and less often: a publisher who has replaced the file is not asked for gigabytes every half minute. Gigabytes for the state disk do not
/// go to the system disk where that one is missing and must be there.
fn unit(name: &str, file: &str) -> String {
    format!(
        "[Unit]
Description=Fetch and verify the medium of installer {name}
Requires={STATE_UNIT}
After={STATE_UNIT} var-lib-provbuild.mount network.target dnsmasq.service
StartLimitIntervalSec=0

[Service]
Type=exec
RemainAfterExit=yes
ExecStart={SCRIPT} {file} {STATE}/media
Restart=on-failure
RestartSec=30
RestartSteps=8
RestartMaxDelaySec=1h
NoNewPrivileges=yes
ProtectHome=yes
ProtectSystem=strict
ReadWritePaths={STATE}
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
PrivateDevices=yes
MemoryDenyWriteExecute=yes
CapabilityBoundingSet=CAP_DAC_OVERRIDE
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"
    )
}
