//! What a BMC says about a failure: `@Message.ExtendedInfo` (DSP0266, "Error responses"), and the shapes that older firmware has.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plain::plain;

/// Messages of one answer that are read.
const MOST: usize = 8;

/// One message; its texts are plain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Message {
    /// As in "Base.1.8.PropertyValueNotInList"; empty where the BMC gave none.
    pub id: String,
    pub text: String,
    /// What the BMC advises.
    pub resolution: Option<String>,
}

impl Message {
    /// Its key in the registry, without prefix and version: "PropertyValueNotInList".
    pub(crate) fn key(&self) -> &str {
        self.id.rsplit('.').next().unwrap_or_default()
    }

    /// Whether the machine is in POST or the BMC is starting, so that the same request succeeds later.
    pub(crate) fn is_for_now(&self) -> bool {
        const KEYS: [&str; 6] = [
            "ServiceTemporarilyUnavailable",
            "ResourceInStandby",
            "ServiceInUnknownState",
            "ServiceShuttingDown",
            "UnableToModifyDuringSystemPOST",
            "SystemInPOST",
        ];
        KEYS.iter().any(|key| self.key().eq_ignore_ascii_case(key))
    }

    pub(crate) fn is_about_licence(&self) -> bool {
        let about = |text: &str| {
            let lower = text.to_lowercase();
            ["license", "licence", "product key", "sft-oob", "sft-dcms"].iter().any(|word| lower.contains(word))
        };
        about(&self.id) || about(&self.text)
    }
}

/// All messages of an answer's body.
pub(super) fn messages(body: &Value) -> Vec<Message> {
    let mut found = Vec::new();
    let error = &body["error"];
    extended(error, &mut found);
    if let Some(object) = body.as_object() {
        for (key, value) in object {
            if key.ends_with("@Message.ExtendedInfo") {
                list(value, &mut found);
            }
        }
    }
    if found.is_empty() {
        let text = error["message"].as_str().or_else(|| error.as_str()).or_else(|| body["message"].as_str());
        if let Some(text) = text {
            let id = plain(error["code"].as_str().unwrap_or_default());
            found.push(Message { id, text: plain(text), resolution: None });
        }
    }
    found.truncate(MOST);
    found
}

fn extended(error: &Value, found: &mut Vec<Message>) {
    list(&error["@Message.ExtendedInfo"], found);
}

/// An array of messages; some firmware gives one object instead.
fn list(value: &Value, found: &mut Vec<Message>) {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        Value::Object(_) => std::slice::from_ref(value),
        _ => return,
    };
    for item in items.iter().take(MOST) {
        let text = |name: &str| item[name].as_str().map(plain).filter(|text| !text.is_empty());
        let id = text("MessageId").unwrap_or_default();
        let Some(said) = text("Message").or_else(|| Some(id.clone()).filter(|id| !id.is_empty())) else { continue };
        let message = Message { id, text: said, resolution: text("Resolution").filter(|text| text != "None.") };
        if !found.contains(&message) {
            found.push(message);
        }
    }
}

/// `Retry-After` in seconds; a date is left to the default.
pub(super) fn retry_after(header: Option<&str>) -> Option<Duration> {
    header?.trim().parse().ok().map(Duration::from_secs)
}

/// What a task says about itself.
pub(super) fn of_task(task: &Value) -> Vec<Message> {
    let mut found = Vec::new();
    list(&task["Messages"], &mut found);
    found
}
