//! `provd certificate`: the appliance's own TLS certificate, made once on the state disk.
//!
//! ```text
//! DIR/key.pem            PKCS#8, 0600
//! DIR/certificate.pem    X.509, signed by itself, for the names and addresses given
//! ```
//! Both are kept for as long as they belong together, cover every name and address asked for, and do not expire soon; else both are
//! made anew. Each is written aside and renamed; a program that is killed between the two leaves a pair that does not belong
//! together, and the next start makes another.

use std::fs;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use netboot::Hostname;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};

/// Browsers refuse certificates that are valid for longer than 825 days, also those of nobody.
const VALID: SignedDuration = SignedDuration::from_hours(24 * 820);
/// Clocks may be wrong by this at the first boot.
const SLACK: SignedDuration = SignedDuration::from_hours(24);
/// Time before its end at which a certificate is made anew.
const RENEW: SignedDuration = SignedDuration::from_hours(24 * 30);

#[derive(Debug, clap::Args)]
pub(super) struct Certificate {
    /// Where key.pem and certificate.pem are kept; made if it is not there.
    #[arg(long)]
    directory: PathBuf,
    /// The appliance's host name, with or without its domain.
    #[arg(long)]
    name: String,
    /// An address that it is reached at; may be given more than once.
    #[arg(long)]
    address: Vec<IpAddr>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum CertificateError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("'{0}' is not a host name: labels of lowercase letters, digits and '-', with dots between them")]
    Name(String),
    #[error("making the certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// Prints the fingerprint of the certificate that is there in the end.
pub(super) fn run(arguments: &Certificate, now: Timestamp) -> Result<(), CertificateError> {
    let Certificate { directory, name, address } = arguments;
    if name.len() > 253 || name.split('.').any(|label| label.parse::<Hostname>().is_err() && label != "localhost") {
        return Err(CertificateError::Name(name.clone()));
    }
    let (key, certificate) = (directory.join("key.pem"), directory.join("certificate.pem"));
    let kept = fs::read(&certificate).ok().zip(fs::read(&key).ok());
    let kept = kept.and_then(|(certificate, key)| fits(&certificate, &key, name, address, now + RENEW));
    let der = match kept {
        Some(der) => {
            // Whoever copied it may have lost this.
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(&key, private).map_err(|source| CertificateError::Io { path: key, source })?;
            der
        }
        None => make(directory, &key, &certificate, name, address, now)?,
    };
    let digest = Sha256::digest(&der);
    println!("{}", digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"));
    Ok(())
}

/// The certificate, if it belongs to the key and is good for all names at that time.
fn fits(certificate: &[u8], key: &[u8], name: &str, addresses: &[IpAddr], at: Timestamp) -> Option<Vec<u8>> {
    let certificate = CertificateDer::from_pem_slice(certificate).ok()?;
    let key = PrivateKeyDer::from_pem_slice(key).ok()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    CertifiedKey::from_der(vec![certificate.clone()], key, &provider).ok()?.keys_match().ok()?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).ok()?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(at.as_second().try_into().ok()?));
    let names = [ServerName::try_from(name).ok()?];
    for name in names.into_iter().chain(addresses.iter().map(|address| ServerName::from(*address))) {
        verifier.verify_server_cert(&certificate, &[], &name, &[], at).ok()?;
    }
    Some(certificate.to_vec())
}

fn make(
    directory: &Path,
    key_path: &Path,
    certificate_path: &Path,
    name: &str,
    addresses: &[IpAddr],
    now: Timestamp,
) -> Result<Vec<u8>, CertificateError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.subject_alt_names.extend(addresses.iter().map(|address| SanType::IpAddress(*address)));
    params.distinguished_name = DistinguishedName::new();
    // A common name has at most 64 characters (RFC 5280, appendix A.1); what counts is the alternative name.
    params.distinguished_name.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    params.not_before = SystemTime::from(now - SLACK).into();
    params.not_after = SystemTime::from(now + VALID).into();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key)?;

    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| CertificateError::Io { path, source }
    };
    fs::create_dir_all(directory).map_err(io(directory))?;
    replace(key_path, &key.serialize_pem(), 0o600).map_err(io(key_path))?;
    replace(certificate_path, &certificate.pem(), 0o644).map_err(io(certificate_path))?;
    fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(io(directory))?;
    Ok(certificate.der().to_vec())
}

fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let aside = path.with_extension("new");
    // One that a killed run left behind may have another mode.
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::File::options().write(true).create_new(true).mode(mode).open(&aside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(aside, path)
}
