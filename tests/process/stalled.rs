//! Streams that nobody reads: they delay neither delivery nor the exit, and their lines stay in order.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use logbridge::testing::{Answer, Receiver};
use serde_json::Value;

use crate::fork::in_a_child;
use crate::runner::{Group, named};
use crate::spool::Folder;
use crate::support::{Child, Finished, SLACK, arrived, dead_end, flush, is_long, receiver, wait_for_runner};

pub(crate) const GROUP: Group = Group {
    name: "stalled",
    tests: named![
        a_forked_child_is_held_neither_by_its_stream_nor_by_its_parents,
        a_mirror_that_nobody_reads_holds_nothing_and_is_counted,
        a_notice_before_an_abort_is_written,
        a_report_at_the_end_holds_nothing,
        a_report_at_a_signal_holds_nothing,
        a_signal_ends_the_process,
        a_stalled_stderr_holds_no_delivery,
        an_exit_ends_in_time,
        an_initialization_ends_in_time,
        forked_children_write_beside_threads_that_write,
        mirror_lines_keep_their_order,
        notices_and_console_lines_keep_their_order,
        report_files_follow_no_link_that_was_planted,
        what_waited_is_written_when_somebody_reads_again,
        without_a_thread_to_be_had_it_is_tried,
    ],
    scenarios: named![
        deliver_all,
        end_by_sigterm,
        fork_beside_writers,
        fork_with_notices,
        init_and_abort,
        init_and_return,
        mirror_in_threads,
        log_and_shut_down,
        mirror_much,
        plant_links,
        report_by_signal,
        report_without_threads,
        wait_and_return,
    ],
};

/// As many as in the report of the defect.
const RECORDS: usize = 393;
/// How long a test's process may take for what has no deadline of its own.
const PATIENCE: Duration = Duration::from_secs(20);

/// A pipe that is full, and that nobody reads.
fn stalled() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    set_blocking(&writer, false);
    for chunk in [&[b'.'; 4096][..], b"."] {
        while writer.write(chunk).is_ok() {}
    }
    set_blocking(&writer, true);
    (reader, writer)
}

fn set_blocking(file: &impl std::os::fd::AsRawFd, blocking: bool) {
    // SAFETY: fcntl(2) takes numbers only; the descriptor is open.
    unsafe {
        let flags = libc::fcntl(file.as_raw_fd(), libc::F_GETFL);
        let flags = if blocking { flags & !libc::O_NONBLOCK } else { flags | libc::O_NONBLOCK };
        assert_eq!(libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags), 0);
    }
}

/// The two kinds of pipes: one that can be asked not to block, and one that needs the writer thread.
enum Kind {
    Anonymous,
    Named,
}

/// A pipe that works, and a thread that reads it.
fn working(kind: &Kind, folder: &Path) -> (std::thread::JoinHandle<String>, std::process::Stdio) {
    let (mut reader, writer): (Box<dyn std::io::Read + Send>, std::process::Stdio) = match kind {
        Kind::Anonymous => {
            let (reader, writer) = std::io::pipe().expect("a pipe");
            (Box::new(reader), writer.into())
        }
        Kind::Named => {
            let path = folder.join("fifo");
            let name = std::ffi::CString::new(path.to_str().expect("UTF-8")).expect("no zero in it");
            // SAFETY: the path is a live C string.
            assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
            let reader = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&path).expect("a reader");
            let writer = File::options().write(true).open(&path).expect("a writer");
            set_blocking(&reader, true);
            std::fs::remove_file(path).expect("a pipe to remove");
            (Box::new(reader), writer.into())
        }
    };
    let read = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("text");
        text
    });
    (read, writer)
}

fn folder() -> Folder {
    let folder = Folder::new();
    std::fs::create_dir_all(&folder.0).expect("a directory");
    folder
}

/// To that receiver, without a console, with a notice at the start, and with a stderr that nobody reads.
fn child_of(scenario: &str, url: &str, stderr: &PipeWriter) -> Child {
    let child = Child::new(scenario).towards(url).env("LOGBRIDGE_CONSOLE", "off").env("RUST_LOG", "inof,info");
    child.stderr(stderr.try_clone().expect("a descriptor"))
}

fn report(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("a report")).expect("JSON")
}

