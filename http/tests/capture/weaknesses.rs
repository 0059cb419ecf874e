//! What the HyperDX SDKs of other languages do wrong (they export credentials, record whole bodies, and empty bodies that the
//! application reads afterwards) does not happen here.

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};

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
