//! Which headers and bodies the server layer records.

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use logbridge::NetworkCapture;
use logbridge::testing::ReceivedSpan;
use logbridge_http::ServerLayer;
use tower::ServiceExt as _;

use crate::support::{World, block_on, text};

pub(crate) fn all() -> Vec<crate::Case> {
    crate::cases![capture:
        a_layer_has_settings_of_its_own,
        bodies_of_failed_requests ["LOGBRIDGE_NETWORK_CAPTURE" = "errors"],
        nothing_by_default,
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
