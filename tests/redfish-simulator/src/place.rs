//! What can be written, and by which URI.
//!
//! Input: the model and a path; output: a [`Place`] with the methods it allows. Invariant: a path that is no place is read-only or absent.

use crate::account::{ACCOUNTS, SESSIONS};
use crate::model::Model;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    System,
    Settings,
    FixedBootOrder,
    CfgCd,
    AccountService,
    Accounts,
    Account(String),
    Sessions,
    Session(String),
    Reset,
    ResetBios,
    Insert(String),
    Eject(String),
    Mount,
    Unmount,
}

impl Place {
    pub(crate) fn of(model: &Model, settings: &str, path: &str) -> Option<Place> {
        let system = model.system_path();
        let cd = model.cfg_cd_path();
        if let Some(id) = path.strip_prefix(&format!("{ACCOUNTS}/")) {
            return Some(Place::Account(id.into()));
        }
        if let Some(id) = path.strip_prefix(&format!("{SESSIONS}/")) {
            return Some(Place::Session(id.into()));
        }
        let media = format!("{}/", model.media_path());
        if let Some(rest) = path.strip_prefix(&media).filter(|_| !model.cfg_cd) {
            let (slot, action) = rest.split_once("/Actions/")?;
            return match action {
                "VirtualMedia.InsertMedia" => Some(Place::Insert(slot.into())),
                "VirtualMedia.EjectMedia" => Some(Place::Eject(slot.into())),
                _ => None,
            };
        }
        let known = [
            (ACCOUNTS.to_string(), Place::Accounts),
            (SESSIONS.to_string(), Place::Sessions),
            ("/redfish/v1/AccountService".to_string(), Place::AccountService),
            (format!("{system}/Actions/ComputerSystem.Reset"), Place::Reset),
            (format!("{}/Actions/Bios.ResetBios", model.bios_path()), Place::ResetBios),
            (system, Place::System),
            (settings.to_string(), Place::Settings),
        ];
        let oem = [
            (model.fixed_path(), Place::FixedBootOrder, !model.fixed_boot_order.is_empty()),
            (cd.clone(), Place::CfgCd, model.cfg_cd),
            (format!("{cd}/Actions/IsoConfig.Mount"), Place::Mount, model.cfg_cd),
            (format!("{cd}/Actions/IsoConfig.UnMount"), Place::Unmount, model.cfg_cd),
        ];
        let oem = oem.into_iter().filter(|(_, _, there)| *there).map(|(at, place, _)| (at, place));
        known.into_iter().chain(oem).find(|(at, _)| at == path).map(|(_, place)| place)
    }

    /// As in the header `Allow`.
    pub(crate) fn allows(&self) -> &'static str {
        match self {
            Place::System | Place::Settings | Place::FixedBootOrder | Place::CfgCd | Place::AccountService => {
                "GET, HEAD, PATCH"
            }
            Place::Account(_) => "GET, HEAD, PATCH, DELETE",
            Place::Session(_) => "GET, HEAD, DELETE",
            Place::Accounts | Place::Sessions => "GET, HEAD, POST",
            Place::Reset | Place::ResetBios | Place::Insert(_) | Place::Eject(_) | Place::Mount | Place::Unmount => {
                "POST"
            }
        }
    }

    pub(crate) fn is_action(&self) -> bool {
        self.allows() == "POST"
    }

    /// The machine and its settings, as against the BMC's own people.
    pub(crate) fn is_machine(&self) -> bool {
        !matches!(
            self,
            Place::AccountService | Place::Accounts | Place::Account(_) | Place::Sessions | Place::Session(_)
        )
    }

    /// What vendors sell licences for.
    pub(crate) fn is_licensed(&self) -> bool {
        matches!(
            self,
            Place::Settings
                | Place::ResetBios
                | Place::FixedBootOrder
                | Place::CfgCd
                | Place::Insert(_)
                | Place::Eject(_)
                | Place::Mount
                | Place::Unmount
        )
    }
}
