//! The CD that a BMC shows its machine (DSP0268: VirtualMedia; before it on Supermicro: CfgCD).
//!
//! In: an image's URL, without credentials. Out: what the slot holds, read back. Invariant: another image is taken out before one is put in.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::error::Error;
use crate::machine::Talk;
use crate::plain::plain;
use crate::quirks::{Quirk, Quirks};
use crate::service::{link, linked};
use crate::status::text;

/// A slot after the verb.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Media {
    /// The BMC's name of it.
    pub slot: String,
    /// What is in it.
    pub image: Option<String>,
    /// What was taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ejected: Option<String>,
    /// Whether anything was done.
    pub changed: bool,
}

const INSERT: &str = "insert an image";
const EJECT: &str = "eject the image";
/// Slots that are looked at.
const MOST: usize = 16;

/// Inserts an image.
pub(crate) async fn insert(talk: &Talk<'_>, image: &str) -> Result<Media, Error> {
    check(image)?;
    suits(image, &talk.service.quirks)?;
    let slots = slots(talk, INSERT).await?;
    let mut refused = None;
    for mut slot in slots {
        match slot.hold(talk, image).await {
            // Some BMCs list slots that take no URL.
            Err(error @ Error::Unsupported { .. }) => refused = refused.or(Some(error)),
            result => return result,
        }
    }
    Err(refused.unwrap_or_else(|| Error::unsupported(INSERT, "it shows no slot for a CD")))
}

/// Takes out whatever is in the slots for CDs.
pub(crate) async fn eject(talk: &Talk<'_>) -> Result<Media, Error> {
    let (mut first, mut emptied, mut ejected) = (None, Vec::new(), Vec::new());
    for mut slot in slots(talk, EJECT).await? {
        if slot.state.inserted {
            let image = slot.state.image.clone();
            slot.empty(talk).await?;
            ejected.push(image.map_or_else(|| "an image".to_owned(), |image| harmless(&image)));
            emptied.push(slot.name);
        } else {
            first = first.or(Some(slot.name));
        }
    }
    if !emptied.is_empty() {
        let (slot, ejected) = (emptied.join(", "), Some(ejected.join(", ")));
        return Ok(Media { slot, image: None, ejected, changed: true });
    }
    let slot = first.ok_or_else(|| Error::unsupported(EJECT, "it shows no slot for a CD"))?;
    Ok(Media { slot, ..Media::default() })
}

/// The text itself may hold a password.
fn fault(reason: &str) -> Error {
    Error::Input {
        message: format!("the image's address {reason}"),
        help: Some("as in http://10.10.1.1/images/installer.iso".to_owned()),
    }
}

/// Whether an image's address is one that any BMC could use.
pub(crate) fn check(image: &str) -> Result<(), Error> {
    let url = Url::parse(image).map_err(|error| fault(&format!("is none: {error}")))?;
    if !["http", "https", "nfs", "smb", "cifs"].contains(&url.scheme()) {
        return Err(fault("must begin with http://, https://, nfs:// or smb://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fault("must hold no user name and no password: the BMC would show them to everybody"));
    }
    if url.host_str().is_none_or(str::is_empty) || url.path().len() < 2 {
        return Err(fault("needs a host and a path"));
    }
    if url.fragment().is_some() || image.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
        return Err(fault("must hold no '#', no blanks and no control characters"));
    }
    Ok(())
}

/// Whether this BMC takes such an address.
fn suits(image: &str, quirks: &Quirks) -> Result<(), Error> {
    match quirks.has(Quirk::PlainImageUrl) && image.contains(['?', '=']) {
        true => Err(fault("must hold no '?' and no '=': this BMC refuses them")),
        false => Ok(()),
    }
}

/// Somebody else's address, as it may be shown.
fn harmless(image: &str) -> String {
    match Url::parse(image) {
        Ok(mut url) if url.password().is_some() || !url.username().is_empty() => {
            // A URL without a host has no user either.
            let _ = url.set_password(None);
            let _ = url.set_username("");
            plain(url.as_str())
        }
        _ => plain(image),
    }
}

/// What is in a slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Held {
    inserted: bool,
    image: Option<String>,
    /// The image's last part, where nothing more is told.
    name: Option<String>,
}

