//! The thorough resolver: a SAT search, for requests on which the quick one stumbles.
//!
//! In: a universe and the packages wanted. Out: a set of packages that satisfies everything, or nothing when there is
//! none. Invariant: of the packages that the search touched, only those that the request needs are returned.
//!
//! Every package name has one candidate, so the solver's names, solvables and candidates are the same numbers, and a
//! version set is "exactly this one" (even) or "not this one" (odd). Alternatives are unions; conflicts constrain.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt::Display;

use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, Dependencies, DependencyProvider,
    HintDependenciesAvailable, Interner, KnownDependencies, NameId, Problem, Requirement, SolvableId, Solver,
    SolverCache, StringId, VersionSetId, VersionSetUnionId,
};

use super::error::LockError;
use super::relation::Group;
use super::universe::{Id, Universe};

/// A set that contains all of `wanted` and one of each of `groups`; `None` when there is none.
pub(super) fn search<'a>(
    universe: &Universe<'a>,
    wanted: &[Id],
    groups: &[Group<'a>],
) -> Result<Option<HashSet<Id>>, LockError> {
    let provider = Provider { universe, unions: RefCell::default(), failed: RefCell::default() };
    let mut requirements: Vec<ConditionalRequirement> =
        wanted.iter().map(|id| Requirement::Single(only(*id)).into()).collect();
    for group in groups {
        match provider.requirement(group) {
            Some(requirement) => requirements.push(requirement),
            None => return Ok(None),
        }
    }
    let mut solver = Solver::new(provider);
    let solved = solver.solve(Problem::new().requirements(requirements));
    if let Some(error) = solver.provider().failed.take() {
        return Err(error);
    }
    let Ok(solved) = solved else {
        return Ok(None);
    };
    let allowed: HashSet<Id> = solved.into_iter().map(SolvableId::into_raw).collect();
    needed(universe, &allowed, wanted, groups).map(Some)
}

/// The part of `allowed` that the request reaches.
fn needed<'a>(
    universe: &Universe<'a>,
    allowed: &HashSet<Id>,
    wanted: &[Id],
    groups: &[Group<'a>],
) -> Result<HashSet<Id>, LockError> {
    let first = |group: &Group| universe.satisfying_group(group).into_iter().find(|id| allowed.contains(id));
    let mut open: Vec<Id> = wanted.to_vec();
    open.extend(groups.iter().filter_map(first));
    let mut reached = HashSet::new();
    while let Some(id) = open.pop() {
        if reached.insert(id) {
            open.extend(universe.relations(id)?.depends.iter().filter_map(first));
        }
    }
    Ok(reached)
}

struct Provider<'u, 'a> {
    universe: &'u Universe<'a>,
    unions: RefCell<Vec<Vec<VersionSetId>>>,
    /// The solver's interface knows no errors; the first one waits here.
    failed: RefCell<Option<LockError>>,
}

fn only(id: Id) -> VersionSetId {
    VersionSetId(id * 2)
}

fn never(id: Id) -> VersionSetId {
    VersionSetId(id * 2 + 1)
}

impl Provider<'_, '_> {
    fn requirement(&self, group: &Group) -> Option<ConditionalRequirement> {
        let sets: Vec<VersionSetId> = self.universe.satisfying_group(group).into_iter().map(only).collect();
        let requirement = match sets[..] {
            [] => return None,
            [single] => Requirement::Single(single),
            _ => {
                let mut unions = self.unions.borrow_mut();
                unions.push(sets);
                Requirement::Union(VersionSetUnionId(unions.len() as u32 - 1))
            }
        };
        Some(requirement.into())
    }
}

impl Interner for Provider<'_, '_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        self.universe.get(solvable.into_raw()).version
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        self.universe.get(name.into_raw()).name
    }

    fn display_version_set(&self, set: VersionSetId) -> impl Display + '_ {
        if set.0.is_multiple_of(2) { "*" } else { "none" }
    }

    fn display_string(&self, _: StringId) -> impl Display + '_ {
        "a dependency cannot be had"
    }

    fn version_set_name(&self, set: VersionSetId) -> NameId {
        NameId::from_raw(set.0 / 2)
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        NameId::from_raw(solvable.into_raw())
    }

    fn version_sets_in_union(&self, union: VersionSetUnionId) -> impl Iterator<Item = VersionSetId> {
        self.unions.borrow()[union.0 as usize].clone().into_iter()
    }

    fn resolve_condition(&self, _: ConditionId) -> Condition {
        unreachable!("no requirement here has a condition")
    }
}

impl DependencyProvider for Provider<'_, '_> {
    async fn filter_candidates(&self, candidates: &[SolvableId], set: VersionSetId, inverse: bool) -> Vec<SolvableId> {
        let matches = set.0.is_multiple_of(2) != inverse;
        if matches { candidates.to_vec() } else { Vec::new() }
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates<SolvableId>> {
        Some(Candidates {
            candidates: vec![SolvableId::from_raw(name.into_raw())],
            favored: None,
            locked: None,
            hint_dependencies_available: HintDependenciesAvailable::None,
            excluded: Vec::new(),
            allow_multiple: false,
        })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, _: &mut [SolvableId]) {}

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        let id = solvable.into_raw();
        let relations = match self.universe.relations(id) {
            Ok(relations) => relations,
            Err(error) => {
                self.failed.borrow_mut().get_or_insert(error);
                return Dependencies::Unknown(StringId(0));
            }
        };
        let mut known = KnownDependencies::default();
        for group in &relations.depends {
            match self.requirement(group) {
                Some(requirement) => known.requirements.push(requirement),
                None => return Dependencies::Unknown(StringId(0)),
            }
        }
        for relation in &relations.conflicts {
            known.constrains.extend(self.universe.conflicting(id, relation).into_iter().map(never));
        }
        Dependencies::Known(known)
    }
}
