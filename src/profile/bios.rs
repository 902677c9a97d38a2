//! `[bios.*]` and `[sum]` -> [`BiosSettings`] and [`SumArchive`], and what must hold between them and the nodes.
//!
//! Which attributes a board has is known to the board alone: here a name only has to be one that a board can have. Secrets
//! stay out: a profile's settings are part of the image, which many can read.

use std::collections::BTreeMap;

use netboot::{BiosValue, Bmc, BmcKind};

use super::decode::Resolve;
use super::fault::Fault;
use super::medium::FileSize;
use super::reader::{Decoding, Section};
use super::source::Span;
use super::suggest;
use super::value::{Value, ValueKind};
use super::word::*;
use super::*;
use crate::vocab::Digest;

/// What is known of a set of settings, sound or not: the nodes are compared with it.
#[derive(Debug)]
pub(super) struct Facts {
    /// Place of its name.
    pub(super) name: Span,
    /// Place of its settings that SUM applies.
    pub(super) sum: Option<Span>,
}

/// Sets by name, and the facts of all.
pub(super) fn sets(cx: &mut Decoding, root: &Section<'_>) -> (BTreeMap<String, BiosSettings>, BTreeMap<String, Facts>) {
    let (mut sets, mut facts) = (BTreeMap::new(), BTreeMap::new());
    let archive = root.key("sum").is_some();
    for (name, section) in root.named("bios", "set") {
        let settings = section.entries(cx, "settings", "attribute", value);
        let sum = section.map::<Line>(cx, "sum", "menu");
        let place = section.key("sum").filter(|_| !sum.is_empty());
        if is_empty(&section) {
            let fault = Fault::at(name.span, format!("the BIOS settings '{}' set nothing", name.value));
            cx.fault(fault.help(format!("add [bios.{}.settings], or leave the name out", name.value)));
        }
        if let Some(span) = place
            && !archive
            && !cx.partial
        {
            let message = format!("the BIOS settings '{}' need SUM, and the profile has no archive of it", name.value);
            let fault = Fault::at(span, message);
            cx.fault(fault.help("add [sum] with `path` and `sha256` of Supermicro's archive for Linux"));
        }
        facts.insert(name.value.to_owned(), Facts { name: name.span, sum: place });
        let sum = sum.into_iter().map(|(path, at)| (path, at.value.0)).collect();
        sets.insert(name.value.to_owned(), BiosSettings { settings, sum });
    }
    (sets, facts)
}

/// Whether nothing was written below a set's name, sound or not.
fn is_empty(set: &Section<'_>) -> bool {
    let empty = |key| set.written(key).is_none_or(|section| section.is_empty());
    set.is_whole() && empty("settings") && empty("sum")
}

/// The archive that `[sum]` names. It is read by who needs it: here it only has to be there.
pub(super) fn archive(
    cx: &mut Decoding,
    root: &Section<'_>,
    resolve: Resolve<'_>,
    size: FileSize<'_>,
) -> Option<SumArchive> {
    let section = root.written("sum")?;
    let path = section.word::<FilePath>(cx, "path");
    let sha256 = section.word::<Digest>(cx, "sha256");
    let path = path?;
    let file = resolve(path.span.file, &path.value.0);
    if let Err(error) = size(&file) {
        let fault = Fault::at(path.span, format!("{} cannot be read: {error}", file.display()));
        cx.fault(fault.help("the path is relative to the file that names it; the archive comes from Supermicro"));
    }
    Some(SumArchive { path: file, sha256: sha256?.value })
}

/// The settings that a node names.
pub(super) fn of_node(
    cx: &mut Decoding,
    node: &Section<'_>,
    sets: &BTreeMap<String, Facts>,
    partial: bool,
    owner: &str,
) -> Option<String> {
    let wanted = node.word::<Name>(cx, "bios")?;
    let name = wanted.value.0.as_str();
    if node.key("bmc").is_none() && !cx.partial {
        let fault = Fault::at(wanted.span, format!("{owner} has BIOS settings and no BMC: nothing could apply them"));
        cx.fault(fault.help("add `bmc = { address = \"...\" }`, or leave `bios` out"));
    }
    match sets.get(name) {
        Some(Facts { sum: Some(sum), .. }) => by_sum(cx, node, wanted.span, *sum, owner),
        Some(_) => {}
        None => {
            let known = || sets.keys().map(String::as_str);
            let help = match suggest::nearest(name, known()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None if partial => return Some(name.to_owned()),
                None if sets.is_empty() => format!("the profile has none: add [bios.{name}.settings]"),
                None => format!("the profile has: {}", known().take(10).collect::<Vec<_>>().join(", ")),
            };
            cx.fault(Fault::at(wanted.span, format!("the profile has no BIOS settings '{name}'")).help(help));
        }
    }
    Some(wanted.value.0)
}

