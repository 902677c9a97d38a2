//! What a simulated machine is: identity, ids in its URIs, BIOS attributes, boot options, timing.
//!
//! Input: nothing; output: a [`Model`] that a test may change before it starts the simulator with it. Invariant: a model is data only;
//! what a machine does with it is said in `boot`, `bios`, `media` and `power`.

mod bios;
mod generic;
mod others;
mod supermicro;

use std::time::Duration;

pub use bios::{Attribute, Kind};

/// Whose shapes of errors and OEM resources a model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    Generic,
    Supermicro,
    Dell,
    Hpe,
    Openbmc,
}

/// Something that the machine can boot, as a UEFI boot option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootOption {
    /// As in `BootOrder`: `Boot0001`.
    pub reference: String,
    pub name: String,
    pub device_path: String,
    /// The target of a boot override that means the same: `Hdd`, `Pxe`.
    pub alias: String,
}

/// One machine with its BMC. All fields may be changed before the start.
#[derive(Clone, Debug)]
pub struct Model {
    pub vendor: Vendor,
    pub manufacturer: String,
    pub product: String,
    pub serial: String,
    pub uuid: String,
    pub bios_version: String,
    pub bmc_version: String,
    pub redfish_version: String,
    /// Ids as they are in the URIs.
    pub system: String,
    pub manager: String,
    pub chassis: String,
    pub user: String,
    pub password: String,
    /// Last part of the URI of the BIOS settings resource: `Settings`, `SD`.
    pub settings: String,
    pub attributes: Vec<Attribute>,
    /// Name of the attribute registry, without version: empty if the service has none.
    pub registry: String,
    pub reset_types: Vec<String>,
    /// The reset types are in an ActionInfo resource, else in the action itself.
    pub action_info: bool,
    pub boot_targets: Vec<String>,
    /// Allowed `BootSourceOverrideMode`: empty if the machine has no such property.
    pub boot_modes: Vec<String>,
    /// The mode in which the machine boots without an override, and the first value of the property.
    pub boot_mode: String,
    /// Empty: the service has no `BootOrder`.
    pub boot_options: Vec<BootOption>,
    /// Supermicro's `FixedBootOrder`: empty if the service has none.
    pub fixed_boot_order: Vec<String>,
    /// Virtual media by Supermicro's older way, `VM1/CfgCD`, instead of the standard's.
    pub cfg_cd: bool,
    /// ETags are sent as weak ones, and accepted so.
    pub weak_etags: bool,
    pub session_limit: usize,
    pub session_timeout: Duration,
    /// Before each answer.
    pub latency: Duration,
    /// From a reset's acceptance until `PowerState` shows it.
    pub power_delay: Duration,
    /// How long the machine is in POST after a boot.
    pub post: Duration,
    /// What `Retry-After` says, in seconds.
    pub retry_after: u64,
    /// How long a task takes, with `Fault::TasksForWrites`.
    pub task_time: Duration,
}

impl Model {
    pub fn by_name(name: &str) -> Option<Model> {
        match name {
            "generic" => Some(Model::generic()),
            "supermicro-x11" => Some(Model::supermicro_x11()),
            "dell" => Some(Model::dell()),
            "hpe" => Some(Model::hpe()),
            "openbmc" => Some(Model::openbmc()),
            _ => None,
        }
    }

    pub const NAMES: [&str; 5] = ["generic", "supermicro-x11", "dell", "hpe", "openbmc"];

    pub(crate) fn system_path(&self) -> String {
        format!("/redfish/v1/Systems/{}", self.system)
    }

    pub(crate) fn manager_path(&self) -> String {
        format!("/redfish/v1/Managers/{}", self.manager)
    }

    pub(crate) fn chassis_path(&self) -> String {
        format!("/redfish/v1/Chassis/{}", self.chassis)
    }

    pub(crate) fn bios_path(&self) -> String {
        format!("{}/Bios", self.system_path())
    }

    pub(crate) fn settings_path(&self) -> String {
        format!("{}/{}", self.bios_path(), self.settings)
    }

    pub(crate) fn fixed_path(&self) -> String {
        format!("{}/Oem/Supermicro/FixedBootOrder", self.system_path())
    }

    pub(crate) fn media_path(&self) -> String {
        let name = if self.cfg_cd { "VM1" } else { "VirtualMedia" };
        format!("{}/{name}", self.manager_path())
    }

    pub(crate) fn cfg_cd_path(&self) -> String {
        format!("{}/CfgCD", self.media_path())
    }
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| word.to_string()).collect()
}
