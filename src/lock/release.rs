//! Release files: what an archive's owner signs for one suite.
//!
//! In: InRelease, or Release with Release.gpg. Out: a [`VerifiedRelease`], the only thing from which an index can be
//! made. The types are the steps: [`UnverifiedRelease`] (bytes) -> [`SignedRelease`] (signature good, content not
//! yet judged) -> [`VerifiedRelease`] (right suite, fresh, has what was asked for). Invariant: none can be skipped.
//! Format: the Debian repository format, <https://wiki.debian.org/DebianRepository/Format>.

use std::collections::BTreeMap;

use super::deb822::Stanza;
use super::keyring::Keyring;
use super::model::LockedSuite;
use super::signature::{self, SignatureError};
use crate::vocab::{Digest, Epoch, Remedy};

/// Bytes from a mirror that claim to be a Release file.
#[derive(Debug, Clone)]
pub enum UnverifiedRelease {
    /// `InRelease`, clearsigned.
    Inline(Vec<u8>),
    /// `Release` and `Release.gpg`.
    Detached { release: Vec<u8>, signature: Vec<u8> },
}

/// What a suite's Release file must satisfy.
#[derive(Debug, Clone)]
pub struct Expectation<'a> {
    /// Name in the archive: "noble-updates", "trixie-security".
    pub suite: &'a str,
    pub architecture: &'a str,
    pub components: &'a [String],
    /// The time against which `Valid-Until` is judged; `None` for a snapshot, which is old by intention.
    pub now: Option<Epoch>,
    /// The newest `Date:` of this suite that was seen or locked before.
    pub newest_seen: Option<Epoch>,
}

/// Why a Release file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    #[error("the signed index of {suite} is refused: {source}")]
    Signature { suite: String, source: SignatureError },
    #[error("the Release file of {suite} has no usable field '{field}'")]
    Field { suite: String, field: &'static str },
    #[error("the mirror offers '{found}' as {suite}")]
    WrongSuite { suite: String, found: String },
    #[error("the index of {suite} of {offered} is older than the one of {seen} that was used before")]
    Rollback { suite: String, offered: String, seen: String },
    #[error("the index of {suite} was valid until {until}")]
    Outdated { suite: String, until: String },
    #[error("the index of {suite} is dated {date}, which is in the future")]
    FromTheFuture { suite: String, date: String },
    #[error("{suite} has no component '{component}'; it has {}", .known.join(", "))]
    MissingComponent { suite: String, component: String, known: Vec<String> },
    #[error("{suite} has no architecture '{architecture}'; it has {}", .known.join(", "))]
    MissingArchitecture { suite: String, architecture: String, known: Vec<String> },
    #[error("the Release file of {suite} lists no package index for {component} on {architecture}")]
    MissingIndex { suite: String, component: String, architecture: String },
}

impl Remedy for ReleaseError {
    fn help(&self) -> Option<String> {
        Some(match self {
            ReleaseError::Signature { source, .. } => match source {
                SignatureError::UnknownKey(_) => {
                    "check that the mirror carries this distribution; an archive of your own needs `distribution.keyring`"
                        .to_owned()
                }
                SignatureError::Expired { .. } | SignatureError::Revoked { .. } | SignatureError::Rejected { .. } => {
                    "install a newer provbuild, or name the distribution's current keyring file in \
                     `distribution.keyring`; check this machine's clock too"
                        .to_owned()
                }
                SignatureError::Altered { .. } | SignatureError::TextOutside => {
                    "somebody between the archive and this machine changes files: use another mirror, or https".to_owned()
                }
                SignatureError::Malformed(_) | SignatureError::Unsigned => {
                    "the mirror or a proxy before it answers with something else: open the address in a browser, or use \
                     another mirror"
                        .to_owned()
                }
            },
            ReleaseError::Field { .. } | ReleaseError::MissingIndex { .. } => "use another mirror".to_owned(),
            ReleaseError::WrongSuite { .. } => {
                "check `distribution.release`; if it is right, the mirror mixes suites: use another one".to_owned()
            }
            ReleaseError::Rollback { .. } => {
                "the mirror is behind or replays old files: use another one, or set `distribution.snapshot` if the older \
                 state is wanted"
                    .to_owned()
            }
            ReleaseError::Outdated { .. } => {
                "the mirror is no longer updated, or this machine's clock is wrong: use another mirror, or set \
                 `distribution.snapshot` if the older state is wanted"
                    .to_owned()
            }
            ReleaseError::FromTheFuture { .. } => "set this machine's clock".to_owned(),
            ReleaseError::MissingComponent { .. } => "correct `distribution.components`".to_owned(),
            ReleaseError::MissingArchitecture { .. } => {
                "correct `distribution.architecture`, or use a mirror that carries it".to_owned()
            }
        })
    }
}

