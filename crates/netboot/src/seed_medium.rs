//! The seed medium: what an appliance is told at the first boots of a generation, and the secrets that are in no image.
//!
//! ```text
//! ISO 9660, volume PROVSEED, one file seed.json:
//!   format        version of this format
//!   deployment    which deployment it is for, 32 hexadecimal digits
//!   generation    which of its generations
//!   state         "new": an empty disk is to become the state disk; "keep": there is one
//!   secrets       by name: "webhook", "bmc/HOSTNAME"
//! ```
//! In: a [`Seed`], or a medium as it was found. Out: the medium, or the seed. Invariants: what is read is bounded and checked whoever
//! wrote it; no secret is in an error or in the output of `Debug`, and the memory of all of them is cleared.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize as _, Zeroizing};

use crate::Hostname;
use crate::cidata::{self, CidataError, DESCRIPTOR, SECTOR};

/// Volume identifier: the file system's label, as udev shows it.
pub const SEED_VOLUME: &str = "PROVSEED";
pub const SEED_FILE: &str = "seed.json";
/// [`SEED_FILE`] in d-characters.
const PLAIN: &[u8] = b"SEED.JSON;1";

/// Bytes of the longest file.
const LONGEST: usize = 4 << 20;
/// Bytes of the longest secret: what `provd` reads of a BMC's credentials.
const LONGEST_SECRET: usize = 4096;
const MOST_SECRETS: usize = 4096;
/// Sectors of a directory that are looked through.
const DIRECTORY: usize = 8;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    /// [`Seed::FORMAT`]
    pub format: u32,
    /// 32 hexadecimal digits.
    pub deployment: String,
    /// From 1.
    pub generation: u32,
    pub state: SeedState,
    #[serde(deserialize_with = "secrets")]
    pub secrets: BTreeMap<SecretName, String>,
}

/// What is to become of the state disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeedState {
    /// Where none is there, the one empty disk is made one.
    New,
    /// There is one; without it nothing starts.
    Keep,
}

/// What a secret is for: its path below the appliance's directory of secrets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretName {
    /// User and password of a node's BMC.
    Bmc(Hostname),
    /// Key that webhooks are signed with.
    Webhook,
}

