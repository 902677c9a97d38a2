//! The shape of the source, checked: the import arrows of ARCHITECTURE.md's table, a heading in every file, files of a
//! readable length.
//!
//! The table is read from ARCHITECTURE.md, so that the document cannot say something else than the code. The source is
//! scanned as text (comments and strings removed), which needs no parser: the paths that matter begin with `crate::`,
//! `provbuild::`, `netboot::` or enough `super::`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Without its tests, in lines.
const LONGEST_FILE: usize = 700;

type Table = BTreeMap<String, BTreeSet<String>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Rows `| `module` | purpose | imports |`; a crate goes by its own name.
fn parse_table(markdown: &str) -> Table {
    let mut table = Table::new();
    for line in markdown.lines() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let [module, _, imports] = cells[..] else { continue };
        let Some(module) = module.strip_prefix('`').and_then(|m| m.strip_suffix('`')) else { continue };
        let module = module.strip_prefix("crates/").unwrap_or(module);
        let imports = imports.split(',').map(str::trim).filter(|i| !matches!(*i, "-" | "")).map(str::to_owned);
        table.insert(module.to_owned(), imports.collect());
    }
    table
}

fn table() -> Table {
    let table = parse_table(&std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap());
    assert!(table.len() > 10, "the table in ARCHITECTURE.md was not found: {table:?}");
    table
}

fn rust_files(below: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![below.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Everything of ours: the root package, the crates, the tests.
fn all_files() -> Vec<PathBuf> {
    let mut files = rust_files(&root().join("src"));
    files.extend(rust_files(&root().join("crates")));
    files.extend(rust_files(&root().join("tests")));
    files.retain(|file| !file.components().any(|part| part.as_os_str() == "target"));
    files
}

/// Without the unit tests at the end: they may borrow from anywhere.
fn without_tests(text: &str) -> &str {
    let end = ["\n#[cfg(test)]\nmod ", "\n#[cfg(all(test"].iter().filter_map(|marker| text.find(marker)).min();
    &text[..end.unwrap_or(text.len())]
}

/// Source with comments and string contents blanked.
fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            at += rest.find("*/").map_or(rest.len(), |end| end + 2);
        } else if rest.starts_with("r\"") || rest.starts_with("r#") && raw_string_length(rest).is_some() {
            at += raw_string_length(rest).unwrap();
            code.push('"');
        } else if rest.starts_with('"') {
            at += string_length(rest);
            code.push('"');
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\") {
            // A character that would be mistaken for the beginning of a string.
            at += 2 + rest[2..].find('\'').map_or(0, |end| end + 1);
        } else {
            let letter = rest.chars().next().unwrap();
            code.push(letter);
            at += letter.len_utf8();
        }
    }
    code
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string_length(text: &str) -> Option<usize> {
    let hashes = text[1..].bytes().take_while(|byte| *byte == b'#').count();
    if text.as_bytes().get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let begin = 2 + hashes;
    Some(text[begin..].find(&close).map_or(text.len(), |end| begin + end + close.len()))
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// First names after a prefix: one, or those of a group `{a, b::{c, d}, e}`.
fn names_after(text: &str) -> Vec<&str> {
    let Some(group) = text.strip_prefix('{') else { return vec![identifier(text)] };
    let mut names = Vec::new();
    let (mut depth, mut fresh) = (0, true);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && !c.is_whitespace() => {
                names.push(identifier(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

/// Our modules and crates that a file names. `depth` is how many `super` lead from it to the crate's root.
fn imports<'a>(code: &'a str, depth: usize, known: &Table) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let to_root = "super::".repeat(depth);
    for prefix in ["crate::", "provbuild::", to_root.as_str()] {
        for (at, _) in code.match_indices(prefix) {
            let longer = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            if !prefix.is_empty() && !longer {
                found.extend(names_after(&code[at + prefix.len()..]));
            }
        }
    }
    for (at, _) in code.match_indices("netboot::") {
        if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            found.insert(&code[at..at + "netboot".len()]);
        }
    }
    found.retain(|name| known.contains_key(*name));
    found
}

/// `src/image/vmdk/mod.rs` -> ["image", "vmdk"].
fn module_path(file: &Path) -> Vec<String> {
    let relative = file.strip_prefix(root().join("src")).unwrap();
    let mut parts: Vec<String> = relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    let last = parts.pop().unwrap();
    if !matches!(last.as_str(), "mod.rs" | "lib.rs" | "main.rs") {
        parts.push(last.trim_end_matches(".rs").to_owned());
    }
    parts
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let table = table();
    let mut faults = String::new();
    for file in rust_files(&root().join("src")) {
        let path = module_path(&file);
        let Some(module) = path.first() else { continue };
        let shown = file.strip_prefix(root()).unwrap().display();
        let Some(allowed) = table.get(module) else {
            faults += &format!("{shown}: module `{module}` has no row in ARCHITECTURE.md's table\n");
            continue;
        };
        if file.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let code = code_only(without_tests(&text));
        for import in imports(&code, path.len(), &table) {
            if import != module && !allowed.contains(import) {
                faults += &format!("{shown}: `{module}` names `{import}`; it may import: {allowed:?}\n");
            }
        }
    }
    assert!(faults.is_empty(), "arrows that ARCHITECTURE.md does not have:\n{faults}");
}

#[test]
fn the_table_names_only_its_own_rows_and_has_no_cycle() {
    let table = table();
    for (module, imports) in &table {
        for import in imports {
            assert!(table.contains_key(import), "`{module}` may import `{import}`, which has no row");
        }
    }
    let mut left = table;
    while !left.is_empty() {
        let free: Vec<String> = left
            .iter()
            .filter(|(_, imports)| imports.iter().all(|i| !left.contains_key(i)))
            .map(|(m, _)| m.clone())
            .collect();
        assert!(!free.is_empty(), "a cycle among {:?}", left.keys());
        free.iter().for_each(|module| {
            left.remove(module);
        });
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let faults: Vec<_> = all_files()
        .into_iter()
        .filter(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            !text.starts_with("//!") && !file.ends_with("src/main.rs")
        })
        .collect();
    assert!(faults.is_empty(), "files that do not begin with `//!`: {faults:#?}");
}

#[test]
fn files_stay_short_enough_to_read() {
    let faults: Vec<_> = all_files()
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(&file).unwrap();
            (without_tests(&text).lines().count(), file)
        })
        .filter(|(lines, _)| *lines > LONGEST_FILE)
        .collect();
    assert!(faults.is_empty(), "longer than {LONGEST_FILE} lines without their tests: {faults:#?}");
}

#[test]
fn the_scanner_sees_what_it_must() {
    let table = parse_table(
        "| module | purpose | may import |\n|---|---|---|\n| `vocab` | words | - |\n| `tree` | t | vocab |\n| `image` | i | vocab, tree |\n| `crates/netboot` | n | - |",
    );
    assert_eq!(table["image"], BTreeSet::from(["vocab".to_owned(), "tree".to_owned()]));
    let code = code_only(
        r##"
        // crate::comment::tree
        use crate::{vocab::{Digest, Mode}, image::Spec};
        let text = "crate::tree::Tree"; let quote = '"'; let raw = r#"crate::tree"#;
        fn f() -> netboot::MacAddr { my_netboot::x() }
        "##,
    );
    assert_eq!(imports(&code, 1, &table), BTreeSet::from(["vocab", "image", "netboot"]));
    assert_eq!(imports("use super::super::tree::Tree;", 2, &table), BTreeSet::from(["tree"]));
    assert_eq!(imports("use super::tree::Tree;", 2, &table), BTreeSet::new());
}
