//! What the simulated machine really is, whatever the service says of it.
//!
//! Input: writes that were accepted, and time; output: [`State`], which tests read as a copy. Invariant: only `power` boots the machine, and
//! each boot is in `boots`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::Model;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    On,
    Off,
    PoweringOn,
    PoweringOff,
}

impl Power {
    pub fn as_str(self) -> &'static str {
        match self {
            Power::On => "On",
            Power::Off => "Off",
            Power::PoweringOn => "PoweringOn",
            Power::PoweringOff => "PoweringOff",
        }
    }
}

/// The properties `BootSourceOverride...` of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootOverride {
    /// `Disabled`, `Once`, `Continuous`.
    pub enabled: String,
    pub target: String,
    pub mode: String,
    pub uefi_target: Option<String>,
}

/// What the machine booted from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// A target of an override, the reference of a boot option, or an entry of the OEM order.
    pub target: String,
    pub mode: String,
}

/// A slot of virtual media.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Medium {
    pub image: Option<String>,
    pub inserted: bool,
    pub write_protected: bool,
    pub user: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: String,
    pub user: String,
}

/// Supermicro's `CfgCD`: an image on a share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CfgCd {
    pub host: String,
    pub path: String,
    pub user: String,
    pub mounted: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub power: Power,
    /// The machine is in POST.
    pub post: bool,
    pub boot: BootOverride,
    /// References, as in `BootOrder`.
    pub boot_order: Vec<String>,
    /// Supermicro's OEM order, as the next boot will have it.
    pub fixed_boot_order: Vec<String>,
    pub bios: BTreeMap<String, Value>,
    /// Settings that the next boot applies.
    pub bios_pending: BTreeMap<String, Value>,
    /// Whether it really does: Dell's applies only what came with an apply time.
    pub bios_scheduled: bool,
    /// Attributes that the last boot refused, with `Fault::BiosRefusedInPost`.
    pub bios_refused: Vec<String>,
    pub media: BTreeMap<String, Medium>,
    pub cfg_cd: CfgCd,
    pub sessions: Vec<Session>,
    /// Reset types that were accepted, in their order.
    pub resets: Vec<String>,
    pub boots: Vec<Boot>,
    pub asset_tag: String,
    pub indicator: bool,
}

impl State {
    pub(crate) fn new(model: &Model) -> State {
        let media =
            ["CD1", "USB1"].map(|slot| (slot.to_string(), Medium { write_protected: true, ..Medium::default() }));
        State {
            power: Power::On,
            post: false,
            boot: BootOverride {
                enabled: "Disabled".into(),
                target: "None".into(),
                mode: model.boot_mode.clone(),
                uefi_target: None,
            },
            boot_order: model.boot_options.iter().map(|option| option.reference.clone()).collect(),
            fixed_boot_order: model.fixed_boot_order.clone(),
            bios: model.attributes.iter().map(|one| (one.name.clone(), one.value.clone())).collect(),
            bios_pending: BTreeMap::new(),
            bios_scheduled: true,
            bios_refused: Vec::new(),
            media: media.into_iter().collect(),
            cfg_cd: CfgCd::default(),
            sessions: Vec::new(),
            resets: Vec::new(),
            boots: Vec::new(),
            asset_tag: "Chicago-45Z-2381".into(),
            indicator: false,
        }
    }
}
