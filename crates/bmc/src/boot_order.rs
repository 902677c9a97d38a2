//! What a machine boots each time: the order of its boot options (ComputerSystem.Boot.BootOrder, DSP0268), or Supermicro's OEM resource.
//!
//! In: names of entries, as people write them. Out: [`BootOrder`], as it was read back. Invariants: the entries that are not named stay,
//! behind the others, in their order; no entry is lost or invented; nothing is sent where the order is as it should be.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::boot::Place;
use crate::error::Error;
use crate::machine::Talk;
use crate::plain::{MANY, plain};
use crate::quirks::Quirk;
use crate::service::{link, linked};
use crate::status::text;

const WHAT: &str = "set the boot order";
/// A slot of Supermicro's that is not used.
const DISABLED: &str = "Disabled";
/// How alike a name must be to be offered.
const ALIKE: f64 = 0.7;

/// One thing that can be booted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BootEntry {
    /// What the order is made of: "Boot0001". All but the BMC's own writing of it, it is plain.
    pub reference: String,
    /// BootOption.DisplayName, else its Name.
    pub name: Option<String>,
    /// The override target that means the same: "Pxe".
    pub alias: Option<String>,
}

/// The order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BootOrder {
    /// Which property it is: "BootOrder", "AliasBootOrder" or "FixedBootOrder".
    pub property: String,
    pub entries: Vec<BootEntry>,
    /// The references as they will be after the next start, where that is another order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<String>,
    /// Whether this request changed it.
    #[serde(default)]
    pub changed: bool,
}

impl BootOrder {
    /// The first ones, by name.
    pub(crate) fn summary(&self) -> String {
        const SHOWN: usize = 3;
        let order = if self.pending.is_empty() { self.references() } else { self.pending.clone() };
        if order.is_empty() {
            return "no entries".to_owned();
        }
        let title = |reference: &String| {
            let entry = self.entries.iter().find(|entry| entry.reference == *reference);
            entry.and_then(|entry| entry.name.clone()).unwrap_or_else(|| reference.clone())
        };
        let mut line = order.iter().take(SHOWN).map(title).collect::<Vec<_>>().join(", ");
        if order.len() > SHOWN {
            line += &format!(", and {} more", order.len() - SHOWN);
        }
        if !self.pending.is_empty() {
            line += " (after the next start)";
        }
        line
    }

    pub(crate) fn details(&self) -> String {
        let mut lines = String::new();
        for (number, entry) in self.entries.iter().enumerate() {
            let name = entry.name.as_deref().unwrap_or_default();
            let alias = entry.alias.as_ref().map(|alias| format!(" ({alias})")).unwrap_or_default();
            lines += format!("{:>2}  {}  {name}{alias}", number + 1, entry.reference).trim_end();
            lines.push('\n');
        }
        if !self.pending.is_empty() {
            lines += &format!("after the next start: {}\n", self.pending.join(", "));
        }
        lines
    }

    fn references(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.reference.clone()).collect()
    }
}

/// Where the order is kept.
struct Source {
    /// What is read.
    path: String,
    /// What is written: the same, or the settings object.
    written: String,
    property: String,
    /// Supermicro's: slots, which may be unused.
    fixed: bool,
    /// As the BMC writes them, in their order; used ones only.
    order: Vec<String>,
    /// As they will be.
    pending: Vec<String>,
    slots: usize,
    entries: Vec<BootEntry>,
}

/// Reads it.
pub(crate) async fn get(talk: &Talk<'_>) -> Result<BootOrder, Error> {
    let source = Source::of(talk, "show the boot order").await?;
    Ok(source.outcome(false))
}

/// Puts these first, and reads it back.
pub(crate) async fn set(talk: &Talk<'_>, wanted: &[String]) -> Result<BootOrder, Error> {
    let source = Source::of(talk, WHAT).await?;
    match source.put(talk, wanted).await {
        // Some boards show the standard's property, and know only their own.
        Err(Error::Refused { said, .. })
            if !source.fixed
                && talk.service.quirks.has(Quirk::FixedBootOrder)
                && said.iter().any(|message| message.names(&source.property)) =>
        {
            match Source::fixed(talk).await? {
                Some(fixed) => fixed.put(talk, wanted).await,
                None => Err(Error::Refused { what: WHAT.to_owned(), status: 400, said }),
            }
        }
        result => result,
    }
}

