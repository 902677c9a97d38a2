//! Relations between packages: `Depends`, `Conflicts`, `Provides` and their like.
//!
//! In: a field's text and the architecture of the system. Out: groups of alternatives. Invariant: a relation that does
//! not apply to the architecture is not in the result. Format: Debian Policy 7.1; deb-control(5).

use std::cmp::Ordering;
use std::fmt;

use super::version;

/// Operator of a version restriction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Earlier,
    EarlierOrEqual,
    Equal,
    LaterOrEqual,
    Later,
}

impl Operator {
    fn allows(self, order: Ordering) -> bool {
        match self {
            Operator::Earlier => order == Ordering::Less,
            Operator::EarlierOrEqual => order != Ordering::Greater,
            Operator::Equal => order == Ordering::Equal,
            Operator::LaterOrEqual => order != Ordering::Less,
            Operator::Later => order == Ordering::Greater,
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Operator::Earlier => "<<",
            Operator::EarlierOrEqual => "<=",
            Operator::Equal => "=",
            Operator::LaterOrEqual => ">=",
            Operator::Later => ">>",
        }
    }
}

/// One package name with its restrictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Relation<'a> {
    pub name: &'a str,
    /// Text after the colon: "any", "native" or an architecture.
    pub qualifier: Option<&'a str>,
    pub version: Option<(Operator, &'a str)>,
}

impl Relation<'_> {
    /// Whether a version satisfies the restriction; one without restriction accepts every version.
    pub(crate) fn accepts(&self, candidate: &str) -> bool {
        self.version.is_none_or(|(operator, wanted)| operator.allows(version::compare(candidate, wanted)))
    }

    /// Whether a `Provides` entry satisfies the restriction: one without a version satisfies only relations without.
    pub(crate) fn accepts_provided(&self, provided: Option<&str>) -> bool {
        match (self.version, provided) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(_), Some(version)) => self.accepts(version),
        }
    }
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(qualifier) = self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        if let Some((operator, version)) = self.version {
            write!(f, " ({} {version})", operator.sign())?;
        }
        Ok(())
    }
}

/// Alternatives, the preferred one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group<'a>(pub Vec<Relation<'a>>);

impl fmt::Display for Group<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, relation) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(" | ")?;
            }
            relation.fmt(f)?;
        }
        Ok(())
    }
}

/// The piece of a field that is not a relation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a relation")]
pub(crate) struct RelationError(pub String);

/// Reads a comma-separated list of alternatives; groups without any alternative for `architecture` are left out.
pub(crate) fn parse<'a>(field: &'a str, architecture: &str) -> Result<Vec<Group<'a>>, RelationError> {
    let mut groups = Vec::new();
    for item in field.split(',') {
        if item.trim().is_empty() {
            continue;
        }
        let mut group = Vec::new();
        for alternative in item.split('|') {
            group.extend(relation(alternative, architecture)?);
        }
        if !group.is_empty() {
            groups.push(Group(group));
        }
    }
    Ok(groups)
}

fn relation<'a>(text: &'a str, architecture: &str) -> Result<Option<Relation<'a>>, RelationError> {
    let bad = || RelationError(text.trim().to_owned());
    let mut rest = text.trim();
    // `<profile>` restrictions concern source packages; binary packages carry none that holds.
    if let Some(at) = rest.find('<').filter(|at| !rest[..*at].contains('(')) {
        rest = rest[..at].trim_end();
    } else if let Some(close) = rest.find(')')
        && let Some(at) = rest[close..].find('<')
    {
        rest = rest[..close + at].trim_end();
    }
    let mut applies = true;
    if let Some(open) = rest.find('[') {
        let list = rest[open + 1..].strip_suffix(']').ok_or_else(bad)?;
        applies = architecture_matches(list, architecture);
        rest = rest[..open].trim_end();
    }
    let mut restriction = None;
    if let Some(open) = rest.find('(') {
        let inner = rest[open + 1..].strip_suffix(')').ok_or_else(bad)?.trim();
        let signs = inner.len() - inner.trim_start_matches(['<', '>', '=']).len();
        let operator = match &inner[..signs] {
            "<<" => Operator::Earlier,
            // A lone `<` or `>` is the obsolete spelling of "or equal", as dpkg still reads it.
            "<=" | "<" => Operator::EarlierOrEqual,
            "=" => Operator::Equal,
            ">=" | ">" => Operator::LaterOrEqual,
            ">>" => Operator::Later,
            _ => return Err(bad()),
        };
        let version = inner[signs..].trim();
        if !version::is_valid(version) {
            return Err(bad());
        }
        restriction = Some((operator, version));
        rest = rest[..open].trim_end();
    }
    let (name, qualifier) = match rest.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (rest, None),
    };
    if !is_package_name(name) || qualifier.is_some_and(|text| !is_architecture(text)) {
        return Err(bad());
    }
    Ok(applies.then_some(Relation { name, qualifier, version: restriction }))
}

/// `[amd64 linux-any]` or `[!i386 !hurd-any]`.
fn architecture_matches(list: &str, architecture: &str) -> bool {
    let matches = |pattern: &str| match pattern.split_once('-') {
        _ if pattern == "any" || pattern == architecture => true,
        Some(("linux" | "any", cpu)) => cpu == "any" || cpu == architecture,
        _ => false,
    };
    let mut words = list.split_ascii_whitespace().peekable();
    match words.peek().is_some_and(|word| word.starts_with('!')) {
        true => !words.any(|word| matches(word.trim_start_matches('!'))),
        false => words.any(matches),
    }
}

/// Whether a text is a package name (Debian Policy 5.6.1; some archives have capitals and underscores).
pub(crate) fn is_package_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
}

/// Whether a text can be an architecture's name.
pub(crate) fn is_architecture(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(field: &str) -> Vec<String> {
        parse(field, "amd64").unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_form_of_relation() {
        assert_eq!(
            shown(
                "a, b (>= 1:2.0-1),\n c:any | d (<<3) , e:amd64 (= 1)  [amd64], f [i386] | g [!amd64], h [linux-any], i (<2),"
            ),
            ["a", "b (>= 1:2.0-1)", "c:any | d (<< 3)", "e:amd64 (= 1)", "h", "i (<= 2)"]
        );
        assert_eq!(
            shown("a <!nocheck>, b (>= 1) <stage1>, c (<< 2), d [any-amd64], e [any-arm64]"),
            ["a", "b (>= 1)", "c (<< 2)", "d"]
        );
        assert_eq!(shown(""), Vec::<String>::new());
    }

    #[test]
    fn nonsense_is_an_error() {
        for bad in ["a (1)", "a (>= )", "a (>= 1", "-a", "a b", "a:", "a [amd64", "../x", "a (=! 1)"] {
            assert!(parse(bad, "amd64").is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_and_provides() {
        let groups = parse("a (>= 2), b", "amd64").unwrap();
        assert!(groups[0].0[0].accepts("2.1") && !groups[0].0[0].accepts("1.9"));
        assert!(!groups[0].0[0].accepts_provided(None) && groups[0].0[0].accepts_provided(Some("3")));
        assert!(groups[1].0[0].accepts_provided(None));
    }
}
