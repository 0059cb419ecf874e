//! Causes in programs that run with logbridge, as the report at exit or a notice names them.

use std::time::{Duration, Instant};

use log::Level;
use logbridge::testing::{Answer, Receiver};
use logbridge::{LevelFilter, Otlp};
use opentelemetry::Context;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord};

use crate::child::{Child, Folder, Program};
use crate::row::{Case, Codes, Row, impossible, named};

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const PROGRAMS: &[(&str, Program)] = &[
    ("log_info", |_| log_and_flush(1)),
    ("log_audit", |_| {
        logbridge::init();
        log::info!(target: "audit", "user signed in");
    }),
    ("log_little", |_| {
        logbridge::init();
        log::info!("waits");
    }),
    ("log_much", |_| log_and_flush(20_000)),
    ("lower", lower),
    ("panic", |_| {
        logbridge::init();
        log::info!("before");
        panic!("as expected");
    }),
    ("poison", |_| {
        logbridge::init();
        for number in 0..50 {
            log::info!("record {number}");
        }
    }),
    ("processor", processor),
    ("shut_down", shut_down),
    ("suppress", suppress),
    ("trace", trace),
    ("debug_span", |_| {
        logbridge::init();
        let _span = tracing::debug_span!("job").entered();
        log::info!("in the job");
    }),
    ("two_threads", two_threads),
    ("few_descriptors", few_descriptors),
    ("one_task", one_task),
    ("fork", fork),
    ("log_long", |_| {
        logbridge::init();
        let text = String::from_utf8_lossy(b"\xff").into_owned();
        log::info!(page = "x".repeat(100_000).as_str(), number = u64::MAX; "a page of {text}");
    }),
    ("runtime_ends", |_| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { logbridge::init() });
        drop(runtime);
        log::info!("afterwards");
    }),
    ("exit", |_| {
        logbridge::init();
        log::info!("last words");
        std::process::exit(0);
    }),
];