/// How a slot is changed.
enum Way {
    /// By actions, each where there is one; else by writing its properties.
    Standard { insert: Option<String>, eject: Option<String> },
    /// Supermicro's `CfgCD`: host and path, then `IsoConfig.Mount`. The state is in `CD1` beside it, where there is one.
    CfgCd { mount: String, unmount: String, state: String },
}

struct Slot {
    path: String,
    name: String,
    way: Way,
    state: Held,
}

/// The slots for a CD, the best first.
async fn slots(talk: &Talk<'_>, what: &str) -> Result<Vec<Slot>, Error> {
    let mut found: Vec<Slot> = Vec::new();
    for owner in [&talk.service.manager_body, &talk.service.system_body] {
        let Some(path) = link(&owner["VirtualMedia"]) else { continue };
        let Some(collection) = talk.client.find(&path, what).await? else { continue };
        for path in linked(&collection.body["Members"]).into_iter().take(MOST) {
            let Some(answer) = talk.client.find(&path, what).await? else { continue };
            found.extend(standard(path, &answer.body));
        }
        // Those with the action before those whose properties would have to be written.
        found.sort_by_key(|slot| !slot.has_action());
        if !found.first().is_some_and(Slot::has_action)
            && let Some(slot) = cfg_cd(talk, &path, &collection.body, what).await?
        {
            return Ok(vec![slot]);
        }
        if !found.is_empty() {
            break;
        }
    }
    // The collection of such a board may be empty, or have no link.
    let hidden = found.is_empty() && talk.service.quirks.has(Quirk::HiddenCfgCd);
    if let (true, Some(manager)) = (hidden, &talk.service.manager) {
        let vm1 = format!("{}/VM1", manager.trim_end_matches('/'));
        if let Some(answer) = talk.client.find(&vm1, what).await? {
            found.extend(cfg_cd(talk, &vm1, &answer.body, what).await?);
        }
    }
    Ok(found)
}

fn standard(path: String, body: &Value) -> Option<Slot> {
    let types = body["MediaTypes"].as_array()?;
    if !types.iter().any(|kind| kind == "CD" || kind == "DVD") {
        return None;
    }
    let target = |action: &str| body["Actions"][action]["target"].as_str().map(str::to_owned);
    let way = Way::Standard { insert: target("#VirtualMedia.InsertMedia"), eject: target("#VirtualMedia.EjectMedia") };
    let name = text(&body["Id"]).or_else(|| text(&body["Name"])).unwrap_or_default();
    Some(Slot { path, name, way, state: held(body) })
}

fn held(body: &Value) -> Held {
    let connected = body["ConnectedVia"].as_str().is_some_and(|via| via != "NotConnected");
    Held {
        // What is not connected is out, though its name may stay.
        inserted: body["Inserted"].as_bool().unwrap_or(connected) && body["ConnectedVia"] != "NotConnected",
        image: body["Image"].as_str().filter(|image| !image.is_empty()).map(str::to_owned),
        name: body["ImageName"].as_str().filter(|name| !name.is_empty()).map(str::to_owned),
    }
}

/// Supermicro's older way, to which the collection links. Its members are what is mounted, and take no image themselves. Known from
/// clients of X10 and X11 boards.
async fn cfg_cd(talk: &Talk<'_>, collection: &str, body: &Value, what: &str) -> Result<Option<Slot>, Error> {
    let Some(path) = link(&body["Oem"]["Supermicro"]["VirtualMediaConfig"]) else { return Ok(None) };
    let Some(answer) = talk.client.find(&path, what).await? else { return Ok(None) };
    let target = |action: &str| {
        let target = answer.body["Actions"][format!("#{action}")]["target"].as_str().map(str::to_owned);
        target.unwrap_or_else(|| format!("{path}/Actions/{action}"))
    };
    let way = Way::CfgCd {
        mount: target("IsoConfig.Mount"),
        unmount: target("IsoConfig.UnMount"),
        state: format!("{}/CD1", collection.trim_end_matches('/')),
    };
    let mut slot = Slot { path, name: "CfgCD".to_owned(), way, state: Held::default() };
    slot.look(talk).await?;
    Ok(Some(slot))
}

