//! From verified indices to a lock.
//!
//! In: the profile's distribution and its verified indices. Out: a [`Lock`], or why there is none. Invariant: the
//! result depends on these inputs alone; packages and suites stand in a fixed order.
//!
//! The base of every system is what `mmdebstrap --variant=minbase` installs: packages that are Essential, of Priority
//! `required`, and apt. An appliance is built from a lock and not upgraded in place, but its users expect
//! `apt install` to work for a quick diagnosis; a profile can still exclude apt.

use std::collections::BTreeSet;

use super::error::LockError;
use super::greedy::{Failure, Reason, Selection};
use super::index::VerifiedIndices;
use super::model::{LOCK_FORMAT, Lock};
use super::relation::{Group, Relation};
use super::request::Request;
use super::search;
use super::universe::{Id, Priority, Universe};
use crate::profile::Distribution;
use crate::vocab::Epoch;

/// Pins every package that the distribution part of a profile asks for.
pub fn resolve(distribution: &Distribution, indices: &VerifiedIndices) -> Result<Lock, LockError> {
    let request = Request::of(distribution);
    if let Some(name) = request.packages.intersection(&request.exclude).next() {
        return Err(LockError::ExcludedRequest(name.clone()));
    }
    let universe = Universe::new(indices, &distribution.architecture, &request.exclude)?;
    if universe.len() == 0 {
        return Err(LockError::Empty(distribution.architecture.clone()));
    }
    let chosen = choose(&universe, &request, indices)?;
    let mut packages = chosen.into_iter().map(|id| universe.locked(id)).collect::<Result<Vec<_>, _>>()?;
    packages.sort_by(|left, right| left.name.cmp(&right.name));
    let mut suites: Vec<_> = indices.suites().cloned().collect();
    suites.sort_by(|left, right| left.suite.cmp(&right.suite));
    Ok(Lock {
        format: LOCK_FORMAT,
        request: request.digest(),
        epoch: suites.iter().map(|suite| suite.date).max().unwrap_or(Epoch(0)),
        distribution: request.distribution.clone(),
        codename: request.codename.clone(),
        architecture: request.architecture.clone(),
        requested: request,
        suites,
        packages,
    })
}

fn choose<'a>(universe: &Universe<'a>, request: &'a Request, indices: &VerifiedIndices) -> Result<Vec<Id>, LockError> {
    let mut roots: Vec<(Id, &'static str)> = Vec::new();
    let mut groups: Vec<Group> = Vec::new();
    let mut unknown = Vec::new();
    for name in &request.packages {
        let relation = Relation { name, qualifier: None, version: None };
        match (universe.find(name), universe.satisfying(&relation).is_empty()) {
            (Some(id), _) => roots.push((id, "requested")),
            (None, false) => groups.push(Group(vec![relation])),
            (None, true) => unknown.push((name.clone(), similar(universe, name))),
        }
    }
    if !unknown.is_empty() {
        let suites = indices.suites().map(|suite| suite.suite.clone()).collect();
        return Err(LockError::UnknownPackages { names: unknown, suites });
    }
    for id in universe.ids() {
        let candidate = universe.get(id);
        match candidate.name {
            _ if candidate.essential => roots.push((id, "essential")),
            _ if candidate.priority == Priority::Required => roots.push((id, "of priority required")),
            "apt" => roots.push((id, "part of every base")),
            _ => {}
        }
    }
    // The base first, by name, as a bootstrap installs it before anything else.
    roots.sort_by_key(|(id, why)| (*why == "requested", universe.get(*id).name));

    let mut selection = Selection::new(universe);
    if let Err(failure) = quick(&mut selection, universe, &roots, &groups) {
        if let Failure::Lock(error) = failure {
            return Err(error);
        }
        let wanted: Vec<Id> = roots.iter().map(|(id, _)| *id).collect();
        let Some(solution) = search::search(universe, &wanted, &groups)? else {
            return Err(selection.explain(failure));
        };
        selection = Selection::new(universe);
        let solution: BTreeSet<Id> = solution.into_iter().collect();
        for id in solution {
            selection
                .add(id, Reason::Root("requested"))
                .map_err(|failure| Selection::new(universe).explain(failure))?;
        }
        selection.settle().map_err(|failure| Selection::new(universe).explain(failure))?;
    }
    if request.recommends {
        selection.add_recommended()?;
    }
    Ok(selection.chosen().to_vec())
}

fn quick<'a>(
    selection: &mut Selection<'_, 'a>,
    universe: &Universe<'a>,
    roots: &[(Id, &'static str)],
    groups: &[Group<'a>],
) -> Result<(), Failure<'a>> {
    for (id, why) in roots {
        selection.add(*id, Reason::Root(why))?;
    }
    selection.settle()?;
    for group in groups {
        let answers = universe.satisfying_group(group);
        if let Some(first) = answers.first()
            && !answers.iter().any(|id| selection.contains(*id))
        {
            selection.add(*first, Reason::Root("requested"))?;
            selection.settle()?;
        }
    }
    Ok(())
}

/// Up to three package names that a person may have meant.
fn similar(universe: &Universe, name: &str) -> Vec<String> {
    let mut scored: Vec<(usize, &str)> = universe
        .names()
        .filter(|other| other.len().abs_diff(name.len()) <= 2)
        .map(|other| (strsim::damerau_levenshtein(name, other), other))
        .filter(|(distance, _)| *distance <= 2)
        .collect();
    scored.sort();
    scored.into_iter().take(3).map(|(_, other)| other.to_owned()).collect()
}
