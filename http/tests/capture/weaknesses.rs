//! What the HyperDX SDKs of other languages do wrong (they export credentials, record whole bodies, and empty bodies that the
//! application reads afterwards) does not happen here.

use std::io::Error;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use futures_util::stream;

use super::support::{REQUEST, RESPONSE, exchange, text};

const DEFAULT_LIMIT: usize = 8 << 10;

#[test]
fn credentials_are_redacted_on_both_sides() {
    const DOCUMENT: &str =
        r#"{"author":"me","password":"hunter2","session":{"deep":["hunter2"]},"note":"Bearer hunter2"}"#;
    let answer = async |headers: HeaderMap, body: String| {
        assert_eq!(headers["authorization"], "Bearer hunter2", "the server reads the header");
        assert_eq!(body, DOCUMENT, "the server reads the body");
        let headers = [
            ("content-type", "application/json"),
            ("set-cookie", "id=hunter2; HttpOnly"),
            ("x-csrf-token", "hunter2"),
            ("location", "https://me:hunter2@example.com/?sig=hunter2"),
            ("x-author", "me"),
        ];
        (StatusCode::CREATED, headers, body)
    };
    let spans = exchange(Router::new().route("/", post(answer)), async |client, url| {
        let request = client
            .post(format!("{url}/?token=hunter2&author=me"))
            .header("content-type", "application/json")
            .header("authorization", "Bearer hunter2")
            .header("proxy-authorization", "Basic hunter2")
            .header("cookie", "id=hunter2")
            .header("x-api-key", "hunter2")
            .body(DOCUMENT);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["set-cookie"], "id=hunter2; HttpOnly", "the client reads the header");
        assert_eq!(response.text().await.unwrap(), DOCUMENT, "the client reads the body");
    });
    for span in spans.both() {
        assert!(!format!("{span:?}").contains("hunter2"), "{span:#?}");
        let redacted = r#"{"author":"me","password":"[redacted]","session":"[redacted]","note":"Bearer [redacted]"}"#;
        assert_eq!((text(span, REQUEST), text(span, RESPONSE)), (redacted, redacted));
        for header in [
            "request.header.authorization",
            "request.header.cookie",
            "request.header.x-api-key",
            "response.header.set-cookie",
        ] {
            let value = span.attribute(&format!("http.{header}")).map(|value| value.to_string()).unwrap_or_default();
            assert!(value.contains("[redacted]"), "{header}: {value}");
        }
        let author = span.attribute("http.response.header.x-author").map(|value| value.to_string());
        assert!(author.is_some_and(|value| value.contains("me")), "no search for substrings");
    }
    assert_eq!(text(&spans.server, "url.query"), "token=REDACTED&author=me");
    assert!(text(&spans.client, "url.full").ends_with("/?token=REDACTED&author=me"));
}

#[test]
fn no_url_attribute_has_a_secret_of_the_path_or_inside_of_a_value() {
    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.hunter2";
    let app = Router::new().route("/reset/{token}", get(async || StatusCode::NO_CONTENT));
    let spans = exchange(app, async |client, url| {
        let state = "%7B%22token%22%3A%22hunter2%22%7D";
        let url = format!("{url}/reset/{TOKEN};jsessionid=hunter2?code=hunter2&state={state}&next=a;sid=hunter2");
        client.get(url).send().await.unwrap();
    });
    for span in spans.both() {
        assert!(!format!("{span:?}").contains("hunter2"), "{span:#?}");
    }
    let query = "code=REDACTED&state=REDACTED&next=a;sid=REDACTED";
    assert_eq!(text(&spans.server, "url.path"), "/reset/REDACTED");
    assert_eq!(text(&spans.server, "url.query"), query);
    assert!(text(&spans.client, "url.full").ends_with(&format!("/reset/REDACTED?{query}")));
}

#[test]
fn the_end_of_an_aborted_body_is_redacted() {
    let frames = || stream::iter([Ok(Bytes::from("see https://me:hunter2")), Err(Error::other("abort"))]);
    let answer = async move || ([("content-type", "text/plain")], Body::from_stream(frames()));
    let spans = exchange(Router::new().route("/", get(answer)), async |client, url| {
        // The status may arrive or not.
        if let Ok(response) = client.get(url).send().await {
            response.bytes().await.unwrap_err();
        }
    });
    for span in spans.both() {
        assert!(!format!("{span:?}").contains("hunter2"), "{span:#?}");
    }
    assert_eq!(text(&spans.server, RESPONSE), "see https://[redacted]");
}

#[test]
fn a_large_body_is_cut_and_the_application_reads_all_of_it() {
    // A secret at the limit, and another one after it.
    let filler = "x".repeat(DEFAULT_LIMIT - 30);
    let secret = "hunter2".repeat(10_000);
    let document = format!(r#"{{"filler":"{filler}","password":"{secret}","n":1}}"#);
    let expected = document.clone();
    let app = Router::new().route("/", post(async |body: String| ([("content-type", "application/json")], body)));
    let spans = exchange(app, async |client, url| {
        let request = client.post(url).header("content-type", "application/json").body(document);
        let response = request.send().await.unwrap();
        assert!(response.text().await.unwrap() == expected, "nothing is missing");
    });
    for span in spans.both() {
        for key in [REQUEST, RESPONSE] {
            let captured = text(span, key);
            assert!((DEFAULT_LIMIT - 30..=DEFAULT_LIMIT).contains(&captured.len()), "{key}: {}", captured.len());
            assert!(!captured.contains("hunter"), "{key}");
        }
    }
}

#[test]
fn invalid_gzip_passes_unchanged() {
    const INVALID: &[u8] = b"\x1f\x8b\x08\x00 this is no gzip";
    let app = Router::new().route(
        "/",
        post(async |body: Bytes| {
            assert_eq!(body, INVALID);
            ([("content-type", "application/json"), ("content-encoding", "gzip")], body)
        }),
    );
    let spans = exchange(app, async |client, url| {
        let request = client.post(url).header("content-type", "text/plain").header("content-encoding", "gzip");
        let response = request.body(INVALID).send().await.unwrap();
        assert_eq!(response.bytes().await.unwrap(), INVALID);
    });
    for span in spans.both() {
        assert_eq!(span.attribute("http.response.status_code").and_then(|value| value.as_int()), Some(200), "{span}");
        assert_eq!((text(span, REQUEST), text(span, RESPONSE)), ("", ""));
    }
}

#[test]
fn binary_bodies_are_not_captured() {
    let app = Router::new().route("/", get(async || ([("content-type", "image/png")], "password=hunter2")));
    let spans = exchange(app, async |client, url| {
        let response = client.get(url).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "password=hunter2");
    });
    for span in spans.both() {
        assert_eq!(span.attribute(RESPONSE), None);
    }
}
