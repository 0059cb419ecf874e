//! One case a process: set up, warm up, time, print the median of the batches.

use std::fs::OpenOptions;
use std::hint::black_box;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use logbridge::{Console, LevelFilter, Otlp};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_appender_log::OpenTelemetryLogBridge;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter, SdkLoggerProvider};
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter};
use tracing_subscriber::layer::SubscriberExt as _;

const BATCH: u32 = 10_000;
const BATCHES: usize = 20;
const PAUSE: Duration = Duration::from_millis(10);
const DIRECTIVES: &str = "info,a::b=debug,b=trace,c::d::e=off,d=warn,f::g=info,h=error,i::j=debug,k=info,cases=warn,\
                          logbridge_bench=warn";

pub(crate) fn run(name: &str) {
    let (what, who) = name.split_once('-').expect("a case");
    match (what, who) {
        ("disabled" | "disabledevent", "ours") | ("server", _) => ours("info"),
        ("rejected" | "spread", "ours") => ours(DIRECTIVES),
        ("threads1" | "threads2" | "again" | "againkv", "ours") => steady(),
        ("again" | "againkv", "spool") => steady(),
        (_, "ours" | "spool") => ours("trace"),
        ("disabled", "env_logger") => env_logger("info"),
        ("rejected" | "spread", "env_logger") => env_logger(DIRECTIVES),
        (_, "env_logger") => env_logger("trace"),
        ("event" | "span" | "spanlog", "stock") => stock_tracing(),
        (_, "fmt") => tracing_fmt(),
        (_, "stock") => stock_log(),
        _ => panic!("no such case: {name}"),
    }
    match what {
        "disabled" => time(|i| log::debug!("request completed for user {} in {} ms", i, i % 7)),
        "disabledevent" => time(|i| tracing::debug!("request completed for user {} in {} ms", i, i % 7)),
        "rejected" => time(|i| log::info!("request completed for user {} in {} ms", i, i % 7)),
        // Targets that different directives decide about, the root among them.
        "spread" => time(|i| match i % 5 {
            0 => log::trace!(target: "a::b::requests", "request completed for user {} in {} ms", i, i % 7),
            1 => log::info!(target: "d::requests", "request completed for user {} in {} ms", i, i % 7),
            2 => log::debug!(target: "f::g::requests", "request completed for user {} in {} ms", i, i % 7),
            3 => log::debug!(target: "some::library", "request completed for user {} in {} ms", i, i % 7),
            _ => log::debug!(target: "requests", "request completed for user {} in {} ms", i, i % 7),
        }),
        "threads1" => threads(1),
        "threads2" => threads(2),
        "plain" | "again" => time(|i| log::info!("request completed for user {} in {} ms", i, i % 7)),
        "kv" | "againkv" => time(
            |i| log::info!(user = i, route = "/checkout", took = 1.5; "request completed for user {} in {} ms", i, i % 7),
        ),
        "event" => {
            let span = tracing::info_span!("request", id = 7);
            let _entered = span.enter();
            time(|i| {
                tracing::info!(
                    user = i,
                    route = "/checkout",
                    took = 1.5,
                    "request completed for user {} in {} ms",
                    i,
                    i % 7
                )
            });
        }
        "span" => time(|i| {
            let _entered = tracing::info_span!("request", user = i, route = "/checkout").entered();
        }),
        "spanlog" => time(|i| {
            let _entered = tracing::info_span!("request", user = i, route = "/checkout").entered();
            tracing::info!(took = 1.5, "request completed for user {} in {} ms", i, i % 7);
        }),
        "server" => crate::http::server(who),
        _ => panic!("no such case: {name}"),
    }
    // No exit handlers: flushing is not what is measured here.
    std::io::Write::flush(&mut std::io::stdout()).expect("stdout");
    // SAFETY: ends the process; nothing runs after it.
    unsafe { libc::_exit(0) }
}

pub(crate) fn time(call: impl FnMut(u32)) {
    // So many calls, and no clock, where instructions are counted.
    if let Ok(calls) = std::env::var("BENCH_CALLS") {
        return (0..calls.parse().expect("a number")).map(black_box).for_each(call);
    }
    println!("{}", median(call));
}

/// Nanoseconds per call: the median of the batches.
fn median(mut call: impl FnMut(u32)) -> f64 {
    let is_paced = std::env::var_os("BENCH_PACED").is_some();
    for i in 0..BATCH {
        call(black_box(i));
    }
    let mut batches: Vec<f64> = (0..BATCHES)
        .map(|_| {
            // A million calls a second, where they are paced: the ship thread gets its turn.
            std::thread::sleep(PAUSE.mul_f64(f64::from(u8::from(is_paced))));
            let start = Instant::now();
            for i in 0..BATCH {
                call(black_box(i));
            }
            start.elapsed().as_nanos() as f64 / f64::from(BATCH)
        })
        .collect();
    batches.sort_by(f64::total_cmp);
    batches[batches.len() / 2]
}

