use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::{Extractor as _, Injector as _, TextMapCompositePropagator, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;

use super::super::provider::propagators;
use super::{Headers, HeadersMut};
use crate::config::Propagator;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs.iter();
    pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
}

/// The trace that the headers continue, and their baggage. The global propagators belong to other tests.
fn extracted(headers: &HeaderMap) -> (Option<String>, Vec<String>) {
    let set = TextMapCompositePropagator::new(propagators(&[Propagator::TraceContext, Propagator::Baggage]));
    let context = set.extract_with_context(&Context::new(), &Headers::new(headers));
    let span = context.span().span_context().clone();
    let mut baggage: Vec<_> = context.baggage().iter().map(|(key, (value, _))| format!("{key}={value}")).collect();
    baggage.sort();
    (span.is_valid().then(|| span.trace_id().to_string()), baggage)
}

#[test]
fn parent_and_baggage_are_read() {
    let headers = headers(&[("traceparent", PARENT), ("baggage", "user=7,tenant=a%20b")]);
    assert_eq!(extracted(&headers), (Some(TRACE.to_owned()), vec!["tenant=a b".to_owned(), "user=7".to_owned()]));
}

#[test]
fn headers_that_are_split_into_lines_are_joined() {
    let headers = headers(&[("traceparent", PARENT), ("baggage", "user=7"), ("baggage", "tenant=a")]);
    assert_eq!(extracted(&headers).1, ["tenant=a", "user=7"]);
}

#[test]
fn invalid_parents_are_ignored() {
    for bad in [
        "",
        "x",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
    ] {
        assert_eq!(extracted(&headers(&[("traceparent", bad)])).0, None, "{bad}");
    }
    let mut not_text = HeaderMap::new();
    not_text.insert("traceparent", HeaderValue::from_bytes(b"00-\xff").unwrap());
    assert_eq!(extracted(&not_text).0, None);
    let twice = headers(&[("traceparent", PARENT), ("traceparent", PARENT)]);
    assert_eq!(extracted(&twice).0, None, "two parents");
}

#[test]
fn text_that_is_no_header_is_not_written() {
    let mut headers = headers(&[("traceparent", "old")]);
    let mut writer = HeadersMut(&mut headers);
    writer.set("traceparent", PARENT.to_owned());
    writer.set("bad name", "value".to_owned());
    writer.set("name", "bad\nvalue".to_owned());
    assert_eq!(headers.len(), 1);
    assert_eq!(headers["traceparent"], PARENT);
    assert_eq!(Headers::new(&headers).keys(), ["traceparent"]);
}
