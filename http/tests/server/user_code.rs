//! Code of the application that panics, or that logs while it is dropped.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get as on_get;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use logbridge_http::{ClientLayer, ServerLayer};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tokio::sync::Notify;
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};

use crate::support::{World, block_on, get, open, text};

pub(crate) fn all() -> Vec<crate::Case> {
    crate::cases![user_code:
        a_span_processor_that_panics,
        closures_that_panic,
        errors_of_a_client_whose_text_panics,
        errors_whose_text_panics,
        guards_in_a_body_that_is_dropped,
        guards_in_a_handler_that_is_cancelled,
        guards_that_panic,
    ]
    .into()
}

/// Logs when it is dropped.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        tracing::info!("released");
    }
}

/// An error whose text is written in part.
#[derive(Debug)]
enum Unprintable {
    Fails,
    Panics,
}

impl fmt::Display for Unprintable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of")?;
        match self {
            Self::Fails => Err(fmt::Error),
            Self::Panics => panic!("no text"),
        }
    }
}

impl Error for Unprintable {}

fn errors_whose_text_panics() {
    let world = World::new();
    for (number, error) in [|| Unprintable::Fails, || Unprintable::Panics].into_iter().enumerate() {
        let failing = service_fn(move |_: Request<Body>| ready(Err::<Response<Body>, _>(error())));
        let result = block_on(&world, ServerLayer::new().layer(failing).oneshot(Request::new(Body::empty())));
        assert!(result.is_err());
        let span = world.spans(number + 1).pop().unwrap();
        assert_eq!((text(&span, "error.type").as_str(), span.status_code), ("server::user_code::Unprintable", 2));
        assert_eq!(span.status_message, "out of");
    }
}

fn errors_of_a_client_whose_text_panics() {
    let world = World::new();
    let errors: [fn() -> Unprintable; 2] = [|| Unprintable::Fails, || Unprintable::Panics];
    for (number, error) in errors.into_iter().enumerate() {
        let failing = service_fn(move |_: Request<Body>| ready(Err::<Response<Body>, _>(error())));
        let layer = ClientLayer::new();
        // The second layer looks for causes, and so asks for the text twice.
        let layer = if number == 0 { layer } else { layer.inspect_errors::<Unprintable>() };
        assert!(block_on(&world, layer.layer(failing).oneshot(Request::new(Body::empty()))).is_err());
        let span = world.spans(number + 1).pop().unwrap();
        assert_eq!((text(&span, "error.type").as_str(), span.status_code), ("server::user_code::Unprintable", 2));
        assert_eq!(span.status_message, "out of");
    }
}

fn guards_in_a_handler_that_is_cancelled() {
    let world = World::new();
    let entered = Arc::new(Notify::new());
    let signal = Arc::clone(&entered);
    let handler = async move || {
        let _guard = Guard;
        signal.notify_one();
        std::future::pending::<()>().await;
    };
    let address = world.serve(Router::new().route("/", on_get(handler)).layer(ServerLayer::new()));
    let connection = open(address, "GET", "/", &[]);
    block_on(&world, entered.notified());
    drop(connection);
    let span = world.span();
    let log = world.logs("released").remove(0);
    assert_eq!((log.trace_id, log.span_id), (span.trace_id, span.span_id));
}

/// Sends one chunk, and then nothing more.
struct Endless {
    chunk: Option<Bytes>,
    _guard: Guard,
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.chunk.take().map_or(Poll::Pending, |chunk| Poll::Ready(Some(Ok(Frame::data(chunk)))))
    }
}

fn guards_in_a_body_that_is_dropped() {
    let world = World::new();
    let endless = || Response::new(Endless { chunk: Some(Bytes::from_static(b"first")), _guard: Guard });
    let service = ServerLayer::new().layer(service_fn(move |_: Request<Body>| ready(Ok::<_, Infallible>(endless()))));
    let mut body = block_on(&world, service.oneshot(Request::new(Body::empty()))).unwrap().into_body();
    block_on(&world, body.frame()).unwrap().unwrap();
    drop(body);
    let span = world.span();
    assert_eq!(text(&span, "error.type"), "response_aborted");
    let log = world.logs("released").remove(0);
    assert_eq!((log.trace_id, log.span_id), (span.trace_id, span.span_id));
}

/// Panics when it is dropped.
struct Explosive;

impl Drop for Explosive {
    fn drop(&mut self) {
        panic!("cannot be released");
    }
}

fn guards_that_panic() {
    let world = World::new();
    let mut service = ServerLayer::new().layer(service_fn(async |_: Request<Body>| {
        let _explosive = Explosive;
        std::future::pending::<Result<Response<Body>, Infallible>>().await
    }));
    let mut future = Box::pin(service.call(Request::new(Body::empty())));
    block_on(&world, std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())));
    assert!(catch_unwind(AssertUnwindSafe(move || drop(future))).is_err(), "the application sees its panic");
    assert_eq!(text(&world.span(), "error.type"), "request_canceled");
}

fn closures_that_panic() {
    let world = World::new();
    let layer =
        ServerLayer::new().filter(|_| panic!("no filter")).route(|_| panic!("no route")).peer(|_| panic!("no peer"));
    let address = world.serve(Router::new().route("/orders/{id}", on_get(async || "ok")).layer(layer));
    assert!(get(address, "/orders/7", &[]).starts_with("HTTP/1.1 200"));
    let span = world.span();
    assert_eq!((span.name.as_str(), text(&span, "http.route").as_str()), ("GET /orders/{id}", "/orders/{id}"));
    assert_eq!(span.attribute("network.peer.address"), None);
}

#[derive(Debug)]
struct Panicking;

impl SpanProcessor for Panicking {
    fn on_start(&self, _: &mut Span, _: &opentelemetry::Context) {}

    fn on_end(&self, _: SpanData) {
        panic!("cannot process");
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// A second panic during the first one would end the process.
fn a_span_processor_that_panics() {
    let world = World::with(|builder| {
        builder.span_processor(Panicking);
    });
    let app = Router::new()
        .route("/", on_get(async || "ok"))
        .route("/panics", on_get(async || -> &'static str { panic!("out of stock") }))
        .layer(ServerLayer::new());
    let address = world.serve(app);
    get(address, "/panics", &[]);
    assert!(get(address, "/", &[]).ends_with("ok"));
    let failing = ClientLayer::new()
        .layer(service_fn(async |_: Request<Body>| -> Result<Response<Body>, Infallible> { panic!("out of order") }));
    let result = block_on(&world, async { tokio::spawn(failing.oneshot(Request::new(Body::empty()))).await });
    assert!(result.is_err_and(|error| error.is_panic()));
}
