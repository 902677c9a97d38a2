//! Writes: who may, under which precondition, and what each place does with them.
//!
//! Input: PATCH, POST, DELETE; output: their replies. Invariant: a write that is refused with 4xx or 5xx has changed nothing.

mod bios;
mod boot;
mod media;
mod people;

use std::time::Instant;

use serde_json::{Map, Value};

use crate::account::Caller;
use crate::faults::Fault;
use crate::messages::Message;
use crate::model::Vendor;
use crate::place::Place;
use crate::reply::{Reply, Request};
use crate::service::{Service, object};

impl Service {
    pub(crate) fn write(&mut self, request: &Request, caller: &Caller, now: Instant) -> Result<Reply, Reply> {
        let settings = self.settings_path();
        // DSP0266 section 7.8: POST to a collection's Members is one to the collection.
        let members = request.path.strip_suffix("/Members").filter(|_| request.method == "POST");
        let path = members.unwrap_or(&request.path);
        let place = Place::of(&self.model, &settings, path);
        let there = match &place {
            Some(Place::Insert(slot) | Place::Eject(slot)) => {
                self.tree.get(&format!("{}/{slot}", self.model.media_path())).is_some()
            }
            Some(place) if place.is_action() => true,
            _ => self.view(path).is_some(),
        };
        if !there || place == Some(Place::ResetBios) && self.faults.is(&Fault::BiosAbsent) {
            return Err(Reply::error(404, &[Message::not_found(&request.path)]));
        }
        let allows = place.as_ref().map_or("GET, HEAD", |place| place.allows());
        let Some(place) = place.filter(|_| allows.split(", ").any(|method| method == request.method)) else {
            return Err(Reply::error(405, &[Message::not_allowed()]).with("Allow", allows));
        };
        if request.method == "PATCH" {
            self.check_match(request)?;
        }
        if !place.is_machine() {
            return self.write_people(&place, request, caller);
        }
        if !caller.may_configure() {
            return Err(Reply::error(403, &[Message::privilege()]));
        }
        if place.is_licensed() && self.faults.is(&Fault::Licence) {
            return Err(self.no_licence());
        }
        let body = object(request)?;
        if request.method == "PATCH" && body.keys().all(|key| key.starts_with('@')) {
            return Err(Reply::error(400, &[Message::no_operation()]));
        }
        if self.faults.is(&Fault::TasksForWrites) || self.faults.is(&Fault::TasksFail) {
            return Ok(self.put_off(place, body, now));
        }
        Ok(self.carry_out(&place, &body, now))
    }

    /// Does what was asked, now.
    pub(crate) fn carry_out(&mut self, place: &Place, body: &Map<String, Value>, now: Instant) -> Reply {
        let done = match place {
            Place::System => self.patch_system(body),
            Place::Settings => self.patch_settings(body),
            Place::FixedBootOrder => self.patch_fixed(body),
            Place::CfgCd => self.patch_cfg_cd(body),
            Place::Reset => self.reset(body, now),
            Place::ResetBios => self.reset_bios(),
            Place::Insert(slot) => self.insert(slot, body),
            Place::Eject(slot) => self.eject(slot),
            Place::Mount => self.mount(true),
            Place::Unmount => self.mount(false),
            _ => Err(vec![Message::not_allowed()]),
        };
        if let Err(messages) = done {
            return Reply::error(400, &messages);
        }
        let path = match place {
            Place::System => self.model.system_path(),
            Place::Settings => self.settings_path(),
            Place::FixedBootOrder => self.model.fixed_path(),
            _ => String::new(),
        };
        match self.view(&path) {
            _ if self.says_success() => {
                let success = crate::messages::error(&[Message::success()]);
                Reply::json(200, &serde_json::json!({"Success": success["error"]}))
            }
            Some(resource) => self.representation(200, &resource),
            None => Reply::empty(204),
        }
    }

    fn reset(&mut self, body: &Map<String, Value>, now: Instant) -> Result<(), Vec<Message>> {
        const ACTION: &str = "ComputerSystem.Reset";
        if let Some(unknown) = body.keys().find(|key| *key != "ResetType") {
            return Err(vec![Message::parameter_unknown(ACTION, unknown)]);
        }
        let Some(kind) = body.get("ResetType").and_then(Value::as_str) else {
            return Err(vec![Message::parameter_missing(ACTION, "ResetType")]);
        };
        if !self.model.reset_types.iter().any(|one| one == kind) {
            return Err(vec![Message::parameter_not_in_list(kind, "ResetType", ACTION)]);
        }
        self.machine.reset(kind, &self.model, &mut self.state, &self.faults, now);
        Ok(())
    }

    /// Each vendor's way to say that a licence is missing.
    fn no_licence(&self) -> Reply {
        let message = match self.model.vendor {
            Vendor::Supermicro => Message::of(
                "Base.1.0.OemLicenseNotPassed",
                "Not licensed to perform this request. The following licenses %1 were needed",
                &["DCMS"],
                "Please activate the required licenses",
            ),
            Vendor::Dell => Message::of(
                "IDRAC.2.8.LIC501",
                "A required license is missing or expired.",
                &[],
                "Obtain an appropriate license and try again, or contact your service provider for additional details.",
            ),
            Vendor::Hpe => Message::of(
                "iLO.2.14.LicenseKeyRequired",
                "The iLO license key is required for this operation.",
                &[],
                "Install or activate the appropriate license key.",
            ),
            Vendor::Generic | Vendor::Openbmc => Message::of(
                "Base.1.18.LicenseRequired",
                "A license is required for this operation: %1.",
                &["BMC-ADV"],
                "Install the license.",
            ),
        };
        Reply::error(403, &[message])
    }
}

/// A property as text.
fn text<'a>(key: &str, value: &'a Value) -> Result<&'a str, Message> {
    value.as_str().ok_or_else(|| Message::value_type(&value.to_string(), key))
}

/// A property as one of a list.
fn chosen(key: &str, value: &Value, allowed: &[impl AsRef<str>]) -> Result<String, Message> {
    let text = text(key, value)?;
    match allowed.iter().any(|one| one.as_ref() == text) {
        true => Ok(text.into()),
        false => Err(Message::not_in_list(text, key)),
    }
}
