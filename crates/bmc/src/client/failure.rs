//! Why no answer came: the innermost reason, in words that a person can use.
//!
//! In: an error of the HTTP client. Out: an [`Error`]. Invariant: no URL and no header is in it.

use rustls::{AlertDescription, PeerIncompatible};

use crate::cause::{root_cause, tls_error};
use crate::error::Error;

/// The reason of a request that took too long.
pub(super) const LATE: &str = "no answer in time";

pub(super) fn failure(error: &reqwest::Error, endpoint: String, request: String) -> Error {
    if error.is_timeout() {
        return match error.is_connect() {
            true => Error::Unreachable { endpoint, reason: LATE.to_owned() },
            false => Error::Cut { endpoint, request, reason: LATE.to_owned() },
        };
    }
    if let Some((reason, help)) = tls_error(error).and_then(explain) {
        return Error::NoTls { endpoint, reason, help: help.to_owned() };
    }
    let reason = innermost(error);
    match error.is_connect() {
        true => Error::Unreachable { endpoint, reason },
        false => Error::Cut { endpoint, request, reason },
    }
}

/// What is wrong with a BMC's TLS, and what to do.
fn explain(error: &rustls::Error) -> Option<(String, &'static str)> {
    const OLD: &str = "update the BMC's firmware, or allow TLS 1.2 in its settings";
    const CERTIFICATE: &str =
        "let the BMC make a new certificate (X.509 version 3; RSA with 2048 bits or more, or ECDSA), or upload one";
    Some(match error {
        rustls::Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        )
        | rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            ("it speaks only a TLS older than 1.2".to_owned(), OLD)
        }
        rustls::Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity)
        | rustls::Error::PeerIncompatible(_) => {
            ("it has no cipher of TLS 1.2 or 1.3 in common with us".to_owned(), OLD)
        }
        rustls::Error::InvalidCertificate(why) => {
            (format!("its certificate cannot be used ({})", crate::plain(&format!("{why:?}"))), CERTIFICATE)
        }
        rustls::Error::InvalidMessage(_) => {
            ("what listens there speaks no TLS".to_owned(), "is the port right? Redfish's is 443")
        }
        _ => return None,
    })
}

fn innermost(error: &reqwest::Error) -> String {
    let text = crate::plain(&root_cause(error));
    // The library's text goes on with advice for programmers.
    if text.contains("close_notify") { "it broke the connection off".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use rustls::CertificateError;

    use super::*;

    #[test]
    fn what_is_wrong_with_tls_is_said_in_words() {
        for (error, words) in [
            (rustls::Error::AlertReceived(AlertDescription::ProtocolVersion), "it speaks only a TLS older than 1.2"),
            (
                rustls::Error::InvalidCertificate(CertificateError::BadEncoding),
                "its certificate cannot be used (BadEncoding)",
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::HandshakeFailure),
                "it has no cipher of TLS 1.2 or 1.3 in common with us",
            ),
        ] {
            assert_eq!(explain(&error).unwrap().0, words);
        }
        assert_eq!(explain(&rustls::Error::DecryptError), None);
    }
}
