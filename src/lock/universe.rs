//! The packages that can be chosen: one candidate per name, the newest over all suites.
//!
//! In: verified indices, the architecture, names to leave out. Out: a [`Universe`] that answers who satisfies a relation.
//! Invariant: every answer is in a fixed order. Relations of a package are read when somebody asks for them: a
//! selection of some hundred packages needs a hundredth of the index.

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use super::deb822::{self, Stanza};
use super::error::LockError;
use super::index::VerifiedIndices;
use super::model::LockedPackage;
use super::relation::{self, Group, Relation, is_architecture, is_package_name};
use super::version;

/// Index of a candidate.
pub(super) type Id = u32;

/// `Priority` of Debian Policy 2.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Priority {
    Required,
    Important,
    Standard,
    Optional,
    Extra,
}

pub(super) struct Candidate<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub architecture: &'a str,
    pub suite: &'a str,
    pub essential: bool,
    pub priority: Priority,
    /// `Multi-Arch: allowed`: may satisfy a relation with `:any`.
    any_allowed: bool,
    stanza: Stanza<'a>,
    relations: OnceCell<Relations<'a>>,
}

/// Relations of one candidate that matter for a choice. `Replaces` only moves files between packages.
#[derive(Debug, Default)]
pub(super) struct Relations<'a> {
    /// `Pre-Depends`, then `Depends`.
    pub depends: Vec<Group<'a>>,
    pub recommends: Vec<Group<'a>>,
    /// `Conflicts` and `Breaks`.
    pub conflicts: Vec<Relation<'a>>,
}

pub(super) struct Universe<'a> {
    architecture: &'a str,
    candidates: Vec<Candidate<'a>>,
    by_name: HashMap<&'a str, Id>,
    /// Virtual name -> (candidate, version of the entry).
    providers: HashMap<&'a str, Vec<(Id, Option<&'a str>)>>,
    excluded: &'a BTreeSet<String>,
}

/// What a scan takes from a stanza.
#[derive(Default)]
struct Scanned<'a> {
    name: &'a str,
    version: &'a str,
    architecture: &'a str,
    essential: bool,
    priority: &'a str,
    provides: Option<&'a str>,
    any_allowed: bool,
    phased: bool,
}

impl<'a> Universe<'a> {
    pub(super) fn new(
        indices: &'a VerifiedIndices,
        architecture: &'a str,
        excluded: &'a BTreeSet<String>,
    ) -> Result<Self, LockError> {
        let mut universe = Universe {
            architecture,
            candidates: Vec::new(),
            by_name: HashMap::new(),
            providers: HashMap::new(),
            excluded,
        };
        let mut provides = Vec::new();
        let mut phased = Vec::new();
        for suite in &indices.suites {
            for index in &suite.indices {
                for stanza in deb822::stanzas(index.text()) {
                    let scanned = scan(stanza);
                    if scanned.architecture != architecture && scanned.architecture != "all" {
                        continue;
                    }
                    if !is_package_name(scanned.name) || !version::is_valid(scanned.version) {
                        return Err(LockError::Stanza {
                            suite: suite.locked.suite.clone(),
                            package: scanned.name.to_owned(),
                            what: "its name or version is malformed",
                        });
                    }
                    if excluded.contains(scanned.name) {
                        continue;
                    }
                    let candidate = Candidate {
                        name: scanned.name,
                        version: scanned.version,
                        architecture: scanned.architecture,
                        suite: &suite.locked.suite,
                        essential: scanned.essential,
                        priority: priority(scanned.priority),
                        any_allowed: scanned.any_allowed,
                        stanza,
                        relations: OnceCell::new(),
                    };
                    // A staged update is taken when its stage is complete: every machine then decides alike.
                    match scanned.phased {
                        true => phased.push((candidate, scanned.provides)),
                        false => universe.offer(candidate, scanned.provides, &mut provides),
                    }
                }
            }
        }
        for (candidate, text) in phased {
            if !universe.by_name.contains_key(candidate.name) {
                universe.offer(candidate, text, &mut provides);
            }
        }
        universe.index_provides(&provides)?;
        Ok(universe)
    }

