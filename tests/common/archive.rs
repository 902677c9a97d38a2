//! Small signed package archives, made in a directory: a `file:` mirror for tests.
//!
//! ```ignore
//! let key = TestKey::new("test archive");
//! let mut archive = TestArchive::new(dir, "trixie");
//! archive.add_debs(Path::new("somewhere/with/debs"));       // real packages
//! archive.add("Package: a\nVersion: 1\nArchitecture: all\n"); // or invented ones
//! archive.publish(&key);
//! let mirror = archive.url();                                // distribution.mirrors
//! let keyring = key.keyring();                               // bytes for Keyring::parse or distribution.keyring
//! ```

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use openpgp::armor;
use openpgp::cert::{Cert, CertBuilder};
use openpgp::policy::StandardPolicy;
use openpgp::serialize::SerializeInto;
use openpgp::serialize::stream::{Armorer, Message, Signer};
use provbuild::vocab::{Digest, Epoch};
use sequoia_openpgp as openpgp;

/// 2026-09-01 00:00:00 UTC: the date of test archives. Keys are a year older.
pub const DATE: u32 = 1_788_220_800;
/// One day later: the "now" of tests.
pub const NOW: Epoch = Epoch(DATE + 86_400);

/// An archive's signing key.
pub struct TestKey(Cert);

impl TestKey {
    pub fn new(name: &str) -> TestKey {
        TestKey::living(name, None)
    }

    /// A key that lives that long, from a year before [`DATE`].
    pub fn living(name: &str, validity: Option<Duration>) -> TestKey {
        let born = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(DATE) - 365 * 86_400);
        let (cert, _) = CertBuilder::new()
            .add_userid(name)
            .set_creation_time(born)
            .set_validity_period(validity)
            .add_signing_subkey()
            .generate()
            .expect("a key is made");
        TestKey(cert)
    }

    /// The public certificate, binary.
    pub fn keyring(&self) -> Vec<u8> {
        self.0.clone().strip_secret_key_material().to_vec().expect("a certificate is bytes")
    }

    pub fn fingerprint(&self) -> String {
        self.0.fingerprint().to_hex()
    }

    fn signer<'a>(&self, message: Message<'a>, at: u32) -> Signer<'a> {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(at));
        let policy = StandardPolicy::at(at);
        let key = self.0.keys().with_policy(&policy, at).secret().for_signing().next().expect("a signing key");
        let pair = key.key().clone().into_keypair().expect("an unencrypted key");
        Signer::new(message, pair).expect("a signer").creation_time(at)
    }

    /// As InRelease files are.
    pub fn clearsign(&self, text: &str, at: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let mut signer = self.signer(Message::new(&mut out), at).cleartext().build().expect("a signer");
        signer.write_all(text.as_bytes()).expect("text is signed");
        signer.finalize().expect("text is signed");
        out
    }

    /// As Release.gpg files are.
    pub fn detach(&self, text: &str, at: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let message = Armorer::new(Message::new(&mut out)).kind(armor::Kind::Signature).build().expect("armor");
        let mut signer = self.signer(message, at).detached().build().expect("a signer");
        signer.write_all(text.as_bytes()).expect("text is signed");
        signer.finalize().expect("text is signed");
        out
    }
}

/// An archive with one suite and the component main.
pub struct TestArchive {
    pub root: PathBuf,
    pub suite: String,
    /// `Date:` of the Release file.
    pub date: u32,
    /// Lines of the Release file beside the necessary ones ("Valid-Until: ...\n").
    pub extra: String,
    /// InRelease, or Release and Release.gpg.
    pub inline: bool,
    /// Compression of the index: "", ".xz", ".gz" or ".zst".
    pub compression: &'static str,
    pub by_hash: bool,
    pub packages: String,
}

impl TestArchive {
    pub fn new(root: &Path, suite: &str) -> TestArchive {
        TestArchive {
            root: root.to_owned(),
            suite: suite.to_owned(),
            date: DATE,
            extra: String::new(),
            inline: true,
            compression: ".xz",
            by_hash: true,
            packages: String::new(),
        }
    }

    /// Address for `distribution.mirrors`.
    pub fn url(&self) -> url::Url {
        url::Url::from_directory_path(&self.root).expect("an absolute directory")
    }

    /// Adds an invented package with a short file that is no real .deb; `control` are lines of a Packages stanza.
    pub fn add(&mut self, control: &str) {
        let field = |name: &str| {
            let line = control.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap_or_else(|| panic!("no {name} in {control}")).to_owned()
        };
        let file = format!("{}_{}_{}.deb", field("Package"), field("Version"), field("Architecture"));
        self.put(&file, control, format!("not really a package: {control}").repeat(50).as_bytes());
    }

