//! Resources as a GET shows them now: the tree, with what may change laid over it.
//!
//! Input: a path, the state; output: JSON with its `@odata.etag`. Invariant: reading changes nothing.

use serde_json::{Value, json};

use crate::account::{ACCOUNTS, SESSIONS, session_view};
use crate::etag;
use crate::faults::Fault;
use crate::messages::Message;
use crate::model::Vendor;
use crate::service::Service;
use crate::tree::{collection, link, merge};

impl Service {
    /// The resource with its tag, if it is there.
    pub(crate) fn view(&self, path: &str) -> Option<Value> {
        let mut resource = self.plain_view(path)?;
        if self.faults.is(&Fault::HostileText) {
            make_hostile(&mut resource);
        }
        let tag = etag::sent(&etag::opaque(&resource), self.model.weak_etags, &self.faults);
        // Registries are files, and have no ETag property.
        if resource.get("@odata.id").is_some() {
            resource["@odata.etag"] = json!(tag);
        }
        Some(resource)
    }

    fn plain_view(&self, path: &str) -> Option<Value> {
        let model = &self.model;
        if path.starts_with(&model.bios_path()) && self.faults.is(&Fault::BiosAbsent) {
            return None;
        }
        if path == self.settings_path() {
            return Some(self.settings_view());
        }
        if path == model.fixed_path() && !model.fixed_boot_order.is_empty() {
            return Some(self.fixed_view());
        }
        if let Some(found) = self.people_view(path).or_else(|| self.task_view(path)) {
            return Some(found);
        }
        if model.cfg_cd && path.starts_with(&model.media_path()) && path != model.cfg_cd_path() {
            return self.mounted_view(path);
        }
        let mut resource = self.tree.get(path)?.clone();
        if path == model.system_path() {
            self.fill_system(&mut resource);
        } else if path == model.chassis_path() {
            resource["PowerState"] = json!(self.state.power.as_str());
        } else if path == model.bios_path() {
            resource["Attributes"] = json!(self.state.bios);
            resource["@Redfish.Settings"] = json!({
                "@odata.type": "#Settings.v1_3_4.Settings",
                "SettingsObject": link(&self.settings_path()),
                "SupportedApplyTimes": ["OnReset"],
            });
            let refused = self.state.bios_refused.iter().map(|name| Message::not_writable(name).extended());
            let refused: Vec<Value> = refused.collect();
            if !refused.is_empty() {
                resource["@Redfish.Settings"]["Messages"] = json!(refused);
            }
        } else if path == model.cfg_cd_path() {
            let cd = &self.state.cfg_cd;
            merge(
                &mut resource,
                json!({"Host": cd.host, "Path": cd.path, "Username": cd.user, "Password": null, "Mounted": cd.mounted}),
            );
        } else if let Some(slot) = path.strip_prefix(&format!("{}/", model.media_path())) {
            self.fill_medium(&mut resource, slot);
        }
        Some(resource)
    }

    fn people_view(&self, path: &str) -> Option<Value> {
        if path == ACCOUNTS {
            let ids: Vec<String> = self.people.accounts.iter().map(|one| one.id.clone()).collect();
            return Some(collection(path, "ManagerAccount", "Accounts", &ids));
        }
        if path == SESSIONS {
            let ids: Vec<String> = self.people.sessions().into_iter().map(|one| one.id).collect();
            return Some(collection(path, "Session", "Sessions", &ids));
        }
        if let Some(id) = path.strip_prefix(&format!("{ACCOUNTS}/")) {
            return self.people.accounts.iter().find(|one| one.id == id).map(|one| one.view());
        }
        let id = path.strip_prefix(&format!("{SESSIONS}/"))?;
        self.people.sessions().iter().find(|one| one.id == id).map(session_view)
    }

    fn fill_system(&self, resource: &mut Value) {
        let state = &self.state;
        resource["PowerState"] = json!(state.power.as_str());
        resource["AssetTag"] = json!(state.asset_tag);
        resource["LocationIndicatorActive"] = json!(state.indicator);
        if resource.get("BootProgress").is_some() {
            let progress = match (state.power.as_str(), state.post) {
                ("On", true) => "SystemHardwareInitializationComplete",
                ("On", false) => "OSRunning",
                _ => "None",
            };
            resource["BootProgress"] = json!({"LastState": progress});
        }
        if self.faults.is(&Fault::BiosAbsent)
            && let Some(object) = resource.as_object_mut()
        {
            object.remove("Bios");
        }
        resource["Boot"] = self.boot_view();
    }

    fn boot_view(&self) -> Value {
        let (state, model) = (&self.state, &self.model);
        let mut boot = json!({
            "BootSourceOverrideEnabled": state.boot.enabled,
            "BootSourceOverrideEnabled@Redfish.AllowableValues": ["Disabled", "Once", "Continuous"],
            "BootSourceOverrideTarget": state.boot.target,
            "BootSourceOverrideTarget@Redfish.AllowableValues": model.boot_targets,
        });
        if !model.boot_modes.is_empty() {
            boot["BootSourceOverrideMode"] = json!(state.boot.mode);
            boot["BootSourceOverrideMode@Redfish.AllowableValues"] = json!(model.boot_modes);
        }
        if model.boot_targets.iter().any(|target| target == "UefiTarget") {
            boot["UefiTargetBootSourceOverride"] = json!(state.boot.uefi_target);
        }
        if !model.boot_options.is_empty() {
            boot["BootOrder"] = json!(state.boot_order);
            boot["BootOptions"] = link(&format!("{}/BootOptions", model.system_path()));
        }
        boot
    }

