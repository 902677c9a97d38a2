//! Signed Release files that must be refused, each with its own message.

use std::time::Duration;

use provbuild::lock::{Expectation, Keyring, ReleaseError, UnverifiedRelease, VerifiedIndex, VerifiedRelease};
use provbuild::vocab::Epoch;

use crate::common::archive::{DATE, NOW, TestArchive, TestKey, date_line};
use crate::shown;

struct Case {
    key: TestKey,
    keyring: Keyring,
    archive: TestArchive,
    _dir: tempfile::TempDir,
}

fn case() -> Case {
    let dir = tempfile::tempdir().unwrap();
    let key = TestKey::new("test archive");
    let keyring = Keyring::parse(&key.keyring()).unwrap();
    let mut archive = TestArchive::new(dir.path(), "trixie");
    archive.add("Package: a\nVersion: 1\nArchitecture: all\n");
    Case { key, keyring, archive, _dir: dir }
}

impl Case {
    fn inline(&self) -> Vec<u8> {
        self.key.clearsign(&self.archive.write_indices(), self.archive.date)
    }

    fn check(&self, file: Vec<u8>, suite: &str) -> Result<VerifiedRelease, ReleaseError> {
        self.check_with(UnverifiedRelease::Inline(file), suite, "main", "amd64", None)
    }

    fn check_with(
        &self,
        file: UnverifiedRelease,
        suite: &str,
        component: &str,
        architecture: &str,
        newest_seen: Option<Epoch>,
    ) -> Result<VerifiedRelease, ReleaseError> {
        let components = [component.to_owned()];
        let expectation = Expectation { suite, architecture, components: &components, now: Some(NOW), newest_seen };
        file.verify(suite, &self.keyring, NOW)?.accept(&expectation)
    }

    fn refusal(&self, file: Vec<u8>) -> String {
        self.hidden(self.check(file, "trixie").unwrap_err())
    }

    fn hidden(&self, error: ReleaseError) -> String {
        shown(&error, &[(&self.key.fingerprint(), "FINGERPRINT")])
    }
}

#[test]
fn good_signatures_inline_and_detached() {
    let case = case();
    let release = case.check(case.inline(), "trixie").unwrap();
    assert_eq!(release.locked().signer, case.key.fingerprint());
    assert_eq!(release.locked().date, Epoch(DATE));
    let text = case.archive.write_indices();
    let detached =
        UnverifiedRelease::Detached { release: text.clone().into_bytes(), signature: case.key.detach(&text, DATE) };
    assert!(case.check_with(detached, "trixie", "main", "amd64", None).is_ok());
}

#[test]
fn wrong_key() {
    let case = case();
    let other = TestKey::new("somebody else");
    let error = case.check(other.clearsign(&case.archive.write_indices(), DATE), "trixie").unwrap_err();
    let text = shown(&error, &[]);
    assert!(text.contains("which the keyring does not hold"), "{text}");
    assert!(text.contains("`distribution.keyring`"), "{text}");
}

