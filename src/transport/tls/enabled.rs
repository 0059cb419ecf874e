//! TLS by rustls, with ring and the platform's roots.

use std::error::Error;
use std::io;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;

use super::outcome::{Cause, CauseKind};

pub(super) type TlsConnector = HttpsConnector<HttpConnector>;

/// Wraps the connector; `Err` says why there is no TLS.
pub(super) fn connector(mut http: HttpConnector) -> Result<TlsConnector, String> {
    http.enforce_http(false);
    // Named explicitly: with two providers compiled in, rustls's own choice panics.
    let provider = rustls::crypto::ring::default_provider();
    HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(provider)
        .map(|builder| builder.https_only().enable_http1().wrap_connector(http))
        .map_err(|error| format!("the platform's root certificates could not be loaded: {error}"))
}

/// The cause, where the error is rustls's.
pub(super) fn cause(error: &(dyn Error + 'static)) -> Option<Cause> {
    Some(match tls_error(error)? {
        rustls::Error::InvalidMessage(_) => {
            Cause { kind: CauseKind::NotTls, text: "this port does not speak TLS".to_owned() }
        }
        error => Cause { kind: CauseKind::Tls, text: format!("TLS: {error}") },
    })
}

/// rustls's error, which an `io::Error` (or one inside another) may wrap without naming it as its source.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls);
    }
    let inner = error.downcast_ref::<io::Error>()?.get_ref()?;
    tls_error(inner)
}
