//! OTLP requests: without records, with and without the key, to other paths, of another signal, compressed, large; and one
//! record where that is wanted. All at the same time, each by the transport that programs have.

use std::time::SystemTime;

use bytes::Bytes;
use http::Uri;
use http::uri::PathAndQuery;
use prost::encoding::WireType;

use super::ProbeTarget;
use logbridge::internals::clock::nanos;
use logbridge::internals::config::{Compression, Endpoint, Protocol, Route};
use logbridge::internals::otlp::request_with;
use logbridge::internals::signal::Signal;
use logbridge::internals::transport::{Outcome, Transport, compressed};

/// Where logs are usually taken.
const PATHS: [&str; 3] = ["/v1/logs", "/otlp/v1/logs", "/"];
const MIB: usize = 1 << 20;
/// Larger than what gRPC servers take by default, and what no batch of ours is.
pub(super) const LARGE: usize = 5 * MIB;

/// What became of each question; `None` where it was not asked.
#[derive(Debug, Default)]
pub(crate) struct RequestOutcomes {
    pub(crate) empty: Option<Outcome>,
    pub(crate) without_key: Option<Outcome>,
    /// Each path with what became of an empty request there.
    pub(crate) paths: Vec<(String, Outcome)>,
    /// An empty request with spans.
    pub(crate) spans: Option<Outcome>,
    pub(crate) compressed: Option<Outcome>,
    pub(crate) record: Option<Outcome>,
    /// Of one MiB, and of five.
    pub(crate) large: Option<[Outcome; 2]>,
}

/// Asks everything that may be asked.
pub(super) async fn send_all(route: &Route, may_send: bool, target: &ProbeTarget) -> RequestOutcomes {
    let is_grpc = route.protocol == Protocol::Grpc;
    let bare = Route { headers: Vec::new(), ..route.clone() };
    let traces = Route { signal: Signal::Traces, endpoint: sibling(route), ..route.clone() };
    let wants_compression = target.compression != Compression::None;
    let (empty, without_key, paths, spans, compressed, record, large) = tokio::join!(
        send(route, Bytes::new()),
        when(!route.headers.is_empty(), send(&bare, Bytes::new())),
        when(!is_grpc, send_to_each_path(route)),
        send(&traces, Bytes::new()),
        when(wants_compression, send_compressed(route, target.compression)),
        when(may_send, send(route, test_record())),
        when(may_send && route.protocol != Protocol::HttpJson, sizes(route)),
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

/// The same route to another path.
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
    let ask = |asked: Option<&(&'static str, Route)>| {
        let asked = asked.cloned();
        async move {
            let (path, route) = asked?;
            Some((path.to_owned(), send(&route, Bytes::new()).await?))
        }
    };
    let (a, b, c) = tokio::join!(ask(a), ask(b), ask(c));
    [a, b, c].into_iter().flatten().collect()
}

/// Where spans would be taken, if logs are taken here.
fn sibling(route: &Route) -> Endpoint {
    // gRPC names the service, and no path.
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
    // Something to compress that every reader of protobuf leaves out.
    let (body, encoding) = compressed(compression, &padding(1024))?;
    send_encoded(route, body.into(), Some(encoding)).await
}

/// One request of a mebibyte, and one of five, without a record in them.
async fn sizes(route: &Route) -> Option<[Outcome; 2]> {
    let (one, five) = tokio::join!(send(route, padding(MIB).into()), send(route, padding(LARGE).into()));
    Some([one?, five?])
}

/// A field of the request that no version has: readers of protobuf leave it out.
fn padding(length: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(length + 8);
    prost::encoding::encode_key(15, WireType::LengthDelimited, &mut body);
    prost::encoding::encode_varint(length as u64, &mut body);
    body.resize(body.len() + length, b' ');
    body
}

/// A request with one record, which says what it is.
fn test_record() -> Bytes {
    let text = "logbridge doctor: a record that asks whether records arrive";
    request_with(nanos(SystemTime::now()), "logbridge-doctor", "logbridge::doctor", text).into()
}
