//! Mirrors that misbehave, a store that is used by several processes or killed.

use std::path::Path;
use std::time::Duration;

use provbuild::fetch::{Archive, FetchError, FetchedPackage, Fetcher, Mirrors, Network, Store};
use provbuild::lock::{Keyring, Lock, resolve};
use provbuild::vocab::{Digest, Remedy, Silent};
use url::Url;

use crate::common::archive::{NOW, TestArchive, TestKey, write};
use crate::common::server::{Fault, Server};
use crate::{distribution, shown};

struct Case {
    dir: tempfile::TempDir,
    key: TestKey,
    archive: TestArchive,
    server: Server,
}

fn case() -> Case {
    let dir = tempfile::tempdir().unwrap();
    let key = TestKey::new("test archive");
    let mut archive = TestArchive::new(&dir.path().join("mirror"), "trixie");
    archive.add("Package: a\nVersion: 1\nArchitecture: all\nDepends: b\n");
    archive.add("Package: b\nVersion: 1:2+c~d\nArchitecture: amd64\n");
    archive.publish(&key);
    let server = Server::start(archive.root.clone());
    Case { dir, key, archive, server }
}

fn mirrors(urls: &[Url]) -> Mirrors {
    let main = Archive { indices: urls.to_vec(), packages: urls.to_vec() };
    Mirrors { security: main.clone(), main }
}

fn network() -> Network {
    Network { patience: Some(Duration::from_secs(1)), ..Network::default() }
}

impl Case {
    fn store(&self) -> Store {
        Store::open(&self.dir.path().join("store")).unwrap()
    }

    fn lock(&self, store: &Store, urls: &[Url], previous: Option<&Lock>) -> Result<Lock, FetchError> {
        let fetcher = Fetcher::new(store, mirrors(urls), network(), &Silent, 2);
        let keyring = Keyring::parse(&self.key.keyring()).unwrap();
        let indices = fetcher.indices(&distribution("a"), &keyring, NOW, previous)?;
        Ok(resolve(&distribution("a"), &indices).unwrap())
    }

    fn packages(&self, store: &Store, urls: &[Url], lock: &Lock) -> Result<Vec<FetchedPackage>, FetchError> {
        Fetcher::new(store, mirrors(urls), network(), &Silent, 2).packages(lock)
    }

    fn told(&self, error: &FetchError) -> String {
        shown(error, &[(self.server.url().as_str(), "http://MIRROR/"), (&self.key.fingerprint(), "FINGERPRINT")])
    }
}

#[test]
fn lock_and_packages_over_http_and_file_in_every_form() {
    for (compression, by_hash, inline) in
        [(".xz", true, true), (".gz", false, false), (".zst", true, false), ("", false, true)]
    {
        let mut case = case();
        std::fs::remove_dir_all(case.archive.root.join("dists")).unwrap();
        (case.archive.compression, case.archive.by_hash, case.archive.inline) = (compression, by_hash, inline);
        case.archive.publish(&case.key);
        let store = case.store();
        for url in [case.server.url(), case.archive.url()] {
            let lock = case.lock(&store, std::slice::from_ref(&url), None).unwrap();
            let fetched = case.packages(&store, &[url], &lock).unwrap();
            assert_eq!(fetched.len(), 2);
            for package in fetched {
                assert_eq!(Digest::of(&std::fs::read(package.path).unwrap()), package.locked.sha256);
            }
        }
        assert_eq!(case.server.log().iter().any(|path| path.contains("by-hash")), by_hash);
    }
}

