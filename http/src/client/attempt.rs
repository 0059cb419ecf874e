//! One attempt to get a response: its span, its metric, and what is captured of it.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::mem;
use std::net::SocketAddr;
use std::time::Instant;

use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{Extensions, HeaderMap, StatusCode, Uri, Version};
use logbridge::{CaptureMode, HeaderList, HttpSettings};
use opentelemetry::trace::{SpanRef, TraceContextExt as _};
use opentelemetry::{KeyValue, Value};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::extensions::UrlTemplate;
use super::failure::{self, Inspect};
use super::transport;
use crate::body::{BodyEnd, BodyObserver};
use crate::capture::{self, BodyCapture};
use crate::grpc::{self, GrpcStatus};
use crate::guard::catch;
use crate::request::{Head, MethodName, default_port, protocol_version};
use crate::semconv::{self, legacy};
use crate::settings::{captures_bodies, captures_headers};
use crate::shared_capture::SharedCapture;
use crate::span::{Failure, Scope, header_attribute, record_failure, set_optional};
use crate::{CLIENT_TARGET, metrics};

/// From the call to the end of the response body. Dropping it earlier means that the caller gave up.
pub(super) struct Attempt {
    scope: Scope,
    settings: HttpSettings,
    inspect: Option<Inspect>,
    /// Only for the metric.
    measured: Option<Measured>,
    is_grpc: bool,
    outcome: Outcome,
    request_body: Option<SharedCapture>,
    response_body: Option<BodyCapture>,
    /// Stays set if the transport panics.
    is_running: bool,
    is_over: bool,
}

/// What the request says for the metric.
#[derive(Debug)]
struct Measured {
    since: Instant,
    method: Cow<'static, str>,
    scheme: Option<Value>,
    server: Option<(Value, Option<u16>)>,
}

/// What is known about the answer.
#[derive(Debug, Default)]
struct Outcome {
    status: Option<StatusCode>,
    version: Option<&'static str>,
    grpc: Option<GrpcStatus>,
}

/// What the caller knows in addition to the request.
#[derive(Debug, Default)]
pub(super) struct Facts<'r> {
    pub(super) template: Option<&'r UrlTemplate>,
    /// How many attempts were before this one.
    pub(super) resends: u32,
    pub(super) inspect: Option<Inspect>,
}

impl Facts<'_> {
    fn resend_count(&self) -> Option<i64> {
        (self.resends > 0).then_some(self.resends.into())
    }
}

impl Attempt {
    /// Starts the span. Its parent is the current one.
    pub(super) fn begin(head: Head<'_>, facts: &Facts<'_>, settings: HttpSettings) -> Self {
        let is_grpc = grpc::is_grpc(head.headers);
        let method = MethodName::new(head.method, settings.known_methods());
        let span = if is_grpc { grpc_span(&head, facts) } else { http_span(&head, &method, facts, &settings) };
        let scope = Scope::local(span);
        scope.with_recorded(|span| {
            if settings.legacy_names() && !is_grpc {
                set_legacy(span, &head, &settings);
            }
            set_headers(span, &settings, HeaderList::ClientRequest, head.headers);
        });
        let measured = (!is_grpc && metrics::CLIENT.histogram().is_some()).then(|| Measured::new(&head, method));
        Self {
            scope,
            settings,
            inspect: facts.inspect,
            measured,
            is_grpc,
            outcome: Outcome::default(),
            request_body: None,
            response_body: None,
            is_running: false,
            is_over: false,
        }
    }

    /// Returns whether anything is recorded about the attempt.
    #[cfg(feature = "reqwest-middleware")]
    pub(super) fn is_observed(&self) -> bool {
        !self.scope.span().is_disabled() || self.measured.is_some()
    }

    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Runs code of the transport inside the span.
    pub(super) fn run<T>(&mut self, transport: impl FnOnce() -> T) -> T {
        self.is_running = true;
        let result = {
            let _entered = self.scope.enter();
            transport()
        };
        self.is_running = false;
        result
    }

