//! gRPC clients: the conventions of RPC, and the status from the trailers.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use logbridge_http::{ClientLayer, ClientService, ServerLayer};
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tower::ServiceBuilder;

use super::plain_codec::Plain;
use super::support::{attributes, int, refused, serve, text, traced};

/// Answers with one message, and then with a status in the trailers.
async fn place(headers: HeaderMap) -> Response {
    assert!(headers.contains_key("traceparent"));
    let status = headers.get("x-status").cloned().unwrap_or(HeaderValue::from_static("0"));
    let frames = [
        Frame::data(Bytes::from_static(b"\0\0\0\0\x02ok")),
        Frame::trailers(HeaderMap::from_iter([("grpc-status".parse().expect("a name"), status)])),
    ];
    let body = Body::new(StreamBody::new(stream::iter(frames.map(Ok::<_, std::convert::Infallible>))));
    ([("content-type", "application/grpc")], body).into_response()
}

/// Answers with a status in the headers, and without a body.
async fn refuse() -> Response {
    ([("content-type", "application/grpc"), ("grpc-status", "7")], Body::empty()).into_response()
}

fn app() -> Router {
    Router::new().route("/shop.Orders/Place", post(place)).route("/shop.Orders/Refuse", post(refuse))
}

fn channel(url: &str) -> Grpc<ClientService<Channel>> {
    let url: http::Uri = url.parse().expect("a URL");
    let channel = Endpoint::from(url.clone()).connect_lazy();
    let layer = ClientLayer::new().inspect_errors::<tonic::transport::Error>();
    Grpc::with_origin(ServiceBuilder::new().layer(layer).service(channel), url)
}

async fn call(url: &str, method: &'static str, status: &'static str) -> Result<Bytes, Status> {
    let mut client = channel(url);
    client.ready().await.expect("ready");
    let mut request = Request::new(Bytes::from_static(b"book"));
    request.metadata_mut().insert("x-status", status.parse().expect("a value"));
    client.unary(request, method.parse().expect("a path"), Plain).await.map(tonic::Response::into_inner)
}

#[test]
fn a_call_has_the_conventions_of_rpc() {
    let (url, trace) = traced(1, async {
        let url = serve(app()).await;
        assert_eq!(call(&url, "/shop.Orders/Place", "0").await.expect("an answer"), "ok");
        url
    });
    let span = trace.client();
    assert_eq!((&*span.name, span.status_code), ("shop.Orders/Place", 0));
    assert_eq!(text(span, "rpc.system.name"), "grpc");
    assert_eq!(text(span, "rpc.method"), "shop.Orders/Place");
    assert_eq!(text(span, "rpc.response.status_code"), "OK");
    assert_eq!(text(span, "server.address"), "127.0.0.1");
    assert_eq!(int(span, "server.port").map(|port| port.to_string()).as_deref(), url.rsplit(':').next());
    assert_eq!(attributes(span, "http."), [], "the HTTP below is not what the caller asked for");
}

#[test]
fn every_status_but_ok_is_an_error_of_the_call() {
    let (_, trace) = traced(1, async {
        let url = serve(app()).await;
        let status = call(&url, "/shop.Orders/Place", "5").await.expect_err("not found");
        assert_eq!(status.code(), Code::NotFound);
    });
    let span = trace.client();
    assert_eq!((span.is_error(), text(span, "error.type")), (true, "NOT_FOUND"));
    assert_eq!(text(span, "rpc.response.status_code"), "NOT_FOUND");
}

#[test]
fn a_status_in_the_headers_counts_as_well() {
    let (_, trace) = traced(1, async {
        let url = serve(app()).await;
        let status = call(&url, "/shop.Orders/Refuse", "0").await.expect_err("refused");
        assert_eq!(status.code(), Code::PermissionDenied);
    });
    let span = trace.client();
    assert_eq!((span.is_error(), text(span, "error.type")), (true, "PERMISSION_DENIED"));
}

#[test]
fn a_refused_connection_is_named() {
    let (_, trace) = traced(1, async {
        let status = call(&refused().await, "/shop.Orders/Place", "0").await.expect_err("nobody listens");
        assert_eq!(status.code(), Code::Unavailable);
    });
    assert_eq!((trace.client().is_error(), text(trace.client(), "error.type")), (true, "connect"));
}

#[test]
fn a_call_and_its_server_are_in_one_trace() {
    let (_, trace) = traced(2, async {
        let url = serve(app().layer(ServerLayer::new())).await;
        call(&url, "/shop.Orders/Place", "0").await.expect("an answer");
    });
    let servers = trace.of_kind("server");
    assert_eq!(servers[0].parent_span_id, trace.client().span_id);
    assert_eq!(servers[0].name, trace.client().name);
}

#[test]
fn a_call_that_takes_too_long_is_named() {
    let (_, trace) = traced(1, async {
        let url = serve(Router::new().route("/slow.Slow/Wait", post(async || std::future::pending::<String>().await)));
        let url: http::Uri = url.await.parse().expect("a URL");
        let channel = Endpoint::from(url.clone()).timeout(Duration::from_millis(30)).connect_lazy();
        let layer = ClientLayer::new().inspect_errors::<tonic::transport::Error>();
        let mut client = Grpc::with_origin(ServiceBuilder::new().layer(layer).service(channel), url);
        client.ready().await.expect("ready");
        let path = "/slow.Slow/Wait".parse().expect("a path");
        client.unary(Request::new(Bytes::new()), path, Plain).await.expect_err("too slow");
    });
    assert_eq!((trace.client().is_error(), text(trace.client(), "error.type")), (true, "timeout"));
}

/// A connection that breaks off, or a server that does not speak gRPC.
#[test]
fn a_call_that_ends_without_a_status_is_an_error() {
    let body = || ([("content-type", "application/grpc")], "\0\0\0\0\x02ok").into_response();
    let app = Router::new()
        .route("/shop.Orders/NoStatus", post(async move || body()))
        .route("/shop.Orders/NotThere", post(async || http::StatusCode::SERVICE_UNAVAILABLE));
    for (method, error_type) in [("/shop.Orders/NoStatus", "missing_grpc_status"), ("/shop.Orders/NotThere", "503")] {
        let app = app.clone();
        let (_, trace) = traced(1, async {
            let url = serve(app).await;
            let _answer = call(&url, method, "0").await;
        });
        let span = trace.client();
        assert_eq!((span.is_error(), text(span, "error.type")), (true, error_type), "{method}");
        assert_eq!(span.attribute("rpc.response.status_code"), None);
    }
}
