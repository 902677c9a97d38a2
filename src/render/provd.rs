//! provd: the appliance's daemon, what it is declared, its account's rights, and the units that run it.
//!
//! ```text
//! /usr/bin/provd                          the program, static
//! /etc/provbuild/provd.json               what the profile declares (netboot::Declared); root and the daemon read it
//! /usr/lib/provbuild/dhcp-event           what dnsmasq runs at each lease and each file sent
//! /run/provd/{nodes,web,local,dhcp}.sock  its doors, made by systemd: requests wait while it starts again
//! /run/provbuild/grub-nodes/              GRUB's scripts of the nodes that install, for TFTP
//! /var/lib/provbuild/provd/               its database, on the state disk
//! /var/lib/provbuild/secrets/             the webhooks' key, the BMCs' credentials; from the seed medium or put there by hand, read by the
//!                                         daemon
//! /var/lib/provbuild/deployment.json      which deployment's secrets these are; everybody reads it
//! /var/lib/provbuild/tls/                 key and certificate of the management page, made at the first boot
//! ```
//! Invariant: the daemon holds no privilege, and writes nowhere but in its own directories.

use netboot::{DECLARED_PATH, Declared, DeclaredInstaller, DeclaredSite, SEED_VOLUME};

use super::canvas::Canvas;
use super::storage::STATE_UNIT;
use super::{Fault, IMAGE_DIGEST, SERVED, STATE, nginx, units};
use crate::profile::{Addressing, Dhcp, Media, Profile};
use crate::vocab::{Mode, Owner};

pub(super) const ACCOUNT: &str = "provd";
/// Of the user and the group: fixed, since what it owns on the state disk outlives the image. Distributions give ids from
/// 999 downwards to packages' accounts.
pub(super) const ID: u32 = 880;
pub(super) const DHCP_SCRIPT: &str = "/usr/lib/provbuild/dhcp-event";
/// Where TFTP finds GRUB's scripts.
pub(super) const GRUB_NODES: &str = "/run/provbuild/grub-nodes";
pub(super) const CERTIFICATE_UNIT: &str = "provbuild-certificate.service";
const DIRECTORY_UNIT: &str = "provbuild-database.service";
const SEED_UNIT: &str = "provbuild-seed.service";
pub(super) const PROGRAM: &str = "/usr/bin/provd";

/// One of its doors: name, group and user that may knock, mode.
struct Door {
    name: &'static str,
    what: &'static str,
    user: &'static str,
    group: &'static str,
    mode: &'static str,
}

/// nginx's workers, whatever the distribution, are www-data's.
const DOORS: [Door; 4] = [
    Door { name: "nodes", what: "boot, seed and report, behind nginx", user: "root", group: "www-data", mode: "0660" },
    Door { name: "web", what: "page and API, behind nginx", user: "root", group: "www-data", mode: "0660" },
    Door { name: "local", what: "the command line", user: "root", group: ACCOUNT, mode: "0660" },
    Door { name: "dhcp", what: "what dnsmasq tells", user: "dnsmasq", group: "root", mode: "0600" },
];

/// The program where the image is to have it. An image without a kernel may be a part of an appliance: it has the daemon
/// where it has what the daemon stands behind.
pub(super) fn is_wanted<'p>(canvas: &mut Canvas<'_>, program: Option<&'p [u8]>) -> Option<&'p [u8]> {
    match program {
        None if canvas.is_bootable() => {
            canvas.faults.push(Fault::NoDaemon);
            None
        }
        Some(_)
            if !canvas.is_bootable()
                && ["/usr/sbin/nginx", "/usr/sbin/dnsmasq"].iter().any(|path| canvas.resolve(path).is_none()) =>
        {
            None
        }
        program => program,
    }
}