    /// Writes the context into the headers of the request.
    pub(super) fn inject(&self, headers: &mut HeaderMap) {
        let span = self.scope.span();
        if !span.is_disabled() {
            let context = span.context();
            if context.span().span_context().is_valid() {
                logbridge::propagation::inject_context(&context, headers);
                return;
            }
        }
        // The span is filtered. The trace goes on with that of the caller.
        logbridge::propagation::inject(headers);
    }

    /// Returns where the request body is to be captured, or `None` if it is not.
    pub(super) fn capture_request(&mut self, headers: &HeaderMap) -> Option<SharedCapture> {
        let capture = SharedCapture::new(self.body_capture(headers)?);
        self.request_body = Some(capture.clone());
        Some(capture)
    }

    /// Takes note of the head of the response.
    pub(super) fn respond(
        &mut self,
        status: StatusCode,
        version: Version,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) {
        self.outcome.status = Some(status);
        self.outcome.version = protocol_version(version);
        if self.is_grpc {
            self.outcome.grpc = GrpcStatus::read(headers);
        }
        self.response_body = self.body_capture(headers);
        self.scope.with_recorded(|span| {
            if let Some(peer) = transport::peer(extensions) {
                self.set_peer(span, peer);
            }
            set_headers(span, &self.settings, HeaderList::ClientResponse, headers);
        });
    }

    /// Ends the attempt without a response.
    pub(super) fn fail<E: Display + 'static>(mut self, error: &E) {
        let failure = failure::of_value(error, self.inspect);
        self.end(Some(failure));
    }

    /// Ends the attempt with a failure.
    #[cfg(feature = "reqwest-middleware")]
    pub(super) fn fail_with(mut self, failure: Failure) {
        self.end(Some(failure));
    }

    fn body_capture(&self, headers: &HeaderMap) -> Option<BodyCapture> {
        let is_wanted = captures_bodies(&self.settings) && self.scope.is_recorded();
        is_wanted.then(|| BodyCapture::new(&self.settings, headers)).flatten()
    }

    fn set_peer(&self, span: &SpanRef<'_>, peer: SocketAddr) {
        let address = peer.ip().to_string();
        if self.settings.legacy_names() {
            span.set_attribute(KeyValue::new(legacy::NET_PEER_IP, address.clone()));
        }
        span.set_attribute(KeyValue::new(semconv::NETWORK_PEER_ADDRESS, address));
        span.set_attribute(KeyValue::new(semconv::NETWORK_PEER_PORT, i64::from(peer.port())));
    }

    /// Ends the span, and records the outcome. Processors may panic, and this runs while a panic of the transport
    /// unwinds, too.
    fn end(&mut self, failure: Option<Failure>) {
        if !mem::replace(&mut self.is_over, true) {
            let _panicked = catch(|| self.finish(failure));
        }
    }

    fn finish(&mut self, failure: Option<Failure>) {
        let failure = failure.or_else(|| self.outcome.failure());
        if let Some(measured) = self.measured.take() {
            let _panicked = catch(|| {
                // Inside the span, and before it ends, for exemplars.
                let _entered = self.scope.enter();
                self.measure(measured, failure.as_ref().map(|failure| &failure.error_type));
            });
        }
        let bodies = (self.request_body.take(), self.response_body.take());
        self.scope.with_recorded(|span| {
            self.set_outcome(span);
            if let Some(failure) = &failure {
                record_failure(span, failure);
            }
            if failure.is_some() || self.settings.capture().mode() == CaptureMode::All {
                self.set_bodies(span, bodies);
            }
            // Not when the last handle is dropped: a background task of the transport may hold one.
            span.end();
        });
    }

    fn set_outcome(&self, span: &SpanRef<'_>) {
        let Outcome { status, version, grpc } = &self.outcome;
        let code = status.map(|status| i64::from(status.as_u16()));
        if self.is_grpc {
            set_optional(span, semconv::RPC_RESPONSE_STATUS_CODE, grpc.map(GrpcStatus::name));
        } else {
            set_optional(span, semconv::HTTP_RESPONSE_STATUS_CODE, code);
            set_optional(span, semconv::NETWORK_PROTOCOL_VERSION, *version);
        }
        if self.settings.legacy_names() && !self.is_grpc {
            set_optional(span, legacy::HTTP_STATUS_CODE, code);
            set_optional(span, legacy::HTTP_STATUS_TEXT, status.and_then(|status| status.canonical_reason()));
        }
    }

    fn set_bodies(&self, span: &SpanRef<'_>, (request, response): (Option<SharedCapture>, Option<BodyCapture>)) {
        let request = request.and_then(|shared| shared.finish());
        let response = response.and_then(BodyCapture::finish);
        let names = [
            (semconv::HTTP_REQUEST_BODY, legacy::HTTP_REQUEST_BODY, request),
            (semconv::HTTP_RESPONSE_BODY, legacy::HTTP_RESPONSE_BODY, response),
        ];
        for (name, legacy_name, text) in names {
            let Some(text) = text else { continue };
            if self.settings.legacy_names() {
                span.set_attribute(KeyValue::new(legacy_name, text.clone()));
            }
            span.set_attribute(KeyValue::new(name, text));
        }
    }

    fn measure(&self, measured: Measured, error_type: Option<&Cow<'static, str>>) {
        let Measured { since, method, scheme, server } = measured;
        let request = metrics::Request {
            method: &method,
            scheme,
            version: self.outcome.version,
            status: self.outcome.status,
            error_type,
            route: None,
            server,
        };
        metrics::CLIENT.record(since.elapsed(), request);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.end(Some(match self.is_running {
            true => Failure::new("panic", "the client panicked"),
            false => Failure::new("request_canceled", "the request was dropped before there was a response"),
        }));
    }
}

