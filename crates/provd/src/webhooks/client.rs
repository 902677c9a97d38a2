//! The HTTP client of webhooks: no redirects, no proxy, short patience, bodies that are signed.
//!
//! Names are resolved by an own resolver from /etc/resolv.conf and /etc/hosts: glibc's would load shared libraries of its exact version,
//! and this program is linked statically to run on systems with another one.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bmc::root_cause;
use hickory_resolver::TokioResolver;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};
use ring::hmac;

use super::{Files, WebhookError};

/// For the whole exchange.
const PATIENCE: Duration = Duration::from_secs(10);
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Header with the signature: `sha256=` and 64 hexadecimal digits.
pub(super) const SIGNATURE: &str = "x-provbuild-signature";

#[derive(Clone)]
pub(super) struct Poster {
    client: Client,
    key: Option<hmac::Key>,
}

impl Poster {
    pub(super) fn new(files: &Files) -> Result<Poster, WebhookError> {
        let Files { webhook_secret, webhook_authorities } = files;
        let read = |path: &std::path::Path| match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(WebhookError::Read { path: path.to_owned(), source }),
            Ok(bytes) => Ok(Some(bytes)),
        };
        let key = read(webhook_secret)?.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.trim_ascii()));

        let error = |error: reqwest::Error| WebhookError::Client(root_cause(&error));
        let mut roots = Vec::new();
        for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
            roots.push(Certificate::from_der(root).map_err(error)?);
        }
        if let Some(pem) = read(webhook_authorities)? {
            let bad = |reason: String| WebhookError::Authorities { path: webhook_authorities.clone(), reason };
            let own = Certificate::from_pem_bundle(&pem).map_err(|error| bad(root_cause(&error)))?;
            if own.is_empty() {
                return Err(bad("it holds none".to_owned()));
            }
            roots.extend(own);
        }
        // Another part of the program may have chosen it already, and it is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("provd/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .timeout(PATIENCE)
            .connect_timeout(CONNECT_PATIENCE)
            .pool_max_idle_per_host(1)
            .tls_certs_only(roots)
            .dns_resolver(Resolver::default())
            .build()
            .map_err(error)?;
        Ok(Poster { client, key })
    }

    /// Posts a body. Why it was not taken, without the URL.
    pub(super) async fn post(&self, url: &str, body: &str) -> Result<(), String> {
        let mut request = self.client.post(url).header(CONTENT_TYPE, "application/json").body(body.to_owned());
        if let Some(key) = &self.key {
            request = request.header(SIGNATURE, signature(key, body));
        }
        let answer = request.send().await.map_err(|error| root_cause(&error.without_url()))?;
        // The answer's body is never read.
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("it answered {status}")),
        }
    }
}

fn signature(key: &hmac::Key, body: &str) -> String {
    format!("sha256={}", hex::encode(hmac::sign(key, body.as_bytes())))
}

/// Reads the system's settings at the first use.
#[derive(Clone, Default)]
struct Resolver(Arc<OnceLock<TokioResolver>>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let resolver = match shared.get() {
                Some(resolver) => resolver,
                None => {
                    // Where there is no such file yet, the next post tries again.
                    let made = TokioResolver::builder_tokio()?.build();
                    shared.get_or_init(|| made)
                }
            };
            let found = resolver.lookup_ip(name.as_str()).await?;
            let addresses: Vec<SocketAddr> = found.iter().map(|address| SocketAddr::new(address, 0)).collect();
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_standard() {
        // RFC 4231, section 4.3.
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"Jefe");
        let wanted = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature(&key, "what do ya want for nothing?"), wanted);
    }
}
