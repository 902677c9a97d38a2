//! A resource as the BMC has it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
use crate::machine::Talk;

/// A resource's body, unchanged: its texts are the BMC's. As JSON no control character is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Raw {
    pub path: String,
    pub body: Value,
}

/// Reads it; only below `/redfish/`.
pub(crate) async fn get(talk: &Talk<'_>, path: &str) -> Result<Raw, Error> {
    if !path.starts_with("/redfish") {
        return Err(Error::Input {
            message: format!("'{}' is no path of Redfish", crate::plain(path)),
            help: Some("begin with /redfish/v1/".to_owned()),
        });
    }
    let body = talk.client.get(path, &format!("read {}", crate::plain(path))).await?.body;
    Ok(Raw { path: path.to_owned(), body })
}

impl Raw {
    pub(crate) fn summary(&self) -> String {
        format!("{}: {} members", crate::plain(&self.path), self.body.as_object().map_or(0, serde_json::Map::len))
    }

    pub(crate) fn details(&self) -> String {
        // serde_json escapes control characters; those that turn the direction of text are data here.
        format!("{:#}\n", self.body)
    }
}
