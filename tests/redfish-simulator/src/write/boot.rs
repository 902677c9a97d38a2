//! Boot override and boot order of the system, by the standard and by Supermicro's `FixedBootOrder`.
//!
//! Input: a PATCH's body; output: the changed state, or all that is wrong with it. Invariant: all properties or none.

use serde_json::{Map, Value};

use super::{chosen, text};
use crate::faults::Fault;
use crate::messages::Message;
use crate::model::Vendor;
use crate::service::Service;
use crate::state::{BootOverride, State};

const ENABLED: [&str; 3] = ["Disabled", "Once", "Continuous"];

impl Service {
    pub(super) fn patch_system(&mut self, body: &Map<String, Value>) -> Result<(), Vec<Message>> {
        let mut state = self.state.clone();
        let mut wrong = Vec::new();
        let known = self.tree.get(&self.model.system_path()).cloned().unwrap_or_default();
        for (key, value) in body.iter().filter(|(key, _)| !key.starts_with('@')) {
            let done = match (key.as_str(), value) {
                ("Boot", Value::Object(boot)) => self.patch_boot(boot, &mut state, &mut wrong),
                ("AssetTag", Value::String(tag)) => {
                    state.asset_tag.clone_from(tag);
                    Ok(())
                }
                ("LocationIndicatorActive", Value::Bool(on)) => {
                    state.indicator = *on;
                    Ok(())
                }
                ("Boot" | "AssetTag" | "LocationIndicatorActive", other) => {
                    Err(Message::value_type(&other.to_string(), key))
                }
                (other, _) if known.get(other).is_some() => Err(Message::not_writable(other)),
                (other, _) => Err(Message::unknown(other)),
            };
            wrong.extend(done.err());
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        self.state = state;
        Ok(())
    }

    fn patch_boot(
        &self,
        body: &Map<String, Value>,
        state: &mut State,
        wrong: &mut Vec<Message>,
    ) -> Result<(), Message> {
        let mut boot = state.boot.clone();
        let mut order = state.boot_order.clone();
        for (key, value) in body {
            wrong.extend(self.patch_one(key, value, &mut boot, &mut order).err());
        }
        // Supermicro, by design: what a PATCH of the override leaves out falls back.
        let has = |part: &str| body.contains_key(&format!("BootSourceOverride{part}"));
        if self.model.vendor == Vendor::Supermicro && (has("Target") || has("Enabled") || has("Mode")) {
            if !has("Enabled") {
                boot.enabled = "Once".into();
            }
            if !has("Mode") {
                boot.mode = "Legacy".into();
            }
        }
        let once_only = boot.target == "UefiTarget" || boot.target == "UefiBootNext";
        if boot.enabled == "Continuous" && once_only {
            wrong.push(Message::not_in_list("Continuous", "BootSourceOverrideEnabled"));
        }
        if self.faults.is(&Fault::SilentOverrideIgnored) {
            return Ok(());
        }
        if self.faults.is(&Fault::SilentModeRevert) && body.contains_key("BootSourceOverrideMode") {
            boot.mode = "Legacy".into();
        }
        if self.faults.is(&Fault::OnceStaysContinuous) && boot.enabled == "Once" {
            boot.enabled = "Continuous".into();
        }
        state.boot = boot;
        if !self.faults.is(&Fault::OrderIgnored) {
            state.boot_order = order;
        }
        Ok(())
    }

    fn patch_one(
        &self,
        key: &str,
        value: &Value,
        boot: &mut BootOverride,
        order: &mut Vec<String>,
    ) -> Result<(), Message> {
        let model = &self.model;
        let uefi_target = model.boot_targets.iter().any(|target| target == "UefiTarget");
        match key {
            "BootSourceOverrideEnabled" => boot.enabled = chosen(key, value, &ENABLED)?,
            "BootSourceOverrideTarget" => boot.target = chosen(key, value, &model.boot_targets)?,
            "BootSourceOverrideMode" if self.faults.is(&Fault::RejectsUefiMode) => {
                return Err(Message::not_writable(key));
            }
            "BootSourceOverrideMode" if !model.boot_modes.is_empty() => {
                boot.mode = chosen(key, value, &model.boot_modes)?
            }
            "UefiTargetBootSourceOverride" if uefi_target => {
                boot.uefi_target = match value {
                    Value::Null => None,
                    value => Some(text(key, value)?.into()),
                }
            }
            "BootOrder" if !model.boot_options.is_empty() => *order = self.checked_order(value)?,
            "BootOptions" => return Err(Message::not_writable(key)),
            annotation if annotation.contains('@') => {}
            _ => return Err(Message::unknown(key)),
        }
        Ok(())
    }

    /// Each option at most once; those that are not named keep their places after the named ones.
    fn checked_order(&self, value: &Value) -> Result<Vec<String>, Message> {
        const KEY: &str = "BootOrder";
        let list = value.as_array().ok_or_else(|| Message::value_type(&value.to_string(), KEY))?;
        let mut order: Vec<String> = Vec::new();
        for entry in list {
            let entry = text(KEY, entry)?;
            let known = self.state.boot_order.iter().any(|one| one == entry);
            if !known || order.iter().any(|one| one == entry) {
                return Err(Message::not_in_list(entry, KEY));
            }
            order.push(entry.into());
        }
        let rest = self.state.boot_order.iter().filter(|one| !order.contains(one)).cloned().collect::<Vec<_>>();
        order.extend(rest);
        Ok(order)
    }

    /// As many entries as before; `Disabled` may stand several times.
    pub(super) fn patch_fixed(&mut self, body: &Map<String, Value>) -> Result<(), Vec<Message>> {
        const KEY: &str = "FixedBootOrder";
        let mut order = None;
        for (key, value) in body.iter().filter(|(key, _)| !key.starts_with('@')) {
            match (key.as_str(), value.as_array()) {
                (KEY, Some(list)) => order = Some(self.checked_fixed(list).map_err(|wrong| vec![wrong])?),
                (KEY, None) => return Err(vec![Message::value_type(&value.to_string(), KEY)]),
                ("UEFIHardDisk" | "UEFINetwork" | "UEFIAP", Some(_)) => {}
                ("BootModeSelected", _) => return Err(vec![Message::not_writable(key)]),
                _ => return Err(vec![Message::unknown(key)]),
            }
        }
        if let Some(order) = order.filter(|_| !self.faults.is(&Fault::OrderIgnored)) {
            self.state.fixed_boot_order = order;
        }
        Ok(())
    }

    fn checked_fixed(&self, list: &[Value]) -> Result<Vec<String>, Message> {
        const KEY: &str = "FixedBootOrder";
        let mut order: Vec<String> = Vec::new();
        for entry in list {
            let entry = text(KEY, entry)?;
            let known = self.model.fixed_boot_order.iter().any(|one| one == entry);
            let again = order.iter().any(|one| one == entry);
            if entry != "Disabled" && (!known || again) {
                return Err(Message::not_in_list(entry, KEY));
            }
            order.push(entry.into());
        }
        match order.len() == self.model.fixed_boot_order.len() {
            true => Ok(order),
            false => Err(Message::format(&Value::from(order).to_string(), KEY)),
        }
    }
}
