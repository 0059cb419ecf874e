//! One request with its response: its span, what is known about it, and how it ends.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use logbridge::{CaptureMode, HeaderList, HttpSettings};
use opentelemetry::trace::SpanRef;
use opentelemetry::{KeyValue, Value};

use super::log_event::{Finished, log_event};
use super::options::Options;
use super::request_body;
use super::request_span::{Connection, grpc_span, http_span, set_legacy, span_name};
use crate::body::{BodyEnd, BodyObserver};
use crate::capture::{self, BodyCapture};
use crate::grpc::{self, GrpcStatus};
use crate::guard::catch;
use crate::metrics;
use crate::request::{Head, MethodName, protocol_version};
use crate::semconv::{self, legacy};
use crate::settings::{captures_bodies, captures_headers};
use crate::shared_capture::SharedCapture;
use crate::span::{Entered, Failure, Scope, error_type, header_attribute, record_failure, set_optional};

/// The route that a layer further inside has seen.
#[derive(Clone, Debug)]
pub(super) struct Route(pub(super) String);

/// A request from its arrival to the end of its response.
pub(super) struct Exchange {
    scope: Scope,
    /// Stays set if the service panics.
    is_running: bool,
    /// `None` if the request is excluded, or has ended.
    details: Option<Details>,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").field("scope", &self.scope).finish_non_exhaustive()
    }
}

struct Details {
    options: Arc<Options>,
    settings: HttpSettings,
    started: Instant,
    method: MethodName,
    is_measured: bool,
    captures_bodies: bool,
    /// Whether the response has no body, whatever its headers say.
    is_bodiless: bool,
    /// The path, if an event will be logged.
    path: Option<String>,
    scheme: Option<Value>,
    version: Option<&'static str>,
    route: KnownRoute,
    grpc: Option<GrpcCall>,
    status: Option<StatusCode>,
    request: Option<SharedCapture>,
    response: Option<BodyCapture>,
    response_headers: Vec<KeyValue>,
}

enum KnownRoute {
    No,
    /// The span has it. The text is kept if a metric or an event needs it.
    Early(Option<String>),
    /// A layer further inside has seen it.
    Late(String),
}

impl KnownRoute {
    fn text(&self) -> Option<&str> {
        match self {
            Self::No => None,
            Self::Early(route) => route.as_deref(),
            Self::Late(route) => Some(route),
        }
    }
}

struct GrpcCall {
    method: String,
    status: Option<GrpcStatus>,
}

/// How an exchange ends, other than by its body.
enum End<'e> {
    Body(BodyEnd<'e>),
    /// The future was dropped.
    Canceled,
    ServiceFailed {
        error_type: &'static str,
        error: &'e dyn Display,
    },
    ServicePanicked,
}

impl Exchange {
    /// Creates the span of a request, or only its scope if the request is excluded.
    pub(super) fn open(options: &Arc<Options>, parts: &Parts) -> Self {
        if !options.includes(parts) {
            return Self { scope: Scope::without_span(&parts.headers), is_running: false, details: None };
        }
        options.check_outer_span(&parts.headers);
        let started = Instant::now();
        let settings = options.settings.current();
        let head = Head::of_parts(parts);
        let method = MethodName::new(head.method, settings.known_methods());
        let is_logged = options.log_level.is_some();
        let is_grpc = grpc::is_grpc(head.headers);
        // The conventions have other metrics for RPC.
        let is_measured = !is_grpc && metrics::SERVER.histogram().is_some();
        let route = if is_grpc { None } else { options.route(parts) };
        let connection = Connection { peer: options.peer(parts), scheme: options.scheme };
        let span = match is_grpc {
            true => grpc_span(&head, connection.peer),
            false => http_span(&head, &method, route.as_deref(), connection, &settings),
        };
        if !span.is_disabled() {
            if captures_headers(&settings, HeaderList::ServerRequest) {
                capture::headers(&settings, HeaderList::ServerRequest, head.headers, |name, values| {
                    let KeyValue { key, value, .. } = header_attribute(name, values);
                    tracing_opentelemetry::OpenTelemetrySpanExt::set_attribute(&span, key, value);
                });
            }
            if settings.legacy_names() && !is_grpc {
                set_legacy(&span, &head, connection, &settings);
            }
        }
        let scope = Scope::joined(span, head.headers);
        let details = Details {
            started,
            is_measured,
            captures_bodies: captures_bodies(&settings) && scope.is_recorded(),
            method,
            is_bodiless: matches!(*head.method, Method::HEAD | Method::CONNECT),
            path: is_logged.then(|| head.path(&settings).into_owned()),
            scheme: is_measured.then(|| scheme(head.original_scheme(connection.scheme))),
            version: protocol_version(head.version),
            route: match route {
                None => KnownRoute::No,
                Some(route) => KnownRoute::Early((is_measured || is_logged).then(|| route.into_owned())),
            },
            grpc: is_grpc.then(|| GrpcCall { method: grpc::method(head.uri.path()).to_owned(), status: None }),
            status: None,
            request: None,
            response: None,
            response_headers: Vec::new(),
            options: Arc::clone(options),
            settings,
        };
        Self { scope, is_running: false, details: Some(details) }
    }

