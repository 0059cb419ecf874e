//! Reports that are written automatically, notices while a program runs, and the canary.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use logbridge::{Bridge, Check, Facade, Level, LevelFilter, Otlp, Place};
use serde_json::Value;

use crate::fork::in_a_child;
use crate::runner::{Group, named};
use crate::spool::Folder;
use crate::support::{Child, Finished, SLACK, dead_end, flush, receiver, wait_for_runner};

pub(crate) const GROUP: Group = Group {
    name: "report",
    tests: named![
        a_canary_goes_any_way_that_records_go,
        a_canary_shows_what_each_level_comes_to,
        a_canary_sees_a_level_that_was_lowered,
        a_canary_sees_a_subscriber_of_this_thread_alone,
        a_canary_sees_that_another_has_both_slots,
        a_canary_says_that_the_endpoint_is_dead,
        a_canary_leaves_no_trace_on_the_console_and_none_on_threads,
        a_clock_that_is_off_is_said_once,
        a_directory_gets_a_file_for_each_process,
        a_file_gets_the_report_as_text_or_as_json,
        a_level_that_somebody_lowered_is_said,
        a_record_after_the_shutdown_is_said_with_its_caller,
        a_report_into_a_pipe_that_nobody_reads_does_not_hold_the_end_up,
        a_report_that_cannot_be_written_is_said,
        a_signal_that_the_application_handles_is_left_to_it,
        another_subscriber_on_another_thread_is_no_finding_at_the_end,
        sigusr1_gives_the_report,
        stderr_gets_the_report_as_text,
    ],
    scenarios: named![
        after_shutdown,
        composed_canary,
        canary,
        canary_in_a_runtime,
        exit_beside_scoped,
        few_records,
        flush_twice,
        fork_and_log,
        lower,
        lowered_canary,
        official_canary,
        own_sigusr1,
        scoped_canary,
        signal_itself,
    ],
};

const PATIENCE: Duration = Duration::from_secs(5);

fn few_records(_: &[String]) {
    logbridge::init();
    log::info!("one");
    tracing::warn!("two");
    log::debug!(target: "shop::db", "cut");
}

/// The report of a child that wrote it as JSON.
fn json(path: &std::path::Path) -> Value {
    let text = fs::read_to_string(path).expect("a report");
    serde_json::from_str(&text).expect("JSON")
}

fn codes(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().expect("a list");
    findings.iter().map(|finding| finding["code"].as_str().expect("a code")).collect()
}

fn a_file_gets_the_report_as_text_or_as_json() {
    let (receiver, folder) = (receiver(), Folder::new());
    fs::create_dir_all(&folder.0).expect("a directory");
    let (as_json, as_text) = (folder.0.join("report.json"), folder.0.join("report"));
    for path in [&as_json, &as_text] {
        let child = Child::new("few_records").to(&receiver).env("LOGBRIDGE_COUNT_BELOW", "debug");
        child.env("LOGBRIDGE_REPORT", path.to_str().expect("UTF-8")).run().success().quiet();
    }
    let report = json(&as_json);
    assert_eq!(
        (&report["offered"], &report["below"], &report["passed"]),
        (&3.into(), &1.into(), &2.into()),
        "{report}"
    );
    assert_eq!((&report["otlp"]["accepted"], &report["otlp"]["delivered"]), (&2.into(), &2.into()));
    assert_eq!(report["otlp"]["requests"]["confirmed"], 1);
    assert_eq!(report["service"], "child");
    assert_eq!(report["cuts"][0]["target"], "shop::db");
    assert_eq!(report["cuts"][0]["by"], "RUST_LOG: INFO");
    assert_eq!(report["traced"][0], serde_json::json!({"target": "process::report", "records": 2, "with_trace": 0}));
    assert_eq!(codes(&report), [""; 0]);
    let text = fs::read_to_string(as_text).expect("a report");
    for line in [
        "        3 offered\n",
        "        1   below the module stage's levels\n",
        "        1       shop::db at DEBUG, by RUST_LOG: INFO\n",
        "        2       delivered\n",
        "        0     of 2 of process::report, 0 %\n",
        "        1     confirmed\n",
        "          findings: none\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert_eq!(fs::read_dir(&folder.0).expect("a directory").count(), 2, "nothing is left beside them");
}

fn stderr_gets_the_report_as_text() {
    let (receiver, dead) = (receiver(), dead_end());
    let child = Child::new("few_records").to(&receiver).env("LOGBRIDGE_REPORT", "stderr").run().success();
    child.said("logbridge: report\n").said("        2       delivered\n").said("LOGBRIDGE_REPORT\n").warned(0);
    let child = Child::new("few_records").towards(&dead.url).env("LOGBRIDGE_REPORT", "stderr");
    let child = child.env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret").run().success();
    let child = child.said("        2       pending\n").said("warning[LB081]: endpoint: ").said("connection refused");
    assert_eq!(child.count("s3cret"), 0, "{child}");
}

/// A scoped subscriber of a thread that lives on while the process ends.
#[allow(clippy::disallowed_methods)] // Its thread parks until the process ends, in no destructor.
fn exit_beside_scoped(_: &[String]) {
    logbridge::init();
    log::info!("one");
    let (ready, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        tracing::subscriber::with_default(tracing_subscriber::registry(), || {
            ready.send(()).expect("somebody waits");
            // For ever: the other end of what it waits for is here too.
            let (_never, forever) = std::sync::mpsc::channel::<()>();
            let _the_process_ends_first = forever.recv();
        });
    });
    wait.recv().expect("it is in force there");
    std::process::exit(0);
}