/// Compression of an index file, by its name's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Xz,
    Zstd,
    Gzip,
    None,
}

impl Compression {
    /// Best first.
    const ALL: [Compression; 4] = [Compression::Xz, Compression::Zstd, Compression::Gzip, Compression::None];

    fn suffix(self) -> &'static str {
        match self {
            Compression::Xz => ".xz",
            Compression::Zstd => ".zst",
            Compression::Gzip => ".gz",
            Compression::None => "",
        }
    }
}

/// One package index that a verified Release file pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFile {
    pub(super) suite: String,
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) sha256: Digest,
    pub(super) compression: Compression,
    /// Size of the decompressed text, where the Release file tells it.
    pub(super) plain_size: Option<u64>,
}

impl IndexFile {
    pub fn suite(&self) -> &str {
        &self.suite
    }

    /// Path below `dists/SUITE/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Size of the file as it is transferred, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Digest of the file as it is transferred.
    pub fn sha256(&self) -> &Digest {
        &self.sha256
    }

    /// Path by content below `dists/SUITE/`, for archives with `Acquire-By-Hash`.
    pub fn by_hash_path(&self) -> String {
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/by-hash/SHA256/{}", self.sha256)
    }
}

/// A Release file whose signature is good.
#[derive(Debug)]
pub struct SignedRelease {
    text: String,
    digest: Digest,
    signer: String,
}

/// A Release file that may be used.
#[derive(Debug, Clone)]
pub struct VerifiedRelease {
    locked: LockedSuite,
    by_hash: bool,
    indices: Vec<IndexFile>,
}

impl UnverifiedRelease {
    /// Checks the signature. `at` is the reference time for the keys' lifetimes; `suite` is for messages only.
    pub fn verify(&self, suite: &str, keyring: &Keyring, at: Epoch) -> Result<SignedRelease, ReleaseError> {
        let fail = |source| ReleaseError::Signature { suite: suite.to_owned(), source };
        let (signed, file) = match self {
            UnverifiedRelease::Inline(file) => (signature::open_clearsigned(file, keyring, at), file),
            UnverifiedRelease::Detached { release, signature } => {
                (signature::open_detached(release, signature, keyring, at), release)
            }
        };
        let signed = signed.map_err(fail)?;
        let text = String::from_utf8(signed.text)
            .map_err(|_| fail(SignatureError::Malformed("the signed text is not UTF-8".to_owned())))?;
        Ok(SignedRelease { text, digest: Digest::of(file), signer: signed.signer })
    }
}

impl SignedRelease {
    /// Fingerprint of the certificate that signed it, uppercase hexadecimal.
    pub fn signer(&self) -> &str {
        &self.signer
    }

