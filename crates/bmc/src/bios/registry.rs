//! What an attribute may be: the AttributeRegistry (DSP0268), as far as it can be had.
//!
//! In: the registry's name, as the Bios resource gives it. Out: [`Registry`], or a note why there is none. Invariant: a registry that is
//! wrong or missing stops no reading.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::Error;
use crate::machine::Talk;
use crate::plain::plain;
use crate::service::link;

/// Members of the collection whose body is read, where none is named after the registry.
const MOST_LOOKED_AT: usize = 16;

/// One attribute's entry.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Entry {
    /// "Enumeration", "String", "Integer", "Boolean" or "Password".
    pub(super) kind: String,
    /// Of an enumeration.
    pub(super) options: Vec<String>,
    pub(super) lower: Option<i64>,
    pub(super) upper: Option<i64>,
    pub(super) step: Option<i64>,
    pub(super) shortest: Option<u64>,
    pub(super) longest: Option<u64>,
    pub(super) default: Option<Value>,
    pub(super) read_only: bool,
    /// As the setup shows it.
    pub(super) display: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Registry(BTreeMap<String, Entry>);

impl Registry {
    /// Reads the registry of this name, in English where there are several languages.
    ///
    /// # Errors
    /// In words: why it cannot be had.
    pub(super) async fn read(talk: &Talk<'_>, name: &str) -> Result<Registry, String> {
        let found = find(talk, name).await.map_err(|error| error.to_string())?;
        let uri = found.ok_or_else(|| "the BMC does not have it".to_owned())?;
        let what = "read the registry of BIOS attributes";
        let body = talk.client.get(&uri, what).await.map_err(|error| error.to_string())?.body;
        let registry = Registry::parse(&body);
        if registry.0.is_empty() { Err("it holds no attributes".to_owned()) } else { Ok(registry) }
    }