pub(crate) fn rows() -> Vec<Row> {
    vec![
        named("B11", "somebody lowers log::max_level() after the start", "report", "LB077", |case| {
            report("lower", case)
        }),
        named("B18r", "a log processor that does not hand records on", "report", "LB076", |case| {
            report("processor", case)
        }),
        named("C1", "RUST_LOG unset", "report", "LB078", |case| filtered(case, None, Some("info"))),
        named("C8", "the same target twice, and the last one wins", "report", "LB010", |case| {
            filtered(case, Some("zoo=info,zoo=off"), Some("info,zoo=info"))
        }),
        named("C9", "one directive, and all else is off", "report", "LB009", |case| {
            filtered(case, Some("lab=debug"), Some("info,lab=debug"))
        }),
        named("C10", "a directive that cannot be used", "report", "LB001", |case| {
            filtered(case, Some("info,zoo=inof"), Some("info,zoo=info"))
        }),
        named("C11", "a target of its own, which no directive names", "report", "LB078", |case| {
            let filter = case.pick("zoo=info", "zoo=info,audit=info");
            let receiver = receiver();
            Child::new("log_audit", case).to(&receiver).env("RUST_LOG", filter).run().codes
        }),
        named("C12", "a slash in the filter", "report", "LB008", |case| {
            filtered(case, Some("info,zoo/server=debug"), Some("info,zoo::server=debug"))
        }),
        named("C12b", "two slashes in the filter", "report", "LB006", |case| {
            filtered(case, Some("info/a/b"), Some("info"))
        }),
        named("C13", "a directive for a span", "report", "LB005", |case| {
            filtered(case, Some("zoo[request]=debug"), Some("info"))
        }),
        named("C26", "a destination asks for more than passes before it", "report", "LB017", |case| {
            let receiver = receiver();
            let level = case.pick("debug", "warn");
            Child::new("log_info", case).to(&receiver).env("LOGBRIDGE_OTLP_LEVEL", level).run().codes
        }),
        named("D8", "the end does not wait as long as the endpoint takes", "notice", "LB086", |case| {
            let receiver = receiver();
            if case == Case::Faulty {
                receiver.answer_with([Answer::Hang(Duration::from_secs(600))]);
            }
            Child::new("log_little", case).to(&receiver).env("LOGBRIDGE_EXIT_TIMEOUT", "200").run().codes
        }),
        named("D11", "more records than there is room for", "report", "LB084", |case| {
            let receiver = receiver();
            if case == Case::Faulty {
                receiver.answer_with([Answer::status(503)]);
            }
            let child = Child::new("log_much", case).to(&receiver).env("LOGBRIDGE_EXIT_TIMEOUT", "200");
            child.env("LOGBRIDGE_MAX_BYTES", case.pick("65536", "67108864")).run().codes
        }),
        named("D13", "a number that is none", "report", "LB020", |case| {
            let receiver = receiver();
            let size = case.pick("10k", "10000");
            Child::new("log_info", case).to(&receiver).env("OTEL_BLRP_MAX_QUEUE_SIZE", size).run().codes
        }),
        named("D14", "a record after the shutdown", "report", "LB087", |case| report("shut_down", case)),
        named("D15", "the thread that sends cannot run", "notice", "LB088", |case| report("few_descriptors", case)),
        named("D17r", "telemetry is suppressed around the code of the application", "report", "LB079", |case| {
            report("suppress", case)
        }),
        named("D24", "one record in a batch that the endpoint cannot read", "report", "LB082", |case| {
            let receiver = receiver();
            if case == Case::Faulty {
                receiver.answer_with([Answer::Poison("record 17".to_owned())]);
            }
            let codes = Child::new("poison", case).to(&receiver).run().codes;
            assert!(receiver.logs().len() >= 49, "only that one is lost");
            codes
        }),
        named("D21", "an exporter that keeps its errors to itself", "notice", "LB081", |case| {
            let receiver = receiver();
            if case == Case::Faulty {
                receiver.answer_with([Answer::status(503)]);
            }
            let child = Child::new("log_info", case).to(&receiver).env("RUST_LOG", "info,opentelemetry=off");
            child.env("LOGBRIDGE_EXIT_TIMEOUT", "300").run().codes
        }),
        named("E19", "the variables are not those of the process", "report", "LB054", |case| {
            let receiver = receiver();
            let child = Child::new("log_little", case).to(&receiver);
            match case {
                Case::Faulty => child.without("OTEL_EXPORTER_OTLP_ENDPOINT").without("OTEL_SERVICE_NAME").run().codes,
                Case::Healthy => child.run().codes,
            }
        }),
        named("F1r", "nothing listens there", "report", "LB081", |case| {
            let receiver = receiver();
            let child = Child::new("log_info", case).to(&receiver).env("LOGBRIDGE_EXIT_TIMEOUT", "100");
            if case == Case::Faulty {
                let dead = Receiver::start().expect("a receiver").endpoint();
                return child.towards(&dead).run().codes;
            }
            child.run().codes
        }),
        named("F5r", "the endpoint refuses the key", "report", "LB082", |case| answered(case, Answer::status(401))),
        named("F6r", "the endpoint has no such path", "report", "LB082", |case| answered(case, Answer::status(404))),
        named("F10r", "the endpoint answers with a page", "report", "LB083", |case| answered(case, Answer::Html)),
        named("F11r", "the endpoint redirects", "report", "LB082", |case| {
            answered(case, Answer::Redirect { code: 301, location: "/login".to_owned() })
        }),
        named("F12r", "the endpoint rejects some", "report", "LB082", |case| {
            answered(case, Answer::PartialSuccess { rejected: 1, message: "timestamp too old".to_owned() })
        }),
        named("H1", "spans, and records outside of them", "report", "LB093", |case| report("trace", case)),
        named("H2r", "the span of a job at DEBUG", "report", "LB100", |case| {
            let receiver = receiver();
            let child = Child::new("debug_span", Case::Healthy).to(&receiver);
            child.env("LOGBRIDGE_SPAN_LEVEL", case.pick("info", "debug")).run().codes
        }),
        named("H3r", "a thread without the context of the span", "report", "LB093", |case| report("two_threads", case)),
        named("H5", "trace ids of a trace that is not sampled", "report", "LB094", |case| {
            let receiver = receiver();
            let sampler = case.pick("always_off", "always_on");
            Child::new("trace", Case::Healthy).to(&receiver).env("OTEL_TRACES_SAMPLER", sampler).run().codes
        }),
        named("I3", "a directory for the spool that cannot be written", "report", "LB090", |case| {
            let (receiver, folder) = (receiver(), Folder::new());
            let good = folder.0.to_str().expect("UTF-8").to_owned();
            let child = Child::new("log_info", case).to(&receiver);
            child.env("LOGBRIDGE_SPOOL_DIR", case.pick("/proc/nowhere", &good)).run().codes
        }),
        impossible("0r", "ten healthy programs without a finding or a notice", || {
            for program in [
                "log_info",
                "log_little",
                "log_audit",
                "poison",
                "processor",
                "suppress",
                "trace",
                "one_task",
                "fork",
                "exit",
            ] {
                let receiver = receiver();
                let ended = Child::new(program, Case::Healthy).to(&receiver).run();
                assert!(ended.codes.is_empty() && !ended.stderr.contains("logbridge: "), "{program}: {}", ended.stderr);
                assert!(!receiver.logs().is_empty(), "{program}");
            }
        }),
        impossible("C4", "a space after a comma", || {
            assert!(passes("warn, lab=debug", "lab", Level::Debug) && passes("warn, debug", "other", Level::Debug));
        }),
        impossible("C24", "notices that RUST_LOG hides", || {
            let dead = Receiver::start().expect("a receiver").endpoint();
            let child = Child::new("log_info", Case::Faulty)
                .towards(&dead)
                .env("RUST_LOG", "info,opentelemetry=off,logbridge=off");
            let ended = child.env("LOGBRIDGE_EXIT_TIMEOUT", "100").run();
            assert!(ended.stderr.contains("logbridge: warning[LB081]: cannot deliver"), "{}", ended.stderr);
        }),
        impossible("D1r", "return from main without a shutdown", || arrives("log_little")),
        impossible("D2r", "std::process::exit", || arrives("exit")),
        impossible("D3", "a panic in main", || arrives("panic")),
        impossible("D6r", "the end of a program on a current-thread runtime", || arrives("one_task")),
        impossible("D9", "a shutdown that says Ok though records are lost", || {
            let (bridge, receiver) = bridge();
            receiver.answer_with([Answer::status(401)]);
            log_one(&bridge);
            assert!(bridge.shutdown(PATIENCE).is_err());
        }),
        impossible("D10", "a flush that says Ok though an earlier batch was lost", || {
            let (bridge, receiver) = bridge();
            receiver.answer_with([Answer::status(401), Answer::Ok]);
            log_one(&bridge);
            // The first batch goes by itself, and is refused.
            wait_until(|| bridge.report().counters.otlp.rejected_total() == 1);
            log_one(&bridge);
            let error = bridge.flush(PATIENCE).expect_err("one was lost");
            assert_eq!(
                (error.undelivered().expect("numbers").logs.rejected, bridge.report().counters.otlp.delivered),
                (1, 1)
            );
            bridge.flush(PATIENCE).expect("that was told");
        }),
        impossible("D16r", "a forked child", || {
            let receiver = receiver();
            Child::new("fork", Case::Faulty).to(&receiver).run();
            let mut texts: Vec<_> = receiver.logs().iter().map(|log| log.message()).collect();
            texts.sort();
            assert_eq!(texts, ["child", "parent"]);
        }),
        impossible("B16", "the runtime in which it was set up ends", || arrives("runtime_ends")),
        impossible("D22", "log calls that wait for an endpoint that does not answer", || {
            let receiver = receiver();
            receiver.answer_with([Answer::Hang(Duration::from_secs(600))]);
            let (bridge, _) = bridge_to(receiver);
            // None of them could return if it waited for the answer.
            (0..10_000).for_each(|_| log_one(&bridge));
            assert_eq!(bridge.report().counters.otlp.pending, 10_000);
        }),
        impossible("D25", "a value that is too long for the endpoint", || {
            let receiver = receiver();
            let child = Child::new("log_long", Case::Faulty).to(&receiver);
            child.env("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "100").run();
            let logs = receiver.logs();
            assert_eq!(logs[0].attribute("page").and_then(|page| page.as_str()).map(str::len), Some(100));
        }),
        impossible("G15", "records of traces that are not sampled", || {
            let receiver = receiver();
            Child::new("trace", Case::Healthy).to(&receiver).env("OTEL_TRACES_SAMPLER", "always_off").run();
            assert_eq!(receiver.logs().len(), 1, "unless `Otlp::trace_based` asks for it");
        }),
        impossible("H11", "a number that is larger than the type on the wire", || {
            let receiver = receiver();
            Child::new("log_long", Case::Faulty).to(&receiver).run();
            let logs = receiver.logs();
            let number = logs[0].attribute("number").expect("it is there");
            assert_eq!(number.as_str(), Some("18446744073709551615"));
        }),
        impossible("I9", "bytes that are no UTF-8", || {
            let receiver = receiver();
            Child::new("log_long", Case::Faulty).to(&receiver).run();
            assert_eq!(receiver.logs()[0].message(), "a page of \u{fffd}");
        }),
        impossible("E13", "a percent sign in a header that code gives", || {
            let receiver = receiver();
            let otlp = Otlp::to(receiver.endpoint()).header("x-key", "a%2Bb");
            let bridge = logbridge::Builder::new().filter_level(LevelFilter::Info).otlp(otlp).build().expect("builds");
            log_one(&bridge);
            bridge.flush(PATIENCE).expect("delivers");
            assert_eq!(receiver.requests()[0].header("x-key"), Some("a%2Bb"));
        }),
        impossible("F16", "localhost that is one address family only", || {
            let receiver = receiver();
            let url = receiver.endpoint().replace("127.0.0.1", "localhost");
            Child::new("log_little", Case::Healthy).towards(&url).run();
            assert_eq!(receiver.logs().len(), 1);
        }),
        impossible("F18", "a loop: what sends makes records that are sent", || {
            let receiver = receiver();
            Child::new("log_info", Case::Healthy).to(&receiver).env("RUST_LOG", "trace").run();
            let targets: Vec<_> = receiver.logs().iter().map(|log| log.target().to_owned()).collect();
            assert!(!targets.is_empty() && targets.iter().all(|target| target.starts_with("zoo")), "{targets:?}");
        }),
        impossible("G4", "records without a time", || {
            let receiver = receiver();
            Child::new("log_info", Case::Healthy).to(&receiver).run();
            let logs = receiver.logs();
            assert!(
                !logs.is_empty() && logs.iter().all(|log| log.time_unix_nano > 0 && log.observed_time_unix_nano > 0)
            );
        }),
        impossible("G12", "the same key twice in a record", || {
            let (bridge, receiver) = bridge();
            let logger = bridge.logger();
            let pairs = [("user", 1), ("user", 2)];
            let record =
                log::Record::builder().args(format_args!("twice")).level(Level::Info).key_values(&pairs).build();
            log::Log::log(&logger, &record);
            bridge.flush(PATIENCE).expect("delivers");
            let keys: Vec<_> = receiver.logs()[0].attributes.keys().map(str::to_owned).collect();
            assert_eq!(keys.iter().filter(|key| *key == "user").count(), 1, "{keys:?}");
        }),
        impossible("H8", "the scope is `log` and not the target", || {
            let receiver = receiver();
            Child::new("log_audit", Case::Healthy).to(&receiver).run();
            assert_eq!(receiver.logs()[0].target(), "audit");
        }),
    ]
}

fn receiver() -> Receiver {
    Receiver::start().expect("a receiver")
}

fn bridge() -> (logbridge::Bridge, Receiver) {
    bridge_to(receiver())
}

fn bridge_to(receiver: Receiver) -> (logbridge::Bridge, Receiver) {
    let otlp = Otlp::to(receiver.endpoint());
    let mut builder = logbridge::Builder::new();
    builder.filter_level(LevelFilter::Info).otlp(otlp).console(logbridge::Console::off());
    let bridge = builder.schedule_delay(Duration::from_millis(1)).build().expect("builds");
    (bridge, receiver)
}

fn log_one(bridge: &logbridge::Bridge) {
    let record = log::Record::builder().args(format_args!("one")).level(Level::Info).target("zoo").build();
    log::Log::log(&bridge.logger(), &record);
}

/// Whether the filter lets the record through.
fn passes(filter: &str, target: &str, level: Level) -> bool {
    let bridge = logbridge::Builder::new().parse_filters(filter).build().expect("builds");
    // Nothing is installed, so that the facades stop it in any case.
    let gates = bridge.explain(target, level).common;
    gates.iter().filter(|gate| gate.facade.is_none()).all(|gate| gate.passes)
}

/// The codes that the program's report and notices have.
fn report(program: &'static str, case: Case) -> Codes {
    let receiver = receiver();
    Child::new(program, case).to(&receiver).run().codes
}

fn filtered(case: Case, faulty: Option<&str>, healthy: Option<&str>) -> Codes {
    let receiver = receiver();
    let child = Child::new("log_info", case).to(&receiver).without("RUST_LOG");
    match case.pick(faulty, healthy) {
        Some(filter) => child.env("RUST_LOG", filter).run().codes,
        None => child.run().codes,
    }
}

fn answered(case: Case, answer: Answer) -> Codes {
    let receiver = receiver();
    if case == Case::Faulty {
        receiver.answer_with([answer]);
    }
    Child::new("log_info", case).to(&receiver).run().codes
}

/// The program's record arrives however it ends.
fn arrives(program: &'static str) {
    let receiver = receiver();
    let ended = Child::new(program, Case::Faulty).to(&receiver).run();
    assert!(!receiver.logs().is_empty(), "{}", ended.stderr);
}

fn flush() {
    let _the_report_tells = logbridge::bridge().expect("installed").flush(PATIENCE.min(Duration::from_millis(300)));
}

fn log_and_flush(records: u32) {
    logbridge::init();
    for number in 0..records {
        log::info!("record {number} of a service that has much to say, line after line");
        tracing::debug!("cut");
    }
    flush();
}

fn lower(case: Case) {
    logbridge::init();
    if case == Case::Faulty {
        log::set_max_level(LevelFilter::Error);
    }
    log::info!("never");
}

/// Keeps everything, or hands it on.
#[derive(Debug)]
struct Keeper;

impl LogProcessor for Keeper {
    fn emit(&self, _record: &mut SdkLogRecord, _scope: &opentelemetry::InstrumentationScope) {}

    fn force_flush(&self) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }
}

