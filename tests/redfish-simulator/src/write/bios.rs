//! BIOS settings: what is asked for waits for the next boot.
//!
//! Input: `Attributes` in a PATCH of the settings resource; output: pending values, or all that is wrong. Invariant: all attributes or none.

use serde_json::{Map, Value, json};

use crate::faults::Fault;
use crate::messages::Message;
use crate::model::Vendor;
use crate::service::Service;

impl Service {
    pub(super) fn patch_settings(&mut self, body: &Map<String, Value>) -> Result<(), Vec<Message>> {
        let mut wrong = Vec::new();
        let mut asked = Map::new();
        for (key, value) in body {
            match (key.as_str(), value) {
                ("Attributes", Value::Object(attributes)) => asked.clone_from(attributes),
                ("Attributes", other) => wrong.push(Message::value_type(&other.to_string(), key)),
                ("@Redfish.SettingsApplyTime", value) => wrong.extend(apply_time(value)),
                (annotation, _) if annotation.starts_with('@') => {}
                ("Id" | "Name" | "AttributeRegistry", _) => wrong.push(Message::not_writable(key)),
                _ => wrong.push(Message::unknown(key)),
            }
        }
        for (name, value) in &asked {
            match self.model.attributes.iter().find(|one| one.name == *name) {
                Some(attribute) => wrong.extend(attribute.refusal(value)),
                None => wrong.push(Message::unknown(name)),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        if self.faults.is(&Fault::BiosWriteIgnored) {
            return Ok(());
        }
        let timed = body.contains_key("@Redfish.SettingsApplyTime");
        self.state.bios_scheduled = timed || self.model.vendor != Vendor::Dell;
        for (name, value) in asked {
            match self.state.bios.get(&name) == Some(&value) {
                true => self.state.bios_pending.remove(&name),
                false => self.state.bios_pending.insert(name, value),
            };
        }
        Ok(())
    }

    /// Defaults, at the next boot.
    pub(super) fn reset_bios(&mut self) -> Result<(), Vec<Message>> {
        let defaults = self.model.attributes.iter().filter(|one| !one.read_only);
        self.state.bios_scheduled = true;
        self.state.bios_pending = defaults.map(|one| (one.name.clone(), one.default.clone())).collect();
        Ok(())
    }
}

fn apply_time(value: &Value) -> Option<Message> {
    let time = value.get("ApplyTime").cloned().unwrap_or(json!("OnReset"));
    match time.as_str() {
        Some("OnReset") => None,
        other => Some(Message::not_in_list(other.unwrap_or_default(), "ApplyTime")),
    }
}
