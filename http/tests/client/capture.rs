//! Headers and bodies of clients' requests on their spans.

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::routing::post;
use futures_util::stream;
use logbridge::testing::ReceivedSpan;
use logbridge::{HeaderList, NetworkCapture};
use tokio::io::AsyncWriteExt as _;

use super::support::{attributes, capturing, client, serve, serve_raw, text, traced};

const REQUEST: &str = "http.request.body.content";
const RESPONSE: &str = "http.response.body.content";

fn app() -> Router {
    let answer = |status| {
        async move |_body: String| {
            let headers = [("content-type", "application/json"), ("set-cookie", "id=s3cret"), ("x-answer", "yes")];
            (status, headers, r#"{"order": 7, "access_token": "s3cret"}"#)
        }
    };
    Router::new()
        .route("/ok", post(answer(StatusCode::OK)))
        .route("/bad", post(answer(StatusCode::BAD_REQUEST)))
        .route("/failed", post(answer(StatusCode::INTERNAL_SERVER_ERROR)))
}

/// Posts a document, and returns the client's span.
fn posted(capture: NetworkCapture, path: &'static str) -> ReceivedSpan {
    let (_, trace) = traced(1, async {
        let request = capturing(capture)
            .post(format!("{}{path}", serve(app()).await))
            .header("content-type", "application/json")
            .header("authorization", "Bearer s3cret")
            .header("x-tenant", "north")
            .body(r#"{"item": "book", "password": "s3cret"}"#);
        let answer = request.send().await.expect("an answer").text().await.expect("a body");
        assert_eq!(answer, r#"{"order": 7, "access_token": "s3cret"}"#, "the application sees all of it");
    });
    assert!(!format!("{trace:?}", trace = trace.spans).contains("s3cret"), "{:#?}", trace.spans);
    trace.client().clone()
}

#[test]
fn nothing_is_captured_by_default() {
    let (_, trace) = traced(1, async {
        let url = serve(app()).await;
        let request = client().post(format!("{url}/failed")).header("content-type", "text/plain").body("a body");
        request.send().await.expect("an answer").text().await.expect("a body");
    });
    let span = trace.client();
    assert_eq!((span.attribute(REQUEST), span.attribute(RESPONSE)), (None, None));
    assert_eq!(attributes(span, "http.request.header."), []);
    assert_eq!(attributes(span, "http.response.header."), []);
}

#[test]
fn all_captures_headers_and_bodies_and_no_secrets() {
    let span = posted(NetworkCapture::all(), "/ok");
    assert!(text(&span, REQUEST).contains(r#""item": "book""#), "{span}");
    assert!(text(&span, RESPONSE).contains(r#""order": 7"#), "{span}");
    let headers = attributes(&span, "http.request.header.content-type");
    assert!(headers.first().is_some_and(|(_, value)| value.contains("application/json")), "{span}");
}

#[test]
fn errors_captures_bodies_of_failed_requests_only() {
    for (path, wanted) in [("/ok", false), ("/bad", true), ("/failed", true)] {
        let span = posted(NetworkCapture::errors(), path);
        assert_eq!(span.attribute(REQUEST).is_some(), wanted, "{path}: {span}");
        assert_eq!(span.attribute(RESPONSE).is_some(), wanted, "{path}: {span}");
        assert_ne!(attributes(&span, "http.response.header."), [], "{path}: headers are always captured");
    }
}

#[test]
fn a_list_of_headers_is_taken_by_its_names() {
    let capture = NetworkCapture::all()
        .headers(HeaderList::ClientRequest, ["x-tenant", "authorization"])
        .headers(HeaderList::ClientResponse, ["X-Answer", "set-cookie"]);
    let span = posted(capture, "/ok");
    let names = |prefix| attributes(&span, prefix).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    let expected = ["http.request.header.authorization", "http.request.header.x-tenant"];
    assert_eq!(names("http.request.header."), expected);
    let expected = ["http.response.header.set-cookie", "http.response.header.x-answer"];
    assert_eq!(names("http.response.header."), expected);
}

#[test]
fn a_body_is_cut_at_the_limit() {
    let (_, trace) = traced(1, async {
        let url = serve(Router::new().route("/", post(async |body: String| body))).await;
        let long = "é".repeat(100_000);
        let request =
            capturing(NetworkCapture::all().max_body_bytes(101)).post(url).header("content-type", "text/plain");
        let answer = request.body(long.clone()).send().await.expect("an answer").text().await.expect("a body");
        assert_eq!(answer, long);
    });
    for key in [REQUEST, RESPONSE] {
        let captured = text(trace.client(), key);
        assert!(captured.starts_with("éé") && captured.len() <= 110, "{key}: {} bytes", captured.len());
    }
}

#[test]
fn a_streamed_request_body_is_captured_while_it_is_sent() {
    let (_, trace) = traced(1, async {
        let url = serve(Router::new().route("/", post(async |_: Body| StatusCode::BAD_REQUEST))).await;
        let url2 = serve(Router::new().route("/", post(async |body: String| (StatusCode::BAD_REQUEST, body)))).await;
        drop(url);
        let parts = stream::iter(["one ", "two"].map(Ok::<_, std::io::Error>));
        let request = capturing(NetworkCapture::errors()).post(url2).header("content-type", "text/plain");
        let response = request.body(reqwest::Body::wrap_stream(parts)).send().await.expect("an answer");
        assert_eq!(response.text().await.expect("a body"), "one two");
    });
    assert_eq!(text(trace.client(), REQUEST), "one two");
    assert_eq!(text(trace.client(), RESPONSE), "one two");
}

#[test]
fn bodies_of_a_request_that_fails_midway_are_captured_as_far_as_they_came() {
    let (_, trace) = traced(1, async {
        let url = serve_raw(async |mut stream| {
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\nhalf an answer";
            stream.write_all(head).await.expect("a client");
        })
        .await;
        let request =
            capturing(NetworkCapture::errors()).post(url).header("content-type", "text/plain").body("question");
        request.send().await.expect("headers").text().await.expect_err("half a body");
    });
    let span = trace.client();
    assert!(span.is_error(), "{span}");
    assert_eq!((text(span, REQUEST), text(span, RESPONSE)), ("question", "half an answer"));
}

#[test]
fn ten_thousand_headers_are_no_problem() {
    let (_, trace) = traced(1, async {
        // hyper reads at most 100 headers by default, so the client refuses such a response: the span says so.
        let url = serve_raw(async |mut stream| {
            let headers: String = (0..10_000).map(|number| format!("x-{number}: {number}\r\n")).collect();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{headers}\r\n");
            stream.write_all(head.as_bytes()).await.ok();
        })
        .await;
        let mut headers = http::HeaderMap::new();
        for number in 0..10_000 {
            let name = http::HeaderName::try_from(format!("x-{number}")).expect("a name");
            headers.insert(name, "value".parse().expect("a value"));
        }
        let all =
            NetworkCapture::all().headers(HeaderList::ClientRequest, ["*"]).headers(HeaderList::ClientResponse, ["*"]);
        capturing(all).get(url).headers(headers).send().await.expect_err("too many headers");
    });
    let span = trace.client();
    assert!(span.is_error(), "{}", span.name);
    // The SDK's limit for the attributes of a span applies.
    assert!(span.attributes.len() <= 1_000, "{} attributes", span.attributes.len());
    assert_eq!(text(span, "http.request.method"), "GET", "the attributes of the convention come first");
    assert_ne!(text(span, "error.type"), "", "{}", span.name);
}
