//! A board's BIOS as its Redfish service shows it: what is in force, what waits for a restart, and what is allowed.

use std::collections::BTreeMap;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::registry::Registry;
use crate::error::Error;
use crate::machine::Talk;
use crate::plain::plain;
use crate::service::link;

pub(super) type Attributes = BTreeMap<String, Value>;

/// The Bios resource with its settings resource.
pub(super) struct Board {
    pub(super) current: Attributes,
    /// What differs from that after the next restart.
    pub(super) pending: Attributes,
    pub(super) registry: Option<Registry>,
    settings: Option<Settings>,
    /// What could not be had, in words.
    pub(super) notes: Vec<String>,
}

/// Where changes are written to (`@Redfish.Settings`, DSP0266).
pub(super) struct Settings {
    path: String,
    /// Whether the service wants to be told that a change waits for the reset.
    on_reset: bool,
}

const READ: &str = "read the BIOS settings";
const WRITE: &str = "change the BIOS settings";

impl Board {
    /// Reads everything.
    ///
    /// # Errors
    /// `Unsupported` where the service has no BIOS attributes, `Licence` where it wants one for them.
    pub(super) async fn read(talk: &Talk<'_>) -> Result<Board, Error> {
        let (path, bios) = bios(talk).await?;
        let current = attributes(&bios);
        if current.is_empty() {
            return Err(Error::unsupported(READ, "its Bios resource has no attributes"));
        }
        let mut notes = Vec::new();
        let registry = match bios["AttributeRegistry"].as_str() {
            None => None,
            Some(name) => match Registry::read(talk, name).await {
                Ok(registry) => Some(registry),
                Err(reason) => {
                    notes.push(format!("values are not checked: no registry of attributes ({reason})"));
                    None
                }
            },
        };
        let (settings, pending) = settings(talk, &path, &bios).await?;
        if settings.is_none() {
            notes.push("the BMC has no resource for pending settings".to_owned());
        }
        let pending = differing(pending, &current);
        Ok(Board { current, pending, registry, settings, notes })
    }

    /// Whether changes can be handed to it.
    ///
    /// # Errors
    /// It has no settings resource.
    pub(super) fn writable(&self) -> Result<&Settings, Error> {
        let settings = self.settings.as_ref();
        settings.ok_or_else(|| Error::unsupported(WRITE, "it has no resource for pending settings"))
    }

    /// Reads again what is in force and what waits, and what the BMC has to say about the last change.
    pub(super) async fn look(&mut self, talk: &Talk<'_>) -> Result<Vec<String>, Error> {
        let (path, bios) = bios(talk).await?;
        self.current = attributes(&bios);
        let (_, pending) = settings(talk, &path, &bios).await?;
        self.pending = differing(pending, &self.current);
        let said = bios["@Redfish.Settings"]["Messages"].as_array().into_iter().flatten();
        Ok(said.filter_map(|message| message["Message"].as_str()).map(plain).take(8).collect())
    }

    /// What an attribute will be after the next restart.
    pub(super) fn next(&self, name: &str) -> Option<&Value> {
        self.pending.get(name).or_else(|| self.current.get(name))
    }

    /// Hands changes to the BMC. Only these attributes are sent.
    pub(super) async fn write(&self, talk: &Talk<'_>, changes: &Attributes) -> Result<(), Error> {
        let settings = self.writable()?;
        let mut body = json!({ "Attributes": changes });
        if settings.on_reset {
            body["@Redfish.SettingsApplyTime"] =
                json!({ "@odata.type": "#Settings.v1_1_0.PreferredApplyTime", "ApplyTime": "OnReset" });
        }
        talk.client.patch(&settings.path, &body, WRITE).await.map(drop)
    }
}

/// The Bios resource and its path.
async fn bios(talk: &Talk<'_>) -> Result<(String, Value), Error> {
    let Some(path) = link(&talk.service.system_body["Bios"]) else {
        return Err(Error::unsupported(READ, "its system has no link to a Bios resource"));
    };
    let body = talk.client.get(&path, READ).await?.body;
    Ok((path, body))
}

/// Where pending settings are, and all that it shows.
async fn settings(talk: &Talk<'_>, path: &str, bios: &Value) -> Result<(Option<Settings>, Attributes), Error> {
    let annotation = &bios["@Redfish.Settings"];
    let times = annotation["SupportedApplyTimes"].as_array();
    let on_reset = times.is_some_and(|times| times.iter().any(|time| time == "OnReset"));
    let named = link(&annotation["SettingsObject"]);
    if let Some((path, is_named)) = candidate(path, named, talk.service.quirks.settings_at()) {
        let answer = talk.client.ask(&path).await?;
        match answer.status {
            // Named and absent: some services make it with the first change.
            StatusCode::NOT_FOUND if is_named => return Ok((Some(Settings { path, on_reset }), Attributes::new())),
            StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED => {}
            _ => {
                let body = answer.success(talk.client.endpoint(), "read the pending BIOS settings")?.body;
                return Ok((Some(Settings { path, on_reset }), attributes(&body)));
            }
        }
    }
    Ok((None, Attributes::new()))
}

/// Where the settings resource may be: where the link leads, else where such a BMC is known to have it.
fn candidate(bios: &str, named: Option<String>, known: Option<&str>) -> Option<(String, bool)> {
    let known = || known.map(|last| (format!("{}/{last}", bios.trim_end_matches('/')), false));
    named.map(|path| (path, true)).or_else(known)
}

fn attributes(body: &Value) -> Attributes {
    let object = body["Attributes"].as_object();
    object.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Without what is so already: some services show all attributes as pending, some only those that change.
fn differing(pending: Attributes, current: &Attributes) -> Attributes {
    let differs = |(name, value): &(String, Value)| !current.get(name).is_some_and(|now| super::same(now, value));
    pending.into_iter().filter(differs).collect()
}
