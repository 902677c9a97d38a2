//! Any text at all: nothing panics, every finding is inside the text, and no text costs much.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::Release;
use crate::lint::{Linted, lint, lint_bytes};

fn sane(text: &str) -> Linted {
    let linted = lint(text, Release::Ubuntu2404);
    let lines = text.split('\n').count();
    for finding in &linted.findings {
        assert!((1..=lines).contains(&finding.line), "{finding:?}");
        assert!(finding.column >= 1 && finding.range.end <= text.len(), "{finding:?}");
        assert!(!text[finding.range.clone()].contains('\n'), "{finding:?}");
        let line = text.split('\n').nth(finding.line - 1).unwrap();
        assert!(finding.column <= line.chars().count() + 1, "{finding:?}");
        assert!(!finding.message.contains(['\n', '\u{1b}']), "{finding:?}");
    }
    assert!(linted.findings.is_sorted_by_key(|finding| (finding.line, finding.column)), "{:?}", linted.findings);
    for secret in &linted.secrets {
        assert!(text.get(secret.clone()).is_some());
    }
    linted
}

/// A refusal, and within a time that no sound document needs.
fn refused(text: &str, message: &str) {
    let start = Instant::now();
    let findings = sane(text).findings;
    assert!(findings.iter().any(|finding| finding.message.contains(message)), "{findings:?}");
    assert!(start.elapsed() < Duration::from_secs(20), "it took {:?}", start.elapsed());
}

#[test]
fn alias_bombs_are_refused() {
    let mut text = "#cloud-config\na0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..40 {
        let below = format!("*a{}, ", level - 1).repeat(9);
        text += &format!("a{level}: &a{level} [{below}]\n");
    }
    refused(&text, "expand to more than 200000 values");
}

#[test]
fn merge_bombs_are_refused() {
    let keys: String = (0..2000).map(|n| format!("  k{n}: 1\n")).collect();
    let merges: String = (0..2000).map(|n| format!("m{n}: {{<<: *base}}\n")).collect();
    refused(&format!("#cloud-config\nbase: &base\n{keys}{merges}"), "has more than 200000 values");
}

#[test]
fn depth_is_bounded() {
    refused(&format!("#cloud-config\na: {}", "[".repeat(100_000)), "not YAML");
    refused(&format!("#cloud-config\na: {}{}", "[".repeat(200), "]".repeat(200)), "deeper than 48 levels");
    let mut text = "#cloud-config\na0: &a0 [x]\n".to_owned();
    (1..100).for_each(|level| text += &format!("a{level}: &a{level} [*a{}]\n", level - 1));
    refused(&text, "deeper than 48 levels");
}

#[test]
fn size_is_bounded() {
    refused(&format!("#cloud-config\na: [{}]", "1,".repeat(300_000)), "has more than 200000 values");
    refused(&" ".repeat(crate::lint::LONGEST_TEXT + 1), "larger than 4 MiB");
    refused(&format!("#cloud-config\na: [{}", "'".repeat(1_000_000)), "not YAML");
}

/// Where a document is cut, and what is put there.
fn edits() -> impl Strategy<Value = Vec<(usize, usize, String)>> {
    let token = prop_oneof![
        Just(": ".to_owned()),
        Just("- ".to_owned()),
        Just("\t".to_owned()),
        Just("\n".to_owned()),
        Just("  ".to_owned()),
        Just("&a ".to_owned()),
        Just("*a".to_owned()),
        Just("<<: ".to_owned()),
        Just("{".to_owned()),
        Just("]".to_owned()),
        Just("'".to_owned()),
        Just("\"".to_owned()),
        Just("|\n".to_owned()),
        Just("---\n".to_owned()),
        Just("!!str ".to_owned()),
        Just("ä".to_owned()),
        Just("\u{1f600}".to_owned()),
        Just("\r".to_owned()),
        Just("# ".to_owned()),
        Just("null".to_owned()),
        Just("-1".to_owned()),
        "[a-z0-9:/. -]{0,12}",
    ];
    prop::collection::vec((any::<usize>(), 0usize..40, token), 1..6)
}

const BASES: [&str; 3] = [
    include_str!("../../../../../examples/autoinstall/direct.yaml"),
    include_str!("../../../../../examples/autoinstall/lvm.yaml"),
    include_str!("../../../../../examples/autoinstall/partitions.yaml"),
];

fn stir(base: &str, edits: Vec<(usize, usize, String)>) -> String {
    let mut text = base.to_owned();
    for (at, length, put) in edits {
        let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let start = floor(at % (text.len() + 1));
        let range = start..floor(start + length).max(start);
        text.replace_range(range, &put);
    }
    text
}

/// So many short documents, cut and stirred; the same ones each time.
pub(super) fn stirred(count: usize) -> Vec<String> {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut make = || {
        let (base, from, edits) = (0..BASES.len(), any::<usize>(), edits()).new_tree(&mut runner).unwrap().current();
        // Of a piece, so that one edit does not spoil everything.
        let lines: Vec<&str> = BASES[base].lines().collect();
        let from = from % lines.len();
        let piece = lines[from..(from + 12).min(lines.len())].join("\n");
        stir(&format!("{piece}\n"), edits)
    };
    (0..count).map(|_| make()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        sane(&String::from_utf8_lossy(&bytes));
        let (text, linted) = lint_bytes(&bytes, Release::Ubuntu2404);
        prop_assert!(linted.findings.iter().all(|finding| text.get(finding.range.clone()).is_some()));
    }

    #[test]
    fn any_yaml_like_text(text in "(#cloud-config\n)?(autoinstall:|[ \t\n:\\-\\[\\]{}&*!|>'\"%@`#a-c0-9,?<=~.]|ä|😀){0,200}") {
        sane(&text);
    }

    #[test]
    fn mutated_documents(base in 0..BASES.len(), edits in edits()) {
        sane(&stir(BASES[base], edits));
    }
}
