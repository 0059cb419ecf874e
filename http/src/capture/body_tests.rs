use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use http::HeaderMap;
use logbridge::{HttpSettings, NetworkCapture};

use super::{BodyCapture, MARGIN, cut};

fn settings(limit: usize) -> HttpSettings {
    HttpSettings::default().with_capture(NetworkCapture::all().max_body_bytes(limit))
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
}

fn captured(limit: usize, pairs: &[(&'static str, &str)], frames: &[&[u8]]) -> Option<String> {
    let mut capture = BodyCapture::new(&settings(limit), &headers(pairs))?;
    frames.iter().for_each(|frame| capture.push(frame));
    capture.complete();
    capture.finish()
}

const TEXT: (&str, &str) = ("content-type", "text/plain");
const JSON: (&str, &str) = ("content-type", "application/json");
const GZIP: (&str, &str) = ("content-encoding", "gzip");
const DEFLATE: (&str, &str) = ("content-encoding", "deflate");

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn only_wanted_bodies_are_captured() {
    let map = headers(&[TEXT]);
    assert!(BodyCapture::new(&settings(10), &map).is_some());
    assert!(BodyCapture::new(&HttpSettings::default(), &map).is_none(), "off");
    assert!(BodyCapture::new(&settings(0), &map).is_none());
    assert!(BodyCapture::new(&settings(10), &headers(&[("content-type", "image/png")])).is_none());
    assert!(BodyCapture::new(&settings(10), &headers(&[TEXT, ("content-encoding", "br")])).is_none());
}

#[test]
fn a_body_is_cut_at_a_character() {
    assert_eq!(captured(10, &[TEXT], &[b"hello"]).unwrap(), "hello");
    assert_eq!(captured(5, &[TEXT], &[b"he", b"llo world"]).unwrap(), "hello");
    assert_eq!(captured(5, &[TEXT], &["ééé".as_bytes()]).unwrap(), "éé");
    assert_eq!(captured(1, &[TEXT], &["é".as_bytes()]), None);
    assert_eq!(captured(5, &[TEXT], &[]), None);
    assert_eq!(
        captured(9, &[TEXT], &["é".as_bytes().split_at(1).0, "é".as_bytes().split_at(1).1]).unwrap(),
        "é",
        "split character"
    );
    assert_eq!(cut("aé", 2), "a");
}

#[test]
fn invalid_text_is_replaced_and_binary_data_is_not_captured() {
    assert_eq!(captured(20, &[TEXT], &[b"a\xff\xfeb"]).unwrap(), "a\u{fffd}\u{fffd}b");
    assert_eq!(captured(20, &[TEXT], &[b"\xef\xbb\xbfa"]).unwrap(), "a", "without the byte order mark");
    assert_eq!(captured(20, &[TEXT], &[b"p\0a\0s\0s\0"]), None, "UTF-16");
    assert_eq!(captured(20, &[("content-type", "text/plain; charset=latin1")], &[b"\xe9"]).unwrap(), "é");
}

#[test]
fn content_codings_are_removed_whatever_the_frames() {
    let text = "{\"password\":\"hunter2\",\"n\":1}".repeat(9);
    let expected = "{\"password\":\"[redacted]\",\"n\":1}".repeat(9);
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(text.as_bytes()).unwrap();
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
    raw.write_all(text.as_bytes()).unwrap();
    for (coding, data) in [
        (GZIP, gzip(text.as_bytes())),
        (("content-encoding", "x-gzip"), gzip(text.as_bytes())),
        (DEFLATE, zlib.finish().unwrap()),
        (DEFLATE, raw.finish().unwrap()),
        (GZIP, [gzip(&text.as_bytes()[..50]), gzip(&text.as_bytes()[50..])].concat()),
    ] {
        for size in [1, 2, 7, 1000] {
            let frames: Vec<_> = data.chunks(size).collect();
            assert_eq!(
                captured(1000, &[JSON, coding], &frames).as_deref(),
                Some(expected.as_str()),
                "{coding:?} {size}"
            );
        }
    }
}

#[test]
fn invalid_data_ends_the_capture_and_what_was_readable_stays() {
    let mut data = gzip(b"readable ".repeat(1000).as_slice());
    data.truncate(data.len() - 8);
    data.extend_from_slice(&[0xff; 100]);
    assert!(captured(100, &[TEXT, GZIP], &[&data]).unwrap().starts_with("readable readable"));
    assert_eq!(captured(100, &[TEXT, GZIP], &[b"this is no gzip"]), None);
    assert_eq!(captured(100, &[TEXT, DEFLATE], &[&[0xff; 50]]), None);
    assert_eq!(captured(100, &[TEXT, GZIP], &[&[0x1f]]), None);
    // Nothing is captured after an error, even if it would be valid.
    assert_eq!(captured(100, &[TEXT, GZIP], &[b"no", &gzip(b"text")]), None);
}

#[test]
fn a_decompression_bomb_takes_no_more_memory_than_any_body() {
    let bomb = gzip(&vec![b'a'; 8 << 20]);
    let mut capture = BodyCapture::new(&settings(1000), &headers(&[TEXT, GZIP])).unwrap();
    capture.push(&bomb);
    assert!(capture.text.capacity() <= 2 * (1000 + MARGIN), "{}", capture.text.capacity());
    assert!(capture.inflate.is_none(), "the decompressor is freed");
    assert_eq!(capture.finish().unwrap().len(), 1000);
}

#[test]
fn a_large_limit_takes_few_copies() {
    let size = 4 << 20;
    let bomb = gzip(&vec![b'a'; size]);
    let mut capture = BodyCapture::new(&settings(size), &headers(&[TEXT, GZIP])).unwrap();
    let mut capacities = vec![0];
    for frame in bomb.chunks(2) {
        capture.push(frame);
        capacities.push(capture.text.capacity());
    }
    capacities.dedup();
    assert_eq!(capture.text.len(), size);
    // Steps of a constant size would be hundreds.
    assert!(capacities.len() < 20, "{capacities:?}");
    assert!(capture.text.capacity() <= size + MARGIN, "{}", capture.text.capacity());
}

#[test]
fn empty_blocks_do_not_keep_the_decompressor_busy() {
    let mut capture = BodyCapture::new(&settings(1000), &headers(&[TEXT, DEFLATE])).unwrap();
    // An empty stored block of raw deflate.
    let blocks = [0, 0, 0, 0xff, 0xff].repeat(1000);
    (0..100).for_each(|_| capture.push(&blocks));
    assert!(capture.inflate.is_none());
    assert_eq!(capture.finish(), None);
}

#[test]
fn memory_is_bounded_and_small_for_small_bodies() {
    let mut capture = BodyCapture::new(&settings(1000), &headers(&[TEXT])).unwrap();
    for _ in 0..100_000 {
        capture.push(b"0123456789");
    }
    assert!(capture.text.capacity() <= 2 * (1000 + MARGIN), "{}", capture.text.capacity());
    assert_eq!(capture.finish().unwrap().len(), 1000);
    let mut small = BodyCapture::new(&settings(8 << 10), &headers(&[TEXT])).unwrap();
    small.push(b"ok");
    assert!(small.text.capacity() <= 64);
}

#[test]
fn forms_are_redacted_by_their_type() {
    let form = ("content-type", "application/x-www-form-urlencoded");
    assert_eq!(captured(100, &[form], &[b"a=1&password=x y&b=2"]).unwrap(), "a=1&password=[redacted]&b=2");
}

#[test]
fn the_keys_of_the_settings_are_redacted_too() {
    let settings = logbridge::Builder::new()
        .otlp(logbridge::Otlp::off())
        .redact(logbridge::Redact::new().keys(["nickname"]))
        .network_capture(NetworkCapture::all())
        .build()
        .unwrap()
        .http_settings();
    let mut capture = BodyCapture::new(&settings, &headers(&[JSON])).unwrap();
    capture.push(br#"{"nickname":"bob","name":"Robert"}"#);
    assert_eq!(capture.finish().unwrap(), r#"{"nickname":"[redacted]","name":"Robert"}"#);
}

#[test]
fn what_a_shorter_body_than_announced_ends_with_is_cut() {
    let announced = [TEXT, ("content-length", "100")];
    assert_eq!(captured(100, &announced, &[b"see https://me"]).unwrap(), "see https://[redacted]");
    assert_eq!(captured(100, &[TEXT], &[b"see https://me"]).unwrap(), "see https://me");
}

#[test]
fn what_a_body_without_its_end_ends_with_is_cut() {
    for (text, expected) in
        [("see https://me:hunt", "see https://[redacted]"), ("\"eyJhbGci", "\"[redacted]"), ("a ghp_0", "a [redacted]")]
    {
        let mut capture = BodyCapture::new(&settings(100), &headers(&[TEXT])).unwrap();
        capture.push(text.as_bytes());
        assert_eq!(capture.finish().unwrap(), expected);
    }
}

#[test]
fn nothing_is_captured_after_a_gap() {
    for coding in [("content-encoding", "identity"), GZIP] {
        let mut capture = BodyCapture::new(&settings(100), &headers(&[TEXT, coding])).unwrap();
        let text = b"see https://me";
        if coding == GZIP {
            capture.push(&gzip(text))
        } else {
            capture.push(text)
        }
        capture.stop();
        capture.push(b":hunter2@host");
        capture.complete();
        assert_eq!(capture.finish().unwrap(), "see https://[redacted]");
    }
}