/// SUM speaks to Supermicro's BMCs only, and has no option for a port.
fn by_sum(cx: &mut Decoding, node: &Section<'_>, wanted: Span, sum: Span, owner: &str) {
    let Some(bmc) = node.written("bmc") else { return };
    if let Some(kind) = bmc.word::<BmcKind>(cx, "kind")
        && kind.value != BmcKind::Supermicro
    {
        let fault = Fault::new(format!("{owner} has settings for SUM, and its BMC is not Supermicro's"));
        let fault = fault.label(wanted, "").label(sum, "settings for SUM").label(kind.span, "its BMC");
        cx.fault(fault.help("write kind = \"supermicro\", or settings by Redfish's names alone"));
    }
    if let Some(port) = bmc.integer::<u16>(cx, "port")
        && port.value != Bmc::PORT
    {
        let message = format!("{owner} has settings for SUM, which cannot be told to use port {}", port.value);
        let fault = Fault::new(message).label(wanted, "").label(sum, "settings for SUM").label(port.span, "");
        cx.fault(fault.help("SUM knows a BMC's own ports only: leave `port` out, or the settings for SUM"));
    }
}

/// Sets that no node names.
pub(super) fn unused(cx: &mut Decoding, sets: &BTreeMap<String, Facts>, used: impl Fn(&str) -> bool) {
    for (name, facts) in sets.iter().filter(|(name, _)| !used(name)) {
        let note = Fault::at(facts.name, format!("no node uses the BIOS settings '{name}'"));
        cx.note(note.help(format!("write bios = \"{name}\" in nodes.toml, at the nodes that are to have them")));
    }
}

/// A name of Redfish's AttributeName: without blanks, which names in a setup's menus have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute(String);

impl Word for Attribute {
    const TYPE: WordType = word::<Self>("BIOS attribute", "QuietBoot", "^\\S+$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        no_password(text)?;
        match text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            false => Ok(Attribute(text.to_owned())),
            true => Err(Complaint::new(format!("'{}' is not the name of a BIOS attribute", text.escape_debug())).help(
                "write Redfish's name, as `provbuild node bios get NODE` shows it, and not that of the setup's menu",
            )),
        }
    }
}

/// Where a setting stands in the setup's menus, as SUM writes it: names may have blanks anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Menu(String);

impl Word for Menu {
    const TYPE: WordType =
        word::<Self>("path of a BIOS setting", "Advanced|CPU Configuration|Hyper-threading", "^[^|]+(\\|[^|]+)+$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        no_password(text)?;
        let refuse = |message: &str| {
            Err(Complaint::new(format!("'{}' {message}", text.escape_debug()))
                .help("write \"Menu|Submenu|Setting\", as in \"Advanced|CPU Configuration|Hyper-threading\""))
        };
        match text {
            _ if text.chars().any(char::is_control) => refuse("has a control character"),
            _ if !text.contains('|') => refuse("names no menu"),
            _ if text.split('|').any(|part| part.trim().is_empty()) => refuse("has an empty part"),
            _ => Ok(Menu(text.to_owned())),
        }
    }
}

fn no_password(name: &str) -> Result<(), Complaint> {
    let lower = name.to_lowercase();
    match ["password", "passphrase"].iter().any(|word| lower.contains(word)) {
        false => Ok(()),
        true => Err(Complaint::new(format!("'{}' is about a BIOS password", name.escape_debug()))
            .help("secrets stay out of these files: whoever holds the image can read them")),
    }
}

/// The text of an attribute; an empty one takes a text away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AttributeText(pub(super) String);

impl Word for AttributeText {
    const TYPE: WordType = word::<Self>("text", "", "");

    fn parse(text: &str) -> Result<Self, Complaint> {
        match text.chars().any(char::is_control) {
            false => Ok(AttributeText(text.to_owned())),
            true => Err(Complaint::new("the text has a line break or another control character")
                .help("write it on one line, in printable characters")),
        }
    }
}

fn value(value: &Value) -> Option<BiosValue> {
    match &value.kind {
        ValueKind::Text(text) => Some(BiosValue::Text(text.clone())),
        ValueKind::Integer(number) => Some(BiosValue::Number(*number)),
        ValueKind::Flag(flag) => Some(BiosValue::Flag(*flag)),
        _ => None,
    }
}
