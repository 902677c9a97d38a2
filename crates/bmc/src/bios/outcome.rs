//! What the verbs on BIOS settings have found or done, as data and as text.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::shown;
use crate::gather::{noted, table};
use crate::plain::plain;

/// Which interface of the board it went through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    #[default]
    Redfish,
    /// Supermicro's Update Manager.
    Sum,
}

/// One setting.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BiosAttribute {
    pub name: String,
    pub value: Value,
    /// What it will be after the next restart, where that is something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Value>,
    /// "Enumeration", "Integer", "String", "Boolean" ...; `None` where nothing tells.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What it may be, in words; empty where nothing tells.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub allowed: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    #[serde(default)]
    pub read_only: bool,
    /// As the setup shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
}

/// `bios get`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BiosAttributes {
    pub through: Way,
    pub attributes: Vec<BiosAttribute>,
    /// What could not be had, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One setting that is to become another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BiosChange {
    /// The board's own name.
    pub name: String,
    pub from: Value,
    pub to: Value,
    /// What waits for the restart now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Value>,
}

/// `bios plan`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BiosPlan {
    pub through: Way,
    /// What `bios apply` would send.
    pub changes: Vec<BiosChange>,
    /// What was sent already and waits for a restart.
    pub waiting: Vec<BiosChange>,
    /// What is as declared.
    pub same: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// `bios apply`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BiosApplied {
    pub through: Way,
    /// What was sent; empty where nothing differed.
    pub sent: Vec<BiosChange>,
    /// What waited for a restart already.
    pub waited: Vec<BiosChange>,
    /// What was as declared already.
    pub same: Vec<String>,
    pub restarted: bool,
    /// Whether all declared settings were read back as in force. Else they wait for a restart.
    pub in_force: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// `bios diff`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BiosDiff {
    /// What the next restart changes, whoever asked for it.
    pub pending: Vec<BiosChange>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl BiosAttributes {
    pub(crate) fn summary(&self) -> String {
        match &self.attributes[..] {
            [only] => format!("{} = {}", plain(&only.name), shown(&only.value)),
            all => {
                let waiting = all.iter().filter(|attribute| attribute.pending.is_some()).count();
                let mut line = format!("{} settings", all.len());
                if waiting > 0 {
                    line += &format!(", {waiting} of them change with the next restart");
                }
                line + via(self.through)
            }
        }
    }

    pub(crate) fn details(&self) -> String {
        let rows = self.attributes.iter().map(|attribute| {
            let mut value = shown(&attribute.value);
            if let Some(pending) = &attribute.pending {
                value += &format!(" (then {})", shown(pending));
            }
            let mut about = Vec::new();
            if attribute.read_only {
                about.push("read-only".to_owned());
            }
            about.extend(attribute.kind.as_deref().map(|kind| plain(kind).to_lowercase()));
            if !attribute.allowed.is_empty() {
                about.push(attribute.allowed.clone());
            }
            about.extend(attribute.default.as_ref().map(|default| format!("default {}", shown(default))));
            [plain(&attribute.name), value, about.join("; ")]
        });
        table(&rows.collect::<Vec<_>>()) + &noted(&self.notes)
    }
}

impl BiosPlan {
    pub(crate) fn summary(&self) -> String {
        let mut parts = Vec::new();
        if !self.changes.is_empty() {
            parts.push(format!("{} to change", self.changes.len()));
        }
        if !self.waiting.is_empty() {
            parts.push(format!("{} waiting for a restart", self.waiting.len()));
        }
        match parts.is_empty() {
            true => format!("nothing to change: {} as declared", settings(self.same.len())),
            false => format!("{}, {} as declared{}", parts.join(", "), self.same.len(), via(self.through)),
        }
    }

    pub(crate) fn details(&self) -> String {
        let mut rows = changed("change", &self.changes);
        rows.extend(changed("waits", &self.waiting));
        table(&rows) + &noted(&self.notes)
    }
}

impl BiosApplied {
    pub(crate) fn summary(&self) -> String {
        let (sent, waited) = (self.sent.len(), self.waited.len());
        match (sent + waited, self.in_force) {
            (0, _) => format!("nothing sent: {} as declared already", settings(self.same.len())),
            (all, true) => format!("{} changed and in force{}", settings(all), via(self.through)),
            (_, false) if sent == 0 => {
                format!("nothing sent: {} for a restart already", wait(waited))
            }
            (all, false) => format!("{} sent; {} for a restart{}", settings(sent), wait(all), via(self.through)),
        }
    }

    pub(crate) fn details(&self) -> String {
        let mut rows = changed("sent", &self.sent);
        rows.extend(changed("waited", &self.waited));
        table(&rows) + &noted(&self.notes)
    }
}

impl BiosDiff {
    pub(crate) fn summary(&self) -> String {
        match self.pending.len() {
            0 => "nothing waits for a restart".to_owned(),
            many => format!("{} for a restart", wait(many)),
        }
    }

    pub(crate) fn details(&self) -> String {
        table(&changed("waits", &self.pending)) + &noted(&self.notes)
    }
}

fn settings(count: usize) -> String {
    if count == 1 { "1 setting".to_owned() } else { format!("{count} settings") }
}

fn wait(count: usize) -> String {
    if count == 1 { "1 waits".to_owned() } else { format!("{count} wait") }
}

fn via(way: Way) -> &'static str {
    match way {
        Way::Redfish => "",
        Way::Sum => ", by SUM",
    }
}

fn changed(what: &str, changes: &[BiosChange]) -> Vec<[String; 3]> {
    let row = |change: &BiosChange| {
        let mut values = format!("{} -> {}", shown(&change.from), shown(&change.to));
        if let Some(pending) = change.pending.as_ref().filter(|pending| **pending != change.to) {
            values += &format!(" (instead of {}, which waits)", shown(pending));
        }
        [what.to_owned(), plain(&change.name), values]
    };
    changes.iter().map(row).collect()
}