impl Source {
    async fn of(talk: &Talk<'_>, what: &str) -> Result<Source, Error> {
        if let Some(source) = Source::standard(talk).await? {
            return Ok(source);
        }
        if talk.service.quirks.has(Quirk::FixedBootOrder)
            && let Some(source) = Source::fixed(talk).await?
        {
            return Ok(source);
        }
        Err(Error::unsupported(what, "its system has no BootOrder"))
    }

    /// `None` where the system has none, or an empty one.
    async fn standard(talk: &Talk<'_>) -> Result<Option<Source>, Error> {
        let (path, system) = (&talk.service.system, &talk.service.system_body);
        let property = match system["Boot"]["BootOrderPropertySelection"].as_str() {
            Some("AliasBootOrder") => "AliasBootOrder",
            _ => "BootOrder",
        };
        let order = strings(&system["Boot"][property]);
        if order.is_empty() {
            return Ok(None);
        }
        let settings = match link(&system["@Redfish.Settings"]["SettingsObject"]) {
            Some(_) => Place::settings(talk, None).await?,
            None => None,
        };
        let settings = settings.map(|place| (place.path, strings(&place.body["Boot"][property])));
        let (written, pending) = match settings {
            Some((settings, pending)) if !pending.is_empty() => (settings, pending),
            _ => (path.clone(), order.clone()),
        };
        let options = match link(&system["Boot"]["BootOptions"]) {
            Some(options) => read_options(talk, &options).await?,
            None => Vec::new(),
        };
        Ok(Some(Source {
            path: path.clone(),
            written,
            property: property.to_owned(),
            fixed: false,
            slots: order.len(),
            entries: entries(&order, &options),
            order,
            pending,
        }))
    }

    async fn fixed(talk: &Talk<'_>) -> Result<Option<Source>, Error> {
        const PROPERTY: &str = "FixedBootOrder";
        let Some(path) = link(&talk.service.system_body["Oem"]["Supermicro"][PROPERTY]) else { return Ok(None) };
        let Some(answer) = talk.client.find(&path, "read the boot order").await? else { return Ok(None) };
        let slots = strings(&answer.body[PROPERTY]);
        let order: Vec<String> = slots.iter().filter(|slot| *slot != DISABLED).cloned().collect();
        Ok(Some(Source {
            written: path.clone(),
            path,
            property: PROPERTY.to_owned(),
            fixed: true,
            slots: slots.len(),
            entries: entries(&order, &[]),
            pending: order.clone(),
            order,
        }))
    }

    fn outcome(&self, changed: bool) -> BootOrder {
        let pending =
            if self.pending == self.order { Vec::new() } else { self.pending.iter().map(|one| plain(one)).collect() };
        BootOrder { property: self.property.clone(), entries: self.entries.clone(), pending, changed }
    }

    async fn put(&self, talk: &Talk<'_>, wanted: &[String]) -> Result<BootOrder, Error> {
        let mut order = Vec::new();
        for place in find(&self.entries, wanted)? {
            order.push(self.order[place].clone());
        }
        // What is only in the pending order stays in it.
        let rest: Vec<String> = self.pending.iter().filter(|one| !order.contains(one)).cloned().collect();
        order.extend(rest);
        if order == self.pending {
            return Ok(self.outcome(false));
        }
        talk.step("setting the boot order");
        let mut sent = order.clone();
        if self.fixed {
            sent.resize(self.slots.max(sent.len()), DISABLED.to_owned());
            talk.client.patch(&self.written, &json!({ &self.property: sent }), WHAT).await?;
        } else {
            talk.client.patch(&self.written, &json!({ "Boot": { &self.property: sent } }), WHAT).await?;
        }
        let begun = Instant::now();
        loop {
            let now = self.again(talk).await?;
            if now.pending == order {
                return Ok(now.outcome(true));
            }
            if begun.elapsed() >= talk.client.patience.settle {
                let list = |order: &[String]| order.iter().map(|one| plain(one)).collect::<Vec<_>>().join(", ");
                return Err(Error::NotApplied {
                    what: self.property.clone(),
                    asked: list(&order),
                    found: list(&now.pending),
                });
            }
            tokio::time::sleep(talk.client.patience.poll).await;
        }
    }