/// Why something is no seed. No secret is in here.
#[derive(Debug, thiserror::Error)]
pub enum BadSeed {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is no ISO 9660 volume {} with a file {}: {}", SEED_VOLUME, SEED_FILE, .0)]
    Medium(&'static str),
    /// serde_json's own words may quote a value.
    #[error("{}: line {line}, column {column}: {what}", SEED_FILE)]
    Json { line: usize, column: usize, what: &'static str },
    #[error("{} has format {}, and this is {}", SEED_FILE, .0, Seed::FORMAT)]
    Format(u32),
    #[error("{}: {}", SEED_FILE, .0)]
    Content(String),
    #[error(transparent)]
    Image(#[from] CidataError),
}

impl Seed {
    pub const FORMAT: u32 = 1;

    /// Reads the file's text.
    ///
    /// # Errors
    /// Anything that [`Seed::medium`] does not write.
    pub fn parse(text: &[u8]) -> Result<Self, BadSeed> {
        if text.len() > LONGEST {
            return Err(BadSeed::Content(format!("it is longer than {LONGEST} bytes")));
        }
        // First the format: another one has other fields.
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let json = |error: serde_json::Error| BadSeed::Json {
            line: error.line(),
            column: error.column(),
            what: match error.classify() {
                serde_json::error::Category::Data => {
                    "this field is not one of a seed's, or its value is none of the field's"
                }
                _ => "it is no JSON",
            },
        };
        let format = serde_json::from_slice::<Format>(text).map_err(json)?.format;
        if format != Seed::FORMAT {
            return Err(BadSeed::Format(format));
        }
        let seed: Seed = serde_json::from_slice(text).map_err(json)?;
        seed.check()?;
        Ok(seed)
    }

    /// The medium, with the time `epoch` (seconds since 1970) on everything; the same seed gives the same bytes.
    ///
    /// # Errors
    /// A field that [`Seed::parse`] would refuse.
    pub fn medium(&self, epoch: u32) -> Result<Zeroizing<Vec<u8>>, BadSeed> {
        self.check()?;
        // A buffer that grows would leave copies behind: each byte takes six at most (\u00XX).
        let most = self.secrets.values().map(|secret| 6 * secret.len() + 128).sum::<usize>() + 512;
        let mut text = Zeroizing::new(Vec::with_capacity(most));
        let written = serde_json::to_writer_pretty(&mut *text, self);
        written.map_err(|_| BadSeed::Content("it cannot be written".to_owned()))?;
        if text.len() > LONGEST {
            return Err(BadSeed::Content(format!("it is longer than {LONGEST} bytes")));
        }
        Ok(Zeroizing::new(cidata::image(SEED_VOLUME, &[(SEED_FILE, &text)], epoch)?))
    }

    /// Reads a medium: the fields of ECMA-119 that lead to the one file, each within bounds. The kernel need not mount it.
    ///
    /// # Errors
    /// It is no such medium, or its seed is none.
    pub fn read(medium: &mut (impl Read + Seek)) -> Result<Self, BadSeed> {
        let mut sector = descriptor(medium)?;
        let (root, length) = extent(&sector[156..190]);
        for index in 0..length.div_ceil(SECTOR).min(DIRECTORY) {
            medium.seek(SeekFrom::Start((root as usize + index) as u64 * SECTOR as u64))?;
            read(medium, &mut sector)?;
            if let Some((place, size)) = find(&sector) {
                if size > LONGEST {
                    return Err(BadSeed::Content(format!("it is longer than {LONGEST} bytes")));
                }
                let mut text = Zeroizing::new(vec![0; size]);
                medium.seek(SeekFrom::Start(u64::from(place) * SECTOR as u64))?;
                read(medium, &mut text)?;
                return Seed::parse(&text);
            }
        }
        Err(BadSeed::Medium("there is no such file"))
    }

    /// Whether a medium has the seed's volume name; the seed itself is not looked at.
    ///
    /// # Errors
    /// The medium cannot be read.
    pub fn is_on(medium: &mut (impl Read + Seek)) -> io::Result<bool> {
        match descriptor(medium) {
            Ok(_) => Ok(true),
            Err(BadSeed::Io(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }

    fn check(&self) -> Result<(), BadSeed> {
        let bad = |what: String| Err(BadSeed::Content(what));
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if self.format != Seed::FORMAT {
            return Err(BadSeed::Format(self.format));
        }
        if self.deployment.len() != 32 || !self.deployment.bytes().all(digit) {
            return bad("the deployment is not 32 hexadecimal digits".to_owned());
        }
        if self.generation == 0 {
            return bad("generations begin at 1".to_owned());
        }
        if self.secrets.len() > MOST_SECRETS {
            return bad(format!("{} secrets are more than {MOST_SECRETS}", self.secrets.len()));
        }
        for (name, secret) in &self.secrets {
            if secret.is_empty() {
                return bad(format!("the secret {name} is empty"));
            }
            if secret.len() > LONGEST_SECRET {
                return bad(format!("the secret {name} is longer than {LONGEST_SECRET} bytes"));
            }
        }
        Ok(())
    }
}

/// The volume descriptor of a medium with the seed's name.
fn descriptor(medium: &mut (impl Read + Seek)) -> Result<[u8; SECTOR], BadSeed> {
    let mut sector = [0; SECTOR];
    medium.seek(SeekFrom::Start((DESCRIPTOR * SECTOR) as u64))?;
    read(medium, &mut sector)?;
    if !sector.starts_with(b"\x01CD001\x01") {
        return Err(BadSeed::Medium("there is no volume descriptor"));
    }
    if sector[40..72].trim_ascii_end() != SEED_VOLUME.as_bytes() {
        return Err(BadSeed::Medium("the volume has another name"));
    }
    Ok(sector)
}

/// A medium that ends early is no medium; that is no failure of the drive.
fn read(medium: &mut impl Read, bytes: &mut [u8]) -> Result<(), BadSeed> {
    medium.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => BadSeed::Medium("it ends too early"),
        _ => BadSeed::Io(error),
    })
}

/// Where a directory record says its file lies, and its length (ECMA-119 9.1.3, 9.1.4).
fn extent(record: &[u8]) -> (u32, usize) {
    let number =
        |at: usize| record.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    (number(2), number(10) as usize)
}

/// The seed's record in a sector of the root directory.
fn find(sector: &[u8]) -> Option<(u32, usize)> {
    let mut at = 0;
    loop {
        let length = usize::from(*sector.get(at)?);
        let record = sector.get(at..at + length).filter(|record| record.len() > 33)?;
        let name = record.get(33..33 + usize::from(record[32]));
        let directory = record[25] & 2 != 0;
        if name == Some(PLAIN) && !directory {
            return Some(extent(record));
        }
        at += length;
    }
}

/// A name that stands there twice would be one secret of two.
fn secrets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<SecretName, String>, D::Error> {
    struct Once;
    impl<'de> serde::de::Visitor<'de> for Once {
        type Value = BTreeMap<SecretName, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("secrets by name")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut secrets = BTreeMap::new();
            while let Some((name, secret)) = map.next_entry::<SecretName, String>()? {
                if let Some(mut other) = secrets.insert(name, secret) {
                    other.zeroize();
                    return Err(A::Error::custom("a name twice"));
                }
            }
            Ok(secrets)
        }
    }
    deserializer.deserialize_map(Once)
}

impl Drop for Seed {
    fn drop(&mut self) {
        self.secrets.values_mut().for_each(|secret| secret.zeroize());
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seed")
            .field("deployment", &self.deployment)
            .field("generation", &self.generation)
            .field("state", &self.state)
            .field("secrets", &self.secrets.keys().map(SecretName::to_string).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretName::Webhook => f.write_str("webhook"),
            SecretName::Bmc(hostname) => write!(f, "bmc/{hostname}"),
        }
    }
}

impl FromStr for SecretName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            None if text == "webhook" => Ok(SecretName::Webhook),
            Some(("bmc", hostname)) => {
                hostname.parse().map(SecretName::Bmc).map_err(|_| "a BMC's secret is called bmc/HOSTNAME")
            }
            _ => Err("a secret is called \"webhook\" or \"bmc/HOSTNAME\""),
        }
    }
}

