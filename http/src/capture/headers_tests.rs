use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use logbridge::{Builder, HeaderList, HttpSettings, NetworkCapture, Otlp, Redact};

use super::{MAX_HEADERS, MAX_VALUE, MAX_VALUES, headers, matches, redacted};

fn map(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    map
}

fn captured(capture: NetworkCapture, list: HeaderList, map: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut attributes = BTreeMap::new();
    headers(&HttpSettings::default().with_capture(capture), list, map, |name, values| {
        assert!(attributes.insert(name, values).is_none(), "each attribute once");
    });
    attributes
}

fn all() -> NetworkCapture {
    NetworkCapture::all().headers(HeaderList::ServerRequest, ["*"])
}

fn value(name: &str, value: &str) -> String {
    captured(all(), HeaderList::ServerRequest, &map(&[(name, value)]))[&format!("http.request.header.{name}")].concat()
}

#[test]
fn defaults_are_safe_and_lists_replace_them() {
    let map = map(&[
        ("Content-Type", "text/plain"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("cookie", "a=b"),
        ("x-tenant-id", "7"),
        ("accept", "a"),
        ("accept", "b"),
    ]);
    let server = HeaderList::ServerRequest;
    assert_eq!(captured(NetworkCapture::off(), server, &map), BTreeMap::new());
    let names: Vec<_> = captured(NetworkCapture::errors(), server, &map).into_keys().collect();
    assert_eq!(names, ["http.request.header.accept", "http.request.header.content-type"]);
    let listed = captured(NetworkCapture::off().headers(server, ["X-Tenant-*", "accept"]), server, &map);
    assert_eq!(listed["http.request.header.accept"], ["a", "b"], "all values");
    assert_eq!(
        listed.into_keys().collect::<Vec<_>>(),
        ["http.request.header.accept", "http.request.header.x-tenant-id"]
    );
    let twice = captured(
        NetworkCapture::off().headers(server, ["x-tenant-id", "x-tenant-id", "missing", "in valid"]),
        server,
        &map,
    );
    assert_eq!(twice.into_keys().collect::<Vec<_>>(), ["http.request.header.x-tenant-id"]);
    let response = captured(NetworkCapture::all(), HeaderList::ClientResponse, &map);
    assert_eq!(response.into_keys().collect::<Vec<_>>(), ["http.response.header.content-type"]);
}

#[test]
fn credentials_are_redacted_even_if_they_are_listed() {
    let secret = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-api-key",
        "x-auth-token",
        "x-csrf-token",
        "x-amz-security-token",
        "x-vault-token",
        "apikey",
        "x-goog-iap-jwt-assertion",
        "sec-websocket-protocol",
    ];
    let pairs: Vec<_> = secret.iter().map(|name| (*name, "hunter2")).collect();
    for capture in [all(), NetworkCapture::all().headers(HeaderList::ServerRequest, secret)] {
        let attributes = captured(capture, HeaderList::ServerRequest, &map(&pairs));
        assert_eq!(attributes.len(), secret.len());
        assert!(attributes.values().all(|values| values == &["[redacted]"]), "{attributes:?}");
    }
}

#[test]
fn values_that_look_like_secrets_are_redacted() {
    for (header, text, expected) in [
        ("x-forwarded-access", "Bearer T0KEN", "Bearer [redacted]"),
        ("x-user", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "[redacted]"),
        ("baggage", "user=1,session_id=abc", "user=1,session_id=[redacted]"),
        (
            "location",
            "https://me:hunter2@host/cb?code=1&token=abc#x",
            "https://REDACTED:REDACTED@host/cb?code=1&token=REDACTED#x",
        ),
        ("referer", "/page?api_key=abc", "/page?api_key=REDACTED"),
        ("link", "<https://me:pw@host/x>; rel=next", "<https://[redacted]@host/x>; rel=next"),
        ("user-agent", "Mozilla/5.0 (X11; rv:1.0) Gecko", "Mozilla/5.0 (X11; rv:1.0) Gecko"),
        ("accept", "text/html;q=0.9, */*;q=0.8", "text/html;q=0.9, */*;q=0.8"),
        ("cache-control", "max-age=0, private", "max-age=0, private"),
        ("x-author", "me", "me"),
        ("x-bytes", "", ""),
    ] {
        assert_eq!(value(header, text), expected, "{header}");
    }
}

#[test]
fn values_that_are_no_text_are_captured_lossily_and_long_ones_cut() {
    let mut map = HeaderMap::new();
    map.insert("x-bytes", HeaderValue::from_bytes(b"a\xffb").unwrap());
    map.insert("x-long", HeaderValue::from_str(&"é".repeat(5000)).unwrap());
    let attributes = captured(all(), HeaderList::ServerRequest, &map);
    assert_eq!(attributes["http.request.header.x-bytes"], ["a\u{fffd}b"]);
    assert_eq!(attributes["http.request.header.x-long"][0].len(), MAX_VALUE);
}

#[test]
fn ten_thousand_headers_become_few_attributes() {
    let mut map = HeaderMap::new();
    for number in 0..10_000 {
        map.append(HeaderName::from_bytes(format!("x-{number}").as_bytes()).unwrap(), HeaderValue::from(number));
        map.append("x-same", HeaderValue::from(number));
    }
    let attributes = captured(all(), HeaderList::ServerRequest, &map);
    assert_eq!(attributes.len(), MAX_HEADERS);
    assert!(attributes.values().all(|values| values.len() <= MAX_VALUES));
    let names = (0..10_000).map(|number| format!("x-{number}"));
    let listed =
        captured(NetworkCapture::all().headers(HeaderList::ServerRequest, names), HeaderList::ServerRequest, &map);
    assert_eq!(listed.len(), MAX_HEADERS);
}

#[test]
fn a_star_stands_for_any_text() {
    for (pattern, name) in [
        ("*", "a"),
        ("x-*", "x-"),
        ("x-*", "x-a"),
        ("*-id", "a-id"),
        ("x-*-id", "x-a-b-id"),
        ("*a*b*", "xaxbx"),
        ("a", "a"),
        ("a**b", "ab"),
    ] {
        assert!(matches(pattern, name), "{pattern} {name}");
    }
    for (pattern, name) in [
        ("x-*", "y-a"),
        ("*-id", "a-ids"),
        ("x-*-id", "x-id"),
        ("ab*ba", "aba"),
        ("a", "ab"),
        ("", "a"),
        ("*a*b*", "ba"),
    ] {
        assert!(!matches(pattern, name), "{pattern} {name}");
    }
}

#[test]
fn urls_of_headers_follow_the_settings_and_the_cut() {
    let settings = Builder::new()
        .otlp(Otlp::off())
        .redact(Redact::new().keys(["nickname"]))
        .network_capture(NetworkCapture::all())
        .build()
        .unwrap()
        .http_settings();
    let url = HeaderValue::from_static("/a?nickname=bob");
    assert_eq!(redacted(&settings, "location", &url), "/a?nickname=REDACTED");
    let long = format!("https://{}:hunter2@host/", "u".repeat(3 * MAX_VALUE));
    assert_eq!(redacted(&settings, "location", &HeaderValue::from_str(&long).unwrap()), "https://REDACTED");
}
