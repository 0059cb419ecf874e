//! The configuration of TLS servers.

use std::sync::Arc;

use tokio_rustls::rustls::{self, ServerConfig};

/// Shows this certificate, and offers these protocols. With `clients`, only those that show that certificate get in.
pub(crate) fn server_config(
    certificate: &rcgen::Certificate,
    key: &rcgen::KeyPair,
    clients: Option<&rcgen::Certificate>,
    protocols: &[&str],
) -> ServerConfig {
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("a configuration");
    let config = match clients {
        None => config.with_no_client_auth(),
        Some(clients) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(clients.der().clone()).expect("a root");
            let verifier =
                rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            config.with_client_cert_verifier(verifier.expect("a verifier"))
        }
    };
    let mut config = config.with_single_cert(vec![certificate.der().clone()], key).expect("a configuration");
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}
