//! `ClientLayer` around hyper-util's client and tower's own middlewares.

use std::convert::Infallible;
use std::error::Error as _;
use std::future::{Ready, ready};
use std::io;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{any, get};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use logbridge::NetworkCapture;
use logbridge_http::{ClientLayer, ResendCount, UrlTemplate};
use tower::{Service, ServiceBuilder, ServiceExt as _, service_fn};

use super::support::{echo_headers, int, line, refused, serve, serve_raw, text, traced, write_and_close};

fn hyper<B>() -> Client<HttpConnector, B>
where
    B: http_body::Body<Data: Send> + Send,
{
    Client::builder(TokioExecutor::new()).build_http()
}

fn get_request(url: impl AsRef<str>) -> Request<Empty<Bytes>> {
    Request::get(url.as_ref()).body(Empty::new()).expect("a request")
}

#[test]
fn a_request_becomes_a_client_span_that_carries_its_context() {
    let (echo, trace) = traced(1, async {
        let url = serve(Router::new().route("/{*path}", get(echo_headers))).await;
        let client = ServiceBuilder::new().layer(ClientLayer::new()).service(hyper());
        let mut request = get_request(format!("{url}/users/7?X-Amz-Signature=abc"));
        request.extensions_mut().insert(UrlTemplate::new("/users/{id}"));
        let response = client.oneshot(request).await.expect("an answer");
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        String::from_utf8(body.to_vec()).expect("text")
    });
    let span = trace.client();
    assert_eq!((&*span.name, span.status_code), ("GET /users/{id}", 0));
    assert_eq!(span.parent_span_id, trace.caller().span_id);
    assert_eq!(line(&echo, "traceparent"), [format!("00-{}-{}-01", span.trace_id, span.span_id)]);
    assert_eq!(int(span, "http.response.status_code"), Some(200));
    assert_eq!(text(span, "server.address"), "127.0.0.1");
    assert!(text(span, "url.full").ends_with("/users/7?X-Amz-Signature=REDACTED"), "{span}");
    assert_eq!(text(span, "network.protocol.version"), "1.1");
}

/// Clients below hyper-util's take the path only, and the authority from the header.
#[test]
fn the_url_is_absolute_if_the_request_names_the_host() {
    let (_, trace) = traced(3, async {
        let client = ServiceBuilder::new()
            .layer(ClientLayer::new())
            .service_fn(async |_: Request<Empty<Bytes>>| Ok::<_, Infallible>(Response::new(Full::new(Bytes::new()))));
        for host in [Some("shop.example:8080"), Some("user:secret@shop.example:443"), None] {
            let mut request = get_request("/users/7?sig=abc");
            if let Some(host) = host {
                request.headers_mut().insert("host", host.parse().expect("a value"));
            }
            client.clone().oneshot(request).await.expect("an answer");
        }
    });
    let urls: Vec<_> = trace.clients().into_iter().map(|span| text(span, "url.full")).collect();
    assert_eq!(
        urls,
        [
            "http://shop.example:8080/users/7?sig=REDACTED",
            "https://REDACTED:REDACTED@shop.example:443/users/7?sig=REDACTED",
            "/users/7?sig=REDACTED",
        ]
    );
}

#[test]
fn the_errors_of_the_transport_are_named_and_keep_their_type() {
    let (_, trace) = traced(1, async {
        let client = ServiceBuilder::new().layer(ClientLayer::new()).service(hyper());
        let error: hyper_util::client::legacy::Error =
            client.oneshot(get_request(refused().await)).await.expect_err("nobody listens");
        assert!(error.is_connect());
    });
    let span = trace.client();
    assert_eq!((span.is_error(), text(span, "error.type")), (true, "connect"));
    assert!(span.status_message.to_lowercase().contains("refused"), "{span}");
}

#[test]
fn a_body_that_the_server_cuts_is_an_error() {
    let (_, trace) = traced(1, async {
        let url =
            serve_raw(|stream| write_and_close(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")).await;
        let client = ServiceBuilder::new().layer(ClientLayer::new()).service(hyper());
        let response = client.oneshot(get_request(url)).await.expect("headers");
        response.into_body().collect().await.expect_err("half a body");
    });
    assert!(trace.client().is_error());
    assert_eq!(text(trace.client(), "error.type"), "connection_closed");
}

#[test]
fn a_timeout_of_tower_inside_and_outside_of_the_layer() {
    let (_, trace) = traced(2, async {
        let never = || {
            service_fn(async |_: Request<Empty<Bytes>>| {
                std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>().await
            })
        };
        let inside =
            ServiceBuilder::new().layer(ClientLayer::new()).timeout(Duration::from_millis(10)).service(never());
        inside.oneshot(get_request("http://inside/")).await.expect_err("no answer");
        let outside =
            ServiceBuilder::new().timeout(Duration::from_millis(10)).layer(ClientLayer::new()).service(never());
        outside.oneshot(get_request("http://outside/")).await.expect_err("no answer");
    });
    let errors: Vec<_> =
        trace.clients().into_iter().map(|span| (text(span, "server.address"), text(span, "error.type"))).collect();
    assert_eq!(errors, [("inside", "timeout"), ("outside", "request_canceled")]);
}

/// An error type that the layer does not know, with an error inside.
#[derive(Debug)]
struct Unknown(io::Error);

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("transport error")
    }
}