    pub(super) fn parse(body: &Value) -> Registry {
        let entries = body["RegistryEntries"]["Attributes"].as_array();
        let named = entries.into_iter().flatten().filter_map(|entry| {
            let name = entry["AttributeName"].as_str()?;
            Some((name.to_owned(), Entry::parse(entry)))
        });
        Registry(named.collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.0.get(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl Entry {
    fn parse(entry: &Value) -> Entry {
        let options = entry["Value"].as_array().into_iter().flatten();
        let options = options.filter_map(|option| option["ValueName"].as_str().map(str::to_owned)).collect();
        let display = entry["DisplayName"].as_str().map(plain).filter(|text| !text.is_empty());
        Entry {
            kind: entry["Type"].as_str().unwrap_or_default().to_owned(),
            options,
            lower: entry["LowerBound"].as_i64(),
            upper: entry["UpperBound"].as_i64(),
            step: entry["ScalarIncrement"].as_i64().filter(|step| *step > 0),
            shortest: entry["MinLength"].as_u64(),
            longest: entry["MaxLength"].as_u64().filter(|longest| *longest > 0),
            default: Some(entry["DefaultValue"].clone()).filter(|value| !value.is_null()),
            read_only: entry["ReadOnly"] == true || entry["Immutable"] == true,
            display,
        }
    }

    /// What is allowed, in words; empty where nothing is known.
    pub(super) fn allowed(&self) -> String {
        match self.kind.as_str() {
            "Enumeration" => self.options.iter().map(|option| plain(option)).collect::<Vec<_>>().join(", "),
            "Integer" => match (self.lower, self.upper) {
                (Some(lower), Some(upper)) => format!("{lower} to {upper}"),
                (Some(lower), None) => format!("from {lower}"),
                (None, Some(upper)) => format!("up to {upper}"),
                (None, None) => String::new(),
            },
            "Boolean" => "true, false".to_owned(),
            "String" => self.longest.map(|longest| format!("up to {longest} characters")).unwrap_or_default(),
            _ => String::new(),
        }
    }

    /// Why the attribute cannot be set to this value, to follow its name.
    pub(super) fn objection(&self, value: &Value) -> Option<String> {
        if self.read_only {
            return Some("is read-only".to_owned());
        }
        let shown = super::shown(value);
        let mistyped = |kind: &str| Some(format!("is {kind}, and '{shown}' is none"));
        match (self.kind.as_str(), value) {
            ("Enumeration", Value::String(text)) if self.options.is_empty() || self.options.contains(text) => None,
            ("Enumeration", _) => Some(format!("cannot be '{shown}': there are {}", self.allowed())),
            ("Integer", Value::Number(number)) => self.out_of_bounds(number.as_i64()?),
            ("Integer", _) => mistyped("a number"),
            ("Boolean", Value::Bool(_)) => None,
            ("Boolean", _) => mistyped("true or false"),
            ("String", Value::String(text)) => {
                let length = text.chars().count() as u64;
                if self.longest.is_some_and(|longest| length > longest) {
                    return Some(format!("has {}: '{shown}' has {length}", self.allowed()));
                }
                let shortest = self.shortest.filter(|shortest| length < *shortest)?;
                Some(format!("has at least {shortest} characters: '{shown}' has {length}"))
            }
            ("String", _) => mistyped("a text"),
            ("Password", _) => Some("is a password: those are not set this way".to_owned()),
            _ => None,
        }
    }

    fn out_of_bounds(&self, number: i64) -> Option<String> {
        let outside = self.lower.is_some_and(|lower| number < lower) || self.upper.is_some_and(|upper| number > upper);
        if outside {
            return Some(format!("cannot be {number}: {} is allowed", self.allowed()));
        }
        let step = self.step.filter(|step| *step > 1)?;
        let from = self.lower.unwrap_or(0);
        let between = number.checked_sub(from).is_none_or(|distance| distance % step != 0);
        between.then(|| format!("cannot be {number}: it goes in steps of {step} from {from}"))
    }
}

/// Where the registry lies: the file that the collection `Registries` knows under its name.
async fn find(talk: &Talk<'_>, name: &str) -> Result<Option<String>, Error> {
    let Some(collection) = link(&talk.client.root["Registries"]) else { return Ok(None) };
    let what = "list the registries";
    let Some(answer) = talk.client.find(&collection, what).await? else { return Ok(None) };
    let members: Vec<String> = answer.body["Members"].as_array().into_iter().flatten().filter_map(link).collect();
    let stem = name.split('.').next().unwrap_or(name);
    let last = |path: &str| path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    let (named, others): (Vec<_>, Vec<_>) = members.into_iter().partition(|path| last(path).starts_with(stem));
    for path in named.iter().chain(&others).take(MOST_LOOKED_AT) {
        let Some(answer) = talk.client.find(path, what).await? else { continue };
        let body = answer.body;
        let id = body["Registry"].as_str().or_else(|| body["Id"].as_str()).unwrap_or_default();
        if (id == name || id.split('.').next() == Some(stem))
            && let Some(uri) = location(&body)
        {
            return Ok(Some(uri));
        }
    }
    Ok(None)
}

fn location(file: &Value) -> Option<String> {
    let places = file["Location"].as_array()?;
    let english = places.iter().find(|place| place["Language"].as_str().is_some_and(|tag| tag.starts_with("en")));
    let uri = &english.or_else(|| places.first())?["Uri"];
    // iLO 4 gives an object.
    let uri = uri.as_str().or_else(|| uri["extref"].as_str())?;
    Some(uri.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(more: Value) -> Entry {
        Entry::parse(&more)
    }

    #[test]
    fn a_value_is_judged_by_its_entry() {
        let choice =
            entry(json!({"Type": "Enumeration", "Value": [{"ValueName": "Enabled"}, {"ValueName": "Disabled"}]}));
        assert_eq!(choice.objection(&json!("Enabled")), None);
        assert_eq!(choice.objection(&json!("On")).unwrap(), "cannot be 'On': there are Enabled, Disabled");
        assert_eq!(choice.objection(&json!(true)).unwrap(), "cannot be 'true': there are Enabled, Disabled");
        let number = entry(json!({"Type": "Integer", "LowerBound": 2, "UpperBound": 10, "ScalarIncrement": 4}));
        assert_eq!(number.objection(&json!(6)), None);
        assert_eq!(number.objection(&json!(11)).unwrap(), "cannot be 11: 2 to 10 is allowed");
        assert_eq!(number.objection(&json!(4)).unwrap(), "cannot be 4: it goes in steps of 4 from 2");
        assert_eq!(number.objection(&json!("6")).unwrap(), "is a number, and '6' is none");
        let text = entry(json!({"Type": "String", "MinLength": 1, "MaxLength": 3}));
        assert_eq!(text.objection(&json!("abc")), None);
        assert_eq!(text.objection(&json!("abcd")).unwrap(), "has up to 3 characters: 'abcd' has 4");
        assert_eq!(text.objection(&json!("")).unwrap(), "has at least 1 characters: '' has 0");
        let flag = entry(json!({"Type": "Boolean"}));
        assert_eq!(flag.objection(&json!(false)), None);
        assert_eq!(flag.objection(&json!("Enabled")).unwrap(), "is true or false, and 'Enabled' is none");
        let fixed = entry(json!({"Type": "String", "ReadOnly": true}));
        assert_eq!(fixed.objection(&json!("x")).unwrap(), "is read-only");
    }

    #[test]
    fn the_english_file_is_taken_also_where_its_place_is_an_object() {
        let file =
            json!({"Location": [{"Language": "de", "Uri": "/de"}, {"Language": "en", "Uri": {"extref": "/en"}}]});
        assert_eq!(location(&file).unwrap(), "/en");
        assert_eq!(location(&json!({"Location": [{"Uri": "/only"}]})).unwrap(), "/only");
        assert_eq!(location(&json!({})), None);
    }
}