    /// The settings as they will be after the next boot.
    fn settings_view(&self) -> Value {
        let path = self.settings_path();
        let mut resource = json!({
            "@odata.type": "#Bios.v1_2_0.Bios",
            "@odata.id": path,
            "Id": path.rsplit('/').next(),
            "Name": "BIOS Configuration Pending Settings",
        });
        // Supermicro shows what is pending and nothing else; without that, no attributes at all.
        let pending = &self.state.bios_pending;
        if self.model.vendor != Vendor::Supermicro {
            let mut attributes = self.state.bios.clone();
            attributes.extend(pending.clone());
            resource["Attributes"] = json!(attributes);
        } else if !pending.is_empty() {
            resource["Attributes"] = json!(pending);
        }
        if !self.model.registry.is_empty() {
            resource["AttributeRegistry"] = json!(format!("{}.v1_0_0", self.model.registry));
        }
        resource
    }

    fn fixed_view(&self) -> Value {
        let order = &self.state.fixed_boot_order;
        let of = |kind: &str| -> Vec<&str> {
            let prefix = format!("{kind}:");
            self.model.fixed_boot_order.iter().filter_map(|entry| entry.strip_prefix(prefix.as_str())).collect()
        };
        json!({
            "@odata.type": "#SmcFixedBootOrder.v1_0_0.SmcFixedBootOrder",
            "@odata.id": self.model.fixed_path(),
            "Id": "FixedBootOrder",
            "Name": "Fixed Boot Order",
            "BootModeSelected": "UEFI",
            "FixedBootOrder": order,
            "FixedBootOrderDisabledItem": ["Disabled"],
            "UEFIHardDisk": of("UEFI Hard Disk"),
            "UEFIHardDiskDisabledItem": ["Disabled"],
            "UEFINetwork": of("UEFI Network"),
            "UEFINetworkDisabledItem": ["Disabled"],
            "UEFIAP": of("UEFI AP"),
            "UEFIAPDisabledItem": ["Disabled"],
        })
    }

    fn fill_medium(&self, resource: &mut Value, slot: &str) {
        let Some(medium) = self.state.media.get(slot) else { return };
        let name = medium.image.as_deref().and_then(|image| image.rsplit('/').next());
        let connected = if medium.inserted { "URI" } else { "NotConnected" };
        merge(
            resource,
            json!({
                "Image": medium.image,
                "ImageName": name,
                "Inserted": medium.inserted,
                "WriteProtected": medium.write_protected,
                "ConnectedVia": connected,
                "UserName": medium.user,
                "Password": null,
            }),
        );
    }

    /// Supermicro's collection, with a member while an image is mounted.
    fn mounted_view(&self, path: &str) -> Option<Value> {
        let cd = &self.state.cfg_cd;
        let here = self.model.media_path();
        let ids: Vec<String> = cd.mounted.then(|| "CD1".to_string()).into_iter().collect();
        if path == here {
            let mut resource = collection(path, "VirtualMedia", "Virtual Media Collection", &ids);
            resource["Oem"] = json!({"Supermicro": {
                "@odata.type": "#SmcVirtualMediaExtensions.v1_0_0.VirtualMediaCollection",
                "VirtualMediaConfig": link(&self.model.cfg_cd_path()),
            }});
            return Some(resource);
        }
        (cd.mounted && path == format!("{here}/CD1")).then(|| {
            json!({
                "@odata.type": "#VirtualMedia.v1_5_0.VirtualMedia",
                "@odata.id": path,
                "Id": "CD1",
                "Name": "Virtual Media",
                "MediaTypes": ["CD", "DVD"],
                "Image": format!("{}{}", cd.host, cd.path),
                "ImageName": cd.path.rsplit('/').next(),
                "ConnectedVia": "URI",
                "Inserted": true,
            })
        })
    }

    /// Where the BIOS settings resource is.
    pub(crate) fn settings_path(&self) -> String {
        match self.faults.is(&Fault::SettingsAtSd) {
            true => format!("{}/SD", self.model.bios_path()),
            false => self.model.settings_path(),
        }
    }

    /// The body of a write's good answer, where Supermicro says "Success" and others show the resource.
    pub(crate) fn says_success(&self) -> bool {
        self.model.vendor == Vendor::Supermicro
    }
}

/// Escape sequences, a title, a new line, an override of the direction, and much text.
pub(crate) fn hostile(text: &str) -> String {
    format!("\u{1b}[31m{text}\u{1b}[2J\u{1b}]0;owned\u{7}\r\nnext line\u{202e}\u{0}{}", "A".repeat(20_000))
}

/// Into all texts that are for people.
pub(crate) fn make_hostile(value: &mut Value) {
    const SHOWN: [&str; 8] =
        ["Name", "Message", "message", "DisplayName", "Model", "Manufacturer", "Resolution", "BiosVersion"];
    match value {
        Value::Object(object) => {
            for (key, inner) in object.iter_mut() {
                match inner {
                    Value::String(text) if SHOWN.contains(&key.as_str()) => *text = hostile(text),
                    _ => make_hostile(inner),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(make_hostile),
        _ => {}
    }
}
