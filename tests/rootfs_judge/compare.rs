//! Differences between two lists of entries, and the rules that excuse some of them.
//!
//! ```text
//! # a reason, one line or more, that holds for the rules below it up to an empty line
//! KIND /path/with/*      `*` matches inside one name, `**` across names
//! ```
//! KIND is one of: missing (only the reference has it), extra (only we have it), type, mode, owner, content, target, xattrs, links.

use std::fmt::Write;

use crate::entries::{Entries, Entry, What};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) kind: &'static str,
    pub(crate) path: String,
    pub(crate) detail: String,
}

fn difference(kind: &'static str, path: &str, detail: impl Into<String>) -> Difference {
    Difference { kind, path: path.to_owned(), detail: detail.into() }
}

pub(crate) fn differences(reference: &Entries, ours: &Entries) -> Vec<Difference> {
    let mut found = Vec::new();
    for (path, theirs) in reference {
        match ours.get(path) {
            None => found.push(difference(
                "missing",
                path,
                format!("{:?} {:04o} {}", theirs.what, theirs.mode, theirs.owner),
            )),
            Some(ours) => compare(path, theirs, ours, &mut found),
        }
    }
    for (path, ours) in ours.iter().filter(|(path, _)| !reference.contains_key(*path)) {
        found.push(difference("extra", path, format!("{:?} {:04o} {}", ours.what, ours.mode, ours.owner)));
    }
    found
}

fn compare(path: &str, theirs: &Entry, ours: &Entry, found: &mut Vec<Difference>) {
    if std::mem::discriminant(&theirs.what) != std::mem::discriminant(&ours.what) {
        found.push(difference("type", path, format!("{:?}, ours {:?}", theirs.what, ours.what)));
        return;
    }
    if theirs.what != ours.what {
        let kind = if matches!(theirs.what, What::Symlink(_)) { "target" } else { "content" };
        found.push(difference(kind, path, format!("{:?}, ours {:?}", theirs.what, ours.what)));
    }
    if theirs.mode != ours.mode && !matches!(theirs.what, What::Symlink(_)) {
        found.push(difference("mode", path, format!("{:04o}, ours {:04o}", theirs.mode, ours.mode)));
    }
    if theirs.owner != ours.owner {
        found.push(difference("owner", path, format!("{}, ours {}", theirs.owner, ours.owner)));
    }
    if theirs.xattrs != ours.xattrs {
        found.push(difference("xattrs", path, format!("{:?}, ours {:?}", theirs.xattrs, ours.xattrs)));
    }
    if theirs.same_as != ours.same_as {
        found.push(difference("links", path, format!("{:?}, ours {:?}", theirs.same_as, ours.same_as)));
    }
}

#[derive(Debug)]
pub(crate) struct Rule {
    kind: String,
    pattern: String,
}

/// Panics on a rule without a reason: the list is only worth something with them.
pub(crate) fn parse_rules(text: &str) -> Vec<Rule> {
    let (mut rules, mut reason) = (Vec::new(), false);
    for line in text.lines().map(str::trim) {
        if line.is_empty() {
            reason = false;
        } else if line.starts_with('#') {
            reason = true;
        } else {
            assert!(reason, "the rule `{line}` has no reason above it");
            let (kind, pattern) = line.split_once(' ').unwrap_or_else(|| panic!("not a rule: {line}"));
            rules.push(Rule { kind: kind.to_owned(), pattern: pattern.trim().to_owned() });
        }
    }
    rules
}

fn matches(pattern: &str, path: &str) -> bool {
    if let Some(rest) = pattern.strip_prefix("**") {
        return (0..=path.len()).filter(|at| path.is_char_boundary(*at)).any(|at| matches(rest, &path[at..]));
    }
    let mut letters = pattern.chars();
    match letters.next() {
        None => path.is_empty(),
        Some('*') => {
            let name = path.find('/').unwrap_or(path.len());
            (0..=name).filter(|at| path.is_char_boundary(*at)).any(|at| matches(letters.as_str(), &path[at..]))
        }
        Some(letter) => path.strip_prefix(letter).is_some_and(|rest| matches(letters.as_str(), rest)),
    }
}

