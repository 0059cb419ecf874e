//! The application sees the same response, and the server the same request, with and without the middleware.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use logbridge::NetworkCapture;
use reqwest::Response;
use reqwest_middleware::ClientWithMiddleware;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::{DEADLINE, capturing, client, plain, serve, serve_raw, traced};

fn app() -> Router {
    let streamed = async || {
        let parts = stream::iter(["one ", "two ", "three"].map(Ok::<_, std::convert::Infallible>));
        ([("content-type", "text/plain"), ("x-multi", "a")], Body::from_stream(parts))
    };
    Router::new()
        .route("/plain", get(async || ([("x-one", "1")], "a body of known length")))
        .route("/json", get(async || ([("content-type", "application/json")], r#"{"id": 7, "token": "s3cret"}"#)))
        .route("/empty", get(async || StatusCode::NO_CONTENT))
        .route("/missing", get(async || (StatusCode::NOT_FOUND, "not here")))
        .route("/streamed", get(streamed))
        .route("/moved", get(async || (StatusCode::FOUND, [("location", "/plain")])))
        .route("/upload", post(upload))
}

/// Answers with what has arrived.
async fn upload(headers: HeaderMap, body: Body) -> impl IntoResponse {
    let length = headers.get("content-length").map(|value| value.to_str().expect("a number").to_owned());
    let coding = headers.get("transfer-encoding").is_some();
    let body = body.collect().await.expect("a body").to_bytes();
    format!("length {length:?} chunked {coding} bytes {}", String::from_utf8_lossy(&body))
}

/// Everything that an application can see of a response before it reads the body, except for the time of day.
fn visible(response: &Response) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut headers = response.headers().clone();
    headers.remove("date");
    (
        response.status(),
        response.version(),
        headers,
        response.url().clone(),
        response.content_length(),
        response.remote_addr(),
        response.extensions().len(),
        response.extensions().get::<hyper::ext::ReasonPhrase>().is_some(),
    )
}

async fn get_both(with: &ClientWithMiddleware, url: &str) -> (Response, Response) {
    let observed = with.get(url).send().await.expect("an answer");
    (observed, plain().get(url).send().await.expect("an answer"))
}

#[test]
fn a_response_is_the_same_with_and_without_the_middleware() {
    const PATHS: [&str; 6] = ["/plain", "/json", "/empty", "/missing", "/streamed", "/moved"];
    let (_, _) = traced(2 * PATHS.len(), async {
        let url = serve(app()).await;
        for with in [client(), capturing(NetworkCapture::all())] {
            for path in PATHS {
                let (observed, plain) = get_both(&with, &format!("{url}{path}")).await;
                assert_eq!(visible(&observed), visible(&plain), "{path}");
                let bytes = observed.bytes().await.expect("a body");
                assert_eq!(bytes, plain.bytes().await.expect("a body"), "{path}");
            }
        }
    });
}

#[test]
fn a_response_is_read_in_every_way_that_reqwest_offers() {
    let (_, _) = traced(4, async {
        let url = serve(app()).await;
        let client = capturing(NetworkCapture::all());
        let json: serde_json::Value =
            client.get(format!("{url}/json")).send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!((&json["id"], &json["token"]), (&7.into(), &"s3cret".into()));
        let stream = client.get(format!("{url}/streamed")).send().await.expect("an answer").bytes_stream();
        let parts: Vec<Bytes> = stream.map(|part| part.expect("a part")).collect().await;
        assert_eq!(parts.concat(), b"one two three");
        let error = client.get(format!("{url}/missing")).send().await.expect("an answer").error_for_status();
        assert_eq!(error.expect_err("404").status(), Some(StatusCode::NOT_FOUND));
        // A response can be the body of the next request.
        let first = client.get(format!("{url}/plain")).send().await.expect("an answer");
        let second = plain().post(format!("{url}/upload")).body(first).send().await.expect("an answer");
        assert!(second.text().await.expect("a body").ends_with("a body of known length"));
    });
}

#[test]
fn a_request_arrives_unchanged() {
    let (_, _) = traced(6, async {
        let url = format!("{}/upload", serve(app()).await);
        let streamed = || {
            let parts = stream::iter(["one ", "two"].map(Ok::<_, std::io::Error>));
            reqwest::Body::wrap_stream(parts)
        };
        let sized = || reqwest::Body::wrap(http_body_util::Full::new(Bytes::from_static(b"sized")));
        for make in [&streamed as &dyn Fn() -> reqwest::Body, &sized, &|| reqwest::Body::from("in memory")] {
            let expected = plain().post(&url).body(make()).send().await.expect("an answer");
            let expected = expected.text().await.expect("a body");
            for with in [client(), capturing(NetworkCapture::all())] {
                let request = with.post(&url).header("content-type", "text/plain").body(make());
                let answer = request.send().await.expect("an answer").text().await.expect("a body");
                assert_eq!(answer, expected);
            }
        }
    });
}

#[test]
fn a_streamed_request_is_sent_as_it_comes() {
    let (_, _) = traced(1, async {
        let url = serve(Router::new().route(
            "/",
            post(async |body: Body| {
                // The server answers the first part while the client still holds back the second.
                body.into_data_stream().next().await.expect("a part").expect("a part")
            }),
        ))
        .await;
        let (send, receive) = tokio::sync::mpsc::unbounded_channel::<&'static str>();
        let parts = stream::unfold(receive, async |mut receive| {
            receive.recv().await.map(|part| (Ok::<_, std::io::Error>(part), receive))
        });
        send.send("first").expect("open");
        let request = capturing(NetworkCapture::all()).post(url).header("content-type", "text/plain");
        let response = request.body(reqwest::Body::wrap_stream(parts)).send().await.expect("an answer");
        assert_eq!(response.text().await.expect("a body"), "first");
        send.send("second").ok();
    });
}

#[test]
fn a_connection_can_still_be_upgraded() {
    let (_, _) = traced(1, async {
        let url = serve_raw(async |mut stream| {
            let head = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
            stream.write_all(head).await.expect("a client");
            let mut text = [0; 4];
            stream.read_exact(&mut text).await.expect("four bytes");
            stream.write_all(&text).await.expect("a client");
        })
        .await;
        let request =
            capturing(NetworkCapture::all()).get(url).header("connection", "upgrade").header("upgrade", "echo");
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let mut stream = response.upgrade().await.expect("a stream");
        stream.write_all(b"ping").await.expect("open");
        let mut text = [0; 4];
        stream.read_exact(&mut text).await.expect("four bytes");
        assert_eq!(&text, b"ping");
    });
}

#[test]
fn the_timeout_of_a_request_still_applies() {
    let (_, _) = traced(1, async {
        let url = serve(Router::new().route("/", get(async || std::future::pending::<String>().await))).await;
        let request = client().get(url).timeout(Duration::from_millis(20)).send();
        let error = tokio::time::timeout(DEADLINE, request).await.expect("in time").expect_err("no answer");
        assert!(error.is_timeout());
    });
}