    /// Captures the request body, if that is on and possible.
    pub(super) fn observe_request<B: 'static>(&mut self, headers: &HeaderMap, body: &mut B) {
        if let Some(details) = &mut self.details
            && details.captures_bodies
        {
            details.request = request_body::observe(body, &details.settings, headers);
        }
    }

    /// Makes the span current on this thread.
    pub(super) fn enter(&self) -> Entered<'_> {
        self.scope.enter()
    }

    /// Runs code of the service inside the span.
    pub(super) fn run<T>(&mut self, service: impl FnOnce() -> T) -> T {
        self.is_running = true;
        let result = {
            let _entered = self.scope.enter();
            service()
        };
        self.is_running = false;
        result
    }

    /// Takes what the span needs from the head of a response. Returns the length of the body, if it is known.
    pub(super) fn respond<B>(&mut self, response: &mut Response<B>) -> Option<u64> {
        let details = self.details.as_mut()?;
        let status = response.status();
        details.status = Some(status);
        if let Some(Route(route)) = response.extensions_mut().remove::<Route>()
            && matches!(details.route, KnownRoute::No)
        {
            details.route = KnownRoute::Late(route);
        }
        let headers = response.headers();
        if let Some(call) = &mut details.grpc {
            call.status = GrpcStatus::read(headers);
        }
        if captures_headers(&details.settings, HeaderList::ServerResponse) && self.scope.is_recorded() {
            let attributes = &mut details.response_headers;
            capture::headers(&details.settings, HeaderList::ServerResponse, headers, |name, values| {
                attributes.push(header_attribute(name, values));
            });
        }
        if details.captures_bodies {
            details.response = BodyCapture::new(&details.settings, headers);
        }
        // A server drops the body of such a response unread.
        let is_bodiless = details.is_bodiless
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match is_bodiless {
            true => Some(0),
            false => headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok(),
        }
    }

    /// Ends the exchange with an error of the service.
    pub(super) fn fail<E: Display>(&mut self, error: &E) {
        self.end(&End::ServiceFailed { error_type: error_type::<E>(), error });
    }

    /// Ends the exchange. Processors and sinks may panic, and this runs while a panic of the service unwinds, too.
    fn end(&mut self, end: &End<'_>) {
        let Some(details) = self.details.take() else { return };
        let _panicked = catch(|| self.finish(details, end));
    }

    fn finish(&self, mut details: Details, end: &End<'_>) {
        let duration = details.started.elapsed();
        let failure = details.failure(end);
        let error_type = failure.as_ref().map(|failure| &failure.error_type);
        // Before the span ends: the event needs its ids, and so does an exemplar of the metric.
        if details.options.log_level.is_some() || details.is_measured {
            let _panicked = catch(|| {
                let _entered = self.scope.enter();
                details.log(duration, error_type);
                details.measure(duration, error_type);
            });
        }
        self.scope.with_recorded(|span| {
            details.record(span, failure.as_ref());
            // Not when the last handle is dropped: a background task may hold one.
            span.end();
        });
    }
}

impl Details {
    fn failure(&self, end: &End<'_>) -> Option<Failure> {
        match end {
            End::ServicePanicked => Some(Failure::new("panic", "the service panicked")),
            End::Body(BodyEnd::Panicked) => Some(Failure::new("panic", "the response body panicked")),
            End::ServiceFailed { error_type, error } | End::Body(BodyEnd::Failed { error_type, error }) => {
                Some(Failure::of_error(error_type, error))
            }
            End::Canceled => {
                Some(Failure::new("request_canceled", "the request was dropped before there was a response"))
            }
            End::Body(BodyEnd::Dropped) => {
                Some(Failure::new("response_aborted", "the response body was dropped before its end"))
            }
            End::Body(BodyEnd::Complete) => match &self.grpc {
                Some(call) => self.grpc_failure(call),
                None => self.status.and_then(Failure::of_server_status),
            },
        }
    }

    fn grpc_failure(&self, call: &GrpcCall) -> Option<Failure> {
        match call.status {
            Some(status) => status.is_server_error().then(|| Failure::status(status.name())),
            None => Some(grpc::without_status(self.status)),
        }
    }

