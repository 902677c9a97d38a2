//! The fuzz targets' functions in the quick tier: on their seeds, on what is near to a seed, and on anything.

#[path = "../fuzz/entries.rs"]
mod entries;

use std::fs;
use std::path::Path;

use proptest::prelude::*;

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Bytes at some places put in, taken out or changed.
fn edited(mut bytes: Vec<u8>, edits: Vec<(prop::sample::Index, u8, u8)>) -> Vec<u8> {
    for (at, how, byte) in edits {
        let at = at.index(bytes.len() + 1);
        match how % 4 {
            0 => bytes.insert(at, byte),
            1 if at < bytes.len() => bytes[at] = byte,
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => bytes.truncate(bytes.len().saturating_sub(usize::from(byte) % 8)),
            _ => {}
        }
    }
    bytes
}

#[test]
fn nothing_from_outside_breaks_a_parser() {
    for (name, entry) in entries::ALL {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name}");
        seeds.iter().for_each(|seed| entry(seed));
        // Every beginning of each: what a broken connection leaves.
        seeds.iter().for_each(|seed| (0..seed.len()).for_each(|end| entry(&seed[..end])));
        let config = ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() };
        let edit = (any::<prop::sample::Index>(), any::<u8>(), any::<u8>());
        let near = (proptest::sample::select(seeds), proptest::collection::vec(edit, 1..8));
        let near = near.prop_map(|(seed, edits)| edited(seed, edits));
        let any = proptest::collection::vec(any::<u8>(), 0..300);
        proptest!(config, |(bytes in prop_oneof![3 => near, 1 => any])| entry(&bytes));
    }
}

/// A seed that is refused would guard nothing.
#[test]
fn seeds_are_understood() {
    use provd::nodes::{ReportKind, asked, read};
    for (name, kind) in [("webhook", ReportKind::Webhook), ("failed", ReportKind::Failed)] {
        assert!(seeds(name).iter().all(|seed| read::report(kind, seed).is_ok()), "{name}");
    }
    let systems = seeds("first_boot");
    assert!(systems.iter().any(|seed| read::report(ReportKind::FirstBoot, seed).is_ok()));
    assert!(systems.iter().any(|seed| read::report(ReportKind::Step, seed).is_ok()));
    for seed in seeds("path") {
        let path = String::from_utf8(seed).unwrap();
        let methods = [axum::http::Method::GET, axum::http::Method::POST];
        assert!(methods.iter().any(|method| asked(method, &path).is_ok()), "{path}");
    }
    assert!(seeds("declared").iter().all(|seed| serde_json::from_slice::<netboot::Declared>(seed).is_ok()));
}