impl std::error::Error for Unknown {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn an_unknown_error_type_is_looked_into_if_the_layer_is_told_so() {
    let (_, trace) = traced(2, async {
        let broken = || {
            service_fn(async |_: Request<Empty<Bytes>>| {
                let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
                Err::<Response<Full<Bytes>>, _>(Unknown(refused))
            })
        };
        let plain = ServiceBuilder::new().layer(ClientLayer::new()).service(broken());
        plain.oneshot(get_request("http://a/")).await.expect_err("broken");
        let told = ServiceBuilder::new().layer(ClientLayer::new().inspect_errors::<Unknown>()).service(broken());
        let error = told.oneshot(get_request("http://b/")).await.expect_err("broken");
        assert!(error.source().is_some());
    });
    let types: Vec<_> = trace.clients().into_iter().map(|span| text(span, "error.type")).collect();
    assert_eq!(types, [std::any::type_name::<Unknown>(), "connect"]);
}

/// Retries while the answer is a server error.
#[derive(Clone)]
struct ThreeTimes(u32);

impl<R: Clone, B, E> tower::retry::Policy<R, Response<B>, E> for ThreeTimes {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut R, result: &mut Result<Response<B>, E>) -> Option<Ready<()>> {
        let fails = result.as_ref().is_ok_and(|response| response.status().is_server_error());
        self.0 = self.0.checked_sub(1)?;
        fails.then(|| ready(()))
    }

    fn clone_request(&mut self, request: &R) -> Option<R> {
        Some(request.clone())
    }
}

#[test]
fn retries_are_numbered_if_the_request_carries_a_counter() {
    let (_, trace) = traced(6, async {
        let url = serve(Router::new().route("/", any(async || StatusCode::SERVICE_UNAVAILABLE))).await;
        let client = || {
            ServiceBuilder::new()
                .layer(tower::retry::RetryLayer::new(ThreeTimes(2)))
                .layer(ClientLayer::new())
                .service(hyper())
        };
        let mut counted = get_request(&url);
        counted.extensions_mut().insert(ResendCount::default());
        client().oneshot(counted).await.expect("an answer");
        client().oneshot(get_request(&url)).await.expect("an answer");
    });
    let numbers: Vec<_> = trace.clients().into_iter().map(|span| int(span, "http.request.resend_count")).collect();
    assert_eq!(numbers, [None, Some(1), Some(2), None, None, None]);
}

#[test]
fn bodies_are_captured_if_the_layer_may_wrap_the_request() {
    let (_, trace) = traced(1, async {
        let url = serve(Router::new().route("/", any(async |body: String| body))).await;
        // The body type of hyper-util's client is up to its user.
        let layer = ClientLayer::new().capture(NetworkCapture::all()).wrap_request_body();
        let mut client = ServiceBuilder::new().layer(layer).service(hyper());
        let request = Request::post(url).header("content-type", "text/plain").body(Full::new(Bytes::from("question")));
        let response = client.ready().await.expect("ready").call(request.expect("a request")).await.expect("an answer");
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(body, "question");
    });
    assert_eq!(text(trace.client(), "http.request.body.content"), "question");
    assert_eq!(text(trace.client(), "http.response.body.content"), "question");
}

#[test]
fn without_wrapping_only_the_response_is_captured() {
    let (_, trace) = traced(1, async {
        let url = serve(Router::new().route("/", any(async |body: String| body))).await;
        let client = ServiceBuilder::new().layer(ClientLayer::new().capture(NetworkCapture::all())).service(hyper());
        let request = Request::post(url).header("content-type", "text/plain").body(Full::new(Bytes::from("question")));
        let response = client.oneshot(request.expect("a request")).await.expect("an answer");
        response.into_body().collect().await.expect("a body");
    });
    assert_eq!(trace.client().attribute("http.request.body.content"), None);
    assert_eq!(text(trace.client(), "http.response.body.content"), "question");
}
