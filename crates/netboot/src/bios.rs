//! The BIOS settings that a profile wants, by the names that a board's own tools have for them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One `[bios.NAME]` of a profile. Settings that are not named stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BiosSettings {
    /// Attributes of Redfish's Bios resource. On boards that add a suffix (`QuietBoot_0038`), with it or without.
    #[serde(default)]
    pub settings: BTreeMap<String, BiosValue>,
    /// What SUM changes where the board's Redfish cannot: "Menu|Submenu|Setting" -> the option's text.
    #[serde(default)]
    pub sum: BTreeMap<String, String>,
}

/// A value as TOML and Redfish have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum BiosValue {
    Flag(bool),
    Number(i64),
    Text(String),
}

impl fmt::Display for BiosValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BiosValue::Flag(value) => write!(f, "{value}"),
            BiosValue::Number(value) => write!(f, "{value}"),
            BiosValue::Text(value) => write!(f, "{value}"),
        }
    }
}
