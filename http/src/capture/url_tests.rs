use std::borrow::Cow;

use http::Uri;
use logbridge::{Builder, HttpSettings, NetworkCapture, Otlp, Redact};

use super::{Rules, is_secret};

fn redacted_query(query: &str) -> Cow<'_, str> {
    super::redacted_query(query, &HttpSettings::default())
}

fn redacted_path(path: &str) -> Cow<'_, str> {
    super::redacted_path(path, &HttpSettings::default())
}

fn redacted_url(uri: &Uri) -> String {
    super::redacted_url(uri, &HttpSettings::default())
}

fn redacted_url_text(text: &str) -> String {
    super::redacted_url_text(text, Rules { is_secret: &is_secret, is_cut: false })
}

const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln";

#[test]
fn secret_values_of_a_query_are_replaced_and_keys_stay() {
    for (query, expected) in [
        ("token=abc", "token=REDACTED"),
        ("a=1&access_token=x%26y&b=2", "a=1&access_token=REDACTED&b=2"),
        // The list of the convention.
        (
            "X-Amz-Signature=1&X-Amz-Credential=2&X-Amz-Security-Token=3&AWSAccessKeyId=4&Signature=5&sig=6&X-Goog-Signature=7",
            "X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED&X-Amz-Security-Token=REDACTED&AWSAccessKeyId=REDACTED&Signature=REDACTED&sig=REDACTED&X-Goog-Signature=REDACTED",
        ),
        ("pass%77ord=x", "pass%77ord=REDACTED"),
        ("user%5Bpassword%5D=x", "user%5Bpassword%5D=REDACTED"),
        ("api+key=x", "api+key=REDACTED"),
        ("token=a=b=c", "token=REDACTED"),
        ("token=1&token=2", "token=REDACTED&token=REDACTED"),
        ("q=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "q=REDACTED"),
        ("next=%2Flogin%3Ftoken%3Dabc", "next=REDACTED"),
        ("a=1&state=%7B%22token%22%3A%22x%22%7D&b=2", "a=1&state=REDACTED&b=2"),
        ("state={\"a\":\";\",\"token\":\"x;y\"}", "state={\"a\":\";REDACTED"),
        ("next=%252Fl%253Ftoken%253Dx", "next=REDACTED"),
        ("next=%25252525252Fl", "next=REDACTED"),
        ("url=https%3A%2F%2Fu%3Ap%40h", "url=REDACTED"),
        ("url=https://u:p@h", "url=REDACTED"),
        ("url=https://a;b:p@h;token=x", "url=REDACTED"),
        ("q=Bearer%20abc", "q=REDACTED"),
        ("q=Bearer+abc&n=1", "q=REDACTED&n=1"),
        (JWT, "REDACTED"),
        (&format!("{JWT}="), "REDACTED"),
        (&format!("{JWT}=1"), "REDACTED"),
        (&format!("q=v1.{JWT}"), "q=REDACTED"),
        (&format!("a=b;q={JWT}"), "a=b;q=REDACTED"),
        ("password%3Dx", "REDACTED"),
        ("a=1;token=x;b=2&c=3", "a=1;token=REDACTED&c=3"),
        ("code=abc&state=xyz", "code=REDACTED&state=xyz"),
        ("next=%2Fcb%3Fcode%3Da%26state%3Db", "next=REDACTED"),
    ] {
        assert_eq!(redacted_query(query), expected);
    }
}

#[test]
fn secret_segments_and_parameters_of_a_path_are_replaced() {
    for (path, expected) in [
        ("/a;jsessionid=1/b", "/a;jsessionid=REDACTED/b"),
        (&format!("/reset/{JWT}"), "/reset/REDACTED"),
        (&format!("/{JWT}/confirm"), "/REDACTED/confirm"),
        ("/proxy/https://u:p@h/a", "/proxy/https://REDACTED/a"),
        ("/proxy/https%3A%2F%2Fu%3Ap%40h/a", "/proxy/REDACTED/a"),
        ("/token=x/a", "/token=REDACTED/a"),
        ("/a%3Btoken%3Dx", "/REDACTED"),
    ] {
        assert_eq!(redacted_path(path), expected);
        assert_eq!(redacted_url_text(path), expected);
        let Ok(uri) = path.parse() else { continue };
        assert_eq!(redacted_url(&uri), expected);
    }
    for path in [
        "",
        "*",
        "/",
        "/token/a",
        "/users/6fa459ea-ee8a-3ca4-894e-db77e160355e",
        "/@alice:example.org",
        "/a%20b/%C3%A9;v=1",
        "/a:b/c,d",
        "/styles/bootstrap-theme.min.css",
    ] {
        assert!(matches!(redacted_path(path), Cow::Borrowed(same) if same == path), "{path}");
    }
}

#[test]
fn the_keys_of_the_settings_are_redacted_too() {
    let settings = Builder::new()
        .otlp(Otlp::off())
        .redact(Redact::new().keys(["nickname"]))
        .network_capture(NetworkCapture::all())
        .build()
        .unwrap()
        .http_settings();
    let redacted = "/a;nickname=REDACTED?b=1&nickname=REDACTED";
    let url = "/a;nickname=bob?b=1&nickname=bob";
    assert_eq!(super::redacted_url(&url.parse().unwrap(), &settings), redacted);
    assert_eq!(super::redacted_query("x=%7B%22nickname%22%3A1%7D", &settings), "x=REDACTED");
}

#[test]
fn the_end_of_a_cut_url_is_redacted_if_it_may_be_secret() {
    for (url, expected) in [
        ("https://me:hunt", "https://REDACTED"),
        ("/a/eyJhbGci", "/a/REDACTED"),
        ("/a?q=eyJhbGci", "/a?q=REDACTED"),
        ("/a?q=eyJhbGci#b", "/a?q=eyJhbGci#b"),
        ("/a?q=1#https://me:hunt", "/a?q=1#REDACTED"),
    ] {
        assert_eq!(super::redacted_url_text(url, Rules { is_secret: &is_secret, is_cut: true }), expected);
    }
}

#[test]
fn a_query_without_secrets_is_borrowed() {
    for query in [
        "",
        "a",
        "a=1&b=2",
        "author=me&tokenize=1",
        "token",
        "token=",
        "&&==&",
        "%",
        "a=%zz&%=1",
        "next=%2Fhome%3Fa%3D1",
        "next=https%3A%2F%2Fhost%3A80%2Fa&q=what+is+a+password%3F",
        "a=1;b=2",
        "code=US",
        "fields=a,b,c&time=12%3A30",
        "id=6fa459ea-ee8a-3ca4-894e-db77e160355e",
    ] {
        assert!(matches!(redacted_query(query), Cow::Borrowed(same) if same == query), "{query}");
    }
}

#[test]
fn credentials_of_a_url_are_replaced() {
    for (url, expected) in [
        (
            "https://user:hunter2@example.com:8443/a/b?c=d&token=x",
            "https://REDACTED:REDACTED@example.com:8443/a/b?c=d&token=REDACTED",
        ),
        ("https://hunter2@example.com/", "https://REDACTED:REDACTED@example.com/"),
        ("https://example.com/a?b=c", "https://example.com/a?b=c"),
        ("/only/path?sig=1", "/only/path?sig=REDACTED"),
        ("http://example.com", "http://example.com/"),
        ("example.com:443", "example.com:443"),
        ("*", "*"),
    ] {
        assert_eq!(redacted_url(&url.parse().unwrap()), expected);
        if url != "http://example.com" {
            assert_eq!(redacted_url_text(url), expected, "as text");
        }
    }
}

#[test]
fn urls_of_headers_need_not_be_valid() {
    for (url, expected) in [
        ("/cb#access_token=abc&state=1", "/cb#access_token=REDACTED&state=1"),
        ("https://a b:hunter2@host/ü?token=ü#x", "https://REDACTED:REDACTED@host/ü?token=REDACTED#x"),
        ("//user:pw@host/x", "//REDACTED:REDACTED@host/x"),
        ("/x?u=//a@b", "/x?u=//a@b"),
        ("?password=1?2&a=b", "?password=REDACTED&a=b"),
        ("/#/cb?token=a#b", "/#/cb?token=REDACTED"),
        ("", ""),
        ("https://", "https://"),
        ("https://host", "https://host"),
    ] {
        assert_eq!(redacted_url_text(url), expected);
    }
}

/// A request line of 60 KB is all that a client needs for this.
#[test]
fn a_hostile_query_takes_neither_the_stack_nor_long() {
    let hostile = [
        "=".repeat(60_000) + "%",
        "=%".repeat(30_000),
        "=%3D".repeat(15_000),
        "%25".repeat(20_000),
        "a=%2525".repeat(8_000),
        ";%3D".repeat(15_000),
        ";a=%".repeat(15_000),
        "/a:@".repeat(15_000),
        "code=".repeat(12_000),
        "code=x&".repeat(8_000),
        "code=x;".repeat(8_000),
        "eyJ.".repeat(15_000),
    ];
    let work = move || {
        let start = std::time::Instant::now();
        for query in hostile {
            assert!(!redacted_query(&query).is_empty());
            assert!(!redacted_path(&query).is_empty());
            assert!(!redacted_query(&format!("a={query}")).is_empty());
            assert!(!redacted_url_text(&format!("/{query}?{query}#{query}")).is_empty());
        }
        assert!(start.elapsed() < std::time::Duration::from_secs(8));
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(work).unwrap().join().unwrap();
}

/// The fast path and the examination of pairs agree that a plain text has no secret.
#[test]
fn plain_texts_have_no_secret() {
    const PIECES: [&str; 28] = [
        "page",
        "2",
        "=",
        "&",
        "sort",
        "-",
        "/",
        ".",
        "pass",
        "word",
        "API",
        "key",
        "code",
        "state",
        "one",
        "time",
        "card",
        "no",
        "eyJ",
        "abcdefghijklmnop",
        "ghp_",
        "SG.",
        "sk-",
        "Id",
        "session",
        "x",
        "~",
        "jwt",
    ];
    let settings = HttpSettings::default();
    let mut random = fastrand::Rng::with_seed(7);
    let mut plain = 0;
    for _ in 0..100_000 {
        let text: String = (0..random.usize(1..9)).map(|_| PIECES[random.usize(..PIECES.len())]).collect();
        if super::is_plain(&text, &settings) {
            plain += 1;
            let rules = super::rules(&is_secret);
            assert_eq!(super::redacted_pairs(&text, rules), text);
            assert_eq!(super::redacted_segments(&text, rules), text);
        }
    }
    assert!(plain > 10_000, "{plain}");
}
