use std::borrow::Cow;

use super::{redacted_query, redacted_url, redacted_url_text};

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
    ] {
        assert_eq!(redacted_query(query), expected);
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
    ];
    let work = move || {
        let start = std::time::Instant::now();
        for query in hostile {
            assert!(!redacted_query(&query).is_empty());
            assert!(!redacted_query(&format!("a={query}")).is_empty());
            assert!(!redacted_url_text(&format!("/{query}?{query}#{query}")).is_empty());
        }
        assert!(start.elapsed() < std::time::Duration::from_secs(8));
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(work).unwrap().join().unwrap();
}