    fn log(&self, duration: Duration, error_type: Option<&Cow<'static, str>>) {
        let Some(level) = self.options.log_level else { return };
        let finished = Finished {
            method: &self.method.name,
            path: self.path.as_deref().unwrap_or_default(),
            route: self.route.text(),
            status: self.status,
            error_type: error_type.map(Cow::as_ref),
            duration,
        };
        log_event(level, &finished);
    }

    fn measure(&mut self, duration: Duration, error_type: Option<&Cow<'static, str>>) {
        if !self.is_measured {
            return;
        }
        let request = metrics::Request {
            method: &self.method.name,
            scheme: self.scheme.take(),
            version: self.version,
            status: self.status,
            error_type,
            route: self.route.text().map(|route| Value::from(route.to_owned())),
            server: None,
        };
        metrics::SERVER.record(duration, request);
    }

    fn record(&mut self, span: &SpanRef<'_>, failure: Option<&Failure>) {
        let status = self.status.map(|status| i64::from(status.as_u16()));
        match &self.grpc {
            Some(call) => record_grpc(span, call),
            None => set_optional(span, semconv::HTTP_RESPONSE_STATUS_CODE, status),
        }
        if let KnownRoute::Late(route) = &self.route
            && self.grpc.is_none()
        {
            span.update_name(span_name(&self.method, route));
            span.set_attribute(KeyValue::new(semconv::HTTP_ROUTE, route.clone()));
        }
        self.response_headers.drain(..).for_each(|header| span.set_attribute(header));
        let is_recorded = match self.settings.capture().mode() {
            CaptureMode::All => true,
            CaptureMode::Errors => failure.is_some(),
            _ => false,
        };
        let is_legacy = self.settings.legacy_names() && self.grpc.is_none();
        if is_recorded {
            let request = self.request.take().and_then(|capture| capture.finish());
            let response = self.response.take().and_then(BodyCapture::finish);
            if is_legacy {
                set_optional(span, legacy::HTTP_REQUEST_BODY, request.clone());
                set_optional(span, legacy::HTTP_RESPONSE_BODY, response.clone());
            }
            set_optional(span, semconv::HTTP_REQUEST_BODY, request);
            set_optional(span, semconv::HTTP_RESPONSE_BODY, response);
        }
        if is_legacy {
            set_optional(span, legacy::HTTP_STATUS_CODE, status);
            let reason = self.status.and_then(|status| status.canonical_reason());
            set_optional(span, legacy::HTTP_STATUS_TEXT, reason);
        }
        if let Some(failure) = failure {
            record_failure(span, failure);
        }
    }
}

fn record_grpc(span: &SpanRef<'_>, call: &GrpcCall) {
    set_optional(span, semconv::RPC_RESPONSE_STATUS_CODE, call.status.map(GrpcStatus::name));
    // A client may call any name. The convention wants only the names that the server knows.
    if call.status == Some(GrpcStatus::UNIMPLEMENTED) {
        span.update_name("grpc");
        span.set_attribute(KeyValue::new(semconv::RPC_METHOD, semconv::OTHER));
        span.set_attribute(KeyValue::new(semconv::RPC_METHOD_ORIGINAL, call.method.clone()));
    } else {
        span.set_attribute(KeyValue::new(semconv::RPC_METHOD, call.method.clone()));
    }
}

fn scheme(scheme: &str) -> Value {
    match scheme {
        "http" => Value::from("http"),
        "https" => Value::from("https"),
        // A client chooses this text, and a metric must not have a series for each.
        _ => Value::from(semconv::OTHER),
    }
}

impl BodyObserver for Exchange {
    fn scope(&self) -> Option<&Scope> {
        Some(&self.scope)
    }

    fn is_capturing(&self) -> bool {
        self.details.as_ref().is_some_and(|details| details.response.is_some())
    }

    fn with_capture(&mut self, work: impl FnOnce(&mut BodyCapture)) {
        if let Some(capture) = self.details.as_mut().and_then(|details| details.response.as_mut()) {
            work(capture);
        }
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        if let Some(call) = self.details.as_mut().and_then(|details| details.grpc.as_mut())
            && let Some(status) = GrpcStatus::read(trailers)
        {
            call.status = Some(status);
        }
    }

    fn ended(&mut self, end: BodyEnd<'_>) {
        self.end(&End::Body(end));
    }
}

impl Drop for Exchange {
    /// Ends an exchange that has no response: the service panicked, or its future was dropped.
    fn drop(&mut self) {
        self.end(if self.is_running { &End::ServicePanicked } else { &End::Canceled });
    }
}