    /// Judges the content.
    pub fn accept(self, expected: &Expectation) -> Result<VerifiedRelease, ReleaseError> {
        let stanza = Stanza::new(&self.text);
        let suite = || expected.suite.to_owned();
        let no_field = |field| ReleaseError::Field { suite: suite(), field };

        let found = identity(stanza).ok_or_else(|| no_field("Codename"))?;
        if found != expected.suite {
            return Err(ReleaseError::WrongSuite { suite: suite(), found: found.to_owned() });
        }
        let date = stanza.get("Date").and_then(parse_date).ok_or_else(|| no_field("Date"))?;
        if let Some(seen) = expected.newest_seen.filter(|seen| date < *seen) {
            return Err(ReleaseError::Rollback { suite: suite(), offered: show_time(date), seen: show_time(seen) });
        }
        if let Some(now) = expected.now {
            // Clocks differ a little; a day is far more than any of them should.
            if date.0 > now.0.saturating_add(86_400) {
                return Err(ReleaseError::FromTheFuture { suite: suite(), date: show_time(date) });
            }
            if let Some(until) = stanza.get("Valid-Until") {
                let until = parse_date(until).ok_or_else(|| no_field("Valid-Until"))?;
                if until < now {
                    return Err(ReleaseError::Outdated { suite: suite(), until: show_time(until) });
                }
            }
        }
        let words = |field| -> Vec<&str> { stanza.get(field).unwrap_or("").split_ascii_whitespace().collect() };
        let architectures = words("Architectures");
        if !architectures.is_empty() && !architectures.contains(&expected.architecture) {
            return Err(ReleaseError::MissingArchitecture {
                suite: suite(),
                architecture: expected.architecture.to_owned(),
                known: architectures.into_iter().filter(|name| *name != "all").map(str::to_owned).collect(),
            });
        }
        let files = listed_files(stanza.get("SHA256").ok_or_else(|| no_field("SHA256"))?);
        // "updates/main" of Debian's security archive is the component main.
        let components: Vec<&str> =
            words("Components").into_iter().map(|name| name.rsplit('/').next().unwrap_or(name)).collect();
        let separate_all =
            architectures.contains(&"all") && !words("No-Support-for-Architecture-all").contains(&"Packages");
        let mut indices = Vec::new();
        for component in expected.components {
            if !components.is_empty() && !components.contains(&component.as_str()) {
                return Err(ReleaseError::MissingComponent {
                    suite: suite(),
                    component: component.clone(),
                    known: components.into_iter().map(str::to_owned).collect(),
                });
            }
            let best = |architecture: &str| {
                let plain = format!("{component}/binary-{architecture}/Packages");
                let plain_size = files.get(plain.as_str()).map(|(_, size)| *size);
                Compression::ALL.into_iter().find_map(|compression| {
                    let path = format!("{plain}{}", compression.suffix());
                    let (sha256, size) = *files.get(path.as_str())?;
                    Some(IndexFile { suite: suite(), path, size, sha256, compression, plain_size })
                })
            };
            indices.push(best(expected.architecture).ok_or_else(|| ReleaseError::MissingIndex {
                suite: suite(),
                component: component.clone(),
                architecture: expected.architecture.to_owned(),
            })?);
            if separate_all {
                indices.extend(best("all"));
            }
        }
        let by_hash = stanza.get("Acquire-By-Hash").is_some_and(|text| text.eq_ignore_ascii_case("yes"));
        let locked = LockedSuite { suite: suite(), release: self.digest, date, signer: self.signer.clone() };
        Ok(VerifiedRelease { locked, by_hash, indices })
    }
}

impl VerifiedRelease {
    pub fn locked(&self) -> &LockedSuite {
        &self.locked
    }

    /// Whether files may be asked for by their digest, which does not race with an update of the mirror.
    pub fn by_hash(&self) -> bool {
        self.by_hash
    }

    /// One index per component and architecture, in the best compression that is listed.
    pub fn indices(&self) -> &[IndexFile] {
        &self.indices
    }
}

/// The name under which a suite is published.
///
/// Ubuntu: `Suite: noble-updates`, `Codename: noble`. Debian: `Suite: stable-updates`, `Codename: trixie-updates`.
fn identity(stanza: Stanza<'_>) -> Option<&str> {
    match (stanza.get("Suite"), stanza.get("Codename")) {
        (Some(suite), Some(codename)) if suite.starts_with(codename) => Some(suite),
        (_, Some(codename)) => Some(codename),
        (suite, None) => suite,
    }
}

/// `SHA256:` lines: digest, size, path.
fn listed_files(field: &str) -> BTreeMap<&str, (Digest, u64)> {
    let mut files = BTreeMap::new();
    for line in field.lines() {
        let mut words = line.split_ascii_whitespace();
        if let (Some(digest), Some(size), Some(path)) = (words.next(), words.next(), words.next())
            && let (Ok(digest), Ok(size)) = (digest.parse(), size.parse())
        {
            files.insert(path, (digest, size));
        }
    }
    files
}

/// "Sat, 12 Sep 2026 07:55:41 UTC" (RFC 5322, always UTC).
fn parse_date(text: &str) -> Option<Epoch> {
    let mut words = text.split_ascii_whitespace();
    let first = words.next()?;
    let day = if first.ends_with(',') { words.next()? } else { first };
    let (month, year, clock) = (words.next()?, words.next()?, words.next()?);
    if !matches!(words.next(), Some("UTC" | "GMT" | "+0000" | "Z")) {
        return None;
    }
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = i8::try_from(MONTHS.iter().position(|name| *name == month)?).ok()? + 1;
    let mut clock = clock.split(':').map(|part| part.parse::<i8>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next().unwrap_or(Some(0))?);
    let time =
        jiff::civil::DateTime::new(year.parse().ok()?, month, day.parse().ok()?, hour, minute, second, 0).ok()?;
    let seconds = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    u32::try_from(seconds).ok().map(Epoch)
}

/// A time as people read it, UTC.
pub(super) fn show_time(epoch: Epoch) -> String {
    jiff::Timestamp::from_second(i64::from(epoch.0))
        .map_or_else(|_| epoch.0.to_string(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}