#[track_caller]
fn assert_all_arrived(receiver: &Receiver, child: &Finished) {
    assert_eq!(arrived(&receiver.logs(), "a record"), RECORDS, "{child}");
}

fn deliver_all(_: &[String]) {
    logbridge::init();
    (0..RECORDS).for_each(|_| log::info!("a record"));
    flush();
}

fn a_stalled_stderr_holds_no_delivery() {
    let (_reader, stderr) = stalled();
    let receiver = receiver();
    // Each failure is another one for the notices, and the endpoint is back after them.
    receiver.answer_with([503, 429, 502, 504, 200].map(Answer::status));
    let child = child_of("deliver_all", &receiver.endpoint(), &stderr).run().success().within(PATIENCE);
    assert_all_arrived(&receiver, &child);
}

fn init_and_return(_: &[String]) {
    let start = Instant::now();
    logbridge::init();
    println!("init={}", start.elapsed().as_millis());
    log::info!("a record");
}

fn an_initialization_ends_in_time() {
    let (_reader, stderr) = stalled();
    let receiver = receiver();
    let child = child_of("init_and_return", &receiver.endpoint(), &stderr).env("LOGBRIDGE_SHOW_LEVELS", "1");
    let child = child.env("OTEL_BLRP_MAX_QUEUE_SIZE", "none").env("DEBUG", "what").run().success();
    assert!(child.numbers().get("init") < 3_000, "{child}");
    assert_eq!(arrived(&receiver.logs(), "a record"), 1, "{child}");
}

const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

fn an_exit_ends_in_time() {
    let (_reader, stderr) = stalled();
    let (dead, hanging) = (dead_end(), receiver());
    hanging.answer_always(Answer::Hang(Duration::from_secs(60)));
    for url in [dead.url.clone(), hanging.endpoint()] {
        let child = child_of("init_and_return", &url, &stderr).env("LOGBRIDGE_EXIT_TIMEOUT", "2s");
        child.run().success().within(EXIT_TIMEOUT + SLACK);
    }
}

fn a_report_at_the_end_holds_nothing() {
    let receiver = receiver();
    for to in ["stderr", "/dev/stderr"] {
        let (_reader, stderr) = stalled();
        let child = child_of("init_and_return", &receiver.endpoint(), &stderr).env("LOGBRIDGE_REPORT", to);
        child.env("LOGBRIDGE_EXIT_TIMEOUT", "2s").run().success().within(EXIT_TIMEOUT + SLACK);
    }
    // What was not written is counted where the report can be written.
    let (_reader, stderr) = stalled();
    let folder = folder();
    let path = folder.0.join("report.json");
    let child = child_of("init_and_return", &receiver.endpoint(), &stderr);
    child.env("LOGBRIDGE_REPORT", path.to_str().expect("UTF-8")).run().success();
    let report = report(&path);
    // The notice about RUST_LOG, and its help.
    assert!(report["lines_not_written"].as_u64().is_some_and(|lines| lines >= 2), "{report}");
    let (reader, broken) = std::io::pipe().expect("a pipe");
    drop(reader);
    let child = child_of("init_and_return", &receiver.endpoint(), &broken);
    child.env("LOGBRIDGE_REPORT", path.to_str().expect("UTF-8")).run().success();
    let report = self::report(&path);
    assert!(report["lines_not_written"].as_u64().is_some_and(|lines| lines >= 2), "{report}");
}

fn end_by_sigterm(_: &[String]) {
    logbridge::init();
    (0..RECORDS).for_each(|_| log::info!("a record"));
    // SAFETY: raise(3) touches no memory.
    assert_eq!(unsafe { libc::raise(libc::SIGTERM) }, 0);
    loop {
        // SAFETY: pause(2) takes nothing; it comes back when a handler has run.
        unsafe { libc::pause() };
    }
}

fn a_signal_ends_the_process() {
    let (_reader, stderr) = stalled();
    let receiver = receiver();
    let child = child_of("end_by_sigterm", &receiver.endpoint(), &stderr).env("LOGBRIDGE_FLUSH_ON_SIGNALS", "true");
    let child = child.env("LOGBRIDGE_REPORT", "stderr").run().killed_by(libc::SIGTERM).within(PATIENCE);
    assert_all_arrived(&receiver, &child);
}