impl Outcome {
    /// Returns the failure that an answer means.
    fn failure(&self) -> Option<Failure> {
        if let Some(grpc) = self.grpc {
            return (!grpc.is_ok()).then(|| Failure::status(grpc.name()));
        }
        let status = self.status.filter(|status| status.as_u16() >= 400)?;
        Some(Failure::status(status.as_str().to_owned().into()))
    }
}

impl Measured {
    fn new(head: &Head<'_>, method: MethodName) -> Self {
        Self {
            since: Instant::now(),
            method: method.name,
            scheme: head.uri.scheme_str().map(|scheme| scheme.to_owned().into()),
            server: server(head).map(|(host, port)| (host.to_owned().into(), port)),
        }
    }
}

/// The attempt while the response body is read.
impl BodyObserver for Attempt {
    fn is_capturing(&self) -> bool {
        self.response_body.is_some()
    }

    fn with_capture(&mut self, work: impl FnOnce(&mut BodyCapture)) {
        if let Some(capture) = &mut self.response_body {
            work(capture);
        }
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        if self.is_grpc {
            self.outcome.grpc = GrpcStatus::read(trailers).or(self.outcome.grpc);
        }
    }

    fn failed<E: Display + 'static>(&mut self, error: &E) {
        let failure = failure::of_value(error, self.inspect);
        self.end(Some(failure));
    }

    fn ended(&mut self, end: BodyEnd<'_>) {
        match end {
            BodyEnd::Complete if self.is_grpc && self.outcome.grpc.is_none() => {
                self.end(Some(grpc::without_status(self.outcome.status)));
            }
            // Clients often want only the status, or the beginning of the body.
            BodyEnd::Complete | BodyEnd::Dropped => self.end(None),
            BodyEnd::Failed { error_type, error } => self.end(Some(Failure::of_error(error_type, error))),
            BodyEnd::Panicked => self.end(Some(Failure::new("panic", "the response body panicked"))),
        }
    }
}

