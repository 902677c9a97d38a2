//! OpenPGP signatures on archive files.
//!
//! In: a clearsigned file, or a file and its detached signature; a keyring; a reference time. Out: the signed text and
//! who signed it. Invariant: what comes out is exactly what a trusted, living key signed; text around a clearsigned
//! message is refused, never passed on. Format: RFC 9580, sections 7 (cleartext) and 10.4 (detached).
//!
//! A file may carry several signatures; one good one suffices (as with apt), but a signature by a trusted key
//! that does not fit the text condemns the file. Keys must be alive both when they signed and at the reference time.

use std::io::Read;
use std::time::{Duration, SystemTime};

use sequoia_openpgp as openpgp;

use openpgp::cert::amalgamation::ValidAmalgamation;
use openpgp::parse::Parse;
use openpgp::parse::stream::{
    DetachedVerifierBuilder, GoodChecksum, MessageLayer, MessageStructure, VerificationError, VerificationHelper,
    VerifierBuilder,
};
use openpgp::policy::StandardPolicy;
use openpgp::types::RevocationStatus;
use openpgp::{Cert, KeyHandle};

use super::keyring::Keyring;
use crate::vocab::Epoch;

/// Why signed bytes are not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("it is not an OpenPGP signed text: {0}")]
    Malformed(String),
    #[error("there is text outside the signed part")]
    TextOutside,
    #[error("it carries no signature")]
    Unsigned,
    #[error("it is signed by {}, which the keyring does not hold", .0.join(" and "))]
    UnknownKey(Vec<String>),
    #[error("the key {key} that signed it expired")]
    Expired { key: String },
    #[error("the key {key} that signed it was revoked")]
    Revoked { key: String },
    #[error("the text was altered after {key} signed it")]
    Altered { key: String },
    #[error("the key {key} cannot be accepted: {reason}")]
    Rejected { key: String, reason: String },
}

/// A text and the certificate that vouches for it.
#[derive(Debug)]
pub(super) struct Signed {
    pub text: Vec<u8>,
    /// Fingerprint, uppercase hexadecimal.
    pub signer: String,
}

/// Opens a clearsigned file.
pub(super) fn open_clearsigned(file: &[u8], keyring: &Keyring, at: Epoch) -> Result<Signed, SignatureError> {
    require_single_message(file)?;
    let policy = StandardPolicy::at(time(at));
    let mut outcome = Vec::new();
    let helper = Helper { keyring, policy: &policy, at, outcome: &mut outcome };
    let mut text = Vec::new();
    let result = VerifierBuilder::from_bytes(file)
        .and_then(|builder| builder.with_policy(&policy, time(at), helper))
        .and_then(|mut verifier| Ok(verifier.read_to_end(&mut text).map(drop)?));
    let signer = judge(outcome, result)?;
    Ok(Signed { text, signer })
}

/// Checks a detached signature, armored or binary.
pub(super) fn open_detached(
    text: &[u8],
    signature: &[u8],
    keyring: &Keyring,
    at: Epoch,
) -> Result<Signed, SignatureError> {
    let policy = StandardPolicy::at(time(at));
    let mut outcome = Vec::new();
    let helper = Helper { keyring, policy: &policy, at, outcome: &mut outcome };
    let result = DetachedVerifierBuilder::from_bytes(signature)
        .and_then(|builder| builder.with_policy(&policy, time(at), helper))
        .and_then(|mut verifier| verifier.verify_bytes(text));
    let signer = judge(outcome, result)?;
    Ok(Signed { text: text.to_vec(), signer })
}

/// Who signed a text, by a signature in a file of its own: the fingerprint in uppercase hexadecimal.
///
/// # Errors
/// No trusted key that was alive at `at` signed exactly this text.
pub fn verify_detached(text: &[u8], signature: &[u8], keyring: &Keyring, at: Epoch) -> Result<String, SignatureError> {
    open_detached(text, signature, keyring, at).map(|signed| signed.signer)
}

fn time(at: Epoch) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(at.0))
}

/// The file must be one clearsigned message from its first byte to its last.
///
/// Dash escaping guarantees that no line of the signed text begins with `-----`, so the frame lines can be counted.
fn require_single_message(file: &[u8]) -> Result<(), SignatureError> {
    const BEGIN: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
    let malformed = |text: &str| Err(SignatureError::Malformed(text.to_owned()));
    if !file.starts_with(BEGIN) {
        return match memchr::memmem::find(file, BEGIN) {
            Some(_) => Err(SignatureError::TextOutside),
            None => malformed("no line 'BEGIN PGP SIGNED MESSAGE'"),
        };
    }
    let mut frames = Vec::new();
    let mut headers = true;
    for line in file.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii_end();
        if line.starts_with(b"-----") {
            frames.push(line);
        } else if frames.len() == 1 && headers {
            headers = !line.is_empty();
            // RFC 9580, 7.1: only `Hash` may stand here; other headers would be shown but not signed.
            if headers && !line.starts_with(b"Hash: ") {
                return Err(SignatureError::TextOutside);
            }
        } else if frames.len() == 3 && !line.is_empty() {
            return Err(SignatureError::TextOutside);
        }
    }
    match frames[..] {
        [BEGIN, b"-----BEGIN PGP SIGNATURE-----", b"-----END PGP SIGNATURE-----"] => Ok(()),
        [_, _, _, ..] => Err(SignatureError::TextOutside),
        _ => malformed("the signature is cut off"),
    }
}

