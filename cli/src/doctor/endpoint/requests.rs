//! Sends OTLP requests concurrently, with the transport that programs use: empty requests with and without the key, to
//! other paths and for spans; a compressed one; and, if allowed, one record and large requests.

use std::time::SystemTime;

use bytes::Bytes;
use http::Uri;
use http::uri::PathAndQuery;
use prost::encoding::WireType;

use super::ProbeTarget;
use logbridge::internals::clock::nanos;
use logbridge::internals::config::{Compression, Endpoint, Protocol, Route};
use logbridge::internals::otlp::single_record_request;
use logbridge::internals::signal::Signal;
use logbridge::internals::transport::{Outcome, Transport, compressed};

/// Usual paths for logs.
const PATHS: [&str; 3] = ["/v1/logs", "/otlp/v1/logs", "/"];
const MIB: usize = 1 << 20;
/// Larger than gRPC servers accept by default, and larger than any request of logbridge.
pub(super) const LARGE: usize = 5 * MIB;

/// The outcome of each request. `None` if it was not sent.
#[derive(Debug, Default)]
pub(crate) struct RequestOutcomes {
    pub(crate) empty: Option<Outcome>,
    pub(crate) without_key: Option<Outcome>,
    /// The outcome of an empty request at each path.
    pub(crate) paths: Vec<(String, Outcome)>,
    /// The outcome of an empty request for spans.
    pub(crate) spans: Option<Outcome>,
    pub(crate) compressed: Option<Outcome>,
    pub(crate) record: Option<Outcome>,
    /// Requests of 1 MiB and of 5 MiB.
    pub(crate) large: Option<[Outcome; 2]>,
}

/// Sends every request that is allowed.
pub(super) async fn send_all(route: &Route, may_send: bool, target: &ProbeTarget) -> RequestOutcomes {
    let is_grpc = route.protocol == Protocol::Grpc;
    let bare = Route { headers: Vec::new(), ..route.clone() };
    let traces = Route { signal: Signal::Traces, endpoint: spans_endpoint(route), ..route.clone() };
    let wants_compression = target.compression != Compression::None;
    let (empty, without_key, paths, spans, compressed, record, large) = tokio::join!(
        send(route, Bytes::new()),
        when(!route.headers.is_empty(), send(&bare, Bytes::new())),
        when(!is_grpc, send_to_each_path(route)),
        send(&traces, Bytes::new()),
        when(wants_compression, send_compressed(route, target.compression)),
        when(may_send, send(route, test_record())),
        when(may_send && route.protocol != Protocol::HttpJson, send_large(route)),
    );
    RequestOutcomes {
        empty,
        without_key: without_key.flatten(),
        paths: paths.unwrap_or_default(),
        spans,
        compressed: compressed.flatten(),
        record: record.flatten(),
        large: large.flatten(),
    }
}

async fn when<T>(wanted: bool, future: impl Future<Output = T>) -> Option<T> {
    if wanted { Some(future.await) } else { None }
}

async fn send(route: &Route, body: Bytes) -> Option<Outcome> {
    send_encoded(route, body, None).await
}

async fn send_encoded(route: &Route, body: Bytes, encoding: Option<http::HeaderValue>) -> Option<Outcome> {
    let transport = Transport::for_routes(std::slice::from_ref(route)).pop()?;
    Some(transport.send(body, encoding).await)
}

/// Returns the route with another path.
fn at_path(route: &Route, path: &'static str) -> Option<Route> {
    let mut parts = route.endpoint.uri().clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static(path));
    let url = Uri::from_parts(parts).ok()?.to_string();
    Some(Route { endpoint: Endpoint::from_full(&url).ok()?, ..route.clone() })
}

async fn send_to_each_path(route: &Route) -> Vec<(String, Outcome)> {
    let own = route.endpoint.uri().path().to_owned();
    let mut all = Vec::new();
    for path in PATHS.into_iter().filter(|path| *path != own) {
        if let Some(other) = at_path(route, path) {
            all.push((path, other));
        }
    }
    let [a, b, c] = [0, 1, 2].map(|place| all.get(place));
    let send_to = |other: Option<&(&'static str, Route)>| {
        let other = other.cloned();
        async move {
            let (path, route) = other?;
            Some((path.to_owned(), send(&route, Bytes::new()).await?))
        }
    };
    let (a, b, c) = tokio::join!(send_to(a), send_to(b), send_to(c));
    [a, b, c].into_iter().flatten().collect()
}

/// Returns the endpoint of spans that belongs to this endpoint of logs.
fn spans_endpoint(route: &Route) -> Endpoint {
    // In gRPC, the path is the name of the service.
    if route.protocol == Protocol::Grpc {
        return route.endpoint.clone();
    }
    let path = route.endpoint.uri().path();
    let other = match path.strip_suffix("/v1/logs") {
        Some(before) => format!("{before}/v1/traces"),
        None => "/v1/traces".to_owned(),
    };
    let mut parts = route.endpoint.uri().clone().into_parts();
    parts.path_and_query = other.parse().ok();
    let url = Uri::from_parts(parts).map(|uri| uri.to_string());
    url.ok().and_then(|url| Endpoint::from_full(&url).ok()).unwrap_or_else(|| route.endpoint.clone())
}

async fn send_compressed(route: &Route, compression: Compression) -> Option<Outcome> {
    // An unknown field: something to compress that contains no record.
    let (body, encoding) = compressed(compression, &padding(1024))?;
    send_encoded(route, body.into(), Some(encoding)).await
}

/// Sends requests of 1 MiB and 5 MiB without records.
async fn send_large(route: &Route) -> Option<[Outcome; 2]> {
    let (one, five) = tokio::join!(send(route, padding(MIB).into()), send(route, padding(LARGE).into()));
    Some([one?, five?])
}

/// Returns a request that consists of an unknown field, which protobuf parsers skip.
fn padding(length: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(length + 8);
    prost::encoding::encode_key(15, WireType::LengthDelimited, &mut body);
    prost::encoding::encode_varint(length as u64, &mut body);
    body.resize(body.len() + length, b' ');
    body
}

/// Returns a request with one record that describes itself.
fn test_record() -> Bytes {
    let text = "logbridge doctor: a test record";
    single_record_request(nanos(SystemTime::now()), "logbridge-doctor", "logbridge::doctor", text).into()
}