    /// Adds every `.deb` below a directory.
    pub fn add_debs(&mut self, dir: &Path) {
        let mut open = vec![dir.to_owned()];
        let mut files = Vec::new();
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
                let path = entry.expect("a directory entry").path();
                match path.is_dir() {
                    true => open.push(path),
                    false if path.extension().is_some_and(|end| end == "deb") => files.push(path),
                    false => {}
                }
            }
        }
        files.sort();
        for path in files {
            let bytes = fs::read(&path).expect("a readable .deb");
            let name = path.file_name().expect("a name").to_string_lossy().replace("%3a", ".");
            self.put(&name, &control_of(&bytes), &bytes);
        }
    }

    fn put(&mut self, file: &str, control: &str, bytes: &[u8]) {
        let path = format!("pool/main/{file}");
        write(&self.root.join(&path), bytes);
        let (size, digest) = (bytes.len(), Digest::of(bytes));
        self.packages += &format!("{}\nFilename: {path}\nSize: {size}\nSHA256: {digest}\n\n", control.trim_end());
    }

    /// Writes indices and the signed Release file.
    pub fn publish(&self, key: &TestKey) {
        let text = self.write_indices();
        let dir = self.root.join("dists").join(&self.suite);
        if self.inline {
            write(&dir.join("InRelease"), &key.clearsign(&text, self.date));
        } else {
            write(&dir.join("Release"), text.as_bytes());
            write(&dir.join("Release.gpg"), &key.detach(&text, self.date));
        }
    }

    /// Writes the indices and gives the text of the Release file that pins them.
    pub fn write_indices(&self) -> String {
        let plain = self.packages.as_bytes();
        let packed = match self.compression {
            ".xz" => {
                let mut out = Vec::new();
                liblzma::read::XzEncoder::new(plain, 1).read_to_end(&mut out).expect("xz");
                out
            }
            ".gz" => {
                let mut out = Vec::new();
                flate2::read::GzEncoder::new(plain, flate2::Compression::fast()).read_to_end(&mut out).expect("gzip");
                out
            }
            ".zst" => zstd::encode_all(plain, 1).expect("zstd"),
            _ => plain.to_vec(),
        };
        let dir = self.root.join("dists").join(&self.suite);
        let name = format!("main/binary-amd64/Packages{}", self.compression);
        write(&dir.join(&name), &packed);
        if self.by_hash {
            write(&dir.join(format!("main/binary-amd64/by-hash/SHA256/{}", Digest::of(&packed))), &packed);
        }
        let mut listed = format!(" {} {} {name}\n", Digest::of(&packed), packed.len());
        if !self.compression.is_empty() {
            listed += &format!(" {} {} main/binary-amd64/Packages\n", Digest::of(plain), plain.len());
        }
        let by_hash = if self.by_hash { "Acquire-By-Hash: yes\n" } else { "" };
        let (suite, extra) = (&self.suite, &self.extra);
        let date = date_line(self.date);
        format!(
            "Origin: Test\nSuite: {suite}\nCodename: {suite}\nDate: {date}\n{extra}{by_hash}Architectures: amd64\n\
             Components: main\nSHA256:\n{listed}"
        )
    }
}

/// As in Release files.
pub fn date_line(seconds: u32) -> String {
    let time = jiff::Timestamp::from_second(i64::from(seconds)).expect("a time");
    time.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
}

pub fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// The control file of a .deb (deb(5)).
pub fn control_of(deb: &[u8]) -> String {
    let mut rest = deb.strip_prefix(b"!<arch>\n").expect("an ar archive");
    while rest.len() >= 60 {
        let (header, after) = rest.split_at(60);
        let name = String::from_utf8_lossy(&header[..16]).trim_end().trim_end_matches('/').to_owned();
        let size: usize = String::from_utf8_lossy(&header[48..58]).trim_end().parse().expect("a size");
        let body = &after[..size];
        rest = &after[(size + size % 2).min(after.len())..];
        if !name.starts_with("control.tar") {
            continue;
        }
        let reader: Box<dyn Read> = match name.as_str() {
            "control.tar.xz" => Box::new(liblzma::read::XzDecoder::new(body)),
            "control.tar.zst" => Box::new(zstd::stream::read::Decoder::new(body).expect("zstd")),
            "control.tar.gz" => Box::new(flate2::read::GzDecoder::new(body)),
            _ => Box::new(body),
        };
        for entry in tar::Archive::new(reader).entries().expect("a tar") {
            let mut entry = entry.expect("a member");
            if entry.path().expect("a name").ends_with("control") {
                let mut text = String::new();
                entry.read_to_string(&mut text).expect("text");
                return text;
            }
        }
    }
    panic!("no control file");
}
