//! What a BMC says about a failure: `@Message.ExtendedInfo` (DSP0266, "Error responses"), and the shapes that older firmware has.
//!
//! In: an answer's body. Out: [`Message`]s, whose texts are plain. Invariant: no body makes this fail; at most [`MOST`] are read.

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
    /// Its arguments and the properties that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<String>,
}

impl Message {
    /// Its key in the registry, without prefix and version: "PropertyValueNotInList".
    pub(crate) fn key(&self) -> &str {
        self.id.rsplit('.').next().unwrap_or_default()
    }

    pub(crate) fn is(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.key().eq_ignore_ascii_case(key))
    }

    /// Whether the machine is in POST or the BMC is starting, so that the same request succeeds later.
    pub(crate) fn is_for_now(&self) -> bool {
        self.is(&[
            "ServiceTemporarilyUnavailable",
            "ResourceInStandby",
            "ServiceInUnknownState",
            "ServiceShuttingDown",
            "UnableToModifyDuringSystemPOST",
            "SystemInPOST",
            "ResetInProgress",
            "SYS518",
        ])
    }

    /// Whether the machine's power is not as the request needs it.
    pub(crate) fn is_about_power(&self) -> bool {
        self.is(&[
            "ActionParameterValueConflict",
            "InvalidOperationForSystemState",
            "ChassisPowerStateOnRequired",
            "ChassisPowerStateOffRequired",
            "OperationNotAllowed",
        ])
    }

    pub(crate) fn is_about_licence(&self) -> bool {
        // A property may be named so.
        if self.key().starts_with("Property") || self.key().starts_with("ActionParameter") {
            return false;
        }
        let about = |text: &str| {
            let lower = text.to_lowercase();
            ["license", "licence", "product key", "sft-oob", "sft-dcms"].iter().any(|word| lower.contains(word))
        };
        about(&self.id) || about(&self.text)
    }

    /// Whether it names a property.
    pub(crate) fn names(&self, property: &str) -> bool {
        self.text.contains(property) || self.about.iter().any(|about| about.contains(property))
    }

    /// Whether it names the system's `Boot` or a property in it.
    pub(crate) fn about_boot(&self) -> bool {
        self.names("Boot")
    }

    /// Whether it says that all is well: some BMCs put such ones beside the others.
    fn is_good(&self) -> bool {
        self.is(&["Success", "NoOperation", "Created"])
    }
}

/// All messages of an answer's body.
pub(super) fn messages(body: &Value) -> Vec<Message> {
    let mut found = Vec::new();
    let error = &body["error"];
    list(&error["@Message.ExtendedInfo"], &mut found);
    // iLO 4.
    list(&body["Messages"], &mut found);
    for object in [body, error].into_iter().filter_map(Value::as_object) {
        let annotations = object.iter().filter(|(key, _)| key.ends_with("@Message.ExtendedInfo"));
        // Also those that are empty, or good, cost time.
        for (_, value) in annotations.take(MOST * MOST) {
            list(value, &mut found);
            if found.len() >= MOST {
                break;
            }
        }
    }
    if found.iter().any(|message| !message.is_good()) {
        found.retain(|message| !message.is_good());
    }
    if found.is_empty() {
        // The last one is a body that is no JSON.
        let texts = [&error["message"], &error["Message"], error, &body["message"], &body["Message"], body];
        if let Some(text) = texts.into_iter().find_map(Value::as_str).map(plain).filter(|text| !text.is_empty()) {
            let id = plain(error["code"].as_str().unwrap_or_default());
            found.push(Message { id, text, resolution: None, about: Vec::new() });
        }
    }
    found.truncate(MOST);
    found
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
        let id = text("MessageId").or_else(|| text("MessageID")).unwrap_or_default();
        let many = |name: &str| {
            let values = item[name].as_array().into_iter().flatten().take(MOST);
            values.filter_map(Value::as_str).map(plain).collect::<Vec<_>>()
        };
        let (mut about, properties) = (many("MessageArgs"), many("RelatedProperties"));
        // iLO gives no texts, only what belongs into them.
        let short = || match (id.is_empty(), about.is_empty()) {
            (true, _) => None,
            (false, true) => Some(id.clone()),
            (false, false) => Some(plain(&format!("{id} ({})", about.join(", ")))),
        };
        let Some(said) = text("Message").or_else(short) else { continue };
        about.extend(properties);
        let resolution = text("Resolution").filter(|text| !text.trim_end_matches('.').eq_ignore_ascii_case("none"));
        let message = Message { id, text: said, resolution, about };
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(body: &Value) -> Vec<String> {
        messages(body).into_iter().map(|message| message.text).collect()
    }

    #[test]
    fn every_shape_of_an_error_that_is_known_gives_its_text() {
        let info = json!({ "MessageId": "Base.1.8.PropertyUnknown", "Message": "no such\u{1b}[2J property" });
        let plain = "no such [2J property";
        for (body, text) in [
            (json!({ "error": { "code": "x", "message": "see below", "@Message.ExtendedInfo": [info] } }), plain),
            (json!({ "error": { "@Message.ExtendedInfo": info } }), plain),
            (json!({ "@Message.ExtendedInfo": [info] }), plain),
            (json!({ "Boot@Message.ExtendedInfo": [info] }), plain),
            (json!({ "error": { "BootOrder@Message.ExtendedInfo": [info] } }), plain),
            (json!({ "Messages": [info], "Type": "ExtendedError.0.9.6" }), plain),
            (json!({ "error": { "code": "Base.1.0.GeneralError", "Message": "with a capital" } }), "with a capital"),
            (json!({ "error": { "message": "no code" } }), "no code"),
            (json!({ "error": "only text" }), "only text"),
            (json!({ "message": "bare" }), "bare"),
            (json!("Bad request"), "Bad request"),
            (
                json!({ "error": { "@Message.ExtendedInfo": [
                    { "MessageID": "iLO.0.10.InvalidOperationForSystemState", "MessageArgs": ["Power is off"] },
                ] } }),
                "iLO.0.10.InvalidOperationForSystemState (Power is off)",
            ),
        ] {
            assert_eq!(texts(&body), [text], "{body}");
        }
        assert_eq!(texts(&json!({ "error": { "message": ["x"], "@Message.ExtendedInfo": 7 } })), [""; 0]);
    }

    #[test]
    fn messages_that_all_is_well_are_left_out_beside_others() {
        let body = json!({ "@Message.ExtendedInfo": [
            { "MessageId": "Base.1.8.Success", "Message": "fine" },
            { "MessageId": "Base.1.8.PropertyNotWritable", "Message": "not that", "Resolution": "None.",
              "MessageArgs": ["BootSourceOverrideMode"], "RelatedProperties@odata.count": 1 },
        ] });
        let found = messages(&body);
        assert_eq!(found.len(), 1);
        assert!(found[0].names("BootSourceOverrideMode") && found[0].resolution.is_none());
    }

    #[test]
    fn a_licence_is_named_by_its_id_or_its_text_whatever_the_registry_is() {
        let of = |id: &str, text: &str| Message { id: id.into(), text: text.into(), resolution: None, about: vec![] };
        assert!(of("SMC.1.0.OemLicenseNotPassed", "Not allowed").is_about_licence());
        assert!(of("", "needs SFT-DCMS-SINGLE").is_about_licence());
        assert!(!of("Base.1.8.PropertyUnknown", "The property LicenseKey is unknown").is_about_licence());
    }
}
