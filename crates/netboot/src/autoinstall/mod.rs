//! NoCloud seeds for Ubuntu's installer (subiquity): user-data, meta-data, vendor-data and network-config of one node.
//!
//! In: the node, its [`System`], the site. Out: [`SeedDocuments`]. Fields are those of subiquity's schema for 24.04
//! ("Autoinstall configuration reference manual"); what 22.04 does differently is in [`crate::Traits`]. Strings are quoted
//! by the YAML serializer, never by hand.
//!
//! The account is made by cloud-init at the first boot (`user-data.users`), not by `identity`: `identity` demands a
//! password, and an account that only a key opens would have one that nobody knows, and no way to use sudo. Made by
//! `users`, an account without a hash is locked and needs no password for sudo; one with a hash gives it for sudo and on
//! the console. Nobody logs in by password over the network.

mod storage;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::netplan::Netplan;
use crate::release::MirrorKey;
use crate::seed::{SeedError, SeedFiles};
use crate::{Account, Node, Program, Site, System, disk_choice, report, shell};

/// The files of a NoCloud seed directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedDocuments {
    pub user_data: String,
    pub meta_data: String,
    pub vendor_data: String,
    pub network_config: String,
}

impl SeedDocuments {
    /// File name and text, in the order of the names.
    pub fn files(&self) -> [(&'static str, &str); 4] {
        [
            ("meta-data", &self.meta_data),
            ("network-config", &self.network_config),
            ("user-data", &self.user_data),
            ("vendor-data", &self.vendor_data),
        ]
    }

    pub(crate) fn into_files(self) -> SeedFiles {
        vec![
            ("meta-data", self.meta_data),
            ("network-config", self.network_config),
            ("user-data", self.user_data),
            ("vendor-data", self.vendor_data),
        ]
    }

    /// The documents of one node.
    ///
    /// # Errors
    /// A release that another program installs; a layout that this release's installer does not have.
    pub fn render(node: &Node, system: &System, site: &Site<'_>, report: Option<&str>) -> Result<Self, SeedError> {
        let release = system.release;
        if release.traits().program != Program::Subiquity {
            return Err(SeedError::NoCloudInit { release });
        }
        let name = node.hostname.as_str();
        let mut early_commands: Vec<&str> = Vec::new();
        // First: what the profile does may fail, and that is told too.
        let prepare = report.map(report::prepare_ubuntu);
        early_commands.extend(prepare.as_deref());
        early_commands.extend(system.early_commands.iter().map(String::as_str));
        // Last: nothing that the profile does may change which disk it finds.
        let preflight = disk_choice::for_subiquity(node, report.is_some());
        early_commands.push(&preflight);
        let mut late_commands: Vec<&str> = Vec::new();
        let kernel_command = kernel_command(&system.kernel_parameters);
        late_commands.extend(kernel_command.as_deref());
        late_commands.extend(system.late_commands.iter().map(String::as_str));
        let first_boot = report.map(|_| report::first_boot(node));
        late_commands.extend(first_boot.as_deref());
        late_commands.extend(report.map(|_| report::UBUNTU_INSTALLED));
        let document = UserData {
            autoinstall: Autoinstall {
                version: 1,
                reporting: report
                    .map(|endpoint| Reporting { provbuild: Reporter { kind: "webhook", endpoint, level: "INFO" } }),
                refresh_installer: Refresh { update: false },
                locale: &system.locale,
                keyboard: Keyboard { layout: &system.keyboard.layout, variant: system.keyboard.variant.as_deref() },
                timezone: &system.timezone,
                network: Netplan::of(node, system, site),
                apt: Apt::of(system),
                storage: storage::Storage::of(system)?,
                ssh: Ssh { install_server: true, allow_pw: false },
                packages: &system.packages,
                updates: "security",
                early_commands,
                error_commands: report.map(|_| [report::UBUNTU_FAILED]),
                late_commands,
                user_data: CloudConfig {
                    hostname: name,
                    fqdn: format!("{name}.{}", site.domain),
                    manage_etc_hosts: "localhost",
                    disable_root: true,
                    users: [CloudUser::of(&system.account)],
                },
                shutdown: "reboot",
            },
        };
        let meta = MetaData { instance_id: format!("provbuild-{name}"), local_hostname: name };
        Ok(SeedDocuments {
            user_data: format!("#cloud-config\n{}", serde_saphyr::to_string(&document)?),
            meta_data: serde_saphyr::to_string(&meta)?,
            vendor_data: "#cloud-config\n{}\n".to_owned(),
            network_config: serde_saphyr::to_string(&Netplan::of(node, system, site))?,
        })
    }
}

/// Keeps kernel parameters in the installed system.
///
/// Not `---` on the installer's own kernel line, whose rest curtin copies (install_grub.py, get_carryover_params): a node
/// that starts the stock ISO from a CD has no line of ours. Ubuntu's grub-mkconfig reads /etc/default/grub.d/*.cfg.
fn kernel_command(parameters: &[String]) -> Option<String> {
    if parameters.is_empty() {
        return None;
    }
    // Two shells read the words: this one, and the one that reads the file.
    let words = shell::quote(&parameters.join(" "));
    let line = shell::quote(&format!("GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX \"{words}"));
    let file = "/target/etc/default/grub.d/60-provbuild.cfg";
    Some(format!(
        "mkdir -p /target/etc/default/grub.d && printf '%s\\n' {line} >{file} && curtin in-target -- update-grub"
    ))
}

#[derive(Serialize)]
struct UserData<'a> {
    autoinstall: Autoinstall<'a>,
}