impl Slot {
    fn has_action(&self) -> bool {
        matches!(self.way, Way::Standard { insert: Some(_), .. })
    }

    async fn look(&mut self, talk: &Talk<'_>) -> Result<(), Error> {
        let body = talk.client.get(&self.path, "read what is inserted").await?.body;
        self.state = match &self.way {
            Way::Standard { .. } => held(&body),
            Way::CfgCd { state, .. } => {
                let address = |name: &str| body[name].as_str().unwrap_or_default();
                let image = Some(format!("{}{}", address("Host"), address("Path"))).filter(|image| !image.is_empty());
                let shown = talk.client.find(state, "read what is inserted").await?;
                let inserted = match shown {
                    Some(answer) => held(&answer.body).inserted,
                    None => body["Mounted"] == true,
                };
                Held { inserted, image, name: None }
            }
        };
        Ok(())
    }

    /// Makes it hold the image.
    async fn hold(&mut self, talk: &Talk<'_>, image: &str) -> Result<Media, Error> {
        let mut media = Media { slot: self.name.clone(), image: Some(image.to_owned()), ..Media::default() };
        // A name alone may be another server's image.
        if self.holds(image) && self.state.image.is_some() {
            return Ok(media);
        }
        if let Way::CfgCd { .. } = self.way {
            // Before anything is taken out.
            cfg_address(image)?;
        }
        media.changed = true;
        if self.state.inserted {
            let other = self.state.image.clone().or_else(|| self.state.name.clone());
            self.empty(talk).await?;
            media.ejected = Some(other.map_or_else(|| "an image".to_owned(), |other| harmless(&other)));
        }
        talk.step(&format!("inserting into {}", self.name));
        self.put(talk, image).await?;
        match self.until(talk, |slot| slot.holds(image)).await? {
            true => Ok(media),
            false => Err(self.not_applied(image)),
        }
    }

    /// Whether it holds this very image.
    fn holds(&self, image: &str) -> bool {
        let Held { inserted, image: held, name } = &self.state;
        let same = match (held, name, &self.way) {
            (Some(held), _, Way::CfgCd { .. }) => {
                cfg_address(image).is_ok_and(|(host, path)| *held == format!("{host}{path}"))
            }
            (Some(held), _, _) => held == image,
            (None, Some(name), _) => image.rsplit('/').next() == Some(name),
            (None, None, _) => false,
        };
        *inserted && same
    }

    fn not_applied(&self, asked: &str) -> Error {
        let found = match (self.state.inserted, &self.state.image) {
            (true, Some(image)) => harmless(image),
            (true, None) => "another image".to_owned(),
            (false, _) => "nothing inserted".to_owned(),
        };
        Error::NotApplied { what: plain(&self.name), asked: asked.to_owned(), found }
    }

    async fn empty(&mut self, talk: &Talk<'_>) -> Result<(), Error> {
        talk.step(&format!("ejecting from {}", self.name));
        match &self.way {
            Way::Standard { eject: Some(target), .. } | Way::CfgCd { unmount: target, .. } => {
                talk.client.post(target, &json!({}), EJECT).await?;
            }
            Way::Standard { eject: None, .. } => {
                talk.client.patch(&self.path, &json!({ "Image": null, "Inserted": false }), EJECT).await?;
            }
        }
        match self.until(talk, |slot| !slot.state.inserted).await? {
            true => Ok(()),
            false => Err(self.not_applied("nothing inserted")),
        }
    }

