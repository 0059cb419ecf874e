//! OTLP/HTTP with bodies in protobuf or JSON, over hyper.
//!
//! Redirects are not followed. One connection per signal is kept alive. The request and its response share one timeout.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, PROXY_AUTHORIZATION};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};

use super::client::{Client, ConnectionKey};
use super::client_error;
use super::compress::{self, report_rejected_compression};
use super::outcome::{Cause, CauseKind, Outcome};
use super::request::{add_headers, without_credentials};
use super::response::{self, MAX_RESPONSE_BYTES};
use crate::config::{Compression, Protocol, Route};
use crate::otlp::request_to_json;
use crate::signal::Signal;

/// An OTLP/HTTP client for one endpoint.
#[derive(Debug)]
pub(super) struct Http {
    client: Client<Full<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
    timeout: Duration,
    signal: Signal,
    is_json: bool,
    /// Becomes `None` when the endpoint rejects compressed requests.
    compression: Cell<Compression>,
    clock_offset: Cell<Option<i64>>,
}

/// The result of one exchange. `is_unreadable` says that the endpoint could not read the request.
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
        add_headers(route, &mut all);
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

    /// Sends one request, at most for the timeout. `encoding` names the compression of the body, if there is any.
    pub(super) async fn send(&self, body: Bytes, encoding: Option<HeaderValue>) -> Outcome {
        match tokio::time::timeout(self.timeout, self.try_compressed(body, encoding)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Outcome::timeout(self.timeout),
        }
    }

    /// Sends the request compressed if configured. Sends it again uncompressed if the endpoint cannot read it.
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
            report_rejected_compression(compression, &self.uri, &first.outcome);
        }
        second.outcome
    }

    /// Converts the body to the format of the protocol.
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
            Err(reason) => {
                let cause = Cause::new(CauseKind::TlsSetup, reason);
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
                // It is unknown whether the records were stored. The protocol asks the client to retry.
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

/// Stands for a response that is too long to read. It is not a valid OTLP response either.
const OVERSIZED: [u8; 65] = [b'<'; 65];
