//! The resources that never change while the simulator runs, by URI.
//!
//! Input: the model; output: a map from URI to JSON. Invariant: no URI ends in a slash, every `@odata.id` is the resource's own URI, and every
//! link leads to a resource here or to one that `view` makes from the state.

mod chassis;
mod manager;
mod metadata;
mod services;
mod system;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::Model;

pub(crate) use metadata::{metadata, odata};

pub(crate) struct Tree {
    map: BTreeMap<String, Value>,
}

impl Tree {
    pub(crate) fn new(model: &Model) -> Tree {
        let mut tree = Tree { map: BTreeMap::new() };
        services::grow(&mut tree, model);
        system::grow(&mut tree, model);
        chassis::grow(&mut tree, model);
        manager::grow(&mut tree, model);
        tree
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Value> {
        self.map.get(path)
    }

    /// `kind` is `Type.vN_N_N`; the rest are the resource's own properties.
    fn put(&mut self, path: &str, kind: &str, id: &str, name: &str, more: Value) {
        let (namespace, _) = kind.split_once('.').unwrap_or((kind, ""));
        let mut resource = json!({
            "@odata.type": format!("#{kind}.{namespace}"),
            "@odata.id": path,
            "Id": id,
            "Name": name,
        });
        merge(&mut resource, more);
        self.map.insert(path.into(), resource);
    }

    /// A collection whose members are `path/id`.
    fn collect(&mut self, path: &str, kind: &str, name: &str, ids: &[String]) {
        self.map.insert(path.into(), collection(path, kind, name, ids));
    }
}

pub(crate) fn collection(path: &str, kind: &str, name: &str, ids: &[String]) -> Value {
    let members: Vec<Value> = ids.iter().map(|id| link(&format!("{path}/{id}"))).collect();
    json!({
        "@odata.type": format!("#{kind}Collection.{kind}Collection"),
        "@odata.id": path,
        "Name": name,
        "Members@odata.count": members.len(),
        "Members": members,
    })
}

pub(crate) fn link(path: &str) -> Value {
    json!({"@odata.id": path})
}

pub(crate) fn merge(resource: &mut Value, more: Value) {
    if let (Some(object), Value::Object(more)) = (resource.as_object_mut(), more) {
        object.extend(more);
    }
}

fn healthy() -> Value {
    json!({"State": "Enabled", "Health": "OK"})
}
