//! Which headers and bodies the server layer records.

use std::convert::Infallible;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use bytes::{Buf, Bytes};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use logbridge::testing::ReceivedSpan;
use logbridge::{HeaderList, NetworkCapture};
use logbridge_http::{ClientLayer, ServerLayer};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{World, block_on, text};

pub(crate) fn all() -> Vec<crate::Case> {
    crate::cases![capture:
        a_layer_has_settings_of_its_own,
        a_layer_keeps_the_other_settings_of_the_environment [
            "LOGBRIDGE_NETWORK_CAPTURE_MAX_BYTES" = "4",
            "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST" = "x-tenant"
        ],
        bodies_of_failed_requests ["LOGBRIDGE_NETWORK_CAPTURE" = "errors"],
        nothing_by_default,
        nothing_is_collected_for_spans_that_are_not_recorded [
            "LOGBRIDGE_NETWORK_CAPTURE" = "all",
            "OTEL_TRACES_SAMPLER" = "always_off"
        ],
        nothing_is_collected_without_spans [
            "LOGBRIDGE_NETWORK_CAPTURE" = "all",
            "LOGBRIDGE_SPAN_LEVEL" = "warn"
        ],
        the_names_of_hyperdx_too ["HYPERDX_ENABLE_ADVANCED_NETWORK_CAPTURE" = "true"],
    ]
    .into()
}

const NAMES: [&str; 4] =
    ["http.request.body.content", "http.response.body.content", "http.request.body", "http.response.body"];

async fn echo(body: String) -> (StatusCode, String) {
    let status = if body.contains("fail") { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
    (status, format!("echo {body}"))
}

/// Sends a body, reads the whole response, and returns the span of the request.
fn send(world: &World, layer: ServerLayer, body: &'static str) -> ReceivedSpan {
    let app = Router::new().route("/", post(echo)).layer(layer);
    let request = Request::post("/")
        .header("content-type", "text/plain")
        .header("user-agent", "test/1.0")
        .header("x-tenant", "seven")
        .header("authorization", "Bearer secret")
        .body(Body::from(body))
        .unwrap();
    let before = world.receiver.spans().len();
    let response = block_on(world, app.oneshot(request)).unwrap();
    let answer = block_on(world, response.into_body().collect()).unwrap().to_bytes();
    assert_eq!(answer, format!("echo {body}"), "the application reads the whole body");
    world.spans(before + 1).into_iter().max_by_key(|span| span.start_time_unix_nano).unwrap()
}

fn bodies(span: &ReceivedSpan) -> [String; 4] {
    NAMES.map(|name| text(span, name))
}

fn nothing_by_default() {
    let world = World::new();
    let span = send(&world, ServerLayer::new(), "fail");
    assert_eq!(bodies(&span), ["", "", "", ""]);
    assert!(!span.attributes.keys().any(|key| key.contains(".header.")), "{span:#?}");
}

fn bodies_of_failed_requests() {
    let world = World::new();
    assert_eq!(reads(&world), 2, "they are collected until the outcome is known");
    let before = world.spans(2).len();
    assert_eq!(before, 2);
    let fine = send(&world, ServerLayer::new(), "fine");
    assert_eq!(bodies(&fine), ["", "", "", ""]);
    assert_eq!(text(&fine, "http.request.header.user-agent"), "[\"test/1.0\"]");
    let failed = send(&world, ServerLayer::new(), "fail");
    assert_eq!(bodies(&failed), ["fail", "echo fail", "", ""]);
    assert!(!format!("{failed:?}").contains("secret"));
}

fn the_names_of_hyperdx_too() {
    let world = World::new();
    let span = send(&world, ServerLayer::new(), "fine");
    assert_eq!(bodies(&span), ["fine", "echo fine", "fine", "echo fine"]);
}

fn a_layer_has_settings_of_its_own() {
    let capturing = ServerLayer::new().capture(NetworkCapture::all());
    let world = World::new();
    assert_eq!(bodies(&send(&world, capturing, "fine")), ["fine", "echo fine", "", ""]);
    assert_eq!(bodies(&send(&world, ServerLayer::new(), "fine")), ["", "", "", ""]);
}

fn a_layer_keeps_the_other_settings_of_the_environment() {
    let capturing = ServerLayer::new().capture(NetworkCapture::all());
    let world = World::new();
    let span = send(&world, capturing, "fine and long");
    assert!(bodies(&span)[0].starts_with("fine") && !bodies(&span)[0].contains("and"), "{span:#?}");
    assert_eq!(text(&span, "http.request.header.x-tenant"), "[\"seven\"]");
    assert_eq!(text(&span, "http.request.header.user-agent"), "", "the list replaces the default one");
    let in_code = NetworkCapture::all().max_body_bytes(8).headers(HeaderList::ServerRequest, ["user-agent"]);
    let span = send(&world, ServerLayer::new().capture(in_code), "fine and long");
    assert!(bodies(&span)[0].starts_with("fine and"), "{span:#?}");
    assert_eq!(text(&span, "http.request.header.user-agent"), "[\"test/1.0\"]");
    let span = send(&world, ServerLayer::new().capture(NetworkCapture::off()), "fine and long");
    assert!(!span.attributes.keys().any(|key| key.contains(".header.")), "off captures nothing: {span:#?}");
}

/// Data that counts how often a body is looked at.
struct Counted {
    bytes: Bytes,
    reads: Arc<AtomicUsize>,
}

impl Buf for Counted {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

/// Sends a request through both layers, and returns how often the bodies of the responses were looked at.
fn reads(world: &World) -> usize {
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let service = service_fn(move |_: Request<Body>| {
        let body = Full::new(Counted { bytes: Bytes::from_static(b"text"), reads: Arc::clone(&counted) });
        let response = Response::builder().header("content-type", "text/plain").body(body).unwrap();
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let request = || Request::new(Body::empty());
    let mut body = block_on(world, ServerLayer::new().layer(service.clone()).oneshot(request())).unwrap().into_body();
    block_on(world, body.frame()).unwrap().unwrap();
    let mut body = block_on(world, ClientLayer::new().layer(service).oneshot(request())).unwrap().into_body();
    block_on(world, body.frame()).unwrap().unwrap();
    reads.load(Ordering::Relaxed)
}

fn nothing_is_collected_for_spans_that_are_not_recorded() {
    let world = World::new();
    assert_eq!(reads(&world), 0);
    assert_eq!(world.spans(0).len(), 0);
}

fn nothing_is_collected_without_spans() {
    nothing_is_collected_for_spans_that_are_not_recorded();
}
