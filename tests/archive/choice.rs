//! Which packages a lock takes, and what it says when there is no answer.

use provbuild::lock::{
    Expectation, Keyring, Lock, LockDiff, UnverifiedRelease, VerifiedIndex, VerifiedIndices, resolve,
};
use provbuild::profile::Distribution;

use crate::common::archive::{NOW, TestArchive, TestKey};
use crate::{distribution, shown};

/// `name [field: value; ...]` lines -> indices of one suite.
pub(crate) fn suite(into: &mut VerifiedIndices, suite: &str, packages: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let key = TestKey::new("test");
    let mut archive = TestArchive::new(dir.path(), suite);
    archive.compression = "";
    for line in packages {
        let mut parts = line.split("; ");
        let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
        let fields: Vec<&str> = parts.collect();
        let architecture =
            if fields.iter().any(|field| field.starts_with("Architecture")) { "" } else { "Architecture: amd64\n" };
        archive.add(&format!("Package: {name}\nVersion: {version}\n{architecture}{}\n", fields.join("\n")));
    }
    archive.publish(&key);
    let keyring = Keyring::parse(&key.keyring()).unwrap();
    let file = std::fs::read(dir.path().join(format!("dists/{suite}/InRelease"))).unwrap();
    let release = UnverifiedRelease::Inline(file).verify(suite, &keyring, NOW).unwrap();
    let components = ["main".to_owned()];
    let expectation =
        Expectation { suite, architecture: "amd64", components: &components, now: Some(NOW), newest_seen: None };
    let release = release.accept(&expectation).unwrap();
    let index = VerifiedIndex::new(&release.indices()[0], archive.packages.as_bytes()).unwrap();
    into.add(&release, vec![index]);
}

fn indices(packages: &[&str]) -> VerifiedIndices {
    let mut indices = VerifiedIndices::default();
    suite(&mut indices, "trixie", packages);
    indices
}

fn names(lock: &Lock) -> Vec<&str> {
    lock.packages.iter().map(|package| package.name.as_str()).collect()
}

fn chosen(request: &str, packages: &[&str]) -> Vec<String> {
    let lock = resolve(&distribution(request), &indices(packages)).unwrap();
    names(&lock).into_iter().map(str::to_owned).collect()
}

fn refused(distribution: &Distribution, packages: &[&str]) -> String {
    shown(&resolve(distribution, &indices(packages)).unwrap_err(), &[])
}

#[test]
fn base_is_essential_required_and_apt() {
    let all =
        ["e 1; Essential: yes; Depends: l", "r 1; Priority: required", "apt 1", "l 1", "other 1; Priority: important"];
    assert_eq!(chosen("", &all), ["apt", "e", "l", "r"]);
}

#[test]
fn alternatives_provides_and_qualifiers() {
    // The first alternative; one that is wanted anyway; a versioned virtual package; cycles.
    assert_eq!(chosen("a", &["a 1; Depends: b | c", "b 1", "c 1"]), ["a", "b"]);
    assert_eq!(chosen("a c", &["a 1; Depends: b | c", "b 1", "c 1"]), ["a", "c"]);
    assert_eq!(chosen("a", &["a 1; Depends: x | c, c", "b 1; Provides: x", "c 1"]), ["a", "c"]);
    assert_eq!(chosen("a", &["a 1; Depends: v (>= 2)", "b 1; Provides: v", "c 1; Provides: v (= 2)"]), ["a", "c"]);
    assert_eq!(chosen("a", &["a 1; Depends: b", "b 1; Pre-Depends: a"]), ["a", "b"]);
    assert_eq!(chosen("v", &["b 1; Provides: v", "c 1; Provides: v; Priority: important"]), ["c"]);
    let qualified = [
        "a 1; Depends: p:any, q:amd64, r:i386 | s, t [i386], u [amd64]",
        "p 1; Multi-Arch: allowed",
        "q 1",
        "r 1",
        "s 1",
        "u 1",
    ];
    assert_eq!(chosen("a", &qualified), ["a", "p", "q", "s", "u"]);
    assert_eq!(chosen("a", &["a 1; Depends: f", "f 1; Architecture: i386", "f 1; Architecture: all"]), ["a", "f"]);
}

