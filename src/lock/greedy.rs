//! The quick resolver: takes the first choice everywhere and never goes back.
//!
//! In: a universe and what is wanted. Out: the chosen packages, or the first thing that did not fit, with the chain
//! of packages that leads to it. Invariant: what it returns satisfies every dependency and has no conflict. It can
//! fail where a solution exists; `search` then looks for it.
//!
//! Dependencies with one possible answer are followed before those with a choice, so that a choice that another
//! package makes anyway is not made twice.

use std::collections::{HashMap, VecDeque};

use super::error::{Chain, LockError};
use super::relation::Group;
use super::universe::{Id, Universe};

/// Why a package was chosen.
#[derive(Debug, Clone)]
pub(super) enum Reason {
    /// "requested", "essential", ...: the beginning of a chain.
    Root(&'static str),
    /// By whom, and the words of the relation.
    Dependency(Id, String),
}

/// Why a choice failed.
#[derive(Debug)]
pub(super) enum Failure<'a> {
    /// No candidate satisfies a dependency of `owner`.
    Missing {
        owner: Id,
        group: Group<'a>,
    },
    /// `wanted` cannot be added: `blocker` (chosen) and it exclude each other by the relation.
    Conflict {
        wanted: Id,
        reason: Reason,
        blocker: Id,
        relation: String,
    },
    Lock(LockError),
}

impl From<LockError> for Failure<'_> {
    fn from(error: LockError) -> Self {
        Failure::Lock(error)
    }
}

pub(super) struct Selection<'u, 'a> {
    universe: &'u Universe<'a>,
    chosen: HashMap<Id, Reason>,
    order: Vec<Id>,
    /// Package -> who forbids it, and the words.
    blocked: HashMap<Id, (Id, String)>,
    forced: VecDeque<(Id, Group<'a>)>,
    choices: VecDeque<(Id, Group<'a>)>,
}

impl<'u, 'a> Selection<'u, 'a> {
    pub(super) fn new(universe: &'u Universe<'a>) -> Self {
        Selection {
            universe,
            chosen: HashMap::new(),
            order: Vec::new(),
            blocked: HashMap::new(),
            forced: VecDeque::new(),
            choices: VecDeque::new(),
        }
    }

    /// In the order of choice.
    pub(super) fn chosen(&self) -> &[Id] {
        &self.order
    }

    pub(super) fn contains(&self, id: Id) -> bool {
        self.chosen.contains_key(&id)
    }

    /// Adds a package; its dependencies wait for [`Selection::settle`].
    pub(super) fn add(&mut self, id: Id, reason: Reason) -> Result<(), Failure<'a>> {
        if self.contains(id) {
            return Ok(());
        }
        if let Some((blocker, relation)) = self.blocked.get(&id) {
            return Err(Failure::Conflict { wanted: id, reason, blocker: *blocker, relation: relation.clone() });
        }
        let relations = self.universe.relations(id)?;
        let mut forbidden = Vec::new();
        for relation in &relations.conflicts {
            for other in self.universe.conflicting(id, relation) {
                let words = format!("{} conflicts with {relation}", self.universe.get(id).name);
                if self.contains(other) {
                    return Err(Failure::Conflict { wanted: id, reason, blocker: other, relation: words });
                }
                forbidden.push((other, words));
            }
        }
        for (other, words) in forbidden {
            self.blocked.entry(other).or_insert((id, words));
        }
        self.chosen.insert(id, reason);
        self.order.push(id);
        for group in &relations.depends {
            let answers = self.universe.satisfying_group(group);
            match answers.len() {
                0 => return Err(Failure::Missing { owner: id, group: group.clone() }),
                1 => self.forced.push_back((id, group.clone())),
                _ => self.choices.push_back((id, group.clone())),
            }
        }
        Ok(())
    }

    /// Follows dependencies until none is open.
    pub(super) fn settle(&mut self) -> Result<(), Failure<'a>> {
        while let Some((owner, group)) = self.forced.pop_front().or_else(|| self.choices.pop_front()) {
            let answers = self.universe.satisfying_group(&group);
            if answers.iter().any(|id| self.contains(*id)) {
                continue;
            }
            let pick = answers.iter().find(|id| !self.blocked.contains_key(id)).or(answers.first());
            let Some(&pick) = pick else {
                return Err(Failure::Missing { owner, group });
            };
            self.add(pick, Reason::Dependency(owner, group.to_string()))?;
        }
        Ok(())
    }

    /// Adds what the chosen packages recommend, where it fits; what does not fit is left out, as apt does.
    pub(super) fn add_recommended(&mut self) -> Result<(), LockError> {
        let mut at = 0;
        while at < self.order.len() {
            let owner = self.order[at];
            at += 1;
            for group in &self.universe.relations(owner)?.recommends {
                let answers = self.universe.satisfying_group(group);
                if answers.iter().any(|id| self.contains(*id)) {
                    continue;
                }
                for pick in answers {
                    let undo = (self.chosen.clone(), self.order.len(), self.blocked.clone());
                    let reason = Reason::Dependency(owner, group.to_string());
                    match self.add(pick, reason).and_then(|()| self.settle()) {
                        Ok(()) => break,
                        Err(Failure::Lock(error)) => return Err(error),
                        Err(_) => {
                            self.chosen = undo.0;
                            self.order.truncate(undo.1);
                            self.blocked = undo.2;
                            self.forced.clear();
                            self.choices.clear();
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The failure as the user reads it.
    pub(super) fn explain(&self, failure: Failure) -> LockError {
        match failure {
            Failure::Lock(error) => error,
            Failure::Missing { owner, group } => LockError::Unsatisfiable {
                chain: Chain(self.chain(owner)),
                reason: format!(
                    "{} depends on {group}, which cannot be had: {}",
                    self.universe.get(owner).name,
                    self.why_missing(&group)
                ),
            },
            Failure::Conflict { wanted, reason, blocker, relation } => LockError::Conflict {
                left: Chain(self.chain_of(wanted, &reason)),
                right: Chain(self.chain(blocker)),
                reason: relation,
            },
        }
    }

    fn why_missing(&self, group: &Group) -> String {
        let reasons: Vec<String> = group
            .0
            .iter()
            .map(|relation| match self.universe.find(relation.name) {
                _ if self.universe.is_excluded(relation.name) => {
                    format!("{} is excluded by the profile", relation.name)
                }
                None => format!("no package is called or provides {}", relation.name),
                Some(id) => {
                    let candidate = self.universe.get(id);
                    format!("{} offers {} {}", candidate.suite, candidate.name, candidate.version)
                }
            })
            .collect();
        reasons.join("; ")
    }

    fn chain(&self, id: Id) -> Vec<String> {
        match self.chosen.get(&id) {
            Some(reason) => self.chain_of(id, reason),
            None => vec![self.universe.get(id).name.to_owned()],
        }
    }

    fn chain_of(&self, id: Id, reason: &Reason) -> Vec<String> {
        let name = |id: Id| format!("{} {}", self.universe.get(id).name, self.universe.get(id).version);
        let mut lines = Vec::new();
        let (mut id, mut reason) = (id, Some(reason));
        while let Some(link) = reason {
            match link {
                Reason::Root(why) => {
                    lines.push(format!("{} ({why})", name(id)));
                    break;
                }
                Reason::Dependency(owner, words) => {
                    lines.push(format!("{} (for {words})", name(id)));
                    id = *owner;
                    reason = self.chosen.get(&id);
                }
            }
        }
        lines.reverse();
        lines
    }
}
