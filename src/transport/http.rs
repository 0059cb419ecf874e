//! OTLP/HTTP, with bodies in protobuf or JSON, over hyper.
//!
//! Constraints: redirects are not followed, one connection is kept alive for each signal, and the whole request
//! with its answer has one deadline.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, PROXY_AUTHORIZATION};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};

use super::client::{Client, ConnectionKey};
use super::client_error;
use super::compress;
use super::outcome::{Cause, CauseKind, Outcome};
use super::response;
use super::{MAX_RESPONSE_BYTES, headers, refuses};
use crate::config::{Compression, Protocol, Route};
use crate::otlp::request_to_json;
use crate::signal::Signal;

/// A client of one endpoint.
#[derive(Debug)]
pub(super) struct Http {
    client: Client<Full<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
    timeout: Duration,
    signal: Signal,
    is_json: bool,
    /// None once the endpoint has refused it.
    compression: Cell<Compression>,
    clock_offset: Cell<Option<i64>>,
}

/// What came back, and whether it was refused as something that cannot be read.
struct Exchange {
    outcome: Outcome,
    is_unreadable: bool,
}

impl From<Outcome> for Exchange {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, is_unreadable: false }
    }
}

impl Http {
    pub(super) fn new(route: &Route, client: Client<Full<Bytes>>) -> Self {
        let is_json = route.protocol == Protocol::HttpJson;
        let format = HeaderValue::from_static(if is_json { "application/json" } else { "application/x-protobuf" });
        let mut all = HeaderMap::new();
        all.insert(CONTENT_TYPE, format.clone());
        all.insert(ACCEPT, format);
        headers(route, &mut all);
        let authorization = route.proxy.as_ref().and_then(|proxy| proxy.authorization.clone());
        if let Some(authorization) = authorization.filter(|_| ConnectionKey::of(route).is_forwarded()) {
            all.insert(PROXY_AUTHORIZATION, authorization);
        }
        Self {
            client,
            uri: without_credentials(route.endpoint.uri()),
            headers: all,
            timeout: route.timeout,
            signal: route.signal,
            is_json,
            compression: Cell::new(route.compression),
            clock_offset: Cell::new(None),
        }
    }

    pub(super) fn clock_offset(&self) -> Option<i64> {
        self.clock_offset.get()
    }

    /// Sends one request, within its timeout. `encoding` says how the body is compressed, if it is.
    pub(super) async fn send(&self, body: Bytes, encoding: Option<HeaderValue>) -> Outcome {
        match tokio::time::timeout(self.timeout, self.try_compressed(body, encoding)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Outcome::timeout(self.timeout),
        }
    }

    /// Compressed, where that is asked for, and once more plain where the endpoint cannot read that.
    async fn try_compressed(&self, body: Bytes, encoding: Option<HeaderValue>) -> Outcome {
        let (body, encoding) = match self.formatted(body, encoding) {
            Ok(formatted) => formatted,
            Err(outcome) => return outcome,
        };
        let compression = self.compression.get();
        let compressed = match compress::encoding(compression) {
            Some(name) if encoding.is_none() => {
                compress::compress(compression, &body).ok().map(|compressed| (compressed, name))
            }
            _ => None,
        };
        let Some((compressed, name)) = compressed else { return self.exchange(body, encoding).await.outcome };
        let first = self.exchange(compressed.into(), Some(name)).await;
        if !first.is_unreadable {
            return first.outcome;
        }
        let second = self.exchange(body, None).await;
        if second.outcome.is_accepted() {
            self.compression.set(Compression::None);
            refuses(compression, &self.uri, &first.outcome);
        }
        second.outcome
    }

    /// The body in the format of the protocol.
    fn formatted(&self, body: Bytes, encoding: Option<HeaderValue>) -> Result<(Bytes, Option<HeaderValue>), Outcome> {
        if !self.is_json {
            return Ok((body, encoding));
        }
        let body = match &encoding {
            None => body,
            Some(encoding) => compress::decompress(encoding.to_str().unwrap_or_default(), &body)
                .map_err(Outcome::cannot_decompress)?
                .into(),
        };
        Ok((request_to_json(self.signal, &body).into(), None))
    }

    async fn exchange(&self, body: Bytes, encoding: Option<HeaderValue>) -> Exchange {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        if let Some(encoding) = encoding {
            request.headers_mut().insert(CONTENT_ENCODING, encoding);
        }
        let answered = match self.client.request(request) {
            Ok(answer) => answer.await,
            Err(why) => {
                let cause = Cause::new(CauseKind::TlsSetup, why);
                return Outcome::Retry { cause, after: None }.into();
            }
        };
        let (parts, body) = match answered {
            Ok(answer) => answer.into_parts(),
            Err(error) => return client_error::classify(&error).into(),
        };
        self.clock_offset.set(response::clock_offset(&parts.headers, SystemTime::now()).or(self.clock_offset.get()));
        let outcome = if parts.status.is_success() {
            match Limited::new(body, MAX_RESPONSE_BYTES).collect().await {
                Ok(body) => response::classify(parts.status, &parts.headers, &body.to_bytes()),
                Err(error) if error.is::<LengthLimitError>() => {
                    response::classify(parts.status, &parts.headers, &OVERSIZED)
                }
                // Whether the records were stored is unknown, and the protocol leaves nothing but to send them again.
                Err(error) => client_error::classify(&*error),
            }
        } else {
            response::classify(
                parts.status,
                &parts.headers,
                &response::read_error_body(body, self.timeout).await.to_bytes(),
            )
        };
        let is_unreadable = matches!(parts.status, StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE);
        Exchange { outcome, is_unreadable }
    }
}

/// Stands for an answer that is too long to be read: no OTLP answer either.
const OVERSIZED: [u8; 65] = [b'<'; 65];

/// hyper would send them nowhere, but they would stand in the `Host` header's source.
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
