//! What a new lock changes against an old one.

use std::collections::BTreeMap;
use std::fmt;

use super::model::{Lock, LockedPackage};

/// Differences between two locks, each list sorted by package name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockDiff {
    /// Name and version.
    pub added: Vec<(String, String)>,
    pub removed: Vec<(String, String)>,
    /// Name, old version, new version; equal versions mean another file under the same version.
    pub changed: Vec<(String, String, String)>,
}

impl LockDiff {
    pub fn between(old: &Lock, new: &Lock) -> LockDiff {
        let by_name = |lock: &'_ Lock| -> BTreeMap<String, LockedPackage> {
            lock.packages.iter().map(|package| (package.name.clone(), package.clone())).collect()
        };
        let (old, new) = (by_name(old), by_name(new));
        let mut diff = LockDiff::default();
        for (name, before) in &old {
            match new.get(name) {
                None => diff.removed.push((name.clone(), before.version.clone())),
                Some(after) if after.sha256 != before.sha256 => {
                    diff.changed.push((name.clone(), before.version.clone(), after.version.clone()));
                }
                Some(_) => {}
            }
        }
        for (name, after) in &new {
            if !old.contains_key(name) {
                diff.added.push((name.clone(), after.version.clone()));
            }
        }
        diff
    }

    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

impl fmt::Display for LockDiff {
    /// One line per package: `+ name version`, `- name version`, `  name old -> new`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, version) in &self.added {
            writeln!(f, "+ {name} {version}")?;
        }
        for (name, version) in &self.removed {
            writeln!(f, "- {name} {version}")?;
        }
        for (name, old, new) in &self.changed {
            writeln!(f, "  {name} {old} -> {new}")?;
        }
        Ok(())
    }
}
