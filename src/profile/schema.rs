//! The table of options for people and for editors: `provbuild options` and a JSON Schema (draft 2020-12).

use std::fmt;

use serde_json::{Map, Value as Json, json};

use super::options::{Fallback, Kind, NODES, NODES_SHAPE, PROFILE, PROFILE_SHAPE, Shape, Spec, key_type, specs};
use super::source::Span;
use super::value::{self, Value, ValueKind};
use super::word::WordType;

/// Every option of profile.toml and nodes.toml with type, default and purpose.
#[derive(Debug, Clone, Copy)]
pub struct Options;

/// Every option that profile.toml and nodes.toml know.
pub fn options() -> Options {
    Options
}

const FILES: [(&str, &[&[Spec]]); 2] = [("profile.toml", PROFILE), ("nodes.toml", NODES)];

impl Options {
    /// One line of JSON: an array of objects with file, path, type, default, required and doc.
    pub fn to_json(self) -> String {
        let rows = FILES.into_iter().flat_map(|(file, tables)| {
            specs(tables).map(move |spec| {
                let default = match spec.default {
                    Fallback::Value(text) => literal(text),
                    _ => Json::Null,
                };
                json!({
                    "file": file,
                    "path": spec.path,
                    "type": type_name(&spec.kind),
                    "required": spec.default == Fallback::Required,
                    "default": default,
                    "default-text": default_text(&spec.default),
                    "doc": spec.doc,
                })
            })
        });
        format!("{}\n", Json::Array(rows.collect()))
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (file, tables) in FILES {
            writeln!(f, "{file}\n")?;
            for spec in specs(tables) {
                writeln!(f, "  {}", spec.path)?;
                writeln!(f, "      {}; {}", type_name(&spec.kind), default_text(&spec.default))?;
                for line in wrapped(spec.doc, 92) {
                    writeln!(f, "      {line}")?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + word.len() < width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn type_name(kind: &Kind) -> String {
    match kind {
        Kind::Flag => "true or false".to_owned(),
        Kind::Integer { low, high } => format!("whole number from {low} to {high}"),
        Kind::Word(word) | Kind::Scalar(word) => match word.choices {
            [] if word.example.is_empty() => word.name.to_owned(),
            [] => format!("{}, as in \"{}\"", word.name, word.example),
            choices => format!("one of \"{}\"", choices.join("\", \"")),
        },
        Kind::Plain(_) => "text, whole number, or true or false".to_owned(),
        Kind::List(kind) => format!("list: {}", type_name(kind)),
    }
}

fn default_text(default: &Fallback) -> String {
    match default {
        Fallback::Required => "required".to_owned(),
        Fallback::Absent => "no default".to_owned(),
        Fallback::Value(text) => format!("default {text}"),
        Fallback::Derived(text) => format!("default: {text}"),
    }
}

/// A default in JSON.
fn literal(text: &str) -> Json {
    fn json(value: &Value) -> Json {
        match &value.kind {
            ValueKind::Text(text) => text.as_str().into(),
            ValueKind::Integer(number) => (*number).into(),
            ValueKind::Flag(flag) => (*flag).into(),
            ValueKind::List { items, .. } => items.iter().map(json).collect(),
            ValueKind::Table(_) | ValueKind::Foreign(_) | ValueKind::Invalid => Json::Null,
        }
    }
    json(&value::literal(text, Span { file: 0, start: 0, end: 0 }))
}

/// JSON Schema of a profile; nodes.toml's is its definition `nodes`, which an editor can point at by
/// `#/$defs/nodes`.
///
/// It is as strict as one file by itself can be judged: an imported file may leave out what its importer gives, so
/// nothing is required in a profile.
pub fn schema() -> Json {
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".to_owned(), "provbuild profile".into());
    if let Json::Object(object) = of_shape(&PROFILE_SHAPE, false) {
        schema.extend(object);
    }
    schema.insert("$defs".to_owned(), json!({ "nodes": of_shape(&NODES_SHAPE, true) }));
    Json::Object(schema)
}

fn of_shape(shape: &Shape, strict: bool) -> Json {
    match shape {
        Shape::Leaf(spec) => of_spec(spec),
        Shape::Table(children) => {
            let properties: Map<_, _> =
                children.iter().map(|(name, shape)| ((*name).to_owned(), of_shape(shape, strict))).collect();
            let required = children
                .iter()
                .filter(|(_, shape)| strict && matches!(shape, Shape::Leaf(Spec { default: Fallback::Required, .. })));
            let required: Vec<Json> = required.map(|(name, _)| (*name).into()).collect();
            let mut object = json!({ "type": "object", "additionalProperties": false, "properties": properties });
            if !required.is_empty() {
                object["required"] = required.into();
            }
            // A medium has one place.
            if ["url", "path"].iter().all(|key| children.contains_key(key)) {
                object["not"] = json!({ "required": ["url", "path"] });
            }
            object
        }
        Shape::Map { key, value } => {
            let mut object = json!({ "type": "object", "additionalProperties": of_shape(value, strict) });
            let pattern = key_type(key).pattern;
            if !pattern.is_empty() {
                object["propertyNames"] = json!({ "pattern": pattern });
            }
            object
        }
        Shape::Tables(item) => json!({ "type": "array", "items": of_shape(item, true) }),
    }
}

fn of_spec(spec: &Spec) -> Json {
    let mut object = of_kind(&spec.kind);
    object["description"] = spec.doc.into();
    if let Fallback::Value(text) = spec.default {
        object["default"] = literal(text);
    }
    object
}

fn of_kind(kind: &Kind) -> Json {
    match kind {
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Integer { low, high } => json!({ "type": "integer", "minimum": low, "maximum": high }),
        Kind::Word(word) => of_word(word),
        Kind::Scalar(_) | Kind::Plain(_) => json!({ "type": ["string", "integer", "boolean"] }),
        Kind::List(kind) => {
            let list = json!({ "type": "array", "items": of_kind(kind) });
            let replace = json!({
                "type": "object", "additionalProperties": false, "required": ["replace"], "properties": { "replace": list },
            });
            json!({ "anyOf": [list, replace] })
        }
    }
}

fn of_word(word: &WordType) -> Json {
    match word.choices {
        [] if word.pattern.is_empty() => json!({ "type": "string" }),
        [] => json!({ "type": "string", "pattern": word.pattern }),
        choices => json!({ "enum": choices }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::profile::load;
    use crate::profile::reader::Decoding;
    use crate::profile::tests::Memory;

    #[test]
    fn every_declared_option_is_read_and_every_read_one_declared() {
        let files = Memory::new(&[("p.toml", COMPLETE), ("nodes.toml", COMPLETE_NODES), ("sum.tar.gz", "")]);
        let mut cx = Decoding::default();
        load::load_from(&files, Path::new("p.toml"), &mut cx).unwrap_or_else(|faults| panic!("{faults}"));
        let declared: Vec<_> = specs(PROFILE).chain(specs(NODES)).map(|spec| spec.path).collect();
        let unread: Vec<_> = declared.iter().filter(|path| !cx.read.contains(*path)).collect();
        assert!(unread.is_empty(), "declared but never read: {unread:?}");
        assert_eq!(cx.read.len(), declared.len(), "an option is declared twice");
    }

    /// Every branch of the decoder is taken by these.
    const COMPLETE: &str = r#"
        [deploy.workstation]
        rest = { url = "http://127.0.0.1:8697", credentials = "env:VMREST" }
        [deploy.vsphere]
        url = "https://vcenter.example"
        credentials = "env:VCENTER"
        datastore = "fast"
        networks = { uplink = "site", provisioning = "lab" }
        [appliance]
        name = "all"
        [appliance.users.ops]
        [appliance.sysctl]
        "kernel.kptr_restrict" = 2
        [distribution]
        name = "debian"
        release = "trixie"
        [network.provisioning]
        address = "10.10.1.1/24"
        [[network.provisioning.host]]
        name = "switch"
        address = "10.10.1.2"
        [bios.x11.settings]
        QuietBoot = true
        [sum]
        path = "sum.tar.gz"
        sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        [files."/etc/motd"]
        text = "hello"
        [installer.a]
        storage.layout = "partitions"
        distribution = "ubuntu"
        release = "24.04"
        iso = { url = "https://example.org/a.iso", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
        [[installer.a.storage.partition]]
        mount = "/"
        [installer.b]
        distribution = "debian"
        release = "13"
        netboot = { url = "https://example.org/netboot.tar.gz", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
    "#;
    const COMPLETE_NODES: &str = r#"
        [[node]]
        hostname = "n"
        mac = "52:54:00:00:00:01"
        address = "10.10.1.10"
        disk = { serial = "x" }
        bmc = { address = "10.10.2.10" }
    "#;

    #[test]
    fn defaults_and_examples_are_what_their_types_accept() {
        fn check(kind: &Kind, value: &Json, path: &str) {
            match kind {
                Kind::Flag => assert!(value.is_boolean(), "{path}"),
                Kind::Integer { low, high } => assert!((*low..=*high).contains(&value.as_i64().unwrap()), "{path}"),
                Kind::Word(word) | Kind::Scalar(word) | Kind::Plain(word) => {
                    assert!((word.check)(value.as_str().unwrap()).is_ok(), "{path}: {value}")
                }
                Kind::List(kind) => value.as_array().unwrap().iter().for_each(|item| check(kind, item, path)),
            }
        }
        for spec in specs(PROFILE).chain(specs(NODES)) {
            if let Fallback::Value(text) = spec.default {
                check(&spec.kind, &literal(text), spec.path);
            }
            let kind = match spec.kind {
                Kind::List(kind) => kind,
                ref kind => kind,
            };
            if let Kind::Word(word) = kind {
                let abridged = word.example.contains("...");
                assert!(abridged || word.example.is_empty() || (word.check)(word.example).is_ok(), "{}", spec.path);
                assert!(word.choices.iter().all(|choice| (word.check)(choice).is_ok()), "{}", spec.path);
            }
        }
    }

    #[test]
    fn the_schema_describes_every_option() {
        let schema = schema();
        for (root, spec) in specs(PROFILE).map(|s| ("", s)).chain(specs(NODES).map(|s| ("/$defs/nodes", s))) {
            let mut pointer = root.to_owned();
            for part in spec.path.split('.') {
                match (part.strip_prefix('<'), part.strip_suffix("[]")) {
                    (Some(_), _) => pointer.push_str("/additionalProperties"),
                    (_, Some(name)) => pointer.push_str(&format!("/properties/{name}/items")),
                    _ => pointer.push_str(&format!("/properties/{part}")),
                }
            }
            let found = schema.pointer(&pointer).unwrap_or_else(|| panic!("{pointer} is not in the schema"));
            assert_eq!(found["description"], spec.doc);
        }
    }
}