#[test]
fn expired_key() {
    // Alive when it signed, dead now.
    let mut case = case();
    case.key = TestKey::living("short", Some(Duration::from_secs(365 * 86_400 + 3600)));
    case.keyring = Keyring::parse(&case.key.keyring()).unwrap();
    insta::assert_snapshot!(case.refusal(case.inline()), @r"
    error: the signed index of trixie is refused: the key FINGERPRINT that signed it expired
    help: install a newer provbuild, or name the distribution's current keyring file in `distribution.keyring`; check this machine's clock too
    ");
}

#[test]
fn altered_text_inline_and_detached() {
    let case = case();
    let altered = String::from_utf8(case.inline()).unwrap().replace("Origin: Test", "Origin: Evil");
    insta::assert_snapshot!(case.refusal(altered.into_bytes()), @r"
    error: the signed index of trixie is refused: the text was altered after FINGERPRINT signed it
    help: somebody between the archive and this machine changes files: use another mirror, or https
    ");
    let text = case.archive.write_indices();
    let detached = UnverifiedRelease::Detached {
        release: text.replace("Origin: Test", "Origin: Evil").into_bytes(),
        signature: case.key.detach(&text, DATE),
    };
    let error = case.check_with(detached, "trixie", "main", "amd64", None).unwrap_err();
    insta::assert_snapshot!(case.hidden(error), @r"
    error: the signed index of trixie is refused: the text was altered after FINGERPRINT signed it
    help: somebody between the archive and this machine changes files: use another mirror, or https
    ");
}

#[test]
fn text_around_the_signed_part_is_refused() {
    let case = case();
    let good = case.inline();
    let twice = [good.as_slice(), b"\n", &good].concat();
    let before = [b"Suite: evil\n".as_slice(), &good].concat();
    let after = [good.as_slice(), b"Suite: evil\n"].concat();
    let header = String::from_utf8(good.clone()).unwrap().replacen("MESSAGE-----\n", "MESSAGE-----\nSuite: evil\n", 1);
    for (what, file) in [("before", before), ("after", after), ("header", header.into_bytes()), ("twice", twice)] {
        let text = case.refusal(file);
        assert!(text.contains("there is text outside the signed part"), "{what}: {text}");
    }
    insta::assert_snapshot!(case.refusal([good.as_slice(), b"x"].concat()), @r"
    error: the signed index of trixie is refused: there is text outside the signed part
    help: somebody between the archive and this machine changes files: use another mirror, or https
    ");
}

#[test]
fn no_or_half_a_signature() {
    let case = case();
    insta::assert_snapshot!(case.refusal(b"<html>Please log in</html>".to_vec()), @r"
    error: the signed index of trixie is refused: it is not an OpenPGP signed text: no line 'BEGIN PGP SIGNED MESSAGE'
    help: the mirror or a proxy before it answers with something else: open the address in a browser, or use another mirror
    ");
    let good = case.inline();
    insta::assert_snapshot!(case.refusal(good[..good.len() - 60].to_vec()), @r"
    error: the signed index of trixie is refused: it is not an OpenPGP signed text: the signature is cut off
    help: the mirror or a proxy before it answers with something else: open the address in a browser, or use another mirror
    ");
    insta::assert_snapshot!(case.refusal(Vec::new()), @r"
    error: the signed index of trixie is refused: it is not an OpenPGP signed text: no line 'BEGIN PGP SIGNED MESSAGE'
    help: the mirror or a proxy before it answers with something else: open the address in a browser, or use another mirror
    ");
}

#[test]
fn rollback() {
    let case = case();
    let file = UnverifiedRelease::Inline(case.inline());
    let seen = Some(Epoch(DATE + 60));
    insta::assert_snapshot!(case.hidden(case.check_with(file, "trixie", "main", "amd64", seen).unwrap_err()), @r"
    error: the index of trixie of 2026-09-01 00:00 UTC is older than the one of 2026-09-01 00:01 UTC that was used before
    help: the mirror is behind or replays old files: use another one, or set `distribution.snapshot` if the older state is wanted
    ");
}

#[test]
fn outdated_and_future() {
    let mut case = case();
    case.archive.extra = format!("Valid-Until: {}\n", date_line(DATE + 3600));
    insta::assert_snapshot!(case.refusal(case.inline()), @r"
    error: the index of trixie was valid until 2026-09-01 01:00 UTC
    help: the mirror is no longer updated, or this machine's clock is wrong: use another mirror, or set `distribution.snapshot` if the older state is wanted
    ");
    case.archive.extra = String::new();
    let text = case.archive.write_indices().replace(&date_line(DATE), &date_line(DATE + 30 * 86_400));
    insta::assert_snapshot!(case.refusal(case.key.clearsign(&text, DATE)), @r"
    error: the index of trixie is dated 2026-10-01 00:00 UTC, which is in the future
    help: set this machine's clock
    ");
}

#[test]
fn another_suite() {
    let case = case();
    insta::assert_snapshot!(case.hidden(case.check(case.inline(), "trixie-security").unwrap_err()), @r"
    error: the mirror offers 'trixie' as trixie-security
    help: check `distribution.release`; if it is right, the mirror mixes suites: use another one
    ");
    // Ubuntu's way of naming: the codename is that of the release in every pocket.
    let text = case
        .archive
        .write_indices()
        .replace("Suite: trixie", "Suite: noble-updates")
        .replace("Codename: trixie", "Codename: noble");
    let file = case.key.clearsign(&text, DATE);
    assert!(matches!(case.check(file.clone(), "noble"), Err(ReleaseError::WrongSuite { .. })));
    assert!(case.check(file, "noble-updates").is_ok());
}

#[test]
fn missing_component_architecture_and_index() {
    let case = case();
    let check = |component, architecture| {
        let file = UnverifiedRelease::Inline(case.inline());
        case.hidden(case.check_with(file, "trixie", component, architecture, None).unwrap_err())
    };
    insta::assert_snapshot!(check("universe", "amd64"), @r"
    error: trixie has no component 'universe'; it has main
    help: correct `distribution.components`
    ");
    insta::assert_snapshot!(check("main", "riscv64"), @r"
    error: trixie has no architecture 'riscv64'; it has amd64
    help: correct `distribution.architecture`, or use a mirror that carries it
    ");
    let text = case.archive.write_indices().replace("Components: main", "Components: main contrib");
    let file = UnverifiedRelease::Inline(case.key.clearsign(&text, DATE));
    let error = case.check_with(file, "trixie", "contrib", "amd64", None).unwrap_err();
    insta::assert_snapshot!(case.hidden(error), @r"
    error: the Release file of trixie lists no package index for contrib on amd64
    help: use another mirror
    ");
}

#[test]
fn wrong_index_bytes() {
    for compression in ["", ".xz", ".gz", ".zst"] {
        let mut case = case();
        case.archive.compression = compression;
        let release = case.check(case.inline(), "trixie").unwrap();
        let path = case.archive.root.join("dists/trixie").join(release.indices()[0].path());
        let mut bytes = std::fs::read(path).unwrap();
        assert!(VerifiedIndex::new(&release.indices()[0], &bytes).is_ok(), "{compression}");
        assert!(VerifiedIndex::new(&release.indices()[0], &bytes[1..]).is_err(), "{compression}");
        bytes[0] ^= 1;
        assert!(VerifiedIndex::new(&release.indices()[0], &bytes).is_err(), "{compression}");
    }
}