/// In the order in which a person reads it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Autoinstall<'a> {
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    reporting: Option<Reporting<'a>>,
    refresh_installer: Refresh,
    locale: &'a str,
    keyboard: Keyboard<'a>,
    timezone: &'a str,
    network: Netplan<'a>,
    apt: Apt<'a>,
    storage: storage::Storage,
    ssh: Ssh,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    packages: &'a [String],
    updates: &'static str,
    early_commands: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_commands: Option<[&'static str; 1]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    late_commands: Vec<&'a str>,
    user_data: CloudConfig<'a>,
    shutdown: &'static str,
}

/// Where the installer says how far it is, by the name of the handler.
#[derive(Serialize)]
struct Reporting<'a> {
    provbuild: Reporter<'a>,
}

/// A handler of curtin's (curtin/reporter/handlers.py, WebHookHandler), which keeps `level` and sends whatever its level: the server leaves out what
/// it does not want.
#[derive(Serialize)]
struct Reporter<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    endpoint: &'a str,
    level: &'static str,
}

/// The installer stays the one of the medium whose digest is known.
#[derive(Serialize)]
struct Refresh {
    update: bool,
}

#[derive(Serialize)]
struct Keyboard<'a> {
    layout: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Apt<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    mirror_selection: Option<MirrorSelection<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary: Option<[Mirror<'a>; 1]>,
    /// Security updates too come from a mirror that the profile names: it may be all that the nodes reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    security: Option<[Mirror<'a>; 1]>,
    /// No question to a service outside about where the machine stands.
    geoip: bool,
    fallback: &'static str,
}

impl<'a> Apt<'a> {
    fn of(system: &'a System) -> Self {
        let mirror = system.mirror.as_deref();
        let whole = mirror.map(|uri| [Mirror { arches: Some(["default"]), uri }]);
        let (mirror_selection, primary) = match system.release.traits().mirror {
            MirrorKey::Selection => {
                (mirror.map(|uri| MirrorSelection { primary: [Mirror { arches: None, uri }] }), None)
            }
            MirrorKey::Primary => (None, whole.clone()),
        };
        // A node without what the profile asks for is not the node that was asked for; without such a wish the packages of
        // the medium are enough, and the install goes on where the archive cannot be reached.
        let needs_archive = mirror.is_some() || !system.packages.is_empty();
        let fallback = if needs_archive { "abort" } else { "offline-install" };
        Apt { mirror_selection, primary, security: whole, geoip: false, fallback }
    }
}

#[derive(Serialize)]
struct MirrorSelection<'a> {
    primary: [Mirror<'a>; 1],
}

#[derive(Clone, Serialize)]
struct Mirror<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    arches: Option<[&'static str; 1]>,
    uri: &'a str,
}

/// The keys are the account's: `authorized-keys` here would go to cloud-init's default user, and there is none.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Ssh {
    install_server: bool,
    allow_pw: bool,
}

#[derive(Serialize)]
struct CloudConfig<'a> {
    hostname: &'a str,
    fqdn: String,
    manage_etc_hosts: &'static str,
    disable_root: bool,
    users: [CloudUser<'a>; 1],
}

#[derive(Serialize)]
struct CloudUser<'a> {
    name: &'a str,
    shell: &'static str,
    /// `adm` reads logs, `sudo` is who may become root.
    groups: [&'static str; 2],
    sudo: &'static str,
    lock_passwd: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    passwd: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    ssh_authorized_keys: &'a [String],
}

impl<'a> CloudUser<'a> {
    fn of(account: &'a Account) -> Self {
        let passwd = account.password_hash.as_deref();
        CloudUser {
            name: &account.name,
            shell: "/bin/bash",
            groups: ["adm", "sudo"],
            sudo: if passwd.is_some() { "ALL=(ALL:ALL) ALL" } else { "ALL=(ALL:ALL) NOPASSWD:ALL" },
            lock_passwd: passwd.is_none(),
            passwd,
            ssh_authorized_keys: &account.ssh_keys,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct MetaData<'a> {
    instance_id: String,
    local_hostname: &'a str,
}
