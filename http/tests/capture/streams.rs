//! Long and endless bodies: memory stays flat, and no byte changes.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use futures_util::stream::{self, Stream};
use http_body_util::BodyExt as _;

use super::support::{REQUEST, RESPONSE, exchange, text};

/// A prime, so that no buffer size is a multiple of it, and a lost or doubled part is noticed.
const PERIOD: usize = 65_521;
const LIMIT: usize = 8 << 10;

/// Letters without an order, so that they contain no names.
fn pattern() -> Bytes {
    let mut state = 1_u32;
    let letters = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + (state >> 24) as u8 % 26
    });
    letters.take(PERIOD).collect()
}

/// Repeats the pattern. `None` never ends.
fn repeated(pattern: Bytes, size: Option<usize>) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send {
    let mut sent = 0;
    stream::iter(std::iter::from_fn(move || {
        let len = size.map_or(PERIOD, |size| PERIOD.min(size - sent));
        sent += len;
        (len > 0).then(|| Ok(pattern.slice(..len)))
    }))
}

/// Compares what arrives with what was sent.
struct Comparison {
    pattern: Bytes,
    count: usize,
}

impl Comparison {
    fn push(&mut self, data: &[u8]) {
        let mut rest = data;
        while !rest.is_empty() {
            let at = self.count % PERIOD;
            let len = rest.len().min(PERIOD - at);
            let (part, after) = rest.split_at(len);
            assert!(part == &self.pattern[at..at + len], "a byte changed after {}", self.count);
            self.count += len;
            rest = after;
        }
    }
}

/// The resident memory of this process in bytes, or 0 where it is unknown.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<usize>().ok()).unwrap_or_default() << 10
}

fn both_ways(size: usize) {
    const PLAIN: (&str, &str) = ("content-type", "text/plain");
    let pattern = pattern();
    let app = Router::new().route("/", {
        let pattern = pattern.clone();
        post(async move |mut body: Body| {
            let mut comparison = Comparison { pattern: pattern.clone(), count: 0 };
            while let Some(frame) = body.frame().await {
                comparison.push(frame.unwrap().data_ref().unwrap());
            }
            assert_eq!(comparison.count, size);
            ([PLAIN], Body::from_stream(repeated(pattern, Some(size))))
        })
    });
    let spans = exchange(app, {
        let pattern = pattern.clone();
        async move |client, url| {
            let before = resident();
            let body = reqwest::Body::wrap_stream(repeated(pattern.clone(), Some(size)));
            let mut response = client.post(url).header(PLAIN.0, PLAIN.1).body(body).send().await.unwrap();
            let mut comparison = Comparison { pattern, count: 0 };
            let mut highest = resident();
            while let Some(chunk) = response.chunk().await.unwrap() {
                if comparison.count / (1 << 20) != (comparison.count + chunk.len()) / (1 << 20) {
                    highest = highest.max(resident());
                }
                comparison.push(&chunk);
            }
            assert_eq!(comparison.count, size);
            let grown = highest.saturating_sub(before);
            assert!(grown < 24 << 20, "memory grew by {grown} bytes");
        }
    });
    for span in spans.both() {
        for key in [REQUEST, RESPONSE] {
            assert!(text(span, key).as_bytes() == &pattern[..LIMIT], "{key}: {}", text(span, key));
        }
    }
}

#[test]
fn a_long_body_passes_unchanged_in_flat_memory() {
    both_ways(64 << 20);
}

#[test]
#[ignore = "takes a while: cargo test -p logbridge-http --release --test capture -- --ignored"]
fn one_gigabyte_passes_unchanged_in_flat_memory() {
    both_ways(1 << 30);
}

#[test]
fn a_body_that_never_ends_is_captured_until_the_client_leaves() {
    let pattern = pattern();
    let endless = pattern.clone();
    let app = Router::new()
        .route("/", get(async move || ([("content-type", "text/plain")], Body::from_stream(repeated(endless, None)))));
    let spans = exchange(app, {
        let mut comparison = Comparison { pattern: pattern.clone(), count: 0 };
        async move |client, url| {
            let mut response = client.get(url).send().await.unwrap();
            while comparison.count < 1 << 20 {
                comparison.push(&response.chunk().await.unwrap().unwrap());
            }
        }
    });
    for span in spans.both() {
        assert!(text(span, RESPONSE).as_bytes() == &pattern[..LIMIT], "{span}");
    }
    assert_ne!(text(&spans.server, "error.type"), "", "the server's span says that the client left");
}
