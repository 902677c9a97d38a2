//! Why a profile cannot be rendered over a base tree; all faults are found in one run.

use std::fmt;

use crate::vocab::{ImagePath, Remedy};

/// At least one fault.
#[derive(Debug, thiserror::Error)]
pub struct RenderError {
    pub faults: Vec<Fault>,
}

/// One thing that is wrong.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Fault {
    #[error("{path}: needed for {need}, but in no package of the profile")]
    Missing { path: String, need: &'static str, package: &'static str },
    #[error("the system unit {unit} is in no package of the profile")]
    NoUnit { unit: String },
    #[error("{path}: {reason}")]
    Unreadable { path: ImagePath, reason: String },
    #[error("{path}: line {line} is not in the form of passwd(5)")]
    Accounts { path: ImagePath, line: usize },
    #[error("user '{name}': the distribution has an account or group of that name")]
    AccountTaken { name: String },
    #[error("the daemon's account '{name}': the distribution uses that name or the id {id}")]
    DaemonAccountTaken { name: &'static str, id: u32 },
    #[error("the image is to boot, and the appliance's daemon is not at hand")]
    NoDaemon,
    #[error("kernel {kernel} has no initrd {initrd}")]
    NoInitrd { kernel: ImagePath, initrd: ImagePath },
    #[error("/boot has no vmlinuz-*, though the profile asks for the kernel {package}")]
    NoKernel { package: String },
    #[error("time zone {timezone}: /usr/share/zoneinfo does not have it")]
    NoTimezone { timezone: String },
    #[error("locale {locale}: it is not compiled in the distribution's tree")]
    NoLocale { locale: String },
    #[error("no upstream name servers: the uplink's come by DHCP and nothing in the image collects them")]
    NoResolver,
    #[error("{path}: the profile's files define it, and so does the configuration that provbuild renders")]
    TwiceDefined { path: ImagePath },
    #[error("the seed of node {node}: {reason}")]
    Seed { node: String, reason: String },
    #[error("installer {installer}: {reason}")]
    Loader { installer: String, reason: String },
    #[error("installer {installer}: its medium is to be part of the image, and its files are not at hand")]
    NoMedia { installer: String },
    #[error("node {node} cannot be armed: it has no installer")]
    ArmedWithoutInstaller { node: String },
    #[error("node {node} cannot be armed: the files of its installer {installer} are not at hand")]
    ArmedWithoutMedia { node: String, installer: String },
}

impl Remedy for Fault {
    fn help(&self) -> Option<String> {
        let package = |name: &str| Some(format!("add \"{name}\" to the profile's distribution.packages"));
        match self {
            Fault::Missing { package: name, .. } => package(name),
            Fault::NoTimezone { .. } => Some(
                "add \"tzdata\" to the profile's distribution.packages and check the name (an IANA name)".to_owned(),
            ),
            Fault::NoLocale { .. } => {
                Some("use \"C.UTF-8\", or add \"locales-all\" to the profile's distribution.packages".to_owned())
            }
            Fault::NoResolver => Some(
                "add \"systemd-resolved\" to the profile's distribution.packages, or set network.provisioning.dns"
                    .to_owned(),
            ),
            Fault::NoInitrd { .. } => package("initramfs-tools"),
            Fault::AccountTaken { .. } => Some("choose another name".to_owned()),
            Fault::TwiceDefined { .. } => Some(
                "remove it from the profile's files; most services also read a drop-in directory beside it".to_owned(),
            ),
            Fault::Loader { .. } => Some("change the installer's kernel-parameters".to_owned()),
            Fault::ArmedWithoutInstaller { .. } => {
                Some("set the node's `install` in nodes.toml to an installer of the profile".to_owned())
            }
            Fault::NoMedia { installer } | Fault::ArmedWithoutMedia { installer, .. } => Some(format!(
                "give [installer.{installer}] its medium (`iso` or `netboot` with url or path, and sha256) and build again"
            )),
            Fault::NoDaemon => Some("run ./provbuild, which builds it beside the tool".to_owned()),
            Fault::DaemonAccountTaken { .. } => {
                Some("exclude the package that makes the account, with distribution.exclude".to_owned())
            }
            Fault::NoUnit { .. }
            | Fault::Unreadable { .. }
            | Fault::Accounts { .. }
            | Fault::NoKernel { .. }
            | Fault::Seed { .. } => None,
        }
    }
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl Remedy for RenderError {
    fn help(&self) -> Option<String> {
        let mut helps: Vec<String> = Vec::new();
        for help in self.faults.iter().filter_map(Remedy::help) {
            if !helps.contains(&help) {
                helps.push(help);
            }
        }
        (!helps.is_empty()).then(|| helps.join("\n"))
    }
}