pub(super) fn render(canvas: &mut Canvas<'_>, profile: &Profile, program: &[u8]) {
    canvas.file_with(PROGRAM, program, |node| node.with_mode(Mode::EXECUTABLE));
    canvas.file_with(DECLARED_PATH, declared(profile), |node| {
        node.with_mode(Mode::new(0o640)).with_owner(Owner { uid: 0, gid: ID })
    });
    canvas.file_with(DHCP_SCRIPT, format!("#!/bin/sh\nexec {PROGRAM} dhcp-event \"$@\"\n"), |node| {
        node.with_mode(Mode::EXECUTABLE)
    });
    for door in &DOORS {
        units::install(canvas, &format!("provd-{}.socket", door.name), &socket(door));
    }
    units::install(canvas, DIRECTORY_UNIT, &directory());
    units::install(canvas, SEED_UNIT, &seed());
    units::install(canvas, "provd.service", &service(profile));
    units::install(canvas, CERTIFICATE_UNIT, &certificate(profile));
}

fn declared(profile: &Profile) -> String {
    let site = profile.site();
    let installers = profile.installers.iter().map(|(name, installer)| {
        let fetched = installer.medium.as_ref().filter(|_| installer.media == Media::Fetch);
        let declared = DeclaredInstaller {
            system: installer.system.clone(),
            medium: installer.medium.is_some(),
            sha256: fetched.map(|medium| medium.sha256.to_string()),
        };
        (name.clone(), declared)
    });
    let declared = Declared {
        format: Declared::FORMAT,
        name: profile.name.clone(),
        site: DeclaredSite {
            server: site.server,
            subnet: site.subnet,
            domain: site.domain.to_owned(),
            gateway: site.gateway,
            dynamic: match &profile.network.provisioning.dhcp {
                Dhcp::Authoritative { range: Some(range), .. } => Some([range.first, range.last]),
                _ => None,
            },
        },
        inventory: profile.inventory.clone(),
        installers: installers.collect(),
        control: profile.control.clone(),
        bios: profile.bios.clone(),
    };
    let mut text = serde_json::to_string_pretty(&declared).expect("what is declared has only string keys");
    text.push('\n');
    text
}

/// systemd makes the sockets before anybody needs them, and keeps them while the daemon is away.
fn socket(door: &Door) -> String {
    let Door { name, what, user, group, mode } = door;
    format!(
        "[Unit]
Description=provd: {what}

[Socket]
ListenStream=/run/provd/{name}.sock
FileDescriptorName={name}
Service=provd.service
SocketUser={user}
SocketGroup={group}
SocketMode={mode}
DirectoryMode=0755
Backlog=512
RemoveOnStop=yes

[Install]
WantedBy=sockets.target
"
    )
}

/// It looks at the clock every five seconds and tells systemd so: a daemon that hangs is started again.
///
/// The directory that its sandbox leaves writable is made by [`DIRECTORY_UNIT`]: systemd sets up the sandbox before any command of
/// this unit, also before those that run as root, and refuses where the directory is not there.
///
/// It also runs SUM, where the image has it: a program that inherits all of this. Its files go to `PrivateTmp=`; the image's own
/// directories stay read-only for it. 64 operations at a time each read answers of up to 16 MiB, and threads and SUM's processes count as
/// tasks.
///
/// No `PrivateUsers=`: the kernel would give every person's socket as nobody's, and the audit log would not say who. GRUB's
/// scripts go with the daemon (no `RuntimeDirectoryPreserve=`): one that has died arms nobody.
///
/// When it is told to stop it ends what it does with BMCs first, which takes minutes: a machine in the middle of a power cycle would stay
/// off. SUM is not told (`KillMode=mixed`), for the same reason. A SUM that the kernel kills for its memory takes nobody along
/// (`OOMPolicy=`). No core dump: passwords are in memory.
fn service(profile: &Profile) -> String {
    let memory = if profile.sum.is_some() { "1536M" } else { "512M" };
    let sockets: Vec<String> = DOORS.iter().map(|door| format!("provd-{}.socket", door.name)).collect();
    let sockets = sockets.join(" ");
    format!(
        "[Unit]
Description=provd: decides what each node boots, follows its installation
Requires={sockets}
Requires={DIRECTORY_UNIT} {SEED_UNIT}
After={sockets} {DIRECTORY_UNIT} {SEED_UNIT} network.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
WatchdogSec=120
TimeoutStartSec=infinity
User={ACCOUNT}
Group={ACCOUNT}
ExecStart={PROGRAM} serve --image {IMAGE_DIGEST} --served {SERVED}/http --grub-nodes {GRUB_NODES}
Restart=always
RestartSec=1
TimeoutStopSec=10min
KillMode=mixed
OOMPolicy=continue
RuntimeDirectory=provbuild/grub-nodes
RuntimeDirectoryMode=0755
UMask=0022
MemoryMax={memory}
TasksMax=512
LimitNOFILE=4096
LimitCORE=0
OOMScoreAdjust=-500
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ReadWritePaths={STATE}/provd
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
ProtectHostname=yes
ProtectClock=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"
    )
}

