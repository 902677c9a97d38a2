//! What a stub is told by its environment. The names are in README.md.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing runs; who starts a machine plays the guest as well.
    Paper,
    /// QEMU runs what the VMX describes.
    Qemu,
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub directory: PathBuf,
    pub mode: Mode,
    /// Most memory that a machine gets, in MiB.
    pub memory: Option<u64>,
    /// Where the first network card that is not on NAT is plugged in: the beginning of a `-netdev`, without its id.
    pub provisioning: Option<String>,
    /// More options of the uplink's user network ("restrict=on").
    pub uplink: Option<String>,
    /// Of the guest, in paper mode.
    pub address: Option<IpAddr>,
    /// For a guest to go down by itself.
    pub soft_stop: Duration,
    /// "kvm" or "tcg"; otherwise it is tried out.
    pub accelerator: Option<String>,
    pub firmware: PathBuf,
    /// Machines do not outlive this process.
    pub owner: Option<i32>,
    /// First two bytes of the guests' addresses in QEMU mode.
    pub network: [u8; 2],
    /// "user:password" of vmrest.
    pub credentials: String,
}

impl Settings {
    /// # Errors
    /// Which variable is missing or cannot be understood.
    pub fn from(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Settings, String> {
        let text = |name: &str| -> Result<Option<String>, String> {
            let value = lookup(name).filter(|value| !value.is_empty());
            value.map(|value| value.into_string().map_err(|_| format!("{name} is not UTF-8"))).transpose()
        };
        fn parsed<T: std::str::FromStr>(name: &str, value: Option<String>) -> Result<Option<T>, String> {
            value.map(|value| value.parse().map_err(|_| format!("{name}={value} cannot be understood"))).transpose()
        }
        let number = |name| parsed::<u64>(name, text(name)?);
        let directory =
            lookup("VMWARE_STANDIN_DIR").ok_or("VMWARE_STANDIN_DIR is not set: this is a stub for tests")?;
        Ok(Settings {
            directory: directory.into(),
            mode: match text("VMWARE_STANDIN_MODE")?.as_deref() {
                None | Some("paper") => Mode::Paper,
                Some("qemu") => Mode::Qemu,
                Some(other) => return Err(format!("VMWARE_STANDIN_MODE={other}: paper or qemu")),
            },
            memory: number("VMWARE_STANDIN_MEMORY")?,
            provisioning: text("VMWARE_STANDIN_PROVISIONING")?,
            uplink: text("VMWARE_STANDIN_UPLINK")?,
            address: parsed("VMWARE_STANDIN_ADDRESS", text("VMWARE_STANDIN_ADDRESS")?)?,
            soft_stop: Duration::from_secs(number("VMWARE_STANDIN_SOFT_STOP")?.unwrap_or(60)),
            accelerator: text("VMWARE_STANDIN_ACCELERATOR")?,
            firmware: lookup("PROVBUILD_OVMF").map_or_else(|| "/usr/share/OVMF".into(), PathBuf::from),
            owner: parsed("VMWARE_STANDIN_OWNER", text("VMWARE_STANDIN_OWNER")?)?,
            network: match text("VMWARE_STANDIN_NETWORK")? {
                None => [127, 77],
                Some(value) => value
                    .split_once('.')
                    .and_then(|(one, two)| Some([one.parse().ok()?, two.parse().ok()?]))
                    .ok_or_else(|| format!("VMWARE_STANDIN_NETWORK={value}: two bytes, such as 198.18"))?,
            },
            credentials: text("VMWARE_STANDIN_CREDENTIALS")?.unwrap_or_else(|| "user:Passw0rd!".into()),
        })
    }
}
