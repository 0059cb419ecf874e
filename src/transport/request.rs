//! The headers and the URL that all requests to an endpoint share.

use http::Uri;
use http::header::{HeaderMap, HeaderValue, USER_AGENT};

use crate::config::Route;

/// Inserts the user agent and the configured headers, which replace earlier headers of the same name.
pub(super) fn add_headers(route: &Route, headers: &mut HeaderMap) {
    let agent = concat!("OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"), " logbridge");
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    for header in &route.headers {
        headers.insert(header.name.clone(), header.value.clone());
    }
}

/// Removes user name and password from a URL. hyper does not send them, but derives the `Host` header from this URL.
pub(super) fn without_credentials(uri: &Uri) -> Uri {
    let host = uri
        .authority()
        .map(|authority| authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host).to_owned());
    let mut parts = uri.clone().into_parts();
    if let Some(authority) = host.and_then(|host| host.parse().ok()) {
        parts.authority = Some(authority);
    }
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}