#[test]
fn conflicts_are_searched_around() {
    // The quick way takes b for a, then c forbids it.
    let all = ["a 1; Depends: b | d", "c 1; Conflicts: b", "b 1", "d 1"];
    assert_eq!(chosen("a c", &all), ["a", "c", "d"]);
    // b's own dependency turns out to be impossible.
    let deep = ["a 1; Depends: b | d", "b 1; Depends: nothing", "d 1"];
    assert_eq!(chosen("a", &deep), ["a", "d"]);
    // Breaks with a version that does not apply; a package may conflict with what it provides itself.
    assert_eq!(chosen("a b", &["a 1; Breaks: b (<< 1)", "b 1; Provides: m; Conflicts: m"]), ["a", "b"]);
}

#[test]
fn recommends_only_when_asked_for_and_only_where_they_fit() {
    let all = ["a 1; Recommends: r, gone, s", "r 1; Depends: l", "s 1; Conflicts: a", "l 1"];
    assert_eq!(chosen("a", &all), ["a"]);
    let mut wanted = distribution("a");
    wanted.recommends = true;
    assert_eq!(names(&resolve(&wanted, &indices(&all)).unwrap()), ["a", "l", "r"]);
}

#[test]
fn the_newest_version_over_the_pockets_and_no_half_rolled_out_update() {
    let mut all = VerifiedIndices::default();
    suite(&mut all, "trixie", &["a 1.9; Depends: b", "b 1", "c 1"]);
    suite(
        &mut all,
        "trixie-updates",
        &["a 1.10; Depends: b", "b 2; Phased-Update-Percentage: 40", "new 1; Phased-Update-Percentage: 10"],
    );
    suite(&mut all, "trixie-security", &["c 1", "a 1.10; Depends: b"]);
    let lock = resolve(&distribution("a c new"), &all).unwrap();
    let shown: Vec<String> =
        lock.packages.iter().map(|package| format!("{} {} {}", package.name, package.version, package.suite)).collect();
    assert_eq!(shown, ["a 1.10 trixie-updates", "b 1 trixie", "c 1 trixie", "new 1 trixie-updates"]);
    assert_eq!(lock.suites.len(), 3);
}

