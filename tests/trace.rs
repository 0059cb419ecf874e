//! A realistic asynchronous service: nested, concurrent, spawned, with explicit parents, errors, contexts carried into
//! other threads, remote callers. Every id on a record is the id of a span that arrived, and the spans form the trees
//! that the code describes.
//!
//! The test has its own process, because it takes both global slots.

#![allow(clippy::expect_used)] // A test may panic.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use logbridge::testing::{ReceivedSpan, Receiver, TraceTree};
use logbridge::{Console, LevelFilter, Otlp};
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::{FutureExt as _, Span as _, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, global};
use tracing::{Instrument as _, instrument};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

const REQUESTS: u64 = 40;

#[derive(Debug)]
struct SoldOut;

impl fmt::Display for SoldOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sold out")
    }
}

impl std::error::Error for SoldOut {}

/// Headers of a request to another service.
#[derive(Default)]
struct Headers(HashMap<String, String>);

impl Injector for Headers {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key.to_owned(), value);
    }
}

impl Extractor for Headers {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

#[instrument(skip_all, fields(number, otel.kind = "server"))]
async fn handle(number: u64) {
    tracing::Span::current().record("number", number);
    log::info!(number; "request received");
    let (stock, price) = tokio::join!(stock(number), price(number).instrument(tracing::info_span!("price")));
    tracing::info!(price, sold = stock.is_ok(), "answered");
    let audit = tokio::spawn(async move { log::info!(number; "audited") }.instrument(tracing::info_span!("audit")));
    audit.await.expect("no panic");
}

#[instrument(err, skip_all)]
async fn stock(number: u64) -> Result<(), SoldOut> {
    tokio::task::yield_now().await;
    let looked = tokio::task::spawn_blocking(logbridge::carry_context(move || {
        log::debug!(number; "looking at the shelf");
        let _span = tracing::info_span!("shelf").entered();
        tracing::info!("shelf found");
        // Another way to carry it: tracing's own span, kept by hand.
        let span = tracing::Span::current();
        std::thread::spawn(move || span.in_scope(|| log::info!("counted by hand"))).join().expect("no panic");
    }));
    looked.await.expect("no panic");
    if number % 10 == 7 { Err(SoldOut) } else { Ok(()) }
}

async fn price(number: u64) -> f64 {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    let mut span = global::tracer("rates").start("rates");
    span.set_attribute(opentelemetry::KeyValue::new("currency", "EUR"));
    let context = Context::current_with_span(span);
    async { log::info!("rate looked up") }.with_context(context).await;
    number as f64 * 1.5
}

/// What another service does with what ours has sent along.
fn downstream(headers: &Headers) {
    let parent = global::get_text_map_propagator(|propagator| propagator.extract(headers));
    let span = tracing::info_span!("downstream");
    span.set_parent(parent).expect("not started");
    span.in_scope(|| log::info!("in the other service"));
}

fn explicit_parents_and_jobs() {
    let batch = tracing::info_span!("batch");
    tracing::info!(parent: &batch, "of the batch");
    let jobs: Vec<_> = (0..4)
        .map(|job| {
            let run = batch.in_scope(|| {
                logbridge::carry_context(move || {
                    tracing::info_span!("job", job).in_scope(|| log::info!(job; "job done"));
                })
            });
            std::thread::spawn(run)
        })
        .collect();
    jobs.into_iter().for_each(|job| job.join().expect("no panic"));
    // A carried context that is never used keeps nothing open.
    drop(batch.in_scope(|| logbridge::carry_context(|| ())));
    let mut headers = Headers::default();
    batch.in_scope(|| {
        global::get_text_map_propagator(|propagator| propagator.inject_context(&Context::current(), &mut headers));
    });
    assert!(headers.0.contains_key("traceparent"), "the propagators are installed");
    drop(batch);
    downstream(&headers);
}

#[test]
fn every_id_on_a_record_is_that_of_a_span_that_arrived() {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = logbridge::Builder::new()
        .filter_level(LevelFilter::Debug)
        .otlp(Otlp::to(receiver.endpoint()))
        .console(Console::off())
        .try_init()
        .expect("both slots are free");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let requests: Vec<_> = (0..REQUESTS).map(|number| tokio::spawn(handle(number))).collect();
        for request in requests {
            request.await.expect("no panic");
        }
    });
    explicit_parents_and_jobs();
    log::info!("outside");
    bridge.flush(Duration::from_secs(30)).expect("everything arrives");

    let (spans, logs) = (receiver.spans(), receiver.logs());
    assert_eq!(receiver.orphans(), []);
    let outside: Vec<String> = logs.iter().filter(|log| log.trace_id.is_empty()).map(|log| log.message()).collect();
    assert_eq!(outside, ["outside"]);
    check_trees(&spans);
    // Each record in the span that the code says.
    let by_id: HashMap<&str, &ReceivedSpan> = spans.iter().map(|span| (span.span_id.as_str(), span)).collect();
    let mut places: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for log in logs.iter().filter(|log| !log.span_id.is_empty()) {
        let span = by_id[log.span_id.as_str()];
        assert_eq!((&span.trace_id, log.flags & 1), (&log.trace_id, 1), "{log}");
        places.entry(log.message()).or_default().insert(&span.name);
    }
    let expected: BTreeMap<String, BTreeSet<&str>> = [
        ("request received", "handle"),
        ("answered", "handle"),
        ("audited", "audit"),
        ("looking at the shelf", "stock"),
        ("shelf found", "shelf"),
        ("counted by hand", "shelf"),
        ("rate looked up", "rates"),
        ("error=sold out", "stock"),
        ("of the batch", "batch"),
        ("job done", "job"),
        ("in the other service", "downstream"),
    ]
    .map(|(message, span)| (message.to_owned(), BTreeSet::from([span])))
    .into();
    assert_eq!(places, expected);
    assert_eq!(logs.len() as u64, REQUESTS * 7 + REQUESTS / 10 + 1 + 4 + 1 + 1);
    // An error makes its span failed, and nothing is told twice.
    for span in &spans {
        let failed = span.name == "stock" && span.is_error();
        assert_eq!(span.is_error(), failed, "{span}");
        assert_eq!(span.events, [], "{span}");
    }
    assert_eq!(spans.iter().filter(|span| span.is_error()).count() as u64, REQUESTS / 10);
    let counters = bridge.report().counters.spans;
    assert_eq!((counters.ended, counters.delivered, counters.open), (spans.len() as u64, spans.len() as u64, 0));
    let tree = TraceTree::new(&spans, &logs).to_string();
    assert_eq!(tree.lines().filter(|line| line.starts_with("trace ")).count() as u64, REQUESTS + 1, "{tree}");
    assert!(!tree.contains("did not arrive"), "{tree}");
}

