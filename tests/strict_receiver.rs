//! A mixed load into a strict receiver that decodes with Google's protobuf and checks the OTLP rules.
//!
//! It needs python3 with the packages of `tests/tools/requirements.txt`, so it is ignored by default; `.ci/run` makes a
//! virtual environment and runs it: `LOGBRIDGE_TEST_PYTHON=VENV/bin/python cargo test --test strict_receiver -- --ignored`.

#![allow(clippy::expect_used, clippy::disallowed_methods)] // A test may panic, and reads where its tool is.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use logbridge::{Bridge, Builder, Console, LevelFilter, Otlp};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_subscriber::layer::SubscriberExt as _;

const THREADS: i64 = 4;
const EACH: i64 = 25_000;

struct Sink {
    child: Child,
    port: u16,
}

impl Sink {
    fn start() -> Self {
        let python = std::env::var("LOGBRIDGE_TEST_PYTHON")
            .expect("LOGBRIDGE_TEST_PYTHON names a python with the packages of tests/tools/requirements.txt");
        let out = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("strict_sink");
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/strict_sink.py"))
            .args(["--http", "0", "--grpc", "0", "--no-records", "--out"])
            .arg(out)
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let port = line.trim().strip_prefix("ready ").and_then(|port| port.parse().ok()).expect(&line);
        Self { child, port }
    }

    fn stats(&self) -> serde_json::Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the sink answers");
        stream.write_all(b"GET /stats HTTP/1.1\r\nhost: sink\r\n\r\n").expect("a request");
        stream.shutdown(std::net::Shutdown::Write).expect("half closed");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).expect("JSON")
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[derive(serde::Serialize)]
struct Cart<'a> {
    items: Vec<(&'a str, u32)>,
    note: Option<&'a str>,
}

#[test]
#[ignore = "needs python3: set LOGBRIDGE_TEST_PYTHON, as .ci/run does"]
fn a_mixed_load_of_100_000_records_arrives_whole_once_and_by_the_rules() {
    let sink = Sink::start();
    let bridge = Builder::new()
        .service_name("strict")
        .filter_level(LevelFilter::Trace)
        .otlp(Otlp::to(format!("http://127.0.0.1:{}", sink.port)))
        .console(Console::off())
        .schedule_delay(Duration::from_millis(50))
        .build()
        .expect("builds");
    // `log`'s macros look at this first; it starts at Off.
    log::set_max_level(bridge.logger().filter());
    let next = AtomicI64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| load(&bridge, &next));
        }
    });
    bridge.flush(Duration::from_secs(120)).expect("everything is confirmed");

    let all = THREADS * EACH;
    let stats = sink.stats();
    assert_eq!(stats["violations"], serde_json::json!({}), "{stats:#}");
    assert_eq!(stats["account"]["records"], all, "{stats:#}");
    assert_eq!(stats["distinct_seq"], all, "{stats:#}");
    assert_eq!(stats["duplicates"], 0, "{stats:#}");
    let otlp = bridge.report().counters.otlp;
    assert_eq!((otlp.accepted as i64, otlp.delivered as i64, otlp.pending, otlp.lost()), (all, all, 0, 0));
}

fn load(bridge: &Bridge, next: &AtomicI64) {
    let logger = bridge.logger();
    let provider = SdkTracerProvider::builder().with_sampler(Sampler::TraceIdRatioBased(0.5)).build();
    let subscriber = tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("strict")))
        .with(bridge.layer());
    tracing::subscriber::with_default(subscriber, || {
        for round in 0..EACH {
            let seq = next.fetch_add(1, Ordering::Relaxed);
            let span = (round % 3 == 0).then(|| tracing::info_span!("work", round).entered());
            one_record(&logger, seq, round);
            drop(span);
        }
    });
}

/// Every facade, level and kind of value takes its turn.
fn one_record(logger: &logbridge::Logger, seq: i64, round: i64) {
    let error = "x".parse::<i32>().expect_err("no number");
    let cart = Cart { items: vec![("tea", 2), ("", 0)], note: None };
    match round % 9 {
        0 => log::trace!(logger: logger, seq; "plain {round}"),
        1 => log::debug!(logger: logger, target: "strict::other", seq, a = 1, a = 2; "a key twice"),
        2 => log::info!(logger: logger, seq, cart:serde = cart; "nested"),
        3 => log::warn!(logger: logger, seq, error:err = error, other:err = error; "two errors"),
        4 => {
            log::error!(logger: logger, seq, big = u64::MAX, wide = i128::MIN, none = Option::<i32>::None; "\0 ünï 🫖")
        }
        5 => tracing::info!(seq, user = 7, took = f64::NAN, flag = true),
        6 => tracing::warn!(name: "order.placed", seq, error = &error as &dyn std::error::Error, "with an error"),
        7 => {
            tracing::debug!(target: "strict::other", seq, debug = ?cart.items, long = "x".repeat(300), "{}", "y".repeat(200))
        }
        _ => tracing::error!(parent: None, seq, bytes = &b"\xff\x00"[..], "outside any span"),
    }
}
