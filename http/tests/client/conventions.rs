//! What a client span says, when it begins and ends, and which records belong to it.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{any, get};
use futures_util::stream;
use logbridge_http::{ReqwestMiddleware, UrlTemplate};
use reqwest::{Method, Request};
use tokio::sync::oneshot;

use super::support::{attributes, client, has_client_span_ended, int, plain, serve, text, traced};

fn app() -> Router {
    Router::new().route("/{*path}", any(async || "hello"))
}

#[test]
fn a_request_becomes_a_client_span_with_the_stable_conventions() {
    let (port, trace) = traced(1, async {
        let url = serve(app()).await;
        let response = client().get(format!("{url}/users/7?sort=name")).send().await.expect("an answer");
        assert_eq!(response.text().await.expect("a body"), "hello");
        url.rsplit_once(':').expect("a port").1.parse::<i64>().expect("a port")
    });
    let span = trace.client();
    assert_eq!((&*span.name, span.status_code, &*span.status_message), ("GET", 0, ""));
    assert_eq!(span.parent_span_id, trace.caller().span_id);
    let mut found = attributes(span, "http.");
    found.extend(["url.", "server.", "network.", "error.", "rpc."].iter().flat_map(|prefix| attributes(span, prefix)));
    let expected = [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("url.full", &format!("http://127.0.0.1:{port}/users/7?sort=name")),
        ("server.address", "127.0.0.1"),
        ("server.port", &port.to_string()),
        ("network.peer.address", "127.0.0.1"),
        ("network.peer.port", &port.to_string()),
        ("network.protocol.version", "1.1"),
    ];
    let plain: Vec<_> = found.iter().map(|(key, value)| (key.as_str(), value.trim_matches('"'))).collect();
    assert_eq!(plain, expected);
}

#[test]
fn a_template_of_the_application_names_the_span() {
    let (_, trace) = traced(1, async {
        let url = serve(app()).await;
        let request = client().get(format!("{url}/users/7")).with_extension(UrlTemplate::new("/users/{id}"));
        request.send().await.expect("an answer").text().await.expect("a body")
    });
    assert_eq!(trace.client().name, "GET /users/{id}");
    assert_eq!(text(trace.client(), "url.template"), "/users/{id}");
}

#[test]
fn an_unknown_method_is_recorded_as_other() {
    let (_, trace) = traced(1, async {
        let url = serve(app()).await;
        let method = Method::from_bytes(b"PURGE").expect("a method");
        client().request(method, format!("{url}/cache")).send().await.expect("an answer").text().await.expect("a body")
    });
    let span = trace.client();
    assert_eq!(span.name, "HTTP");
    assert_eq!(text(span, "http.request.method"), "_OTHER");
    assert_eq!(text(span, "http.request.method_original"), "PURGE");
}

#[test]
fn credentials_in_the_url_are_redacted() {
    let (_, trace) = traced(1, async {
        let url = serve(app()).await.replace("http://", "http://alice:s3cret@");
        // `Client::get` would move the credentials into a header.
        let request = Request::new(Method::GET, format!("{url}/file?sig=abc123&page=2").parse().expect("a URL"));
        client().execute(request).await.expect("an answer").text().await.expect("a body")
    });
    let span = trace.client();
    let full = text(span, "url.full");
    assert!(full.starts_with("http://REDACTED:REDACTED@127.0.0.1:"), "{full}");
    assert!(full.ends_with("/file?sig=REDACTED&page=2"), "{full}");
    let everything = format!("{:?}", trace.spans);
    assert!(!everything.contains("s3cret") && !everything.contains("abc123") && !everything.contains("alice"));
}

#[test]
fn the_span_ends_with_the_body_and_not_with_the_headers() {
    let (_, trace) = traced(1, async {
        let (send, receive) = oneshot::channel::<&'static str>();
        let body = stream::once(async { receive.await.map(|text| Bytes::from_static(text.as_bytes())) });
        let body = std::sync::Mutex::new(Some(Body::from_stream(body)));
        let body = std::sync::Arc::new(body);
        let url = serve(Router::new().route(
            "/",
            get(move || {
                let body = body.lock().expect("no panic").take().expect("one request");
                async { body }
            }),
        ))
        .await;
        let response = client().get(url).send().await.expect("headers");
        assert!(!has_client_span_ended(), "the body is still to come");
        send.send("late").expect("the server waits");
        assert_eq!(response.text().await.expect("a body"), "late");
        assert!(has_client_span_ended(), "the body has ended, although the caller's span goes on");
    });
    assert_eq!(trace.client().status_code, 0);
}

#[test]
fn a_response_that_nobody_reads_is_no_error() {
    let (_, trace) = traced(1, async {
        let url = serve(app()).await;
        let response = client().get(format!("{url}/status")).send().await.expect("an answer");
        assert_eq!(response.status(), 200);
    });
    let span = trace.client();
    assert_eq!((span.status_code, span.attribute("error.type")), (0, None));
    assert_eq!(int(span, "http.response.status_code"), Some(200));
}

#[test]
fn a_response_without_a_body_ends_its_span_at_once() {
    let (_, trace) = traced(1, async {
        let url = serve(Router::new().route("/", get(async || http::StatusCode::NO_CONTENT))).await;
        let response = client().get(url).send().await.expect("an answer");
        assert!(has_client_span_ended(), "there is nothing to read");
        drop(response);
    });
    assert_eq!(int(trace.client(), "http.response.status_code"), Some(204));
}

/// Logs from within the request, as a transport does.
struct Transport;

#[async_trait::async_trait]
impl reqwest_middleware::Middleware for Transport {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut http::Extensions,
        next: reqwest_middleware::Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        log::info!("connecting");
        tokio::task::yield_now().await;
        log::info!("still connecting");
        next.run(request, extensions).await
    }
}

#[test]
fn records_of_the_transport_belong_to_the_client_span_and_others_to_the_caller() {
    let (_, trace) = traced(1, async {
        let url = serve(app()).await;
        let client =
            reqwest_middleware::ClientBuilder::new(plain()).with(ReqwestMiddleware::new()).with(Transport).build();
        let mut response = client.get(format!("{url}/a")).send().await.expect("an answer");
        log::info!("reading");
        while let Some(chunk) = response.chunk().await.expect("a body") {
            log::info!("read {}", chunk.len());
        }
    });
    for message in ["connecting", "still connecting"] {
        assert_eq!(trace.span_of_record(message), trace.client().span_id, "{message}");
    }
    for message in ["reading", "read 5"] {
        assert_eq!(trace.span_of_record(message), trace.caller().span_id, "{message}");
    }
}