fn report_by_signal(_: &[String]) {
    logbridge::init();
    for _ in 0..3 {
        // SAFETY: raise(3) touches no memory.
        assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
        (0..RECORDS / 3).for_each(|_| log::info!("a record"));
        flush();
    }
}

fn a_report_at_a_signal_holds_nothing() {
    let (_reader, stderr) = stalled();
    let receiver = receiver();
    let child = child_of("report_by_signal", &receiver.endpoint(), &stderr).env("LOGBRIDGE_REPORT", "stderr");
    let child = child.env("LOGBRIDGE_REPORT_ON_SIGUSR1", "true").run().success().within(PATIENCE);
    assert_all_arrived(&receiver, &child);
}

fn what_waited_is_written_when_somebody_reads_again() {
    let (mut reader, stderr) = stalled();
    let receiver = receiver();
    receiver.answer_with([503, 200].map(Answer::status));
    let child = child_of("wait_and_return", &receiver.endpoint(), &stderr).env("LOGBRIDGE_REPORT", "stderr");
    let mut child = child.start();
    // The parent's ends go, so that the end of the child is the end of the text.
    drop(stderr);
    wait_until(|| arrived(&receiver.logs(), "a record") == RECORDS);
    let text = Arc::new(Mutex::new(Vec::new()));
    let read = std::thread::spawn({
        let text = Arc::clone(&text);
        move || {
            let mut part = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut part) {
                text.lock().expect("no panic").extend_from_slice(&part[..read]);
            }
        }
    });
    let text = || String::from_utf8(text.lock().expect("no panic").clone()).expect("text");
    wait_until(|| text().contains(" again\n"));
    child.release();
    let child = child.finish().success();
    read.join().expect("a reader");
    let text = text();
    let places = ["warning[LB002]", "cannot deliver", "reach", "logbridge: report\n", " delivered\n"].map(|said| {
        text.find(said).unwrap_or_else(|| panic!("`{said}` is not in {}; {child}", text.trim_start_matches('.')))
    });
    assert!(places.is_sorted(), "{places:?}: {}", text.trim_start_matches('.'));
}

fn wait_and_return(_: &[String]) {
    deliver_all(&[]);
    wait_for_runner();
}

#[track_caller]
fn wait_until(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "it did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn mirror_much(_: &[String]) {
    logbridge::init();
    (0..RECORDS).for_each(|_| log::info!("a record"));
    // More than waits for a stream.
    let padding = "x".repeat(10_000);
    (0..200).for_each(|_| log::info!("{padding}"));
    flush();
}

fn a_mirror_that_nobody_reads_holds_nothing_and_is_counted() {
    let (_reader, stdout) = stalled();
    let (receiver, folder) = (receiver(), folder());
    let path = folder.0.join("report.json");
    let child = Child::new("mirror_much").to(&receiver).env("DEBUG", "true").env("LOGBRIDGE_CONSOLE", "off");
    let child = child.stdout(stdout.try_clone().expect("a descriptor"));
    let child = child.env("LOGBRIDGE_REPORT", path.to_str().expect("UTF-8")).run().success().within(PATIENCE);
    assert_all_arrived(&receiver, &child);
    let report = report(&path);
    let number = |name: &str| report[name].as_u64().expect("a number");
    assert_eq!(number("mirrored") + number("mirror_failed"), RECORDS as u64 + 200, "{report}");
    assert!(number("mirror_failed") >= 50, "{report}");
    assert_eq!(number("lines_not_written"), RECORDS as u64 + 200, "those included that wait: {report}");
}

const THREADS: usize = 4;
const LINES: usize = 1_000;

fn mirror_in_threads(_: &[String]) {
    logbridge::init();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || (0..LINES).for_each(|number| log::info!("line {thread}.{number}.")));
        }
    });
}

fn mirror_lines_keep_their_order() {
    for kind in [Kind::Anonymous, Kind::Named] {
        let (receiver, folder) = (receiver(), folder());
        let (read, stdout) = working(&kind, &folder.0);
        let child = Child::new("mirror_in_threads").to(&receiver).env("DEBUG", "true").env("LOGBRIDGE_CONSOLE", "off");
        let child = child.stdout(stdout).run().success().quiet();
        let text = read.join().expect("a reader");
        for thread in 0..THREADS {
            let own = format!("line {thread}.");
            let numbers: Vec<usize> =
                text.lines().filter_map(|line| line.split_once(&own)?.1.split('.').next()?.parse().ok()).collect();
            assert!(numbers.iter().copied().eq(0..LINES), "{} lines of thread {thread}: {child}", numbers.len());
        }
        assert_eq!(text.lines().count(), THREADS * LINES, "lines stay whole");
    }
}