/// The name of a span: the method, and the template if there is one.
struct SpanName<'n> {
    method: &'n MethodName,
    template: Option<&'n UrlTemplate>,
}

impl fmt::Debug for SpanName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method.in_span_name())?;
        match self.template {
            Some(template) => write!(f, " {}", template.as_str()),
            None => Ok(()),
        }
    }
}

// Samplers see the fields of a new span. The macro computes them only if the span is not filtered.
fn http_span(head: &Head<'_>, method: &MethodName, facts: &Facts<'_>, settings: &HttpSettings) -> Span {
    tracing::info_span!(
        target: CLIENT_TARGET,
        "request",
        otel.name = ?SpanName { method, template: facts.template },
        otel.kind = "client",
        { semconv::HTTP_REQUEST_METHOD } = &*method.name,
        { semconv::HTTP_REQUEST_METHOD_ORIGINAL } = (!method.is_known()).then(|| head.method.as_str()),
        { semconv::HTTP_REQUEST_RESEND_COUNT } = facts.resend_count(),
        { semconv::SERVER_ADDRESS } = server(head).map(|(host, _)| host),
        { semconv::SERVER_PORT } = server(head).and_then(|(_, port)| port).map(i64::from),
        { semconv::URL_FULL } = &*full_url(head, settings),
        { semconv::URL_TEMPLATE } = facts.template.map(UrlTemplate::as_str),
    )
}

fn grpc_span(head: &Head<'_>, facts: &Facts<'_>) -> Span {
    let method = grpc::method(head.uri.path());
    tracing::info_span!(
        target: CLIENT_TARGET,
        "request",
        otel.name = method,
        otel.kind = "client",
        { semconv::HTTP_REQUEST_RESEND_COUNT } = facts.resend_count(),
        { semconv::RPC_SYSTEM_NAME } = "grpc",
        { semconv::RPC_METHOD } = method,
        { semconv::SERVER_ADDRESS } = server(head).map(|(host, _)| host),
        { semconv::SERVER_PORT } = server(head).and_then(|(_, port)| port).map(i64::from),
    )
}

fn set_legacy(span: &SpanRef<'_>, head: &Head<'_>, settings: &HttpSettings) {
    span.set_attribute(KeyValue::new(legacy::HTTP_METHOD, head.method.as_str().to_owned()));
    span.set_attribute(KeyValue::new(legacy::HTTP_URL, full_url(head, settings)));
}

/// Returns the URL without secrets. It is absolute if the request names the host. Then the port tells the scheme, because
/// the connection is made elsewhere.
fn full_url(head: &Head<'_>, settings: &HttpSettings) -> String {
    capture::redacted_url(absolute(head).as_ref().unwrap_or(head.uri), settings)
}

/// Returns a URL that is only a path as an absolute one.
fn absolute(head: &Head<'_>) -> Option<Uri> {
    if head.uri.authority().is_some() {
        return None;
    }
    let authority = Authority::try_from(head.headers.get(HOST)?.as_bytes()).ok()?;
    let scheme = if authority.port_u16() == Some(443) { Scheme::HTTPS } else { Scheme::HTTP };
    let path = head.uri.path_and_query()?.clone();
    Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build().ok()
}

fn set_headers(span: &SpanRef<'_>, settings: &HttpSettings, list: HeaderList, headers: &HeaderMap) {
    if captures_headers(settings, list) {
        capture::headers(settings, list, headers, |name, values| span.set_attribute(header_attribute(name, values)));
    }
}

/// Returns the host and the port that the request is sent to.
fn server<'r>(head: &Head<'r>) -> Option<(&'r str, Option<u16>)> {
    let (host, port) = head.authority()?;
    Some((host, port.or_else(|| default_port(head.uri.scheme_str()?))))
}