impl Serialize for SecretName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "ADMIN:correct horse\n";

    fn seed(secrets: &[(&str, &str)]) -> Seed {
        Seed {
            format: Seed::FORMAT,
            deployment: "0123456789abcdef0123456789abcdef".to_owned(),
            generation: 3,
            state: SeedState::New,
            secrets: secrets.iter().map(|(name, text)| (name.parse().unwrap(), (*text).to_owned())).collect(),
        }
    }

    fn refused(text: &str) -> String {
        let error = Seed::parse(text.as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("horse"), "{error}");
        error.to_string()
    }

    #[test]
    fn a_medium_is_read_back() {
        let whole = seed(&[("webhook", "key \u{1}\""), ("bmc/node1", SECRET), ("bmc/node2", &"x".repeat(4096))]);
        let medium = whole.medium(1_700_000_000).unwrap();
        assert_eq!(medium, whole.medium(1_700_000_000).unwrap());
        let found = Seed::read(&mut Cursor::new(&*medium)).unwrap();
        assert_eq!((&found.deployment, found.generation, found.state), (&whole.deployment, 3, SeedState::New));
        assert_eq!(found.secrets, whole.secrets);
        assert!(Seed::read(&mut Cursor::new(&*seed(&[]).medium(0).unwrap())).unwrap().secrets.is_empty());
    }

    #[test]
    fn the_text_is_known_and_no_debug_output_has_a_secret() {
        let seed = seed(&[("webhook", "key"), ("bmc/node1", SECRET)]);
        insta::assert_snapshot!(serde_json::to_string(&seed).unwrap(), @r#"{"format":1,"deployment":"0123456789abcdef0123456789abcdef","generation":3,"state":"new","secrets":{"bmc/node1":"ADMIN:correct horse\n","webhook":"key"}}"#);
        insta::assert_snapshot!(format!("{seed:?}"), @r#"Seed { deployment: "0123456789abcdef0123456789abcdef", generation: 3, state: New, secrets: ["bmc/node1", "webhook"], .. }"#);
    }

    #[test]
    fn what_is_no_seed_is_refused_without_its_secrets() {
        let text = |from: &str, to: &str| {
            let text = serde_json::to_string(&seed(&[("bmc/node1", "a:horse")])).unwrap();
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        };
        for (from, to, why) in [
            ("{\"format\":1", "{\"format\":2", "has format 2"),
            ("\"generation\":3", "\"generation\":0", "begin at 1"),
            ("\"generation\":3", "\"generation\":-1", "none of the field's"),
            ("\"generation\":3", "\"generation\":3,\"more\":\"horse\"", "not one of a seed's"),
            ("0123456789abcdef0", "0123456789ABCDEF0", "hexadecimal"),
            ("0123456789abcdef0", "0", "hexadecimal"),
            ("\"new\"", "\"old\"", "none of the field's"),
            ("\"bmc/node1\"", "\"bmc/../x\"", "none of the field's"),
            ("\"bmc/node1\"", "\"bmc/Node1\"", "none of the field's"),
            ("\"bmc/node1\"", "\"../webhook\"", "none of the field's"),
            ("\"bmc/node1\":\"a:horse\"", "\"bmc/n\":\"horse\",\"bmc/n\":\"horse\"", "none of the field's"),
            ("\"a:horse\"", "\"\"", "bmc/node1 is empty"),
            ("\"a:horse\"", "7", "none of the field's"),
            ("}}", "}", "no JSON"),
            ("}}", "}}x", "no JSON"),
        ] {
            let said = refused(&text(from, to));
            assert!(said.contains(why), "{from} -> {to}: {said}");
        }
        assert!(refused(&text("a:horse", &"horse".repeat(1000))).contains("longer than 4096"));
        assert!(refused(&" ".repeat(LONGEST + 1)).contains("longer than"));
        let mut bad = seed(&[]);
        bad.generation = 0;
        assert!(bad.medium(0).is_err());
        bad = seed(&[]);
        bad.secrets = (0..5000).map(|n| (format!("bmc/n{n}").parse().unwrap(), "a:b".to_owned())).collect();
        assert!(bad.medium(0).unwrap_err().to_string().contains("more than 4096"));
    }

    #[test]
    fn other_media_are_refused() {
        let said = |bytes: &[u8]| Seed::read(&mut Cursor::new(bytes)).unwrap_err().to_string();
        assert!(said(b"").contains("ends too early"));
        assert!(said(&[0; 40 * SECTOR]).contains("no volume descriptor"));
        let other = crate::cidata(&[("user-data", b"x")], 0).unwrap();
        assert!(said(&other).contains("another name"));
        let empty = cidata::image(SEED_VOLUME, &[("other.json", b"{}")], 0).unwrap();
        assert!(said(&empty).contains("no such file"));
        let medium = seed(&[("webhook", SECRET)]).medium(0).unwrap();
        assert!(said(&medium[..26 * SECTOR + 10]).contains("ends too early"));
        let is_on = |bytes: &[u8]| Seed::is_on(&mut Cursor::new(bytes)).unwrap();
        assert!(is_on(&medium) && is_on(&medium[..26 * SECTOR + 10]));
        assert!(!is_on(b"") && !is_on(&[0; 40 * SECTOR]) && !is_on(&other));
    }

    /// The readers that the kernel's is like, and blkid, whose label udev makes a link of.
    #[test]
    #[ignore = "needs xorriso, isoinfo and blkid"]
    fn judge_every_reader_finds_the_seed() {
        let directory = crate::tempdir::Folder::plain();
        let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
        let seed = seed(&[("webhook", "key"), ("bmc/node1", SECRET), ("bmc/node2", &"x".repeat(4096))]);
        std::fs::write(path("seed.iso"), &*seed.medium(1_700_000_000).unwrap()).unwrap();
        let run = |program: &str, arguments: &[&str]| {
            let search = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
            let output = std::process::Command::new(program).args(arguments).env("PATH", search).output();
            let output = output.unwrap_or_else(|error| panic!("{program}: {error}; scripts/install-test-tools has it"));
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program} {arguments:?}: {said}");
            said
        };
        let iso = path("seed.iso");
        let checked = run("xorriso", &["-abort_on", "WARNING", "-indev", &iso, "-check_media", "--"]);
        assert!(!checked.to_lowercase().contains("damaged"), "{checked}");
        run("xorriso", &["-osirrox", "on", "-indev", &iso, "-extract", "/", &path("tree")]);
        let names: Vec<_> = std::fs::read_dir(path("tree")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [SEED_FILE]);
        let text = std::fs::read(directory.join("tree").join(SEED_FILE)).unwrap();
        assert_eq!(Seed::parse(&text).unwrap().secrets, seed.secrets);
        assert!(run("isoinfo", &["-d", "-i", &iso]).contains("Volume id: PROVSEED"));
        for view in ["-J", "-R"] {
            let listed = run("isoinfo", &[view, "-f", "-i", &iso]);
            assert!(listed.contains("/seed.json"), "{view}: {listed}");
        }
        assert!(run("isoinfo", &["-f", "-i", &iso]).contains("/SEED.JSON;1"));
        assert_eq!(run("blkid", &["-p", "-s", "LABEL", "-o", "value", &iso]).trim(), SEED_VOLUME);
        assert_eq!(run("blkid", &["-p", "-s", "TYPE", "-o", "value", &iso]).trim(), "iso9660");
    }

    proptest! {
        /// Whatever is on it: an answer, no panic, and no memory beyond the bounds.
        #[test]
        fn a_hostile_medium_is_only_refused(
            changes in proptest::collection::vec((0..27 * SECTOR, any::<u8>()), 1..40),
            near in proptest::collection::vec((23 * SECTOR..23 * SECTOR + 512, any::<u8>()), 0..20),
        ) {
            let mut medium = seed(&[("bmc/node1", "a:horse")]).medium(0).unwrap();
            for (at, byte) in changes.into_iter().chain(near) {
                medium[at] = byte;
            }
            if let Err(error) = Seed::read(&mut Cursor::new(&*medium)) {
                prop_assert!(!error.to_string().contains("horse"));
            }
        }
    }
}
