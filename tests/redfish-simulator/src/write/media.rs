//! Virtual media: the standard's actions, and Supermicro's image on a share.
//!
//! Input: their bodies; output: what is in the slots. Invariant: an image is a URL that the BMC could fetch; nothing is fetched.

use serde_json::{Map, Value};

use super::text;
use crate::faults::Fault;
use crate::messages::Message;
use crate::service::Service;
use crate::state::Medium;

const INSERT: &str = "VirtualMedia.InsertMedia";

impl Service {
    pub(super) fn insert(&mut self, slot: &str, body: &Map<String, Value>) -> Result<(), Vec<Message>> {
        let mut medium = Medium { inserted: true, write_protected: true, ..Medium::default() };
        for (key, value) in body {
            let done = match key.as_str() {
                "Image" => text(key, value).map(|image| medium.image = Some(image.into())),
                "UserName" => text(key, value).map(|user| medium.user = Some(user.into())),
                "Password" | "TransferProtocolType" | "TransferMethod" => text(key, value).map(drop),
                "Inserted" => flag(key, value).map(|on| medium.inserted = on),
                "WriteProtected" => flag(key, value).map(|on| medium.write_protected = on),
                other => Err(Message::parameter_unknown(INSERT, other)),
            };
            done.map_err(|wrong| vec![wrong])?;
        }
        let Some(image) = medium.image.as_deref() else {
            return Err(vec![Message::parameter_missing(INSERT, "Image")]);
        };
        if !is_url(image) {
            return Err(vec![Message::parameter_format(image, "Image", INSERT)]);
        }
        if self.state.media.get(slot).is_some_and(|now| now.inserted) {
            return Err(vec![Message::in_use()]);
        }
        if !self.faults.is(&Fault::MediaIgnored) {
            self.state.media.insert(slot.into(), medium);
        }
        Ok(())
    }

    pub(super) fn eject(&mut self, slot: &str) -> Result<(), Vec<Message>> {
        if !self.faults.is(&Fault::MediaIgnored) {
            self.state.media.insert(slot.into(), Medium { write_protected: true, ..Medium::default() });
        }
        Ok(())
    }

    pub(super) fn patch_cfg_cd(&mut self, body: &Map<String, Value>) -> Result<(), Vec<Message>> {
        let mut cd = self.state.cfg_cd.clone();
        for (key, value) in body.iter().filter(|(key, _)| !key.starts_with('@')) {
            let done = match key.as_str() {
                "Host" => text(key, value).map(|host| cd.host = host.into()),
                "Path" => text(key, value).map(|path| cd.path = path.into()),
                "Username" => text(key, value).map(|user| cd.user = user.into()),
                "Password" => text(key, value).map(drop),
                other => Err(Message::unknown(other)),
            };
            done.map_err(|wrong| vec![wrong])?;
        }
        self.state.cfg_cd = cd;
        Ok(())
    }

    pub(super) fn mount(&mut self, mounted: bool) -> Result<(), Vec<Message>> {
        if mounted && (self.state.cfg_cd.host.is_empty() || self.state.cfg_cd.path.is_empty()) {
            return Err(vec![Message::missing("Host")]);
        }
        if !self.faults.is(&Fault::MediaIgnored) {
            self.state.cfg_cd.mounted = mounted;
        }
        Ok(())
    }
}

fn flag(key: &str, value: &Value) -> Result<bool, Message> {
    value.as_bool().ok_or_else(|| Message::value_type(&value.to_string(), key))
}

fn is_url(image: &str) -> bool {
    let (scheme, rest) = image.split_once("://").unwrap_or_default();
    ["http", "https", "nfs", "cifs", "smb"].contains(&scheme) && !rest.is_empty()
}
