//! A global allocator that logs. Whatever logbridge allocates or frees, and whatever lock it holds, no call deadlocks,
//! and every record is accounted for.

// An allocator is `unsafe`, and a deadlock has to be said.
#![allow(unsafe_code, clippy::print_stderr, clippy::expect_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use log::Log as _;
use logbridge::testing::{Answer, Receiver};
use logbridge::{Bridge, Builder, Console, Counters, LevelFilter, Logger, Otlp, Overload, Repetition, ReportTo, Spool};

/// A deadlock is one after this time.
const DEADLINE: Duration = Duration::from_secs(300);
const THREADS: usize = 4;

struct Logging;

#[global_allocator]
static LOGGING: Logging = Logging;

/// Where the allocator logs, while it does.
static LOGGER: AtomicPtr<Logger> = AtomicPtr::new(null_mut());
/// What is being played.
static CASE: Mutex<Option<String>> = Mutex::new(None);
static CALLS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The allocator is logging: what it allocates for that is not logged.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// On this thread, each so many calls of the allocator are logged.
    static EVERY: Cell<u64> = const { Cell::new(1_000) };
}

fn note(what: &str, bytes: usize) {
    let Some(every) = EVERY.try_with(Cell::get).ok().filter(|_| !INSIDE.replace(true)) else { return };
    let number = CALLS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: what it points to is never freed.
    if let Some(logger) = unsafe { LOGGER.load(Ordering::Acquire).as_ref() }
        && number.is_multiple_of(every)
    {
        let level = if number.is_multiple_of(3) { log::Level::Warn } else { log::Level::Info };
        // A long one now and then, so that segments and buffers fill up in here too.
        let width = if number.is_multiple_of(50) { 3_000 } else { 1 };
        let args = format_args!("{what} {bytes:>width$}");
        logger.log(&log::Record::builder().args(args).level(level).target("allocator").line(Some(1)).build());
    }
    INSIDE.set(false);
}

// SAFETY: everything is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for Logging {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note("allocates", layout.size());
        // SAFETY: the caller keeps the promises of this call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note("frees", layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note("moves", size);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Ends the process if the test does not end.
fn watched(test: impl FnOnce()) {
    let (done, watch) = channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if watch.recv_timeout(DEADLINE) == Err(RecvTimeoutError::Timeout) {
            let case = CASE.try_lock().map(|case| case.clone());
            eprintln!("a deadlock: nothing has ended within {DEADLINE:?}: {case:?}");
            std::process::abort();
        }
    });
    test();
    drop(done);
    watchdog.join().expect("no panic");
}

/// Logs whatever the allocator does while this runs.
fn while_the_allocator_logs(bridge: &Bridge, run: impl FnOnce()) {
    let logger: &Logger = Box::leak(Box::new(bridge.logger()));
    LOGGER.store(std::ptr::from_ref(logger).cast_mut(), Ordering::Release);
    let before = EVERY.replace(1);
    run();
    EVERY.set(before);
    LOGGER.store(null_mut(), Ordering::Release);
}

/// The laws of the counters. They hold as soon as no log call and no thread of the bridge is counting.
fn broken_law(bridge: &Bridge) -> Option<String> {
    let Counters { offered, below, passed, otlp, console, .. } = bridge.report().counters;
    let routed = otlp.below + otlp.off + otlp.suppressed + otlp.unsampled + otlp.repeated + otlp.accepted;
    let shown = console.below + console.off + console.suppressed + console.accepted;
    // A run before may have left some in its files.
    let accepted = otlp.accepted + otlp.adopted;
    let outcomes = otlp.delivered + otlp.unconfirmed + otlp.rejected_total() + otlp.dropped_total() + otlp.pending;
    let laws = [
        ("offered = below + passed", offered, below + passed),
        ("otlp: passed = routed", passed, routed),
        ("console: passed = routed", passed, shown),
        ("accepted = outcomes", accepted, outcomes),
    ];
    let broken = laws.into_iter().find(|(_, left, right)| left != right);
    broken.map(|(law, left, right)| format!("{law}: {left} and {right}: {otlp:?}"))
}

fn assert_balanced(bridge: &Bridge, case: &str) {
    // Threads that start or end may still be in a log call, and the scheduler may be writing summaries of repeated
    // records. A record that is never accounted for breaks a law for ever.
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Some(law) = broken_law(bridge) {
        assert!(Instant::now() < deadline, "{case}: {law}");
        std::thread::yield_now();
    }
    let accepted = bridge.report().counters.otlp.accepted;
    assert!(accepted > THREADS as u64 * 100, "{case}: {accepted} records were accepted");
}