/// Each span has the parent that the code says, in the same trace, and lies within it unless it is awaited elsewhere.
fn check_trees(spans: &[ReceivedSpan]) {
    let by_id: HashMap<&str, &ReceivedSpan> = spans.iter().map(|span| (span.span_id.as_str(), span)).collect();
    let mut parents: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut numbers: BTreeMap<&str, u64> = BTreeMap::new();
    for span in spans {
        let parent = by_id.get(span.parent_span_id.as_str()).copied();
        assert_eq!(parent.is_none(), span.parent_span_id.is_empty(), "its parent arrived: {span}");
        assert!(parent.is_none_or(|parent| parent.trace_id == span.trace_id), "{span}");
        parents.entry(&span.name).or_default().insert(parent.map_or("", |parent| parent.name.as_str()));
        *numbers.entry(&span.name).or_default() += 1;
        assert!(span.start_time_unix_nano > 0 && span.end_time_unix_nano >= span.start_time_unix_nano, "{span}");
        if span.scope.name == "logbridge" {
            for key in ["code.file.path", "code.line.number", "thread.id"] {
                assert!(span.attribute(key).is_some(), "{key} of {span}");
            }
            for key in ["busy_ns", "idle_ns", "target", "level"] {
                assert_eq!(span.attribute(key), None, "{span}");
            }
        }
    }
    let expected: BTreeMap<&str, BTreeSet<&str>> = [
        ("handle", ""),
        ("stock", "handle"),
        ("price", "handle"),
        ("audit", "handle"),
        ("shelf", "stock"),
        ("rates", "price"),
        ("batch", ""),
        ("job", "batch"),
        ("downstream", "batch"),
    ]
    .map(|(span, parent)| (span, BTreeSet::from([parent])))
    .into();
    assert_eq!(parents, expected);
    for name in ["handle", "stock", "price", "audit", "shelf", "rates"] {
        assert_eq!(numbers[name], REQUESTS, "{name}");
    }
    let kinds: BTreeSet<&str> =
        spans.iter().filter(|span| span.name == "handle").map(ReceivedSpan::kind_name).collect();
    assert_eq!(kinds, BTreeSet::from(["server"]));
}
