//! The whole path: from the call to a sink in another process, and its cost for the program that logs.
//!
//! logforth is not among the peers: its OpenTelemetry appender is the SDK's batch processor with the stock exporter.

use std::time::{Duration, Instant};

use logbridge::{Bridge, Console, LevelFilter, Otlp, Overload};
use opentelemetry_appender_log::OpenTelemetryLogBridge;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::logs::{BatchConfigBuilder, BatchLogProcessor, SdkLoggerProvider};

const LONG: Duration = Duration::from_secs(120);

/// What one run says: records written, seconds until all were delivered, and CPU seconds of the whole process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) written: u64,
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
}

impl Run {
    pub(crate) fn parse(text: &str) -> Self {
        let mut numbers = text.split_whitespace().map(|number| number.parse::<f64>().expect("a number"));
        let mut next = || numbers.next().expect("three numbers");
        Self { written: next() as u64, wall: next(), cpu: next() }
    }
}

/// Runs one case: writes, delivers, prints.
pub(crate) fn run(name: &str) {
    let endpoint = std::env::var("BENCH_ENDPOINT").expect("BENCH_ENDPOINT");
    // Enough for a second or so of each.
    match name {
        "ours" => {
            let bridge = ours(&endpoint);
            measure(3_000_000, log, || bridge.flush(LONG).expect("delivered"));
        }
        "stock" => {
            let provider = stock(&endpoint);
            measure(300_000, log, || provider.force_flush().expect("said to be delivered"));
        }
        "emit_otlp" => {
            // Compressed by default, which the sink does not read.
            let transport = emit_otlp::http(format!("{endpoint}/v1/logs")).allow_compression(false);
            let emit = emit::setup().emit_to(emit_otlp::new().logs(emit_otlp::logs_proto(transport)).spawn()).init();
            let write = |i: u32| {
                emit::info!("request completed for user {user} in {took} ms", user: i, took: 1.5, route: "/checkout");
            };
            measure(300_000, write, || assert!(emit.blocking_flush(LONG), "flushed"));
        }
        _ => panic!("no such case: {name}"),
    }
    // SAFETY: ends the process; nothing runs after it.
    unsafe { libc::_exit(0) }
}

pub(crate) fn log(i: u32) {
    log::info!(user = i, route = "/checkout", took = 1.5; "request completed for user {} in {} ms", i, i % 7);
}

fn measure(records: u32, write: impl Fn(u32), flush: impl Fn()) {
    // What is done once is not measured.
    (0..1000).for_each(&write);
    flush();
    let (start, cpu) = (Instant::now(), cpu());
    (0..records).for_each(&write);
    flush();
    println!("{} {} {}", records + 1000, start.elapsed().as_secs_f64(), self::cpu() - cpu);
}

/// CPU seconds of this process so far.
fn cpu() -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is valid for one `rusage`, which is zeroed and so initialized.
    let usage = unsafe {
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()), 0, "getrusage");
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// With the bound that everybody has, and no record dropped: the caller waits where the endpoint is slower.
fn ours(endpoint: &str) -> Bridge {
    logbridge::Builder::new()
        .filter_level(LevelFilter::Info)
        .service_name("bench")
        .otlp(Otlp::to(endpoint))
        .console(Console::off())
        .overload(Overload::Block(LONG))
        .try_init()
        .expect("the slots are free")
}

pub(crate) fn stock(endpoint: &str) -> SdkLoggerProvider {
    let exporter = opentelemetry_otlp::LogExporter::builder()
        .with_http()
        .with_endpoint(format!("{endpoint}/v1/logs"))
        .build()
        .expect("an exporter");
    let config = BatchConfigBuilder::default().with_max_queue_size(1 << 20).build();
    let processor = BatchLogProcessor::builder(exporter).with_batch_config(config).build();
    let provider = SdkLoggerProvider::builder().with_log_processor(processor).build();
    log::set_boxed_logger(Box::new(OpenTelemetryLogBridge::new(&provider))).expect("the slot is free");
    log::set_max_level(LevelFilter::Info);
    provider
}