fn another_subscriber_on_another_thread_is_no_finding_at_the_end() {
    let (receiver, folder) = (receiver(), Folder::new());
    let path = folder.0.join("report.json");
    let child = Child::new("exit_beside_scoped").to(&receiver).env("LOGBRIDGE_REPORT", path.to_str().expect("UTF-8"));
    child.run().success().quiet();
    assert_eq!(codes(&json(&path)), [""; 0]);
}

fn fork_and_log(_: &[String]) {
    logbridge::init();
    log::info!("parent");
    flush();
    in_a_child(|| log::info!("child"));
}

fn a_directory_gets_a_file_for_each_process() {
    let (receiver, folder) = (receiver(), Folder::new());
    fs::create_dir_all(&folder.0).expect("a directory");
    let child = Child::new("fork_and_log").to(&receiver);
    child.env("LOGBRIDGE_REPORT", folder.0.to_str().expect("UTF-8")).run().success().quiet();
    let files: Vec<_> =
        fs::read_dir(&folder.0).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in files {
        let report = json(&file);
        assert_eq!(report["otlp"]["delivered"], 1, "{report}");
        assert!(file.ends_with(format!("report-{}.json", report["pid"])), "{file:?}");
    }
}

fn a_report_that_cannot_be_written_is_said() {
    let receiver = receiver();
    let child = Child::new("few_records").to(&receiver).env("LOGBRIDGE_REPORT", "/nowhere/at/all").run().success();
    child.warned(1).said("warning[LB020]: cannot write the report to /nowhere/at/all: ");
}

fn a_report_into_a_pipe_that_nobody_reads_does_not_hold_the_end_up() {
    let (receiver, folder) = (receiver(), Folder::new());
    let pipe = folder.0.join("pipe");
    let path = std::ffi::CString::new(pipe.to_str().expect("UTF-8")).expect("no zero in it");
    // SAFETY: the path is a live C string.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    let child = Child::new("few_records").to(&receiver).env("LOGBRIDGE_REPORT", pipe.to_str().expect("UTF-8")).run();
    child.success().within(SLACK).warned(1).said("it is a pipe or a socket without a reader");
    let child = Child::new("few_records").to(&receiver).env("LOGBRIDGE_REPORT", "/dev/stderr").run().success();
    child.said("        2       delivered\n").warned(0);
    let child = Child::new("few_records").to(&receiver).env("LOGBRIDGE_REPORT", "/dev/full").run().success();
    child.warned(1).said("No space left on device");
}

/// Asks itself by the signal, and waits until the report is there.
fn signal_itself(arguments: &[String]) {
    logbridge::init();
    log::info!("one");
    flush();
    // SAFETY: raise(3) touches no memory.
    assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
    if let Some(path) = arguments.first() {
        let start = Instant::now();
        while !std::path::Path::new(path).exists() {
            assert!(start.elapsed() < PATIENCE, "no report");
            std::thread::yield_now();
        }
    }
    log::info!("goes on");
    wait_for_runner();
}

fn sigusr1_gives_the_report() {
    let (receiver, folder) = (receiver(), Folder::new());
    fs::create_dir_all(&folder.0).expect("a directory");
    let path = folder.0.join("report.json");
    let path = path.to_str().expect("UTF-8");
    let child = Child::new("signal_itself").arg(path).to(&receiver).env("LOGBRIDGE_REPORT", path);
    let mut child = child.env("LOGBRIDGE_REPORT_ON_SIGUSR1", "true").start();
    let start = Instant::now();
    while !std::path::Path::new(path).exists() && start.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
    assert_eq!(json(std::path::Path::new(path))["otlp"]["delivered"], 1);
    child.release();
    child.finish().success().quiet();
    assert_eq!(json(std::path::Path::new(path))["otlp"]["delivered"], 2, "and again at the end");
    // Without being asked, the signal is what it was.
    Child::new("signal_itself").to(&receiver).run().killed_by(libc::SIGUSR1);
}