#[test]
fn an_unsatisfiable_chain_is_told_from_the_request_down() {
    let all = ["a 1; Depends: b", "b 2; Depends: c (>= 3) | x", "c 1", "d 1; Depends: y", "y 1"];
    insta::assert_snapshot!(refused(&distribution("a"), &all), @r"
    error: the packages cannot be installed together
      a 1 (requested)
        b 2 (for b)
    b depends on c (>= 3) | x, which cannot be had: trixie offers c 1; no package is called or provides x
    help: take the first package of the chain out of the profile, stop excluding the missing one, or add the pocket or component that has it
    ");
    let mut without = distribution("d");
    without.exclude.insert("y".to_owned());
    insta::assert_snapshot!(refused(&without, &all), @r"
    error: the packages cannot be installed together
      d 1 (requested)
    d depends on y, which cannot be had: y is excluded by the profile
    help: take the first package of the chain out of the profile, stop excluding the missing one, or add the pocket or component that has it
    ");
}

#[test]
fn a_conflict_is_told_with_both_chains() {
    let all = ["a 1; Depends: b", "b 1; Conflicts: d (<< 2)", "c 1; Depends: d", "d 1"];
    insta::assert_snapshot!(refused(&distribution("a c"), &all), @r"
    error: the packages cannot be installed together: b conflicts with d (<< 2)
      c 1 (requested)
        d 1 (for d)
    and
      a 1 (requested)
        b 1 (for b)
    help: take one of the two first packages out of the profile
    ");
}

#[test]
fn unknown_names_come_all_at_once_with_what_was_meant() {
    insta::assert_snapshot!(refused(&distribution("ngnix zzzzz nginx"), &["nginx 1", "other 1"]), @r"
    error: no such packages in trixie: 'ngnix', 'zzzzz'
    help: for 'ngnix' did you mean nginx?
    ");
    let mut both = distribution("nginx");
    both.exclude.insert("nginx".to_owned());
    insta::assert_snapshot!(refused(&both, &["nginx 1"]), @r"
    error: package 'nginx' is both asked for and excluded
    help: take 'nginx' out of `distribution.packages` or out of `distribution.exclude`
    ");
}

#[test]
fn hostile_index_entries_are_refused() {
    insta::assert_snapshot!(refused(&distribution("a"), &["a 1; Depends: b (1)", "b 1"]), @r"
    error: the index of trixie describes package 'a' badly: in Depends, 'b (1)' is not a relation
    help: use another mirror
    ");
    insta::assert_snapshot!(refused(&distribution("a"), &["a 1", "../b 1; Architecture: all"].map(|line| line.replace("../b", "-b")).each_ref().map(String::as_str)), @r"
    error: the index of trixie describes package '-b' badly: its name or version is malformed
    help: use another mirror
    ");
}

#[test]
fn lock_file_round_trip_drift_and_difference() {
    let wanted = distribution("a");
    let lock = resolve(&wanted, &indices(&["a 1; Depends: b", "b 1"])).unwrap();
    let text = lock.to_toml().unwrap();
    let signer = lock.suites[0].signer.clone();
    let digests = regexless(&text, &[&signer]);
    insta::assert_snapshot!(digests, @r#"
    # Written by `provbuild lock`: the exact packages that images are built from. Keep it under version control.
    # Do not edit; change the profile and run `provbuild lock` again.

    format = 1
    request = "DIGEST"
    epoch = 1788220800
    distribution = "debian"
    codename = "trixie"
    architecture = "amd64"

    [requested]
    distribution = "debian"
    codename = "trixie"
    architecture = "amd64"
    recommends = false
    components = ["main"]
    pockets = []
    packages = ["a"]
    exclude = []

    [[suite]]
    suite = "trixie"
    release = "DIGEST"
    date = 1788220800
    signer = "SIGNER"

    [[package]]
    name = "a"
    version = "1"
    architecture = "amd64"
    suite = "trixie"
    path = "pool/main/a_1_amd64.deb"
    size = 3750
    sha256 = "DIGEST"

    [[package]]
    name = "b"
    version = "1"
    architecture = "amd64"
    suite = "trixie"
    path = "pool/main/b_1_amd64.deb"
    size = 3250
    sha256 = "DIGEST"
    "#);
    assert_eq!(Lock::from_toml(&text).unwrap(), lock);
    assert_eq!(lock.drift(&wanted), None);
    let mut mirrored = wanted.clone();
    mirrored.mirrors.push(url::Url::parse("http://mirror.test/").unwrap());
    assert_eq!(lock.drift(&mirrored), None, "a mirror chooses no package");

    let mut changed = distribution("c");
    changed.kernel = Some("linux".to_owned());
    changed.recommends = true;
    changed.codename = "forky".to_owned();
    insta::assert_snapshot!(lock.drift(&changed).unwrap(), @r"
    release: trixie -> forky
    recommends: false -> true
    packages: - a
    packages: + c
    packages: + linux
    ");

    let newer = resolve(&distribution("a c"), &indices(&["a 2", "c 1"])).unwrap();
    insta::assert_snapshot!(LockDiff::between(&lock, &newer), @r"
    + c 1
    - b 1
      a 1 -> 2
    ");
    assert!(LockDiff::between(&lock, &lock).is_empty());
}

/// The text with every digest and the given words replaced.
fn regexless(text: &str, words: &[&str]) -> String {
    let mut text = text.to_owned();
    for word in words {
        text = text.replace(word, "SIGNER");
    }
    let parts: Vec<&str> = text.split('"').collect();
    let hidden: Vec<&str> = parts
        .into_iter()
        .map(|part| if part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit()) { "DIGEST" } else { part })
        .collect();
    hidden.join("\"")
}

#[test]
fn edited_and_foreign_lock_files_are_refused() {
    let lock = resolve(&distribution("a"), &indices(&["a 1"])).unwrap();
    let text = lock.to_toml().unwrap();
    let refusal = |text: &str| shown(&Lock::from_toml(text).unwrap_err(), &[]);
    insta::assert_snapshot!(refusal(&text.replace("format = 1", "format = 9")), @r"
    error: the lock file has format 9; this provbuild reads format 1
    help: use the provbuild that wrote it, or remove it and run `provbuild lock`
    ");
    insta::assert_snapshot!(refusal(&text.replace("packages = [\"a\"]", "packages = [\"b\"]")), @r"
    error: the lock file was changed by hand: `requested` does not fit the digest in `request`
    help: restore the file from version control, or remove it and run `provbuild lock`
    ");
    insta::assert_snapshot!(refusal(&text.replace("pool/main/a", "../../etc/a")), @r"
    error: the lock file was changed by hand: package 'a' has a malformed field
    help: restore the file from version control, or remove it and run `provbuild lock`
    ");
    insta::assert_snapshot!(refusal("hello"), @r"
    error: the lock file is not readable: key with no value, expected `=`
    help: restore the file from version control, or remove it and run `provbuild lock`
    ");
}
