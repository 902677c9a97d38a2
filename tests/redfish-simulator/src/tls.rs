//! TLS: a self-signed certificate of its own for each simulator, as BMCs have them.
//!
//! Input: the address; output: a certificate and a server's configuration. Invariant: each call makes a new key.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};

/// A certificate with its key, ready for connections.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) config: Arc<rustls::ServerConfig>,
    pub(crate) der: Vec<u8>,
    pub(crate) sha256: [u8; 32],
}

impl Identity {
    pub(crate) fn new(address: IpAddr) -> Identity {
        let names = vec!["bmc.invalid".to_string(), "localhost".to_string(), address.to_string()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate for fixed names");
        let der = made.cert.der().to_vec();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("the key is the certificate's");
        Identity { config: Arc::new(config), sha256: Sha256::digest(&der).into(), der }
    }
}