pub(crate) struct Verdict {
    pub(crate) covered: usize,
    pub(crate) faults: String,
    pub(crate) everything: String,
}

pub(crate) fn judge(differences: &[Difference], rules: &[Rule]) -> Verdict {
    let (mut verdict, mut used) =
        (Verdict { covered: 0, faults: String::new(), everything: String::new() }, vec![false; rules.len()]);
    for difference in differences {
        let line = format!("{} {}: {}", difference.kind, difference.path, difference.detail);
        let covering: Vec<usize> = (0..rules.len())
            .filter(|index| rules[*index].kind == difference.kind && matches(&rules[*index].pattern, &difference.path))
            .collect();
        covering.iter().for_each(|index| used[*index] = true);
        let mark = if covering.is_empty() { "!" } else { " " };
        writeln!(verdict.everything, "{mark} {line}").unwrap();
        if covering.is_empty() {
            writeln!(verdict.faults, "{line}").unwrap();
        } else {
            verdict.covered += 1;
        }
    }
    for (rule, _) in rules.iter().zip(used).filter(|(_, used)| !used) {
        writeln!(verdict.faults, "no difference needs the rule `{} {}`", rule.kind, rule.pattern).unwrap();
    }
    verdict
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use provbuild::vocab::Digest;

    use super::*;

    fn entry(text: &str) -> Entry {
        let what = What::File(Digest::of(text.as_bytes()));
        Entry { what, mode: 0o644, owner: "root:root".into(), xattrs: BTreeMap::new(), same_as: None }
    }

    #[test]
    fn every_kind_of_difference_is_seen() {
        let mut reference = Entries::new();
        let mut ours = Entries::new();
        for path in ["/same", "/content", "/mode", "/owner", "/xattr", "/links", "/type", "/missing"] {
            reference.insert(path.into(), entry("x"));
            ours.insert(path.into(), entry("x"));
        }
        ours.insert("/extra".into(), entry("x"));
        ours.remove("/missing");
        ours.insert("/content".into(), entry("y"));
        ours.get_mut("/mode").unwrap().mode = 0o4755;
        ours.get_mut("/owner").unwrap().owner = "root:shadow".into();
        ours.get_mut("/xattr").unwrap().xattrs.insert("security.capability".into(), vec![1]);
        ours.get_mut("/links").unwrap().same_as = Some("/same".into());
        ours.get_mut("/type").unwrap().what = What::Directory;
        let seen: Vec<_> = differences(&reference, &ours).into_iter().map(|d| (d.kind, d.path)).collect();
        let expected = [
            ("content", "/content"),
            ("links", "/links"),
            ("missing", "/missing"),
            ("mode", "/mode"),
            ("owner", "/owner"),
            ("type", "/type"),
            ("xattrs", "/xattr"),
            ("extra", "/extra"),
        ];
        assert_eq!(seen, expected.map(|(kind, path)| (kind, path.to_owned())));
    }

    #[test]
    fn rules_cover_by_kind_and_pattern_and_must_be_needed() {
        let rules =
            parse_rules("# keys are made at the first boot\nmissing /etc/ssh/ssh_host_*\nmissing /var/**.log\n");
        let found = |path: &str| difference("missing", path, "");
        let verdict = judge(&[found("/etc/ssh/ssh_host_rsa_key"), found("/var/log/a/b.log")], &rules);
        assert_eq!((verdict.covered, verdict.faults.as_str()), (2, ""));
        let verdict = judge(&[found("/etc/ssh/ssh_host_/x"), difference("mode", "/etc/ssh/ssh_host_key", "")], &rules);
        assert_eq!(verdict.covered, 0);
        assert_eq!(verdict.faults.lines().count(), 4, "{}", verdict.faults);
    }

    #[test]
    #[should_panic(expected = "has no reason")]
    fn a_rule_without_a_reason_is_refused() {
        parse_rules("# a reason\nmode /a\n\nmode /b\n");
    }
}