extern "C" fn handled(_: libc::c_int) {
    // SAFETY: write(2) is async-signal-safe, and gets a live buffer of that length.
    unsafe { libc::write(2, b"handled\n".as_ptr().cast(), 8) };
}

fn own_sigusr1(_: &[String]) {
    // SAFETY: the handler lives for ever, does not unwind, and calls only what may be called there.
    unsafe { libc::signal(libc::SIGUSR1, handled as extern "C" fn(libc::c_int) as *const () as usize) };
    logbridge::init();
    // SAFETY: raise(3) touches no memory.
    unsafe { libc::raise(libc::SIGUSR1) };
}

fn a_signal_that_the_application_handles_is_left_to_it() {
    let child = Child::new("own_sigusr1").env("LOGBRIDGE_REPORT_ON_SIGUSR1", "true").run().success();
    let child =
        child.warned(1).said("warning[LB035]: SIGUSR1 writes no report: the application handles SIGUSR1 itself");
    child.said("handled\n");
}

fn lower(_: &[String]) {
    logbridge::init();
    log::info!("before");
    log::set_max_level(LevelFilter::Error);
    log::info!("never");
    flush();
}

fn a_level_that_somebody_lowered_is_said() {
    let (receiver, folder) = (receiver(), Folder::new());
    fs::create_dir_all(&folder.0).expect("a directory");
    let path = folder.0.join("report.json");
    let child =
        Child::new("lower").to(&receiver).env("LOGBRIDGE_REPORT", path.to_str().expect("UTF-8")).run().success();
    child.warned(1).said("error[LB077]: log: log::max_level() is ERROR, but the levels need INFO");
    assert_eq!(codes(&json(&path)), ["LB077"]);
}

fn after_shutdown(_: &[String]) {
    let bridge = logbridge::try_init().expect("installs");
    log::info!("before");
    bridge.shutdown(PATIENCE).expect("delivers");
    log::info!("after");
    log::info!("after");
}

fn a_record_after_the_shutdown_is_said_with_its_caller() {
    let (receiver, folder) = (receiver(), Folder::new());
    fs::create_dir_all(&folder.0).expect("a directory");
    let path = folder.0.join("report.json");
    let child = Child::new("after_shutdown")
        .to(&receiver)
        .env("LOGBRIDGE_REPORT", path.to_str().expect("UTF-8"))
        .run()
        .success();
    child
        .warned(1)
        .said("error[LB087]: a record was written after the shutdown")
        .said("was called at tests/process/report.rs:");
    let report = json(&path);
    assert_eq!(codes(&report), ["LB087"]);
    assert!(report["findings"][0]["text"].as_str().is_some_and(|text| text.starts_with("2 records were logged after")));
}

/// An endpoint that takes anything, and whose clock stands still.
fn endpoint_of_long_ago() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer_from_long_ago(stream));
        }
    });
    url
}

fn answer_from_long_ago(stream: TcpStream) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).map_or(true, |read| read == 0) {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        let answer = "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 0\r\n\r\n";
        reader.get_mut().write_all(answer.as_bytes()).expect("a client");
    }
}

fn a_clock_that_is_off_is_said_once() {
    let child = Child::new("flush_twice").towards(&endpoint_of_long_ago()).run().success();
    let child = child.said("warning[LB089]: clock: the clock of this machine is ").said("ahead of that of");
    child.warned(1).said("  help: set the clock (NTP)");
}

fn flush_twice(_: &[String]) {
    logbridge::init();
    log::info!("one");
    flush();
    log::info!("two");
    flush();
}

/// The lines of a check, for the runner.
fn show(check: &Check) {
    eprintln!("{check}");
    eprintln!("well={}", u8::from(check.is_well()));
}

fn bridge() -> Bridge {
    logbridge::try_init().expect("installs")
}

fn canary(_: &[String]) {
    let bridge = bridge();
    let check = bridge.check(PATIENCE);
    show(&check);
    assert_eq!(check.canaries.len(), 30);
    let sent = |level, facade, place| {
        let of =
            |canary: &&logbridge::Canary| canary.level == level && canary.facade == facade && canary.place == place;
        check.canaries.iter().find(of).expect("a canary").sent
    };
    for facade in [Facade::Log, Facade::Tracing] {
        for place in [Place::ThisThread, Place::FreshThread, Place::Task] {
            eprintln!("sent={}", Level::iter().filter(|level| sent(*level, facade, place)).count());
        }
    }
    log::info!("afterwards");
    tracing::info!("afterwards");
}