#[test]
fn what_the_store_has_is_not_asked_for_again_and_suffices_offline() {
    let case = case();
    let (store, url) = (case.store(), case.server.url());
    let offline = Network { offline: true, ..Network::default() };
    let keyring = Keyring::parse(&case.key.keyring()).unwrap();
    let alone = Fetcher::new(&store, mirrors(&[]), offline, &Silent, 4);
    let error = alone.indices(&distribution("a"), &keyring, NOW, None).unwrap_err();
    insta::assert_snapshot!(case.told(&error), @r"
    error: the index of trixie is not in the store, and the network may not be used
    help: run once without the offline option
    ");
    let lock = case.lock(&store, std::slice::from_ref(&url), None).unwrap();
    insta::assert_snapshot!(case.told(&alone.packages(&lock).unwrap_err()), @r"
    error: package a 1 is not in the store, and the network may not be used
    help: run once without the offline option
    ");
    case.packages(&store, std::slice::from_ref(&url), &lock).unwrap();
    case.server.log();
    case.lock(&store, std::slice::from_ref(&url), None).unwrap();
    assert_eq!(case.server.log(), ["/dists/trixie/InRelease"]);
    let indices = alone.indices(&distribution("a"), &keyring, NOW, Some(&lock)).unwrap();
    assert_eq!(resolve(&distribution("a"), &indices).unwrap(), lock);
    assert_eq!(alone.packages(&lock).unwrap().len(), 2);
}

#[test]
fn a_cut_connection_is_resumed_with_range_and_if_range() {
    let case = case();
    let (store, url) = (case.store(), case.server.url());
    let lock = case.lock(&store, std::slice::from_ref(&url), None).unwrap();
    case.server.log();
    case.server.fault("pool/main/a_", Fault::Cut { after: 1000, times: 1 });
    case.packages(&store, &[url], &lock).unwrap();
    let log: Vec<String> = case.server.log().into_iter().filter(|line| line.contains("/a_")).collect();
    assert_eq!(log.len(), 2, "{log:?}");
    assert!(log[1].contains(" range bytes=1000- if \""), "{log:?}");
}

#[test]
fn a_transfer_that_a_killed_process_left_is_continued() {
    let case = case();
    let (store, url) = (case.store(), case.server.url());
    let lock = case.lock(&store, std::slice::from_ref(&url), None).unwrap();
    let whole = std::fs::read(case.archive.root.join(&lock.packages[0].path)).unwrap();
    let partial = store.root().join("partial").join(lock.packages[0].sha256.to_string());
    write(&partial, &whole[..500]);
    case.packages(&store, std::slice::from_ref(&url), &lock).unwrap();
    assert!(case.server.log().iter().any(|line| line.ends_with("range bytes=500-")));
    // A wrong part is noticed, thrown away, and the file fetched anew.
    std::fs::remove_file(store.object(&lock.packages[0].sha256).unwrap()).unwrap();
    write(&partial, &[0; 500]);
    case.packages(&store, &[url], &lock).unwrap();
    assert_eq!(store.verify().unwrap(), []);
}

#[test]
fn faults_of_mirrors_are_told_one_by_one() {
    let case = case();
    let (store, url) = (case.store(), case.server.url());
    let urls = std::slice::from_ref(&url);
    let lock = case.lock(&store, urls, None).unwrap();
    let mut told = String::new();
    for fault in [Fault::Status(404), Fault::Status(503), Fault::Altered, Fault::Short, Fault::Endless, Fault::Silent] {
        case.server.fault("/b_", fault);
        let error = case.packages(&store, urls, &lock).unwrap_err();
        told += &format!("--- {fault:?}\n{}\n", case.told(&error));
        assert!(store.object(&lock.packages[1].sha256).is_none(), "{fault:?}");
        let partial = store.root().join("partial").join(lock.packages[1].sha256.to_string());
        assert!(std::fs::metadata(partial).unwrap().len() <= lock.packages[1].size, "{fault:?}");
    }
    insta::assert_snapshot!(told, @r#"
    --- Status(404)
    error: package b 1:2+c~d cannot be had from any mirror
      http://MIRROR/: it has no such file (404)
    help: the archive has moved on since the lock was made: run `provbuild lock` to pin what it offers now, or set `distribution.snapshot = "20260901T000000Z"` (the time of the lock) to get the old files
    --- Status(503)
    error: package b 1:2+c~d cannot be had from any mirror
      http://MIRROR/: it answers with HTTP status 503
    help: run the build again, what arrived is kept; if a mirror goes on failing, name another one in `distribution.mirrors`
    --- Altered
    error: package b 1:2+c~d cannot be had from any mirror
      http://MIRROR/: it gives other content: SHA-256 a920c6853aba364c41ef1db7ca714ce47d2bfe5809323ed8d339b33eda6c1366 instead of 60658f8885bdb1615a128db5f3093f9b0015035e13eb9007221594fe48be7cf6
    help: run the build again, what arrived is kept; if a mirror goes on failing, name another one in `distribution.mirrors`
    --- Short
    error: package b 1:2+c~d cannot be had from any mirror
      http://MIRROR/: it gives 3499 bytes instead of 3500
    help: run the build again, what arrived is kept; if a mirror goes on failing, name another one in `distribution.mirrors`
    --- Endless
    error: package b 1:2+c~d cannot be had from any mirror
      http://MIRROR/: it sends more than the 3500 bytes that may come
    help: run the build again, what arrived is kept; if a mirror goes on failing, name another one in `distribution.mirrors`
    --- Silent
    error: package b 1:2+c~d cannot be had from any mirror
      http://MIRROR/: the transfer broke off after 0 bytes: operation timed out
    help: run the build again, what arrived is kept; if a mirror goes on failing, name another one in `distribution.mirrors`
    "#);
    // Any of them is survived where another mirror is well; the next run continues.
    for fault in [Fault::Status(404), Fault::Altered, Fault::Endless] {
        case.server.fault("/b_", fault);
        case.packages(&store, &[url.clone(), case.archive.url()], &lock).unwrap();
        std::fs::remove_file(store.object(&lock.packages[1].sha256).unwrap()).unwrap();
    }
    case.server.no_fault();
    case.packages(&store, urls, &lock).unwrap();
}

#[test]
fn an_unreachable_archive_names_every_mirror() {
    let case = case();
    let nowhere = Url::parse("http://127.0.0.1:9/debian").unwrap();
    let absent = Url::parse("file:///nonexistent/mirror").unwrap();
    let odd = Url::parse("ftp://127.0.0.1/debian").unwrap();
    let error = case.lock(&case.store(), &[nowhere, absent, odd], None).unwrap_err();
    insta::assert_snapshot!(case.told(&error), @r"
    error: no mirror gives a usable index of trixie
      http://127.0.0.1:9/debian: it cannot be reached: Connection refused (os error 111)
      file:///nonexistent/mirror: it has no such file (404)
      ftp://127.0.0.1/debian: its address is of no use: 'ftp:' is not supported, only http, https and file
    help: check the network and http_proxy; name a mirror that can be reached in `distribution.mirrors`; set `distribution.snapshot`; or build the other distribution's profile if its archive can be reached
    ");
}

#[test]
fn wrong_index_digest_and_rollback_from_a_mirror() {
    let case = case();
    let (store, url) = (case.store(), case.server.url());
    let urls = std::slice::from_ref(&url);
    case.server.fault("main/binary-amd64", Fault::Status(404));
    insta::assert_snapshot!(case.told(&case.lock(&store, urls, None).unwrap_err()), @r"
    error: no mirror gives a usable index of trixie
      http://MIRROR/: it has no such file (404)
    help: check the network and http_proxy; name a mirror that can be reached in `distribution.mirrors`; set `distribution.snapshot`; or build the other distribution's profile if its archive can be reached
    ");
    case.server.fault("main/binary-amd64", Fault::Altered);
    let text = case.told(&case.lock(&store, urls, None).unwrap_err());
    assert!(text.contains("it gives other content: SHA-256"), "{text}");
    case.server.no_fault();
    let lock = case.lock(&store, urls, None).unwrap();

    let mut older = TestArchive::new(&case.archive.root, "trixie");
    older.date -= 3600;
    older.packages = case.archive.packages.clone();
    older.publish(&case.key);
    insta::assert_snapshot!(case.told(&case.lock(&store, urls, None).unwrap_err()), @r"
    error: no mirror gives a usable index of trixie
      http://MIRROR/: the index of trixie of 2026-08-31 23:00 UTC is older than the one of 2026-09-01 00:00 UTC that was used before
    help: the mirror is behind or replays old files: use another one, or set `distribution.snapshot` if the older state is wanted
    ");
    // A new store does not know; the lock does.
    let fresh = Store::open(&case.dir.path().join("fresh")).unwrap();
    assert!(case.lock(&fresh, urls, Some(&lock)).is_err());
    assert!(case.lock(&fresh, urls, None).is_ok());
}

#[test]
fn a_full_disk_is_told_and_leaves_the_store_intact() {
    let case = case();
    let (store, url) = (case.store(), case.server.url());
    let lock = case.lock(&store, std::slice::from_ref(&url), None).unwrap();
    let partial = store.root().join("partial").join(lock.packages[0].sha256.to_string());
    // Every write to this device says ENOSPC.
    std::os::unix::fs::symlink("/dev/full", &partial).unwrap();
    let error = case.packages(&store, std::slice::from_ref(&url), &lock).unwrap_err();
    insta::assert_snapshot!(shown(&error, &[(&partial.display().to_string(), "PARTIAL")]), @r"
    error: no space left for PARTIAL
    help: make room, run `provbuild gc`, or put the store elsewhere; what is stored so far is intact
    ");
    std::fs::remove_file(&partial).unwrap();
    case.packages(&store, &[url], &lock).unwrap();
}

#[test]
fn stages_appear_complete_or_not_at_all_and_once() {
    let case = case();
    let store = case.store();
    let key = Digest::of(b"key");
    let failed: Result<_, FetchError> = store.stage(&key, |dir| {
        write(&dir.join("half"), b"x");
        Err(FetchError::Offline("a test".to_owned()))
    });
    assert!(failed.is_err() && store.stage_dir(&key).is_none());
    let runs = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = case.store();
                let (path, _) = store
                    .stage::<FetchError>(&key, |dir| {
                        runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        std::thread::sleep(Duration::from_millis(50));
                        write(&dir.join("whole"), b"y");
                        Ok(())
                    })
                    .unwrap();
                assert_eq!(std::fs::read(path.join("whole")).unwrap(), b"y");
            });
        }
    });
    assert_eq!(runs.into_inner(), 1);
    assert!(store.stage::<FetchError>(&key, |_| panic!("done before")).unwrap().1);
}

#[test]
fn leftovers_are_removed_when_nobody_uses_the_store() {
    let case = case();
    let store = case.store();
    let left = store.root().join("tmp/left");
    write(&left, b"x");
    let second = case.store();
    assert!(left.exists(), "another user may be writing it");
    drop((store, second));
    let store = case.store();
    assert!(!left.exists());
    let (kept, lost) = (store.add(b"kept").unwrap(), store.add(b"lost").unwrap());
    let damaged = store.add(b"damaged").unwrap();
    let path = store.object(&damaged).unwrap();
    std::fs::remove_file(&path).unwrap();
    write(&path, b"Damaged");
    assert_eq!(store.verify().unwrap(), [damaged]);
    let other = case.store();
    assert_eq!(store.gc(&|_| false).unwrap(), None, "a store in use is left alone");
    drop(other);
    assert_eq!(case.store().gc(&|digest| *digest == kept).unwrap(), Some(4));
    assert!(case.store().object(&kept).is_some() && case.store().object(&lost).is_none());
}

#[test]
fn foreign_directories_are_no_stores() {
    let dir = tempfile::tempdir().unwrap();
    let told = |path: &Path| {
        let error = Store::open(path).unwrap_err();
        assert!(error.help().is_some());
        error.to_string().replace(&dir.path().display().to_string(), "DIR")
    };
    write(&dir.path().join("home/letter"), b"x");
    insta::assert_snapshot!(told(&dir.path().join("home")), @"DIR/home is no store: it holds other files");
    write(&dir.path().join("new/format"), b"provbuild store 7\n");
    insta::assert_snapshot!(told(&dir.path().join("new")), @"DIR/new is a store of format 'provbuild store 7'; this provbuild uses 'provbuild store 1'");
}