/// A processor of the application that panics keeps the record back; one that does nothing lets it pass.
#[derive(Debug)]
struct Angry;

impl LogProcessor for Angry {
    fn emit(&self, _record: &mut SdkLogRecord, _scope: &opentelemetry::InstrumentationScope) {
        std::panic::panic_any("a processor that fails");
    }

    fn force_flush(&self) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }
}

fn processor(case: Case) {
    let mut builder = logbridge::builder();
    if case == Case::Faulty {
        builder.log_processor(Angry).panic_hook(false);
    } else {
        builder.log_processor(Keeper);
    }
    builder.init();
    log::info!("on its way");
}

fn shut_down(case: Case) {
    let bridge = logbridge::try_init().expect("installs");
    log::info!("before");
    if case == Case::Faulty {
        let _the_report_tells = bridge.shutdown(PATIENCE);
    }
    log::info!("after");
}

fn suppress(case: Case) {
    logbridge::init();
    if case == Case::Faulty {
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        log::info!("unheard");
    } else {
        log::info!("heard");
    }
}

/// Spans, with records in them or beside them.
fn trace(case: Case) {
    logbridge::init();
    let span = tracing::info_span!("order");
    {
        let _entered = span.enter();
        if case == Case::Healthy {
            log::info!("in the span");
        }
    }
    drop(span);
    if case == Case::Faulty {
        log::info!("outside of any span");
    }
}