fn ours(directives: &str) {
    ours_to(&std::env::var("BENCH_ENDPOINT").expect("BENCH_ENDPOINT"), directives);
}

fn ours_to(endpoint: &str, directives: &str) {
    let mut builder = logbridge::Builder::new();
    builder
        .parse_filters(directives)
        .span_level(LevelFilter::Info)
        .service_name("bench")
        .otlp(Otlp::to(endpoint).timeout(Duration::from_secs(600)))
        .console(Console::off())
        .max_bytes(512 << 20)
        .max_spans(1 << 20);
    if let Ok(directory) = std::env::var("BENCH_SPOOL") {
        builder.spool(logbridge::Spool::at(directory).max_bytes(2 << 30));
    }
    builder.init();
}

/// Ours after a while: as much memory of the outbox as the calls need has been used before, so that nobody waits for the
/// kernel's pages, and nothing is answered any more, so that nothing but the calls runs.
fn steady() {
    let answering = Answering::start();
    ours_to(&answering.endpoint, "trace");
    // What waits is not sent, so that none of it is used twice meanwhile. One batch more than is measured.
    let calls = BATCH * (BATCHES as u32 + 2);
    let warm = || {
        (0..calls).for_each(|i| log::info!(user = i, route = "/checkout", took = 1.5; "request completed for user {} in {} ms", i, i % 7))
    };
    std::thread::scope(|scope| {
        scope.spawn(warm);
        warm();
    });
    answering.go_on();
    logbridge::bridge().expect("installed").flush(Duration::from_secs(60)).expect("delivered");
    answering.stop();
}

/// An endpoint that answers until it is stopped.
struct Answering {
    endpoint: String,
    is_on: Arc<AtomicBool>,
}

impl Answering {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let is_on = Arc::new(AtomicBool::new(false));
        let goes_on = Arc::clone(&is_on);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, goes_on) = (stream.expect("a connection"), Arc::clone(&goes_on));
                std::thread::spawn(move || crate::sink::serve(&stream, &AtomicU64::new(0), &goes_on));
            }
        });
        Self { endpoint, is_on }
    }

    fn go_on(&self) {
        self.is_on.store(true, Ordering::Relaxed);
    }

    fn stop(&self) {
        self.is_on.store(false, Ordering::Relaxed);
    }
}

/// The time of a call while so many threads make them at once, each its own, as if they were one.
fn threads(count: usize) {
    let calls = || median(|i| log::info!("request completed for user {} in {} ms", i, i % 7));
    let times: Vec<f64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(calls)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    println!("{}", times.iter().sum::<f64>() / (count * count) as f64);
}

fn env_logger(directives: &str) {
    let null = OpenOptions::new().write(true).open("/dev/null").expect("/dev/null");
    env_logger::Builder::new().parse_filters(directives).target(env_logger::Target::Pipe(Box::new(null))).init();
}

fn tracing_fmt() {
    let null = OpenOptions::new().write(true).open("/dev/null").expect("/dev/null");
    tracing_subscriber::fmt().with_writer(std::sync::Mutex::new(null)).with_ansi(false).init();
}

#[derive(Debug)]
struct Nothing;

impl LogExporter for Nothing {
    async fn export(&self, _batch: LogBatch<'_>) -> OTelSdkResult {
        Ok(())
    }
}

impl SpanExporter for Nothing {
    // As our endpoint: it never answers, so that what has ended waits in memory on both sides.
    async fn export(&self, _batch: Vec<SpanData>) -> OTelSdkResult {
        std::future::pending().await
    }
}

fn stock_provider() -> SdkLoggerProvider {
    let config = BatchConfigBuilder::default().with_max_queue_size(1 << 20).build();
    let processor = BatchLogProcessor::builder(Nothing).with_batch_config(config).build();
    SdkLoggerProvider::builder().with_log_processor(processor).build()
}

fn stock_log() {
    let provider = Box::leak(Box::new(stock_provider()));
    log::set_boxed_logger(Box::new(OpenTelemetryLogBridge::new(provider))).expect("the slot is free");
    log::set_max_level(LevelFilter::Trace);
}

fn stock_tracing() {
    let provider = Box::leak(Box::new(stock_provider()));
    let config = opentelemetry_sdk::trace::BatchConfigBuilder::default().with_max_queue_size(1 << 20).build();
    let processor = BatchSpanProcessor::builder(Nothing).with_batch_config(config).build();
    let tracer = SdkTracerProvider::builder().with_span_processor(processor).build().tracer("bench");
    let subscriber = tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(tracer))
        .with(OpenTelemetryTracingBridge::new(provider));
    tracing::subscriber::set_global_default(subscriber).expect("the slot is free");
}
