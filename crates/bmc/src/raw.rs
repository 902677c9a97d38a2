//! A resource as the BMC has it.
//!
//! In: a path. Out: [`Raw`]. Invariants: nothing but a GET below `/redfish`; what is printed is JSON without control characters.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
use crate::machine::Talk;
use crate::plain::{is_invisible, plain};

/// A resource's body, unchanged: its texts are the BMC's. As JSON no control character is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Raw {
    pub path: String,
    pub body: Value,
}

/// Whether it is a path below `/redfish/`.
pub(crate) fn check(path: &str) -> Result<(), Error> {
    let (resource, _) = path.split_once('?').unwrap_or((path, ""));
    let below = resource == "/redfish" || resource.starts_with("/redfish/");
    let climbs = resource
        .split(['/', '\\'])
        .any(|part| matches!(part.to_lowercase().as_str(), ".." | "%2e%2e" | ".%2e" | "%2e."));
    if !below || climbs || path.chars().any(char::is_control) {
        return Err(Error::Input {
            message: format!("'{}' is no path of Redfish", plain(path)),
            help: Some("begin with /redfish/v1/".to_owned()),
        });
    }
    Ok(())
}

/// Reads it.
pub(crate) async fn get(talk: &Talk<'_>, path: &str) -> Result<Raw, Error> {
    check(path)?;
    let body = talk.client.get(path, &format!("read {}", plain(path))).await?.body;
    Ok(Raw { path: path.to_owned(), body })
}

impl Raw {
    pub(crate) fn summary(&self) -> String {
        let name = self.body["@odata.type"].as_str().and_then(|kind| kind.rsplit('.').next()).map(plain);
        let members = self.body.as_object().map_or(0, serde_json::Map::len);
        format!(
            "{}: {}{members} properties",
            plain(&self.path),
            name.map(|name| format!("{name}, ")).unwrap_or_default()
        )
    }

    pub(crate) fn details(&self) -> String {
        // serde_json escapes the control characters of ASCII; the others that could move a cursor or turn text stand in strings only.
        let mut lines = String::new();
        for c in format!("{:#}\n", self.body).chars() {
            match c {
                '\n' => lines.push('\n'),
                c if c.is_control() || is_invisible(c) => lines += &format!("\\u{:04x}", u32::from(c)),
                c => lines.push(c),
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_resource_is_printed_as_json_that_moves_no_cursor() {
        let raw = Raw { path: "/redfish/v1".into(), body: json!({ "Name": "a\u{1b}[2J\u{9b}2J\u{202e}b" }) };
        assert_eq!(raw.details(), "{\n  \"Name\": \"a\\u001b[2J\\u009b2J\\u202eb\"\n}\n");
        assert_eq!(serde_json::from_str::<Value>(&raw.details()).unwrap(), raw.body);
    }
}
