//! TLS by rustls and ring, with the root certificates of the platform or of the configuration.

use std::error::Error;
use std::io;
use std::sync::Arc;

use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::connect::Connector;
use super::outcome::{Cause, CauseKind, server_text};
use crate::config::Tls;

pub(super) type TlsConnector = HttpsConnector<Connector>;

/// Adds TLS to a connector.
///
/// # Errors
///
/// Returns the reason if TLS cannot be set up.
pub(super) fn connector(connector: Connector, tls: &Tls, is_http2: bool) -> Result<TlsConnector, String> {
    let builder = HttpsConnectorBuilder::new().with_tls_config(config(tls)?).https_only();
    Ok(match is_http2 {
        #[cfg(feature = "grpc")]
        true => builder.enable_http2().wrap_connector(connector),
        _ => builder.enable_http1().wrap_connector(connector),
    })
}

fn config(tls: &Tls) -> Result<ClientConfig, String> {
    // Named explicitly, since rustls panics when it must choose between two providers.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let builder = match (&tls.roots, &tls.no_platform_roots) {
        (Some(pem), _) => builder.with_root_certificates(roots(pem)?),
        (None, Some(why)) => return Err(why.clone()),
        (None, None) => builder
            .with_native_roots()
            .map_err(|error| format!("the platform's root certificates could not be loaded: {error}"))?,
    };
    match &tls.identity {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => {
            let chain = certificates(chain, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE")?;
            let key = PrivateKeyDer::from_pem_slice(key)
                .map_err(|error| format!("the file of OTEL_EXPORTER_OTLP_CLIENT_KEY contains no key: {error}"))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("the client certificate and its key are invalid: {error}"))
        }
    }
}

fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, "OTEL_EXPORTER_OTLP_CERTIFICATE")? {
        roots
            .add(certificate)
            .map_err(|error| format!("a certificate of OTEL_EXPORTER_OTLP_CERTIFICATE is invalid: {error}"))?;
    }
    Ok(roots)
}

/// Returns the certificates in a PEM file, which must contain at least one.
fn certificates(pem: &[u8], variable: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(format!("the file of {variable} contains no certificate")),
        Err(error) => Err(format!("the file of {variable} is not valid PEM: {error}")),
    }
}

/// Returns the cause if the error is, or wraps, an error of rustls.
pub(super) fn cause(error: &(dyn Error + 'static)) -> Option<Cause> {
    Some(match tls_error(error)? {
        rustls::Error::InvalidMessage(_) => Cause::new(CauseKind::NotTls, "this port does not speak TLS"),
        error => Cause::new(CauseKind::Tls, format!("TLS: {}", server_text(&error.to_string()))),
    })
}

/// Returns the rustls error that an `io::Error`, possibly inside another one, wraps. `source` skips such an error.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls);
    }
    let inner = error.downcast_ref::<io::Error>()?.get_ref()?;
    tls_error(inner)
}