    /// As it is now; the names are the same.
    async fn again(&self, talk: &Talk<'_>) -> Result<Source, Error> {
        let read = async |path: &str| -> Result<Vec<String>, Error> {
            let body = talk.client.get(path, "read the boot order").await?.body;
            let list = if self.fixed { &body[&self.property] } else { &body["Boot"][&self.property] };
            Ok(strings(list).into_iter().filter(|one| !self.fixed || one != DISABLED).collect())
        };
        let order = read(&self.path).await?;
        let pending = if self.written == self.path { order.clone() } else { read(&self.written).await? };
        let entries = entries(&order, &self.entries);
        Ok(Source {
            path: self.path.clone(),
            written: self.written.clone(),
            property: self.property.clone(),
            fixed: self.fixed,
            slots: self.slots,
            order,
            pending,
            entries,
        })
    }
}

/// The boot options that can be read. One that cannot be has no name, and is no failure.
async fn read_options(talk: &Talk<'_>, collection: &str) -> Result<Vec<BootEntry>, Error> {
    const READ: &str = "read a boot option";
    let Some(listed) = talk.client.find(collection, "list the boot options").await? else { return Ok(Vec::new()) };
    let mut options = Vec::new();
    for path in linked(&listed.body["Members"]) {
        options.extend(talk.client.find(&path, READ).await?.and_then(|answer| option(&answer.body)));
    }
    Ok(options)
}

fn option(body: &Value) -> Option<BootEntry> {
    let reference = text(&body["BootOptionReference"]).or_else(|| text(&body["Id"]))?;
    let name = text(&body["DisplayName"]).or_else(|| text(&body["Name"]));
    Some(BootEntry { reference, name, alias: text(&body["Alias"]) })
}

/// The entries of an order, with what is known of them.
fn entries(order: &[String], known: &[BootEntry]) -> Vec<BootEntry> {
    let entry = |reference: &String| {
        let reference = plain(reference);
        let known = known.iter().find(|entry| entry.reference == reference).cloned();
        known.unwrap_or(BootEntry { reference, name: None, alias: None })
    };
    order.iter().map(entry).collect()
}

/// Which entries are meant, by their places, in the order in which they are asked for.
fn find(entries: &[BootEntry], wanted: &[String]) -> Result<Vec<usize>, Error> {
    let mut places: Vec<usize> = Vec::new();
    for name in names(entries, wanted) {
        let found = meant(entries, name.trim())?;
        let twice = found.iter().find(|place| places.contains(place));
        if let Some(place) = twice {
            return Err(Error::input(format!("'{}' is named twice", entries[*place].reference)));
        }
        places.extend(found);
    }
    match places.is_empty() {
        true => Err(Error::input("the boot order that is asked for is empty")),
        false => Ok(places),
    }
}

/// What was divided at commas, put together again where it is the name of an entry with commas in it.
fn names(entries: &[BootEntry], parts: &[String]) -> Vec<String> {
    let is_entry = |name: &str| {
        let is = |text: &str| text.trim().eq_ignore_ascii_case(&plain(name));
        entries.iter().any(|entry| is(&entry.reference) || entry.name.as_deref().is_some_and(is))
    };
    let mut names = Vec::new();
    let mut rest = parts;
    while !rest.is_empty() {
        let whole = (2..=rest.len()).rev().find(|count| is_entry(&rest[..*count].join(",")));
        let (name, after) = rest.split_at(whole.unwrap_or(1));
        names.push(name.join(","));
        rest = after;
    }
    names
}

