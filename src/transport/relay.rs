//! Forwards requests of other programs unchanged, and returns the response.
//!
//! Hop-by-hop headers are not forwarded, nor are cookies, which a browser holds for this machine and not for the
//! endpoint. Redirects are not followed. The request and its response share one timeout.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderName, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt as _, Full, Limited};

use super::client::{Client, ConnectionKey};
use super::outcome::{Cause, CauseKind, Outcome};
use super::request::without_credentials;
use super::response::{self, MAX_RESPONSE_BYTES};
use super::{client_error, grpc};
use crate::config::{Protocol, Proxy, Route};

/// Headers that are not forwarded.
const HOP_BY_HOP: [HeaderName; 13] = [
    CONNECTION,
    CONTENT_LENGTH,
    COOKIE,
    HOST,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Headers that a message needs even if `Connection` lists them.
const BODY_HEADERS: [HeaderName; 2] = [CONTENT_ENCODING, CONTENT_TYPE];

/// Forwards requests to one URL.
#[derive(Debug)]
pub struct Relay {
    http: Client<Full<Bytes>>,
    http2: Client<Full<Bytes>>,
    uri: Uri,
    proxy: Option<Proxy>,
    /// The credentials for a proxy that forwards requests without a tunnel.
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

/// The response to a forwarded request.
#[derive(Debug)]
pub struct RelayedResponse {
    pub head: Response<()>,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
    pub outcome: Outcome,
}

impl Relay {
    /// Creates a relay to the URL of a route. The headers of the route are not sent, since each request has its own.
    pub fn new(route: &Route) -> Self {
        let http = Route { protocol: Protocol::HttpProtobuf, ..route.clone() };
        let http2 = Route { protocol: Protocol::Grpc, ..route.clone() };
        let authorization = route.proxy.as_ref().and_then(|proxy| proxy.authorization.clone());
        Self {
            http: Client::new(&ConnectionKey::of(&http)),
            http2: Client::new(&ConnectionKey::of(&http2)),
            uri: without_credentials(route.endpoint.uri()),
            proxy: route.proxy.clone(),
            authorization: authorization.filter(|_| ConnectionKey::of(&http).is_forwarded()),
            timeout: route.timeout,
        }
    }

    /// Forwards an HTTP request.
    pub async fn post(&self, headers: &HeaderMap, body: Bytes) -> Result<RelayedResponse, Cause> {
        let mut request = self.request(self.uri.clone(), headers, body);
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let relayed = self.exchange(&self.http, request).await?;
        Ok(RelayedResponse {
            outcome: response::classify(relayed.head.status(), relayed.head.headers(), &relayed.body),
            ..relayed
        })
    }

    /// Forwards a gRPC request to a method of the same server.
    pub async fn call(&self, method: &'static str, headers: &HeaderMap, body: Bytes) -> Result<RelayedResponse, Cause> {
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = Some(http::uri::PathAndQuery::from_static(method));
        let uri = Uri::from_parts(parts).unwrap_or_else(|_| self.uri.clone());
        let mut request = self.request(uri, headers, body);
        *request.version_mut() = Version::HTTP_2;
        // gRPC requires this hop-by-hop header.
        request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        let relayed = self.exchange(&self.http2, request).await?;
        let outcome = grpc::classify(&relayed.head, relayed.trailers.as_ref(), &relayed.body);
        Ok(RelayedResponse { outcome, ..relayed })
    }

    fn request(&self, uri: Uri, headers: &HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = end_to_end(headers.clone());
        request
    }

    async fn exchange(
        &self,
        client: &Client<Full<Bytes>>,
        request: Request<Full<Bytes>>,
    ) -> Result<RelayedResponse, Cause> {
        let exchanged = async {
            let answer = client
                .request(request)
                .map_err(|reason| Cause::new(CauseKind::TlsSetup, reason))?
                .await
                .map_err(|error| cause_of(client_error::classify(&error)))?;
            let (mut parts, body) = answer.into_parts();
            let whole = Limited::new(body, MAX_RESPONSE_BYTES)
                .collect()
                .await
                .map_err(|error| cause_of(client_error::classify(&*error)))?;
            let trailers = whole.trailers().cloned();
            parts.headers = end_to_end(parts.headers);
            let head = Response::from_parts(parts, ());
            Ok(RelayedResponse { head, body: whole.to_bytes(), trailers, outcome: Outcome::Delivered })
        };
        let exchanged = match tokio::time::timeout(self.timeout, exchanged).await {
            Ok(exchanged) => exchanged,
            Err(_elapsed) => Err(cause_of(Outcome::timeout(self.timeout))),
        };
        exchanged.map_err(|mut cause: Cause| {
            if let Some(proxy) = &self.proxy {
                cause.add_proxy(proxy);
            }
            cause
        })
    }
}

/// Returns the cause of a failed exchange.
fn cause_of(outcome: Outcome) -> Cause {
    outcome.cause().cloned().unwrap_or_else(|| Cause::new(CauseKind::Interrupted, ""))
}

/// Removes the headers that apply to a single connection.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    let named =
        headers.get_all(CONNECTION).iter().filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
    let named = named.filter_map(|name| name.trim().parse().ok()).filter(|name| !BODY_HEADERS.contains(name));
    for name in named.collect::<Vec<HeaderName>>().iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    headers
}

impl RelayedResponse {
    pub fn status(&self) -> StatusCode {
        self.head.status()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop_headers_are_not_forwarded() {
        let headers = [
            ("connection", "keep-alive, X-Hop"),
            ("connection", "authorization , content-type"),
            ("authorization", "for a proxy that says so"),
            ("content-type", "application/json"),
            ("cookie", "session=1"),
            ("keep-alive", "5"),
            ("proxy-authorization", "Basic c2VjcmV0"),
            ("proxy-authenticate", "Basic"),
            ("set-cookie", "a=b"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("upgrade", "h2c"),
            ("x-hop", "1"),
            ("x-key", "kept"),
        ];
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let left = end_to_end(all);
        let mut names: Vec<&str> = left.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-type", "x-key"]);
    }
}
