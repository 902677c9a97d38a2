//! What is at the bottom of an HTTP client's error: its outer levels repeat the address.

use std::error::Error;

/// The text of the innermost cause.
#[must_use]
pub fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// What the TLS library said, wherever it is in the chain.
#[must_use]
pub fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut cause = error.source();
    while let Some(now) = cause {
        if let Some(tls) = now.downcast_ref() {
            return Some(tls);
        }
        // The source of an I/O error is what its inner error comes from, not that itself.
        cause = match now.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => now.source(),
        };
    }
    None
}
