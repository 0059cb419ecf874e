//! The span of a request.

use std::cell::LazyCell;
use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use logbridge::HttpSettings;
use opentelemetry::KeyValue;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::options::matched_path;
use crate::request::{Head, MethodName, protocol_version};
use crate::semconv::{self, legacy};
use crate::settings::Settings;
use crate::span::{Failure, Scope, record_failure};
use crate::{SERVER_TARGET, grpc};

/// Makes the span of a request, for programs that keep `tower_http::trace::TraceLayer` instead of
/// [`ServerLayer`](crate::ServerLayer).
///
/// The span has the same name, attributes and remote parent as that of `ServerLayer`, and the parent is set before
/// `TraceLayer` enters the span. [`record_response`] adds the status.
///
/// The span does not say whether the service panicked or the response body was complete, and nothing is captured. If
/// `LOGBRIDGE_SPAN_LEVEL` filters the span, nothing continues the trace of the caller.
///
/// # Examples
///
/// ```
/// use tower_http::trace::TraceLayer;
///
/// let layer = TraceLayer::new_for_http()
///     .make_span_with(logbridge_http::request_span)
///     .on_response(logbridge_http::record_response);
/// # let app: axum::Router = axum::Router::new().layer(layer);
/// ```
#[must_use = "the span ends when it is dropped"]
pub fn request_span<B>(request: &Request<B>) -> Span {
    let head = Head::of_request(request);
    let settings = Settings::default().current();
    let span = if grpc::is_grpc(head.headers) {
        let span = grpc_span(&head, None);
        span.set_attribute(semconv::RPC_METHOD, grpc::method(head.uri.path()).to_owned());
        span
    } else {
        let method = MethodName::new(head.method, settings.known_methods());
        http_span(&head, &method, matched_path(request.extensions()), Connection::default(), &settings)
    };
    Scope::joined(span, head.headers).span().clone()
}

/// Records the status of a response in the span that [`request_span`] has made. Pass it to `TraceLayer::on_response`.
///
/// A status of 500 or above makes the span an error. The status of a gRPC call is recorded only if the response has
/// no body, because `TraceLayer` does not show the trailers here.
pub fn record_response<B>(response: &Response<B>, _latency: Duration, span: &Span) {
    Scope::local(span.clone()).with_recorded(|recorded| {
        if grpc::is_grpc(response.headers()) {
            if let Some(status) = grpc::GrpcStatus::read(response.headers()) {
                recorded.set_attribute(KeyValue::new(semconv::RPC_RESPONSE_STATUS_CODE, status.name()));
                if status.is_server_error() {
                    record_failure(recorded, &Failure::status(status.name()));
                }
            }
            return;
        }
        let status = response.status();
        recorded.set_attribute(KeyValue::new(semconv::HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16())));
        if let Some(failure) = Failure::of_server_status(status) {
            record_failure(recorded, &failure);
        }
    });
}

/// The name of a span: the method, and the route if there is one.
struct SpanName<'n> {
    method: &'n MethodName,
    route: Option<&'n str>,
}

impl fmt::Debug for SpanName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method.in_span_name())?;
        match self.route {
            Some(route) => write!(f, " {route}"),
            None => Ok(()),
        }
    }
}

/// Returns the name of a span whose route is known later.
pub(super) fn span_name(method: &MethodName, route: &str) -> String {
    format!("{:?}", SpanName { method, route: Some(route) })
}

/// What a request does not say about its connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Connection {
    pub(super) peer: Option<SocketAddr>,
    pub(super) scheme: Option<&'static str>,
}

pub(super) fn http_span(
    head: &Head<'_>,
    method: &MethodName,
    route: Option<&str>,
    Connection { peer, scheme }: Connection,
    settings: &HttpSettings,
) -> Span {
    // Computed by the macro, so that a filtered span costs nothing.
    let host = LazyCell::new(|| head.original_host());
    tracing::info_span!(
        target: SERVER_TARGET,
        "request",
        otel.name = ?SpanName { method, route },
        otel.kind = "server",
        { semconv::HTTP_REQUEST_METHOD } = &*method.name,
        { semconv::HTTP_REQUEST_METHOD_ORIGINAL } = (!method.is_known()).then(|| head.method.as_str()),
        { semconv::HTTP_ROUTE } = route,
        { semconv::URL_SCHEME } = head.original_scheme(scheme),
        { semconv::URL_PATH } = &*head.path(settings),
        { semconv::URL_QUERY } = head.query(settings).as_deref(),
        { semconv::SERVER_ADDRESS } = host.map(|(host, _)| host),
        { semconv::SERVER_PORT } = host.and_then(|(_, port)| port).map(i64::from),
        { semconv::NETWORK_PROTOCOL_VERSION } = protocol_version(head.version),
        { semconv::USER_AGENT_ORIGINAL } = head.user_agent(),
        { semconv::CLIENT_ADDRESS } = head.client(peer).map(display),
        { semconv::NETWORK_PEER_ADDRESS } = peer.map(|peer| display(peer.ip())),
        { semconv::NETWORK_PEER_PORT } = peer.map(|peer| i64::from(peer.port())),
    )
}

/// Makes the span of a gRPC call. `rpc.method` is added at the end, when the status tells whether the server knows
/// the method.
pub(super) fn grpc_span(head: &Head<'_>, peer: Option<SocketAddr>) -> Span {
    let host = LazyCell::new(|| head.authority());
    tracing::info_span!(
        target: SERVER_TARGET,
        "request",
        otel.name = grpc::method(head.uri.path()),
        otel.kind = "server",
        { semconv::RPC_SYSTEM_NAME } = "grpc",
        { semconv::SERVER_ADDRESS } = host.map(|(host, _)| host),
        { semconv::SERVER_PORT } = host.and_then(|(_, port)| port).map(i64::from),
        { semconv::NETWORK_PEER_ADDRESS } = peer.map(|peer| display(peer.ip())),
        { semconv::NETWORK_PEER_PORT } = peer.map(|peer| i64::from(peer.port())),
    )
}

/// Adds the names of a request that HyperDX's network panel reads.
pub(super) fn set_legacy(
    span: &Span,
    head: &Head<'_>,
    Connection { peer, scheme }: Connection,
    settings: &HttpSettings,
) {
    let (host, port) = head.original_host().unwrap_or_default();
    let scheme = head.original_scheme(scheme);
    let mut url = match host.contains(':') {
        true => format!("{scheme}://[{host}]"),
        false => format!("{scheme}://{host}"),
    };
    if let Some(port) = port {
        let _infallible = write!(url, ":{port}");
    }
    url.push_str(&head.path(settings));
    if let Some(query) = head.query(settings) {
        let _infallible = write!(url, "?{query}");
    }
    span.set_attribute(legacy::HTTP_URL, url);
    span.set_attribute(legacy::HTTP_METHOD, head.method.as_str().to_owned());
    if let Some(peer) = peer {
        span.set_attribute(legacy::NET_PEER_IP, peer.ip().to_string());
    }
}