/// What became of one signature; the order is the order of importance for the report.
#[derive(Debug)]
enum Outcome {
    Good(String),
    Bad(SignatureError),
    Unknown(String),
}

struct Helper<'a> {
    keyring: &'a Keyring,
    policy: &'a StandardPolicy<'a>,
    at: Epoch,
    outcome: &'a mut Vec<Outcome>,
}

impl VerificationHelper for Helper<'_> {
    fn get_certs(&mut self, _: &[KeyHandle]) -> openpgp::Result<Vec<Cert>> {
        Ok(self.keyring.certificates().to_vec())
    }

    fn check(&mut self, structure: MessageStructure) -> openpgp::Result<()> {
        for layer in structure {
            let MessageLayer::SignatureGroup { results } = layer else {
                continue;
            };
            for result in results {
                let outcome = match result {
                    Ok(good) => self.judge_good(&good),
                    Err(error) => judge_bad(&error),
                };
                self.outcome.push(outcome);
            }
        }
        // The verdict is given by `judge`, over all signatures.
        Ok(())
    }
}

impl Helper<'_> {
    /// Sequoia asks whether the key lived when it signed; here it must live at the reference time as well.
    fn judge_good(&self, good: &GoodChecksum) -> Outcome {
        let certificate = good.ka.cert();
        let key = certificate.fingerprint().to_hex();
        let rejected = |reason: String| Outcome::Bad(SignatureError::Rejected { key: key.clone(), reason });
        let now = match certificate.with_policy(self.policy, time(self.at)) {
            Ok(now) => now,
            Err(error) => return rejected(error.to_string()),
        };
        if now.alive().is_err() {
            return Outcome::Bad(SignatureError::Expired { key });
        }
        let revoked = |status| matches!(status, RevocationStatus::Revoked(_));
        if revoked(now.revocation_status()) {
            return Outcome::Bad(SignatureError::Revoked { key });
        }
        let print = good.ka.key().fingerprint();
        match now.keys().find(|ka| ka.key().fingerprint() == print) {
            None => rejected("its signing key is not bound to it any more".to_owned()),
            Some(ka) if ka.alive().is_err() => Outcome::Bad(SignatureError::Expired { key }),
            Some(ka) if revoked(ka.revocation_status()) => Outcome::Bad(SignatureError::Revoked { key }),
            Some(_) => Outcome::Good(key),
        }
    }
}

fn judge_bad(error: &VerificationError) -> Outcome {
    match error {
        VerificationError::MissingKey { sig } => {
            let issuer = sig.get_issuers().into_iter().next();
            Outcome::Unknown(issuer.map_or_else(|| "an unnamed key".to_owned(), |handle| format!("{handle:X}")))
        }
        VerificationError::UnboundKey { cert, error, .. } => {
            Outcome::Bad(SignatureError::Rejected { key: cert.fingerprint().to_hex(), reason: error.to_string() })
        }
        VerificationError::BadKey { ka, error, .. } => {
            let key = ka.cert().fingerprint().to_hex();
            let revoked =
                matches!(ka.cert().revocation_status(&StandardPolicy::new(), None), RevocationStatus::Revoked(_));
            Outcome::Bad(match () {
                () if matches!(error.downcast_ref(), Some(openpgp::Error::Expired(_))) => {
                    SignatureError::Expired { key }
                }
                () if revoked => SignatureError::Revoked { key },
                () => SignatureError::Rejected { key, reason: error.to_string() },
            })
        }
        VerificationError::BadSignature { ka, error, .. } => {
            let key = ka.cert().fingerprint().to_hex();
            Outcome::Bad(match error.downcast_ref::<openpgp::Error>() {
                Some(
                    openpgp::Error::Expired(_) | openpgp::Error::NotYetLive(_) | openpgp::Error::PolicyViolation(..),
                ) => SignatureError::Rejected { key, reason: error.to_string() },
                _ => SignatureError::Altered { key },
            })
        }
        VerificationError::MalformedSignature { error, .. } => {
            Outcome::Bad(SignatureError::Malformed(error.to_string()))
        }
        other => Outcome::Bad(SignatureError::Malformed(other.to_string())),
    }
}

/// One verdict from all signatures; the good signer that comes first in the file is named.
fn judge(outcomes: Vec<Outcome>, result: openpgp::Result<()>) -> Result<String, SignatureError> {
    let mut good = None;
    let mut bad = Vec::new();
    let mut unknown = Vec::new();
    for outcome in outcomes {
        match outcome {
            Outcome::Good(key) if good.is_none() => good = Some(key),
            Outcome::Good(_) => {}
            Outcome::Bad(error @ SignatureError::Altered { .. }) => return Err(error),
            Outcome::Bad(error) => bad.push(error),
            Outcome::Unknown(key) => unknown.push(key),
        }
    }
    result.map_err(|error| SignatureError::Malformed(error.to_string()))?;
    if let Some(key) = good {
        return Ok(key);
    }
    match bad.into_iter().next() {
        Some(error) => Err(error),
        None if unknown.is_empty() => Err(SignatureError::Unsigned),
        None => Err(SignatureError::UnknownKey(unknown)),
    }
}
