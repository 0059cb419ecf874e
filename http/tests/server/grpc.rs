//! gRPC calls.

use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use logbridge::testing::{ReceivedSpan, Value};
use logbridge_http::ServerLayer;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{PARENT, TRACE, World, block_on, text};

pub(crate) fn all() -> Vec<crate::Case> {
    crate::cases![grpc:
        a_status_in_trailers,
        errors_of_the_server_and_of_the_client,
        grpc_web_is_http,
        responses_without_body,
        streams_that_break_off,
        unknown_methods_have_no_name,
    ]
    .into()
}

/// Makes a call whose response is made by `respond`, reads all of it, and returns the span.
fn call(content_type: &str, respond: fn() -> Response<Body>) -> ReceivedSpan {
    let world = World::new();
    let request = Request::post("http://shop.example:50051/shop.Orders/Place")
        .version(http::Version::HTTP_2)
        .header("content-type", content_type)
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .body(Body::empty())
        .unwrap();
    let service = ServerLayer::new().layer(service_fn(async |_: Request<Body>| Ok::<_, Infallible>(respond())));
    let response = block_on(&world, service.oneshot(request)).unwrap();
    let _read = block_on(&world, response.into_body().collect());
    world.span()
}

fn status(text: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static(text))])
}

/// A response with a message and trailers.
fn with_trailers(status_text: Option<&'static str>) -> Response<Body> {
    let message = Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"\0\0\0\0\0")));
    let trailers = status_text.map(|text| Ok(Frame::trailers(status(text))));
    let frames: Vec<_> = std::iter::once(message).chain(trailers).collect();
    Response::new(Body::new(StreamBody::new(stream::iter(frames))))
}

/// A response that has its status in the headers.
fn trailers_only(text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = status(text);
    response
}

fn a_status_in_trailers() {
    let span = call("application/grpc", || with_trailers(Some("0")));
    assert_eq!((span.name.as_str(), span.kind_name(), span.status_code), ("shop.Orders/Place", "server", 0));
    assert_eq!((span.trace_id.as_str(), span.parent_span_id.as_str()), (TRACE, PARENT));
    for (name, value) in [
        ("rpc.system.name", Value::from("grpc")),
        ("rpc.method", Value::from("shop.Orders/Place")),
        ("rpc.response.status_code", Value::from("OK")),
        ("server.address", Value::from("shop.example")),
        ("server.port", Value::from(50051)),
    ] {
        assert_eq!(span.attribute(name), Some(&value), "{name}");
    }
    let others = ["http.request.method", "http.response.status_code", "url.path", "error.type", "rpc.method_original"];
    assert!(others.iter().all(|name| span.attribute(name).is_none()), "{span:#?}");
}

fn errors_of_the_server_and_of_the_client() {
    let span = call("application/grpc+proto", || with_trailers(Some("13")));
    assert_eq!((text(&span, "rpc.response.status_code").as_str(), span.status_code), ("INTERNAL", 2));
    assert_eq!(text(&span, "error.type"), "INTERNAL");
}

fn responses_without_body() {
    let span = call("application/grpc", || trailers_only("5"));
    assert_eq!((text(&span, "rpc.response.status_code").as_str(), span.status_code), ("NOT_FOUND", 0));
    assert_eq!((span.attribute("error.type"), span.name.as_str()), (None, "shop.Orders/Place"));
}

fn unknown_methods_have_no_name() {
    let span = call("application/grpc", || trailers_only("12"));
    assert_eq!((text(&span, "rpc.response.status_code").as_str(), span.status_code), ("UNIMPLEMENTED", 2));
    assert_eq!(span.name, "grpc");
    assert_eq!(text(&span, "rpc.method"), "_OTHER");
    assert_eq!(text(&span, "rpc.method_original"), "shop.Orders/Place");
}

fn streams_that_break_off() {
    let span = call("application/grpc", || with_trailers(None));
    assert_eq!((text(&span, "error.type").as_str(), span.status_code), ("missing_grpc_status", 2));
    assert_eq!(span.attribute("rpc.response.status_code"), None);
}

fn grpc_web_is_http() {
    let span = call("application/grpc-web+proto", || Response::new(Body::from("x")));
    assert_eq!((span.name.as_str(), span.status_code), ("POST", 0));
    assert_eq!(text(&span, "http.request.method"), "POST");
}