/// A state disk that is there and cannot be mounted keeps the daemon from starting: with an empty database of its own on the
/// system disk it would not know what it has installed. An appliance without such a disk goes on: a unit whose condition does
/// not hold is no failure (systemd.service(5), `ExecCondition=`).
fn directory() -> String {
    format!(
        "[Unit]
Description=Make the directories of provd's database and of the BMCs' credentials
Requires={STATE_UNIT}
After={STATE_UNIT} var-lib-provbuild.mount

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/install -d -m 0700 -o {ACCOUNT} -g {ACCOUNT} {STATE}/provd
ExecStart=/usr/bin/install -d -m 0750 -o root -g {ACCOUNT} {STATE}/secrets
ExecStart=/usr/bin/install -d -m 0700 -o {ACCOUNT} -g {ACCOUNT} {STATE}/secrets/bmc

[Install]
WantedBy=multi-user.target
"
    )
}

/// Lays out what the seed medium brings, where one is there; the medium is read as it is, not mounted. One that cannot be read keeps the
/// daemon from starting: a deployment that lacks its secrets must not count as healthy. Root without capabilities but those that
/// another user's directory and files need; of the devices it opens CD drives, to read. In the end it notes on the state disk which
/// deployment's medium this was, for the daemon's health page.
fn seed() -> String {
    format!(
        "[Unit]
Description=Lay out the secrets of the seed medium
ConditionPathExists=/dev/disk/by-label/{SEED_VOLUME}
Requires={DIRECTORY_UNIT}
After={DIRECTORY_UNIT} {STATE_UNIT} var-lib-provbuild.mount

[Service]
Type=oneshot
RemainAfterExit=yes
UMask=0077
ExecStart={PROGRAM} seed --owner {ID} --deployment {STATE}/deployment.json
LimitCORE=0
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_CHOWN
AmbientCapabilities=
DevicePolicy=closed
DeviceAllow=block-sr r
ProtectSystem=strict
ReadWritePaths={STATE}
ProtectHome=yes
PrivateTmp=yes
PrivateNetwork=yes
PrivateMounts=yes
ProtectHostname=yes
ProtectClock=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"
    )
}

/// The certificate names the appliance; a key that is there is kept. nginx is told of the page only once there is a
/// certificate: whatever happens to it, the nodes are served. Where the state disk is missing that must be there nobody is shown another
/// key than the appliance's, which is on that disk.
fn certificate(profile: &Profile) -> String {
    let name = &profile.appliance.hostname;
    let address = match &profile.network.uplink.addressing {
        Addressing::Static { address, .. } => format!(" --address {}", address.addr()),
        Addressing::Dhcp => String::new(),
    };
    let (place, wanted) = (nginx::MANAGEMENT, nginx::MANAGEMENT_INCLUDED);
    format!(
        "[Unit]
Description=Make the certificate of the management page
Requires={STATE_UNIT}
After={STATE_UNIT} var-lib-provbuild.mount
Before=nginx.service

[Service]
Type=oneshot
RemainAfterExit=yes
UMask=0077
ExecStartPre=/usr/bin/install -d -m 0700 {STATE}/tls
ExecStartPre=/usr/bin/install -d -m 0755 /run/provbuild
ExecStart={PROGRAM} certificate --directory {STATE}/tls --name {name}{address}
ExecStart=/usr/bin/ln -sfn {place} {wanted}
NoNewPrivileges=yes
ProtectHome=yes
ProtectSystem=strict
ReadWritePaths={STATE} /run
PrivateTmp=yes
PrivateDevices=yes
PrivateNetwork=yes
CapabilityBoundingSet=CAP_DAC_OVERRIDE
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
MemoryDenyWriteExecute=yes
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"
    )
}