/// A notice, a line, a notice, a line.
fn log_and_shut_down(_: &[String]) {
    logbridge::init();
    log::info!("first line");
    logbridge::bridge().expect("installed").shutdown(Duration::from_secs(30)).expect("everything delivered");
    log::info!("too late");
    log::info!("last line");
}

fn notices_and_console_lines_keep_their_order() {
    for kind in [Kind::Anonymous, Kind::Named] {
        let (receiver, folder) = (receiver(), folder());
        let (read, stderr) = working(&kind, &folder.0);
        let child = Child::new("log_and_shut_down").to(&receiver).env("RUST_LOG", "inof,info").stderr(stderr);
        let child = child.run().success();
        let text = read.join().expect("a reader");
        let said = ["warning[LB002]", "first line", "a record was written after the shutdown", "last line"];
        let places = said.map(|said| text.find(said).unwrap_or_else(|| panic!("no `{said}` in {text}; {child}")));
        assert!(places.is_sorted(), "{text}");
    }
}

/// From some time on, this process can start no thread.
fn report_without_threads(_: &[String]) {
    logbridge::init();
    log::info!("a record");
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the calls take numbers, and a live rlimit that is only read. The limit is for anybody but root.
    unsafe {
        if libc::geteuid() == 0 {
            assert_eq!(libc::setuid(65_534), 0, "{}", std::io::Error::last_os_error());
        }
        assert_eq!(libc::setrlimit(libc::RLIMIT_NPROC, &raw const none), 0);
    }
    let spawned = std::thread::Builder::new().spawn(|| ());
    assert!(spawned.is_err(), "there is a thread all the same");
}

fn without_a_thread_to_be_had_it_is_tried() {
    let (receiver, folder) = (receiver(), folder());
    let child = |stderr: std::process::Stdio| {
        let child = Child::new("report_without_threads").to(&receiver).env("LOGBRIDGE_CONSOLE", "off").stderr(stderr);
        child.env("LOGBRIDGE_REPORT", "stderr").run().success().within(PATIENCE)
    };
    let (read, stderr) = working(&Kind::Named, &folder.0);
    let ended = child(stderr);
    let text = read.join().expect("a reader");
    assert!(text.contains("logbridge: report\n") && text.contains("  1       delivered\n"), "{text}; {ended}");
    let (_reader, stderr) = stalled();
    child(stderr.into());
    assert_eq!(arrived(&receiver.logs(), "a record"), 2);
}

fn init_and_abort(_: &[String]) {
    logbridge::init();
    std::process::abort();
}

fn a_notice_before_an_abort_is_written() {
    for kind in [Kind::Anonymous, Kind::Named] {
        let folder = folder();
        let (read, stderr) = working(&kind, &folder.0);
        let child = Child::new("init_and_abort").env("RUST_LOG", "inof").stderr(stderr).run().killed_by(libc::SIGABRT);
        let text = read.join().expect("a reader");
        assert!(text.contains("logbridge: warning[LB002]"), "{text}; {child}");
    }
}

/// The parent's writer thread exists, and waits inside a write where nobody reads.
fn fork_with_notices(_: &[String]) {
    logbridge::init();
    log::info!("of the parent");
    flush();
    in_a_child(|| {
        log::info!("of the child");
        logbridge::bridge().expect("installed").flush(Duration::from_millis(300)).ok();
        in_a_child(|| log::info!("of the grandchild"));
    });
}