    /// Keeps the newest version; of equal ones the first.
    fn offer(&mut self, candidate: Candidate<'a>, text: Option<&'a str>, provides: &mut Vec<Option<&'a str>>) {
        match self.by_name.get(candidate.name) {
            None => {
                self.by_name.insert(candidate.name, self.candidates.len() as Id);
                self.candidates.push(candidate);
                provides.push(text);
            }
            Some(&id) => {
                let held = &mut self.candidates[id as usize];
                if version::compare(candidate.version, held.version) == Ordering::Greater {
                    *held = candidate;
                    provides[id as usize] = text;
                }
            }
        }
    }

    fn index_provides(&mut self, provides: &[Option<&'a str>]) -> Result<(), LockError> {
        for (id, text) in provides.iter().enumerate() {
            let Some(text) = text else { continue };
            let groups = relation::parse(text, self.architecture)
                .map_err(|error| self.candidates[id].malformed("Provides", error))?;
            for Group(alternatives) in groups {
                for relation in alternatives {
                    let version = relation.version.map(|(_, version)| version);
                    self.providers.entry(relation.name).or_default().push((id as Id, version));
                }
            }
        }
        for list in self.providers.values_mut() {
            list.sort_by_key(|(id, _)| {
                let candidate = &self.candidates[*id as usize];
                (!candidate.essential, candidate.priority, candidate.name)
            });
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.candidates.len()
    }

    pub(super) fn get(&self, id: Id) -> &Candidate<'a> {
        &self.candidates[id as usize]
    }

    pub(super) fn find(&self, name: &str) -> Option<Id> {
        self.by_name.get(name).copied()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = Id> + use<'a> {
        0..self.candidates.len() as Id
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.candidates.iter().map(|candidate| candidate.name)
    }

    pub(super) fn is_excluded(&self, name: &str) -> bool {
        self.excluded.contains(name)
    }

    /// Candidates that satisfy one relation: the package of that name first, then those that provide it.
    pub(super) fn satisfying(&self, relation: &Relation) -> Vec<Id> {
        let qualified = |id: Id| match relation.qualifier {
            None | Some("native") => true,
            Some("any") => self.get(id).any_allowed,
            Some(architecture) => architecture == self.architecture,
        };
        let mut found: Vec<Id> = self
            .find(relation.name)
            .filter(|id| relation.accepts(self.get(*id).version) && qualified(*id))
            .into_iter()
            .collect();
        for (id, version) in self.providers.get(relation.name).into_iter().flatten() {
            if relation.accepts_provided(*version) && qualified(*id) && !found.contains(id) {
                found.push(*id);
            }
        }
        found
    }

    /// Candidates that satisfy a group, in order of preference.
    pub(super) fn satisfying_group(&self, group: &Group) -> Vec<Id> {
        let mut found = Vec::new();
        for relation in &group.0 {
            for id in self.satisfying(relation) {
                if !found.contains(&id) {
                    found.push(id);
                }
            }
        }
        found
    }

    /// Candidates that a `Conflicts` or `Breaks` of `owner` forbids; never `owner` itself.
    pub(super) fn conflicting(&self, owner: Id, relation: &Relation) -> Vec<Id> {
        let mut found = self.satisfying(&Relation { qualifier: None, ..*relation });
        found.retain(|id| *id != owner);
        found
    }

    pub(super) fn relations(&self, id: Id) -> Result<&Relations<'a>, LockError> {
        let candidate = self.get(id);
        if let Some(relations) = candidate.relations.get() {
            return Ok(relations);
        }
        let mut relations = Relations::default();
        for (name, text) in candidate.stanza.fields() {
            let field = ["Pre-Depends", "Depends", "Recommends", "Conflicts", "Breaks"]
                .into_iter()
                .find(|field| field.eq_ignore_ascii_case(name));
            let Some(field) = field else { continue };
            let mut groups =
                relation::parse(text, self.architecture).map_err(|error| candidate.malformed(field, error))?;
            match field {
                "Pre-Depends" => {
                    groups.append(&mut relations.depends);
                    relations.depends = groups;
                }
                "Depends" => relations.depends.append(&mut groups),
                "Recommends" => relations.recommends = groups,
                _ => relations.conflicts.extend(groups.into_iter().flat_map(|Group(list)| list)),
            }
        }
        Ok(candidate.relations.get_or_init(|| relations))
    }