/// Half of the work is done by another thread.
fn two_threads(case: Case) {
    logbridge::init();
    let _span = tracing::info_span!("order").entered();
    let work = || (0..10).for_each(|step| log::info!("step {step}"));
    work();
    work();
    let thread = match case {
        Case::Faulty => std::thread::spawn(work),
        Case::Healthy => std::thread::spawn(logbridge::carry_context(work)),
    };
    thread.join().expect("no panic");
}

/// No descriptor is left for the thread that sends.
fn few_descriptors(case: Case) {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a live rlimit.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limits) };
    let before = limits.rlim_cur;
    let mut limit = |descriptors| {
        limits.rlim_cur = descriptors;
        // SAFETY: it gets a live rlimit.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limits) }, 0);
    };
    if case == Case::Faulty {
        limit(3);
    }
    logbridge::init();
    log::info!("waits for the thread");
    flush();
    limit(before);
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "in vain");
        std::thread::yield_now();
    }
}

fn one_task(_: Case) {
    logbridge::init();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        log::info!("in a task");
        logbridge::bridge().expect("installed").shutdown(PATIENCE).expect("delivers");
    });
}

fn fork(_: Case) {
    logbridge::init();
    log::info!("parent");
    // SAFETY: the child logs and exits as any program does.
    match unsafe { libc::fork() } {
        0 => {
            log::info!("child");
            std::process::exit(0);
        }
        child => {
            let mut status = 0;
            // SAFETY: the process is our child, and `status` is one live integer.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        }
    }
}