/// Threads log, flush and ask for the report, while the allocator logs all that it does for them.
fn play(case: &str, builder: &mut Builder, records: usize) {
    CASE.lock().expect("no panic").replace(case.to_owned());
    let bridge = builder.build().expect("builds");
    while_the_allocator_logs(&bridge, || {
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (bridge, logger) = (&bridge, bridge.logger());
                scope.spawn(move || {
                    EVERY.set(1 + thread as u64);
                    for number in 0..records {
                        let level = if number % 3 == 0 { log::Level::Error } else { log::Level::Info };
                        let length = if number % 100 == 50 { 40_000 } else { number % 700 };
                        let target = ["a", "b", "c", "d"][number % 4].repeat(1 + number % 40);
                        let key_values = [("number", log::kv::Value::from(number)), ("thread", thread.into())];
                        let args = format_args!("{number} {:>length$}", "x");
                        let mut record = log::Record::builder();
                        let record = record.args(args).level(level).target(&target).key_values(&key_values);
                        logger.log(&record.file(Some("a.rs")).line(Some(number as u32 % 30)).build());
                        if number % 40 == 0 {
                            let _in_vain_perhaps = bridge.flush(Duration::from_millis(5));
                            drop(bridge.report().to_string());
                        }
                    }
                });
            }
        });
        let _some_is_left_perhaps = bridge.shutdown(Duration::from_millis(300));
        drop(bridge.report().to_string());
    });
    assert_balanced(&bridge, case);
}

fn builder(endpoint: &str) -> Builder {
    let mut builder = Builder::new();
    configure(&mut builder, endpoint);
    builder
}

fn configure(builder: &mut Builder, endpoint: &str) {
    builder
        .service_name("allocator")
        .filter_level(LevelFilter::Info)
        .otlp(Otlp::to(endpoint))
        .console(Console::off())
        .schedule_delay(Duration::from_millis(1));
}

const POLICIES: [Overload; 5] = [
    Overload::DropNewest,
    Overload::DropOldest,
    Overload::DropLeastSevere,
    Overload::Block(Duration::from_millis(2)),
    // Whoever waits that long for itself is found by the watchdog.
    Overload::Block(Duration::from_secs(3_600)),
];

/// One after the other: there is one allocator.
#[test]
fn an_allocator_that_logs_waits_for_nothing() {
    watched(|| {
        let receiver = Receiver::start().expect("a receiver");
        let folder = std::env::temp_dir().join(format!("logbridge-allocator-{}", std::process::id()));
        for policy in POLICIES {
            // With little memory, so that segments are begun, sealed, compacted and dropped all the time.
            for max_bytes in [96 << 10, 8 << 20] {
                let case = format!("{policy}, {max_bytes} bytes");
                play(&case, builder(&receiver.endpoint()).max_bytes(max_bytes).overload(policy), 300);
                let case = format!("{case}, in files");
                let spool = Spool::at(folder.join(max_bytes.to_string())).max_bytes(4 * max_bytes);
                play(&case, builder(&receiver.endpoint()).max_bytes(max_bytes).overload(policy).spool(spool), 300);
                receiver.clear();
            }
            let case = format!("{policy}, by number");
            // SAFETY: no other thread of this program reads or writes the environment.
            unsafe { std::env::set_var("OTEL_BLRP_MAX_QUEUE_SIZE", "50") };
            let mut counted = Builder::from_default_env();
            // SAFETY: as above.
            unsafe { std::env::remove_var("OTEL_BLRP_MAX_QUEUE_SIZE") };
            configure(&mut counted, &receiver.endpoint());
            play(&case, counted.overload(policy), 300);
        }
        // What does not arrive, so that everything fills up. Nobody waits for room here that never comes.
        receiver.answer_always(Answer::status(503));
        for policy in &POLICIES[..4] {
            let case = format!("{policy}, at an endpoint that is down");
            play(&case, builder(&receiver.endpoint()).max_bytes(96 << 10).overload(*policy), 300);
        }
        receiver.answer_always(Answer::Ok);
        let repetition = Repetition::at_most(2, Duration::from_millis(3));
        play("repetition", builder(&receiver.endpoint()).repetition(repetition), 300);
        let quiet = Console::pipe(std::io::sink());
        play("console", builder(&receiver.endpoint()).console(quiet).record_ids(true), 300);
        play(
            "levels",
            builder(&receiver.endpoint()).filter_level(LevelFilter::Error).filter_module("b", LevelFilter::Info),
            300,
        );
        std::fs::remove_dir_all(folder).ok();
    });
}

#[test]
#[ignore = "played by the test below, in a process of its own"]
fn ends_while_the_allocator_logs() {
    // Nothing listens there. As long as there is room, each record that our exit handler causes could make it run again.
    let bridge =
        builder("http://127.0.0.1:1").max_bytes(1 << 30).report_at_exit(ReportTo::Stderr).try_init().expect("a bridge");
    LOGGER.store(Box::into_raw(Box::new(bridge.logger())), Ordering::Release);
    EVERY.set(1);
    std::process::exit(0);
}

#[test]
fn an_exit_handler_that_allocates_is_not_run_again_for_that() {
    let program = std::env::current_exe().expect("the path of this program");
    let mut child = std::process::Command::new(program)
        .args(["ends_while_the_allocator_logs", "--exact", "--ignored"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("a child");
    let since = Instant::now();
    let ended = loop {
        match child.try_wait().expect("a child of ours") {
            Some(status) => break Some(status),
            None if since.elapsed() > Duration::from_secs(30) => break None,
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    if ended.is_none() {
        child.kill().expect("it lives");
        child.wait().expect("it was killed");
    }
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
}
