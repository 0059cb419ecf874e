//! Requests of others, passed on as they are: the same bytes, the same headers, and the answer as it came back.
//!
//! Constraints: what belongs to one connection only (`host`, `connection` and what that names) is not passed on, nor are
//! cookies, which a browser has for this machine and not for the endpoint. Redirects are not followed, and an exchange has
//! one deadline.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderName, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt as _, Full, Limited};

use super::client::{Client, Kind};
use super::http::without_credentials;
use super::outcome::{Cause, CauseKind, Outcome};
use super::{ANSWER_BYTES, answer, cause, grpc};
use crate::config::{Protocol, Proxy, Route};

/// What is between two neighbours only.
const OF_A_CONNECTION: [HeaderName; 13] = [
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

/// Without these nobody could read a body.
const OF_THE_BODY: [HeaderName; 2] = [CONTENT_ENCODING, CONTENT_TYPE];

/// Passes requests of one kind on to one URL.
#[derive(Debug)]
pub struct Relay {
    http: Client<Full<Bytes>>,
    http2: Client<Full<Bytes>>,
    uri: Uri,
    proxy: Option<Proxy>,
    /// For a proxy that reads the requests.
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

/// An answer from there, in memory.
#[derive(Debug)]
pub struct Relayed {
    pub head: Response<()>,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
    /// What it means.
    pub outcome: Outcome,
}

impl Relay {
    /// To the URL of this route; of its headers none is sent, since those who send have theirs.
    pub fn new(route: &Route) -> Self {
        let http = Route { protocol: Protocol::HttpProtobuf, ..route.clone() };
        let http2 = Route { protocol: Protocol::Grpc, ..route.clone() };
        let authorization = route.proxy.as_ref().and_then(|proxy| proxy.authorization.clone());
        Self {
            http: Client::new(&Kind::of(&http)),
            http2: Client::new(&Kind::of(&http2)),
            uri: without_credentials(route.endpoint.uri()),
            proxy: route.proxy.clone(),
            authorization: authorization.filter(|_| Kind::of(&http).is_forwarded()),
            timeout: route.timeout,
        }
    }

    /// Passes on a request of HTTP.
    pub async fn post(&self, headers: &HeaderMap, body: Bytes) -> Result<Relayed, Cause> {
        let mut request = self.request(self.uri.clone(), headers, body);
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let relayed = self.exchange(&self.http, request).await?;
        Ok(Relayed {
            outcome: answer::outcome(relayed.head.status(), relayed.head.headers(), &relayed.body),
            ..relayed
        })
    }

    /// Passes on a request of gRPC to this method of the same server.
    pub async fn call(&self, method: &'static str, headers: &HeaderMap, body: Bytes) -> Result<Relayed, Cause> {
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = Some(http::uri::PathAndQuery::from_static(method));
        let uri = Uri::from_parts(parts).unwrap_or_else(|_| self.uri.clone());
        let mut request = self.request(uri, headers, body);
        *request.version_mut() = Version::HTTP_2;
        // Of this one a client of gRPC may not be deprived.
        request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        let relayed = self.exchange(&self.http2, request).await?;
        let outcome = grpc::outcome(&relayed.head, relayed.trailers.as_ref(), &relayed.body);
        Ok(Relayed { outcome, ..relayed })
    }

    fn request(&self, uri: Uri, headers: &HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = end_to_end(headers.clone());
        request
    }

    async fn exchange(&self, client: &Client<Full<Bytes>>, request: Request<Full<Bytes>>) -> Result<Relayed, Cause> {
        let exchanged = async {
            let answer = client
                .request(request)
                .map_err(|why| Cause::new(CauseKind::TlsSetUp, why))?
                .await
                .map_err(|error| of(cause::outcome(&error)))?;
            let (mut parts, body) = answer.into_parts();
            let whole =
                Limited::new(body, ANSWER_BYTES).collect().await.map_err(|error| of(cause::outcome(&*error)))?;
            let trailers = whole.trailers().cloned();
            parts.headers = end_to_end(parts.headers);
            let head = Response::from_parts(parts, ());
            Ok(Relayed { head, body: whole.to_bytes(), trailers, outcome: Outcome::Delivered })
        };
        let exchanged = match tokio::time::timeout(self.timeout, exchanged).await {
            Ok(exchanged) => exchanged,
            Err(_elapsed) => Err(of(Outcome::timeout(self.timeout))),
        };
        exchanged.map_err(|mut cause: Cause| {
            if let Some(proxy) = &self.proxy {
                cause.text.push_str(&format!(" (by way of the proxy {proxy})"));
            }
            cause
        })
    }
}

/// Why there is no answer.
fn of(outcome: Outcome) -> Cause {
    outcome.cause().cloned().unwrap_or_else(|| Cause::new(CauseKind::Interrupted, ""))
}

fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    let named =
        headers.get_all(CONNECTION).iter().filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
    // What the message itself is made of cannot be hidden so.
    let named = named.filter_map(|name| name.trim().parse().ok()).filter(|name| !OF_THE_BODY.contains(name));
    for name in named.collect::<Vec<HeaderName>>().iter().chain(&OF_A_CONNECTION) {
        headers.remove(name);
    }
    headers
}

impl Relayed {
    /// The status that the client gets to see.
    pub fn status(&self) -> StatusCode {
        self.head.status()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_the_next_neighbour_only_stays_here() {
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
