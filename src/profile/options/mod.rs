//! Every option that profile.toml and nodes.toml know: where it stands, what it holds, its default, what it is for.
//!
//! This table is the only description: the check of unknown keys and types, the defaults, `provbuild options` and the
//! JSON Schema all read it, and a test holds the decoder to it. In a path `<word>` is a key that the user chooses and
//! `[]` an array of tables. The rows stand in the files of this folder, by who writes them.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use netboot::DhcpOption;

use super::bios::{Attribute, Menu};
use super::word::{Name, Setting, UserName, Word, WordType};
use crate::vocab::ImagePath;

mod installers;
mod nodes;
mod profile;

/// What an option holds.
#[derive(Debug)]
pub(super) enum Kind {
    Flag,
    Integer {
        low: i64,
        high: i64,
    },
    Word(&'static WordType),
    /// A text, a whole number or true/false, kept as text.
    Scalar(&'static WordType),
    /// The same, kept as it is written.
    Plain(&'static WordType),
    List(&'static Kind),
}

/// What holds where the option is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fallback {
    /// It must be written (where the table around it is).
    Required,
    /// Nothing.
    Absent,
    /// A value, in TOML.
    Value(&'static str),
    /// Something that follows from the rest, told in words.
    Derived(&'static str),
}

/// One option.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    pub(super) default: Fallback,
    pub(super) doc: &'static str,
}

const fn word<T: Word>() -> Kind {
    Kind::Word(&T::TYPE)
}

const fn list(of: &'static Kind) -> Kind {
    Kind::List(of)
}

const fn option(path: &'static str, kind: Kind, default: Fallback, doc: &'static str) -> Spec {
    Spec { path, kind, default, doc }
}

const NONE: Fallback = Fallback::Value("[]");

/// The options of a profile and of what it imports.
pub(super) static PROFILE: &[&[Spec]] = &[profile::OPTIONS, installers::OPTIONS];
/// The options of nodes.toml.
pub(super) static NODES: &[&[Spec]] = &[nodes::OPTIONS];

/// All rows of one file's tables.
pub(super) fn specs(file: &'static [&'static [Spec]]) -> impl Iterator<Item = &'static Spec> + Clone {
    file.iter().copied().flatten()
}

/// The option at a path of either table.
pub(super) fn spec(path: &str) -> Option<&'static Spec> {
    static BY_PATH: LazyLock<HashMap<&'static str, &'static Spec>> =
        LazyLock::new(|| specs(PROFILE).chain(specs(NODES)).map(|spec| (spec.path, spec)).collect());
    BY_PATH.get(path).copied()
}

/// Where an option stands in the tables.
pub(super) fn position(spec: &Spec) -> Option<usize> {
    specs(PROFILE).chain(specs(NODES)).position(|other| other.path == spec.path)
}

/// What a user's own key must look like, by the word between `<` and `>`.
pub(super) fn key_type(word: &str) -> &'static WordType {
    match word {
        "user" => &<UserName as Word>::TYPE,
        "path" => &<ImagePath as Word>::TYPE,
        "setting" => &<Setting as Word>::TYPE,
        "option" => &<DhcpOption as Word>::TYPE,
        "attribute" => &<Attribute as Word>::TYPE,
        "menu" => &<Menu as Word>::TYPE,
        _ => &<Name as Word>::TYPE,
    }
}

/// The table of options as a tree.
#[derive(Debug)]
pub(super) enum Shape {
    Leaf(&'static Spec),
    Table(BTreeMap<&'static str, Shape>),
    /// A table whose keys the user chooses.
    Map {
        key: &'static str,
        value: Box<Shape>,
    },
    /// An array of tables.
    Tables(Box<Shape>),
}

pub(super) static PROFILE_SHAPE: LazyLock<Shape> = LazyLock::new(|| Shape::of(PROFILE));
pub(super) static NODES_SHAPE: LazyLock<Shape> = LazyLock::new(|| Shape::of(NODES));

impl Shape {
    fn of(file: &'static [&'static [Spec]]) -> Shape {
        let mut root = Shape::Table(BTreeMap::new());
        for spec in specs(file) {
            root.insert(spec.path, spec);
        }
        root
    }

    fn insert(&mut self, path: &'static str, spec: &'static Spec) {
        let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
        let fresh = |rest: Option<&'static str>| match rest {
            None => Shape::Leaf(spec),
            Some(rest) => match rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
                Some((key, _)) => Shape::Map { key, value: Box::new(Shape::Table(BTreeMap::new())) },
                None => Shape::Table(BTreeMap::new()),
            },
        };
        let child = match self {
            Shape::Table(children) => match head.strip_suffix("[]") {
                Some(name) => match children.entry(name).or_insert_with(|| Shape::Tables(Box::new(fresh(rest)))) {
                    Shape::Tables(item) => &mut **item,
                    _ => unreachable!("an option is either an array of tables or not"),
                },
                None => children.entry(head).or_insert_with(|| fresh(rest)),
            },
            Shape::Map { value, .. } => {
                if rest.is_none() {
                    **value = Shape::Leaf(spec);
                }
                &mut **value
            }
            _ => unreachable!("no option stands below another"),
        };
        if let Some(rest) = rest {
            child.insert(rest, spec);
        }
    }
}
