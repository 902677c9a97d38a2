//! ETags: made from what a resource shows, compared as RFC 9110 section 13.1.1 says or as a faulty BMC does.
//!
//! Input: a resource as JSON; output: the tag to send, and whether an `If-Match` is accepted. Invariant: two representations that differ have
//! different tags; the tag itself is no part of what is hashed.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::faults::{Active, Fault};

/// The opaque part of a resource's tag, with its quotes.
pub(crate) fn opaque(resource: &Value) -> String {
    let mut plain = resource.clone();
    if let Some(object) = plain.as_object_mut() {
        object.remove("@odata.etag");
    }
    let digest = Sha256::digest(plain.to_string().as_bytes());
    format!("\"{}\"", hex::encode(&digest[..12]))
}

/// As it is sent.
pub(crate) fn sent(opaque: &str, weak: bool, faults: &Active) -> String {
    match (weak && !faults.is(&Fault::StrongEtagsWantWeak)) || faults.is(&Fault::WeakEtags) {
        true => format!("W/{opaque}"),
        false => opaque.into(),
    }
}

/// Whether a header `If-Match` names the resource as it is.
pub(crate) fn matches(header: &str, opaque: &str, weak: bool, faults: &Active) -> bool {
    header.split(',').map(str::trim).any(|given| {
        let weak_form = format!("W/{opaque}");
        match given {
            "*" => true,
            _ if faults.is(&Fault::PreconditionFailed) => false,
            _ if faults.is(&Fault::WeakEtags) => given == opaque,
            _ if faults.is(&Fault::StrongEtagsWantWeak) => given == weak_form,
            _ => given == opaque || weak && given == weak_form,
        }
    })
}