/// One entry by its reference or its name; all of a kind by their alias ("Pxe", "pxe"), or by what stands before a slot's ':'.
fn meant(entries: &[BootEntry], name: &str) -> Result<Vec<usize>, Error> {
    let places = |fits: &dyn Fn(&BootEntry) -> bool| -> Vec<usize> {
        entries.iter().enumerate().filter(|(_, entry)| fits(entry)).map(|(place, _)| place).collect()
    };
    let is = |text: &str| text.eq_ignore_ascii_case(&plain(name));
    let by_reference = places(&|entry| is(&entry.reference));
    if !by_reference.is_empty() {
        return Ok(by_reference);
    }
    let ours = <crate::boot::BootTarget as clap::ValueEnum>::from_str(name, true).ok();
    let alias = ours.map_or(name, |target| target.redfish());
    let by_alias = places(&|entry| entry.alias.as_deref().is_some_and(|has| has.eq_ignore_ascii_case(alias)));
    if !by_alias.is_empty() {
        return Ok(by_alias);
    }
    let by_class = places(&|entry| entry.reference.split_once(':').is_some_and(|(class, _)| is(class)));
    if !by_class.is_empty() {
        return Ok(by_class);
    }
    let by_name = places(&|entry| entry.name.as_deref().is_some_and(is));
    match by_name[..] {
        [_] => Ok(by_name),
        [] => {
            let known = entries.iter().flat_map(|entry| {
                [Some(&entry.reference), entry.name.as_ref(), entry.alias.as_ref()].into_iter().flatten()
            });
            let likeness = |known: &str| strsim::jaro_winkler(&known.to_lowercase(), &name.to_lowercase());
            let best = known.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|best| likeness(best) > ALIKE);
            Err(Error::Input {
                message: format!("there is no boot entry '{}'", plain(name)),
                help: Some(match best {
                    Some(best) => format!("did you mean '{best}'?"),
                    None => "`boot order get` shows them".to_owned(),
                }),
            })
        }
        _ => {
            let which: Vec<&str> = by_name.iter().map(|place| entries[*place].reference.as_str()).collect();
            Err(Error::Input {
                message: format!("'{}' is the name of several boot entries", plain(name)),
                help: Some(format!("say which: {}", which.join(", "))),
            })
        }
    }
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().take(MANY).filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What bodies of a BMC make of an order, without asking it.
#[cfg(test)]
pub(crate) fn shown(order: &Value, options: &[Value]) -> BootOrder {
    let options: Vec<BootEntry> = options.iter().filter_map(option).collect();
    let pending = strings(order).iter().rev().map(|one| plain(one)).collect();
    BootOrder { property: "BootOrder".to_owned(), entries: entries(&strings(order), &options), pending, changed: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(reference: &str, name: &str, alias: &str) -> BootEntry {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        BootEntry { reference: reference.into(), name: some(name), alias: some(alias) }
    }

    fn some() -> Vec<BootEntry> {
        vec![
            entry("Boot0001", "Ubuntu", "Hdd"),
            entry("Boot0002", "PXE NIC 1", "Pxe"),
            entry("Boot0003", "PXE NIC 2", "Pxe"),
            entry("Boot0004", "Shell", ""),
            entry("Boot0005", "Shell", ""),
            entry("UEFI Network:(B2/D0/F0) PXE", "", ""),
            entry("UEFI Hard Disk:ubuntu (SATA,Port:0)", "", ""),
        ]
    }

    fn places(names: &[&str]) -> Result<Vec<usize>, String> {
        let wanted: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        find(&some(), &wanted).map_err(|error| format!("{error} / {}", error.help().unwrap_or_default()))
    }

    #[test]
    fn entries_go_by_reference_alias_class_or_name() {
        assert_eq!(places(&["boot0004", "Ubuntu"]), Ok(vec![3, 0]));
        assert_eq!(places(&["pxe", "disk"]), Ok(vec![1, 2, 0]));
        assert_eq!(places(&["PXE NIC 2"]), Ok(vec![2]));
        assert_eq!(places(&["uefi network"]), Ok(vec![5]));
        // A comma divides entries, and stands in the names of some.
        assert_eq!(places(&["pxe", "UEFI Hard Disk:ubuntu (SATA", "Port:0)", "Ubuntu"]), Ok(vec![1, 2, 6, 0]));
    }

    #[test]
    fn what_is_unknown_doubled_or_not_clear_is_said_before_anything_is_sent() {
        let error = |names: &[&str]| places(names).unwrap_err();
        assert_eq!(error(&["Ubunto"]), "there is no boot entry 'Ubunto' / did you mean 'Ubuntu'?");
        assert_eq!(error(&["7"]), "there is no boot entry '7' / `boot order get` shows them");
        assert_eq!(error(&["Shell"]), "'Shell' is the name of several boot entries / say which: Boot0004, Boot0005");
        assert_eq!(error(&["pxe", "Boot0003"]), "'Boot0003' is named twice / ");
        assert_eq!(error(&[]), "the boot order that is asked for is empty / ");
    }
}