fn a_forked_child_is_held_neither_by_its_stream_nor_by_its_parents() {
    let receiver = receiver();
    let (_reader, stderr) = stalled();
    receiver.answer_with([503, 200, 503, 200, 503, 200].map(Answer::status));
    let child = child_of("fork_with_notices", &receiver.endpoint(), &stderr).env("LOGBRIDGE_REPORT", "stderr");
    let child = child.run().success().within(PATIENCE);
    for who in ["of the parent", "of the child", "of the grandchild"] {
        assert_eq!(arrived(&receiver.logs(), who), 1, "{who}: {child}");
    }
    // Each has a thread of its own where that is needed.
    let folder = folder();
    let (read, stderr) = working(&Kind::Named, &folder.0);
    let child = Child::new("fork_with_notices").to(&receiver).env("LOGBRIDGE_CONSOLE", "off");
    child.env("LOGBRIDGE_REPORT", "stderr").stderr(stderr).run().success();
    let text = read.join().expect("a reader");
    assert_eq!(text.matches("logbridge: report\n").count(), 3, "{text}");
}

/// How many lines each thread of the parent writes while one fork happens.
const PER_FORK: u64 = 100;

/// Forks while other threads hold the locks and wait for the writer thread.
fn fork_beside_writers(arguments: &[String]) {
    /// How many lines each thread may have written by now.
    static LINES: AtomicU64 = AtomicU64::new(0);
    let forks: u64 = arguments[0].parse().expect("a number");
    logbridge::init();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(move || {
                for line in 0..forks * PER_FORK {
                    while LINES.load(Ordering::Relaxed) <= line {
                        std::thread::yield_now();
                    }
                    log::info!("of the parent");
                }
            });
        }
        for fork in 0..forks {
            LINES.fetch_add(PER_FORK, Ordering::Relaxed);
            in_a_child(|| {
                log::info!("of child {fork}.");
                logbridge::bridge().expect("installed").shutdown(Duration::ZERO).ok();
                log::info!("a notice says that this is too late");
            });
        }
    });
}

fn forked_children_write_beside_threads_that_write() {
    let forks = if is_long() { 2_000 } else { 60 };
    let folder = folder();
    for kind in [Kind::Anonymous, Kind::Named] {
        let dead = dead_end();
        let (read, stdout) = working(&kind, &folder.0);
        let child = Child::new("fork_beside_writers").arg(forks.to_string()).towards(&dead.url).env("DEBUG", "true");
        let child = child.env("LOGBRIDGE_CONSOLE", "off").env("LOGBRIDGE_MAX_BYTES", "1000000").stdout(stdout);
        let child = child.deadline(Duration::from_secs(60 + forks)).run().success();
        let text = read.join().expect("a reader");
        let of_children =
            text.lines().filter_map(|line| line.split_once("of child ")?.1.split('.').next()?.parse().ok());
        let mut of_children: Vec<u64> = of_children.collect();
        of_children.sort_unstable();
        assert!(of_children.iter().copied().eq(0..forks), "{of_children:?}: {child}");
        assert_eq!(child.count("a record was written after the shutdown"), forks as usize, "{child}");
    }
}

/// An attacker who knows the names that reports had while they were written.
fn plant_links(arguments: &[String]) {
    let (folder, victim) = (Path::new(&arguments[0]), Path::new(&arguments[1]));
    let pid = std::process::id();
    for name in [format!("report.json.{pid}.tmp"), format!("report-{pid}.json"), format!("report-{pid}.json.{pid}.tmp")]
    {
        std::os::unix::fs::symlink(victim, folder.join(name)).expect("a link");
    }
    logbridge::init();
    log::info!("a record");
}

fn report_files_follow_no_link_that_was_planted() {
    let receiver = receiver();
    for is_directory in [false, true] {
        let folder = folder();
        let victim = folder.0.join("victim");
        std::fs::write(&victim, "precious").expect("a file");
        let path = if is_directory { folder.0.clone() } else { folder.0.join("report.json") };
        let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let child = Child::new("plant_links").arg(text(&folder.0)).arg(text(&victim)).to(&receiver);
        let child = child.env("LOGBRIDGE_REPORT", text(&path)).run().success().quiet();
        assert_eq!(std::fs::read_to_string(&victim).expect("a file"), "precious", "{child}");
        let files = std::fs::read_dir(&folder.0).expect("a directory").map(|entry| entry.expect("an entry").path());
        let is_report =
            |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "json") && !path.is_symlink();
        let reports: Vec<_> = files.filter(is_report).collect();
        assert_eq!(reports.len(), 1, "{child}");
        assert_eq!(report(&reports[0])["otlp"]["delivered"], 1);
    }
}