fn a_canary_shows_what_each_level_comes_to() {
    let receiver = receiver();
    let child = Child::new("canary").to(&receiver).run().success().quiet();
    let child = child.said("through  from          ERROR  WARN   INFO   DEBUG  TRACE\n");
    let child = child.said("log      this thread   sent   sent   sent   below  below\n");
    let child = child.said("tracing  task          sent   sent   sent   below  below\n");
    let child = child.said("the endpoint confirmed the records that were sent\n").said("well=1\n");
    assert_eq!(child.count("sent=3\n"), 6, "{child}");
    assert_eq!(receiver.logs().len(), 18 + 2, "those of the canary, and those of after it");
}

fn a_canary_goes_any_way_that_records_go() {
    let receiver = receiver();
    let child = Child::new("canary").to(&receiver).env("LOGBRIDGE_REPETITION", "2/60s").run().success();
    assert_eq!(child.count("sent=3\n"), 6, "{child}");
    let child = Child::new("official_canary").to(&receiver).run().success();
    let child = child.said("log      task          sent   sent   sent   below  below\n");
    child.said("tracing  this thread   sent   sent   sent   below  below\n").said("well=1\n");
    let child = Child::new("canary_in_a_runtime").to(&receiver).run().success();
    child.said("tracing  task          sent   sent   sent   below  below\n").said("well=1\n");
}

fn official_canary(_: &[String]) {
    let bridge = logbridge::builder().official_appenders().try_init().expect("installs");
    show(&bridge.check(PATIENCE));
}

fn canary_in_a_runtime(_: &[String]) {
    let bridge = bridge();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { show(&bridge.check(PATIENCE)) });
}

fn a_canary_leaves_no_trace_on_the_console_and_none_on_threads() {
    let receiver = receiver();
    let child = Child::new("canary").to(&receiver).run().success();
    assert_eq!((child.count("canary of logbridge"), child.count("] afterwards\n")), (0, 2), "{child}");
}

fn a_canary_says_that_the_endpoint_is_dead() {
    let dead = dead_end();
    let child =
        Child::new("canary").towards(&dead.url).env("LOGBRIDGE_EXIT_TIMEOUT", "100ms").deadline(SLACK * 5).run();
    child.success().said("the endpoint did not confirm the records: ").said("connection refused").said("well=0\n");
}

fn lowered_canary(_: &[String]) {
    let bridge = bridge();
    log::set_max_level(LevelFilter::Warn);
    show(&bridge.check(PATIENCE));
}

fn a_canary_sees_a_level_that_was_lowered() {
    let receiver = receiver();
    let child = Child::new("lowered_canary").to(&receiver).run().success();
    let child = child.said("log      fresh thread  sent   sent   (1)    below  below\n");
    let child = child.said("tracing  fresh thread  sent   sent   sent   below  below\n");
    child.said("  (1) log::max_level() is WARN\n").said("error[LB077]: log: ").said("well=0\n");
}

fn scoped_canary(_: &[String]) {
    let bridge = bridge();
    let other = tracing_subscriber::registry();
    tracing::subscriber::with_default(other, || show(&bridge.check(PATIENCE)));
    eprintln!("outside");
    show(&bridge.check(PATIENCE));
}

fn a_canary_sees_a_subscriber_of_this_thread_alone() {
    let receiver = receiver();
    let child = Child::new("scoped_canary").to(&receiver).run().success().quiet();
    let child = child.said("tracing  this thread   (1)    (1)    (1)    below  below\n");
    let child = child.said("tracing  fresh thread  sent   sent   sent   below  below\n");
    let child = child.said("another subscriber is active on this thread").said("error[LB075]: tracing: ");
    assert_eq!((child.count("well=0\n"), child.count("well=1\n")), (1, 1), "{child}");
}

/// Somebody else's logger and subscriber, with a bridge that nobody hands anything to.
fn composed_canary(_: &[String]) {
    use tracing_subscriber::util::SubscriberInitExt as _;
    env_logger_of_another();
    tracing_subscriber::registry().try_init().expect("the slot is free");
    let url = std::env::args().nth(3).expect("a URL");
    let bridge = logbridge::Builder::new().filter_level(LevelFilter::Info).otlp(Otlp::to(url)).build().expect("builds");
    show(&bridge.check(PATIENCE));
}

fn env_logger_of_another() {
    env_logger::Builder::new().filter_level(LevelFilter::Info).target(env_logger::Target::Stdout).init();
}

fn a_canary_sees_that_another_has_both_slots() {
    let receiver = receiver();
    let child: Finished = Child::new("composed_canary").arg(receiver.endpoint()).run().success();
    let child =
        child.said("`log` has another logger").said("tracing has another subscriber").said("no record was sent\n");
    assert_eq!(child.count("error[LB075]: "), 2, "{child}");
    child.said("well=0\n");
}