    /// Asks for the image. Only what a BMC misses is added to the request: most refuse what they do not need.
    async fn put(&self, talk: &Talk<'_>, image: &str) -> Result<(), Error> {
        match &self.way {
            Way::Standard { insert: Some(target), .. } => {
                let scheme = image.split(':').next().unwrap_or_default().to_uppercase();
                let protocol = if scheme == "SMB" { "CIFS".to_owned() } else { scheme };
                let mut body = json!({ "Image": image });
                loop {
                    let error = match talk.client.post(target, &body, INSERT).await {
                        Err(error @ Error::Refused { .. }) => error,
                        // Whether it was done shows in the slot.
                        Err(Error::Cut { .. }) => return Ok(()),
                        result => return result.map(drop),
                    };
                    let known = [("TransferProtocolType", protocol.as_str()), ("TransferMethod", "Stream")];
                    let missing = known.into_iter().find(|(name, _)| body[*name].is_null() && misses(&error, name));
                    let Some((name, value)) = missing else { return Err(error) };
                    body[name] = json!(value);
                }
            }
            Way::Standard { insert: None, .. } => {
                let body = json!({ "Image": image, "Inserted": true, "WriteProtected": true });
                talk.client.patch(&self.path, &body, INSERT).await.map(drop)
            }
            Way::CfgCd { mount, .. } => {
                let (host, path) = cfg_address(image)?;
                let body = json!({ "Host": host, "Path": path, "Username": "", "Password": "" });
                talk.client.patch(&self.path, &body, INSERT).await?;
                match talk.client.post(mount, &json!({}), INSERT).await {
                    Err(Error::Cut { .. }) => Ok(()),
                    result => result.map(drop),
                }
            }
        }
    }

    /// Looks until it is so, in time.
    async fn until(&mut self, talk: &Talk<'_>, so: impl Fn(&Slot) -> bool) -> Result<bool, Error> {
        let begun = Instant::now();
        loop {
            self.look(talk).await?;
            if so(self) {
                return Ok(true);
            }
            if begun.elapsed() >= talk.client.patience.settle {
                return Ok(false);
            }
            tokio::time::sleep(talk.client.patience.poll).await;
        }
    }
}

/// Whether the BMC wants this parameter.
fn misses(error: &Error, parameter: &str) -> bool {
    let Error::Refused { said, .. } = error else { return false };
    said.iter().any(|message| message.is(&["ActionParameterMissing"]) && message.names(parameter))
}

/// Host and path as Supermicro's `CfgCD` has them: a web server with its scheme, a server of Windows shares without.
fn cfg_address(image: &str) -> Result<(String, String), Error> {
    let url = Url::parse(image).map_err(|error| Error::input(format!("the image's address: {error}")))?;
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    match url.scheme() {
        "http" => Ok((format!("http://{host}{port}"), url.path().to_owned())),
        "smb" | "cifs" => Ok((host.to_owned(), url.path().to_owned())),
        other => Err(Error::Input {
            message: format!("this BMC takes images by http or smb, not by {other}"),
            help: Some("its firmware is older than Redfish's virtual media".to_owned()),
        }),
    }
}

impl Media {
    pub(crate) fn summary(&self) -> String {
        let slot = &self.slot;
        match (&self.image, &self.ejected, self.changed) {
            (Some(image), _, false) => format!("{slot} holds {image} already"),
            (Some(image), Some(other), true) => format!("{slot} holds {image}, instead of {other}"),
            (Some(image), None, true) => format!("{slot} holds {image}"),
            (None, Some(other), _) => format!("{slot} is empty: {other} was ejected"),
            (None, None, _) => format!("{slot} is empty already"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_a_password_is_refused_and_not_repeated() {
        let error = check("http://me:hunter2@10.0.0.1/a.iso").unwrap_err();
        assert_eq!(error.kind(), crate::Kind::Input);
        assert!(!error.to_string().contains("hunter2"));
        assert_eq!(harmless("smb://me:hunter2@host/a.iso"), "smb://host/a.iso");
    }

    #[test]
    fn only_addresses_that_a_bmc_can_fetch_are_sent() {
        for wrong in ["a.iso", "ftp://host/a.iso", "file:///a.iso", "http://host", "http://host/a b", "http://host/a#b"]
        {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        for right in ["http://10.0.0.1:8080/a.iso", "https://host/a.iso?x=1", "nfs://host/export/a.iso"] {
            check(right).unwrap();
        }
        let of = |kind| Quirks::of(kind, "", "", "");
        assert!(suits("https://host/a.iso?x=1", &of(netboot::BmcKind::Supermicro)).is_err());
        assert!(suits("https://host/a.iso?x=1", &of(netboot::BmcKind::Redfish)).is_ok());
    }

    #[test]
    fn a_name_that_stays_after_ejecting_is_nothing_inserted() {
        let stale = json!({"Inserted": true, "ConnectedVia": "NotConnected", "ImageName": "a.iso"});
        assert!(!held(&stale).inserted);
    }
}
