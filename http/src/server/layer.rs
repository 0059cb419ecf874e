//! The layer and its options.

use std::net::SocketAddr;
use std::sync::Arc;

use http::request::Parts;
use logbridge::{Level, NetworkCapture};
use tower_layer::Layer;

use super::options::Options;
use super::service::ServerService;

/// A [`tower::Layer`](tower_layer::Layer) that makes one span per request of an HTTP server.
///
/// * The span continues the trace of `traceparent`, and code inside it sees the `baggage`. The installed propagators
///   are used. Without a valid remote parent, the current span of the thread stays the parent.
/// * Its name and attributes follow the HTTP semantic conventions 1.44. For `application/grpc`, they follow the RPC
///   conventions.
/// * The inner service runs inside the span, and so does the response body. The span ends when the body ends.
/// * `http.server.request.duration` is recorded if there is a global meter provider. gRPC calls are left out.
///
/// The layer may be built before logbridge is installed. Apply it with `axum::Router::layer`, so that it sees the
/// matched route. Around a whole router, it only gets the route of a second `ServerLayer` inside. That one makes no
/// span of its own.
///
/// Spans have the level INFO and the target [`SERVER_TARGET`](crate::SERVER_TARGET). If `LOGBRIDGE_SPAN_LEVEL` filters
/// them, records and outgoing requests of the handler carry the ids of the caller.
///
/// # Errors in spans
///
/// The status of a span is an error, with `error.type`, in these cases:
///
/// | `error.type` | meaning |
/// |---|---|
/// | `500` to `599` | the status of the response |
/// | `UNKNOWN`, `DEADLINE_EXCEEDED`, `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE`, `DATA_LOSS` | the status of gRPC |
/// | `missing_grpc_status` | a response of gRPC ended without status |
/// | `panic` | the service or the body panicked |
/// | `request_canceled` | the request was dropped before there was a response, because the client went away or a timeout passed |
/// | `response_aborted` | the response body was dropped before its end |
/// | the name of a Rust type, or `_OTHER` | the service or the body failed with an error of that type |
///
/// # Network capture
///
/// Headers and response bodies are captured for every server, if capture is on. Request bodies are captured if they
/// have the type `axum::body::Body`, with the feature `axum`. See [`NetworkCapture`].
///
/// # Examples
///
/// ```
/// use logbridge_http::ServerLayer;
///
/// let layer = ServerLayer::new().filter(|request| request.uri.path() != "/health");
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "add it to a service"]
pub struct ServerLayer {
    options: Arc<Options>,
}

impl ServerLayer {
    /// Creates a layer with the settings of logbridge.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a closure that returns the route of a request, such as `/orders/{id}`. If it panics, there is no route.
    ///
    /// A route names a set of requests, so it must not contain ids. If the closure returns `None`, the route comes from
    /// axum's `MatchedPath`, with the feature `axum`. Without a route, the span's name is the method. gRPC calls
    /// have no route.
    pub fn route(mut self, route: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.options).route = Some(Arc::new(route));
        self
    }

    /// Sets a closure that returns whether a request gets a span. Use it to exclude health checks.
    ///
    /// An excluded request has no span, no metric and no capture. Its records and outgoing requests still carry the ids
    /// of the caller, if the caller sent any. If the closure panics, the request gets a span.
    pub fn filter(mut self, filter: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.options).filter = Some(Arc::new(filter));
        self
    }

    /// Sets a closure that returns the address of the peer, for `network.peer.address` and `client.address`.
    ///
    /// With axum's `into_make_service_with_connect_info`, for example:
    ///
    /// ```
    /// use std::net::SocketAddr;
    ///
    /// use axum::extract::ConnectInfo;
    /// use logbridge_http::ServerLayer;
    ///
    /// let layer = ServerLayer::new()
    ///     .peer(|request| request.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0));
    /// ```
    pub fn peer(mut self, peer: impl Fn(&Parts) -> Option<SocketAddr> + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.options).peer = Some(Arc::new(peer));
        self
    }

    /// Sets the scheme of requests that do not name it, for `url.scheme`. Default: `http`.
    ///
    /// Requests over HTTP/1.1 do not. Set `https` if the program itself serves TLS, without a proxy. A proxy's
    /// `Forwarded` or `X-Forwarded-Proto` takes precedence.
    pub fn scheme(mut self, scheme: &'static str) -> Self {
        Arc::make_mut(&mut self.options).scheme = Some(scheme);
        self
    }

    /// Sets what this layer captures, instead of the settings of logbridge. The body size and the header lists that the
    /// value does not set come from these settings.
    pub fn capture(mut self, capture: NetworkCapture) -> Self {
        Arc::make_mut(&mut self.options).settings.set_capture(capture);
        self
    }

    /// Logs one event at the end of each request, with method, path, status and duration. Default: none, because the
    /// span already has these.
    pub fn log_requests(mut self, level: Level) -> Self {
        Arc::make_mut(&mut self.options).log_level = Some(level);
        self
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = ServerService<S>;

    fn layer(&self, inner: S) -> ServerService<S> {
        ServerService::new(inner, Arc::clone(&self.options))
    }
}