    /// The fields that a lock needs.
    pub(super) fn locked(&self, id: Id) -> Result<LockedPackage, LockError> {
        let candidate = self.get(id);
        let bad =
            |what| LockError::Stanza { suite: candidate.suite.to_owned(), package: candidate.name.to_owned(), what };
        let field = |name| candidate.stanza.get(name);
        let path = field("Filename").filter(|path| is_safe_path(path)).ok_or_else(|| bad("it has no safe Filename"))?;
        let path = path.strip_prefix("./").unwrap_or(path);
        Ok(LockedPackage {
            name: candidate.name.to_owned(),
            version: candidate.version.to_owned(),
            architecture: candidate.architecture.to_owned(),
            suite: candidate.suite.to_owned(),
            path: path.to_owned(),
            size: field("Size").and_then(|text| text.parse().ok()).ok_or_else(|| bad("it has no Size"))?,
            sha256: field("SHA256").and_then(|text| text.parse().ok()).ok_or_else(|| bad("it has no SHA256"))?,
        })
    }
}

impl Candidate<'_> {
    fn malformed(&self, field: &'static str, error: relation::RelationError) -> LockError {
        LockError::Relation {
            suite: self.suite.to_owned(),
            package: self.name.to_owned(),
            field,
            reason: error.to_string(),
        }
    }
}

/// One pass over the lines of a stanza: this runs for every package of the archive.
fn scan(stanza: Stanza<'_>) -> Scanned<'_> {
    let mut found = Scanned::default();
    for (name, value) in stanza.fields() {
        // The first letter rules out most fields without a comparison.
        match name.as_bytes().first() {
            Some(b'P' | b'p') => match () {
                () if name.eq_ignore_ascii_case("Package") => found.name = value,
                () if name.eq_ignore_ascii_case("Priority") => found.priority = value,
                () if name.eq_ignore_ascii_case("Provides") => found.provides = Some(value),
                () if name.eq_ignore_ascii_case("Phased-Update-Percentage") => found.phased = value != "100",
                () => {}
            },
            Some(b'V' | b'v') if name.eq_ignore_ascii_case("Version") => found.version = value,
            Some(b'A' | b'a') if name.eq_ignore_ascii_case("Architecture") => found.architecture = value,
            Some(b'E' | b'e') if name.eq_ignore_ascii_case("Essential") => found.essential = value == "yes",
            Some(b'M' | b'm') if name.eq_ignore_ascii_case("Multi-Arch") => found.any_allowed = value == "allowed",
            _ => {}
        }
    }
    found
}

fn priority(text: &str) -> Priority {
    match text {
        "required" => Priority::Required,
        "important" => Priority::Important,
        "standard" => Priority::Standard,
        "extra" => Priority::Extra,
        _ => Priority::Optional,
    }
}

/// A relative path without tricks: it is joined to a mirror's address, which can be a directory of this host.
pub(super) fn is_safe_path(path: &str) -> bool {
    let path = path.strip_prefix("./").unwrap_or(path);
    !path.is_empty()
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !path.bytes().any(|byte| byte.is_ascii_control() || byte == b'\\')
}

/// Whether a locked package's words are harmless: lock files can be edited.
pub(super) fn is_safe_package(package: &LockedPackage) -> bool {
    is_package_name(&package.name)
        && version::is_valid(&package.version)
        && is_architecture(&package.architecture)
        && is_safe_path(&package.path)
}
