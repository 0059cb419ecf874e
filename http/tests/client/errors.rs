//! Failed requests: how the span says so, and that the application sees the same error.

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use logbridge_http::ReqwestMiddleware;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{mpsc, oneshot};

use super::support::{Trace, client, int, plain, refused, serve, serve_raw, text, traced, with, write_and_close};

/// Long enough for a loopback connection, short enough to wait for.
const TIMEOUT: Duration = Duration::from_millis(50);

fn error_type(trace: &Trace) -> &str {
    assert!(trace.client().is_error(), "{}", trace.client());
    text(trace.client(), "error.type")
}

#[test]
fn a_status_of_400_or_above_is_an_error_of_that_status() {
    for (status, name) in [(StatusCode::NOT_FOUND, "404"), (StatusCode::INTERNAL_SERVER_ERROR, "500")] {
        let (_, trace) = traced(1, async {
            let url = serve(Router::new().route("/", get(async move || (status, "sorry")))).await;
            let response = client().get(url).send().await.expect("an answer");
            assert_eq!(response.status(), status);
            assert_eq!(response.text().await.expect("a body"), "sorry");
        });
        assert_eq!(error_type(&trace), name);
        assert_eq!(int(trace.client(), "http.response.status_code"), Some(i64::from(status.as_u16())));
        assert_eq!(trace.client().status_message, "", "the code says it all");
    }
}

#[test]
fn a_redirect_that_the_application_handles_is_no_error() {
    let (_, trace) = traced(1, async {
        let url = serve(Router::new().route("/", get(async || (StatusCode::FOUND, [("location", "/b")])))).await;
        let plain = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        let client = reqwest_middleware::ClientBuilder::new(plain).with(ReqwestMiddleware::new()).build();
        assert_eq!(client.get(url).send().await.expect("an answer").status(), 302);
    });
    assert_eq!((trace.client().status_code, trace.client().attribute("error.type")), (0, None));
}

#[test]
fn a_refused_connection_is_named() {
    let (url, trace) = traced(1, async {
        let url = refused().await;
        let error = client().get(format!("{url}/?sig=s3cret")).send().await.expect_err("nobody listens");
        assert!(error.is_connect());
        url
    });
    let span = trace.client();
    assert_eq!(error_type(&trace), "connect");
    assert!(span.status_message.to_lowercase().contains("refused"), "{span}");
    assert_eq!(span.attribute("http.response.status_code"), None);
    assert_eq!(int(span, "server.port").map(|port| port.to_string()).as_deref(), url.rsplit(':').next());
    // The text of reqwest's error contains the URL.
    assert!(!format!("{:?}", trace.spans).contains("s3cret"), "{span}");
}

#[test]
fn a_timeout_before_the_headers_is_named() {
    let (_, trace) = traced(1, async {
        let (hold, mut held) = mpsc::unbounded_channel();
        let url = serve_raw(move |stream| {
            let hold = hold.clone();
            async move { hold.send(stream).expect("the test waits") }
        })
        .await;
        let error = client().get(url).timeout(TIMEOUT).send().await.expect_err("no answer");
        assert!(error.is_timeout());
        held.recv().await.expect("a connection");
    });
    assert_eq!(error_type(&trace), "timeout");
}

#[test]
fn a_timeout_within_the_body_is_named() {
    let (_, trace) = traced(1, async {
        let (hold, mut held) = mpsc::unbounded_channel();
        let url = serve_raw(move |mut stream| {
            let hold = hold.clone();
            async move {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await.expect("a client");
                hold.send(stream).expect("the test waits");
            }
        })
        .await;
        let response = client().get(url).timeout(TIMEOUT).send().await.expect("headers");
        let error = response.text().await.expect_err("half a body");
        assert!(error.is_timeout(), "{error:?}");
        held.recv().await.expect("a connection");
    });
    assert_eq!(error_type(&trace), "timeout");
    assert_eq!(int(trace.client(), "http.response.status_code"), Some(200));
}

#[test]
fn a_body_that_the_server_cuts_is_an_error() {
    let (_, trace) = traced(1, async {
        let url =
            serve_raw(|stream| write_and_close(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")).await;
        let without = plain().get(&url).send().await.expect("headers").text().await.expect_err("half a body");
        let error = client().get(&url).send().await.expect("headers").text().await.expect_err("half a body");
        assert_eq!(error.to_string(), without.to_string());
        assert_eq!((error.is_decode(), error.is_timeout()), (without.is_decode(), without.is_timeout()));
    });
    let span = trace.client();
    assert_eq!(int(span, "http.response.status_code"), Some(200));
    assert!(span.is_error(), "{span}");
    assert_eq!(text(span, "error.type"), "connection_closed", "{span}");
}

#[test]
fn an_answer_that_is_not_http_is_an_error() {
    let (_, trace) = traced(1, async {
        let url = serve_raw(|stream| write_and_close(stream, b"SSH-2.0-server\r\n\r\n")).await;
        client().get(url).send().await.expect_err("not HTTP");
    });
    assert_eq!(error_type(&trace), "invalid_response");
}

#[test]
fn a_request_that_the_application_gives_up_is_cancelled() {
    let (_, trace) = traced(1, async {
        let (arrived, arrives) = oneshot::channel();
        let arrived = std::sync::Mutex::new(Some(arrived));
        let url = serve_raw(move |stream| {
            let arrived = arrived.lock().expect("no panic").take();
            async move {
                arrived.expect("one request").send(stream).ok();
            }
        })
        .await;
        let request = tokio::spawn(tracing::Instrument::in_current_span(client().get(url).send()));
        let _connection = arrives.await.expect("the request arrives");
        request.abort();
        assert!(request.await.expect_err("no answer").is_cancelled());
    });
    assert_eq!(error_type(&trace), "request_canceled");
    assert_eq!(trace.client().attribute("http.response.status_code"), None);
}

#[test]
fn an_error_of_another_middleware_is_an_error() {
    let (_, trace) = traced(1, async {
        let client =
            reqwest_middleware::ClientBuilder::from_client(with(ReqwestMiddleware::new())).with(Broken).build();
        let error = client.get("http://localhost").send().await.expect_err("broken");
        assert!(error.is_middleware());
    });
    assert_eq!(error_type(&trace), "_OTHER");
    assert_eq!(trace.client().status_message, "no token");
}

#[test]
fn a_transport_that_panics_is_an_error() {
    let (_, trace) = traced(1, async {
        let client = reqwest_middleware::ClientBuilder::new(plain()).with(ReqwestMiddleware::new()).with(Panicking);
        let request = client.build().get("http://localhost").send();
        let panicked = tokio::spawn(tracing::Instrument::in_current_span(request)).await.expect_err("a panic");
        assert!(panicked.is_panic());
    });
    assert_eq!(error_type(&trace), "panic");
}

struct Panicking;

#[async_trait::async_trait]
impl reqwest_middleware::Middleware for Panicking {
    async fn handle(
        &self,
        _request: reqwest::Request,
        _extensions: &mut http::Extensions,
        _next: reqwest_middleware::Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        tokio::task::yield_now().await;
        panic!("out of order");
    }
}

struct Broken;

#[async_trait::async_trait]
impl reqwest_middleware::Middleware for Broken {
    async fn handle(
        &self,
        _request: reqwest::Request,
        _extensions: &mut http::Extensions,
        _next: reqwest_middleware::Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        Err(reqwest_middleware::Error::middleware(std::io::Error::other("no token")))
    }
}
