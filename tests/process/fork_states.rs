//! Forks at the worst moment: while another thread of the parent uses a resource that the child needs next, or is
//! inside a log call. No process hangs or crashes, and each record arrives once, from the process that logged it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use logbridge::testing::{Answer, Receiver};
use logbridge::{Console, Level, LevelFilter, Repetition};
use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord};

use crate::fork::in_a_child;
use crate::runner::{Group, named};
use crate::spool::Folder;
use crate::support::{Child, Finished, is_long, receiver};

pub(crate) const GROUP: Group = Group {
    name: "fork_states",
    tests: named![
        a_child_can_change_levels_while_its_parent_does,
        a_child_forked_in_a_log_call_has_the_record_of_its_own,
        a_child_forked_in_a_log_call_has_the_record_of_its_own_in_a_spool,
        a_child_has_a_pipe_as_console_while_its_parent_writes_there,
        a_child_of_a_child_that_is_beginning_begins_for_itself,
        a_child_whose_parent_is_stuck_in_a_pipe_has_no_console_and_delivers,
        a_flush_in_a_child_tells_what_the_child_has_lost,
        threads_of_a_child_that_no_handler_has_seen_all_have_its_outbox,
        threads_of_a_child_that_no_handler_has_seen_all_have_its_spool,
    ],
    scenarios: named![
        fork_beside_a_pipe,
        fork_beside_a_stuck_pipe,
        fork_in_a_log_call,
        fork_raw_with_threads,
        fork_while_a_child_begins,
        fork_while_levels_change,
        lose_in_parent_and_child,
    ],
};

fn forks() -> u64 {
    if is_long() { 2_000 } else { 40 }
}

/// What a scenario does so often.
fn times(arguments: &[String]) -> u64 {
    arguments[0].parse().expect("a number")
}

fn child_of(scenario: &str, forks: u64, receiver: &Receiver) -> Child {
    Child::new(scenario).arg(forks.to_string()).to(receiver).deadline(Duration::from_secs(60 + forks / 4))
}

/// Messages by the process that wrote them, and how many processes there were.
#[track_caller]
fn assert_messages(receiver: &Receiver, expected: impl IntoIterator<Item = (String, usize)>, child: &Finished) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for log in receiver.logs().iter().filter(|log| log.target() != "noise") {
        *seen.entry(log.message()).or_default() += 1;
    }
    let expected: BTreeMap<String, usize> = expected.into_iter().collect();
    let wrong: Vec<_> = expected.iter().filter(|(message, times)| seen.get(*message) != Some(times)).take(10).collect();
    let strange: Vec<_> = seen.keys().filter(|message| !expected.contains_key(*message)).take(10).collect();
    assert!(wrong.is_empty() && strange.is_empty(), "wrong {wrong:?}, strange {strange:?}: {child}");
}

fn flushed() {
    logbridge::bridge().expect("installed").flush(Duration::from_secs(20)).expect("all of this process was delivered");
}

/// Does something until it is told to stop.
fn until(done: &AtomicBool, mut run: impl FnMut(u64)) {
    let mut round = 0;
    while !done.load(Ordering::Relaxed) {
        run(round);
        round += 1;
    }
}

fn fork_while_a_child_begins(arguments: &[String]) {
    logbridge::init();
    for fork in 0..times(arguments) {
        in_a_child(|| {
            let begun = Barrier::new(3);
            std::thread::scope(|scope| {
                for thread in 0..2 {
                    let begun = &begun;
                    scope.spawn(move || {
                        begun.wait();
                        log::info!("child {fork} thread {thread}");
                    });
                }
                begun.wait();
                // Each time a little later.
                for _ in 0..fork % 40 * 500 {
                    std::hint::spin_loop();
                }
                in_a_child(|| log::info!("grandchild {fork}"));
            });
        });
    }
}

fn a_child_of_a_child_that_is_beginning_begins_for_itself() {
    let (receiver, forks) = (receiver(), forks());
    let child = child_of("fork_while_a_child_begins", forks, &receiver).run().success().quiet();
    let of_one =
        |fork| [format!("child {fork} thread 0"), format!("child {fork} thread 1"), format!("grandchild {fork}")];
    assert_messages(&receiver, (0..forks).flat_map(of_one).map(|message| (message, 1)), &child);
}

/// A line is in the writer, and stays there.
static STUCK: AtomicBool = AtomicBool::new(false);
static HOLDS: AtomicBool = AtomicBool::new(false);

/// Takes its time over a line.
struct Slow;

impl io::Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for _ in 0..2_000 {
            std::hint::spin_loop();
        }
        std::thread::yield_now();
        while HOLDS.load(Ordering::Relaxed) {
            STUCK.store(true, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn log_on_pipe(fork: u64) {
    log::info!("child {fork}");
    println!("failed={}", logbridge::bridge().expect("installed").report().counters.console.failed);
}

fn fork_beside_a_pipe(arguments: &[String]) {
    logbridge::builder().console(Console::pipe(Slow)).init();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            // Not for otlp, whose numbers would be many.
            scope.spawn(|| until(&done, |_| log::info!(target: "noise", "on the console")));
        }
        for fork in 0..times(arguments) {
            in_a_child(|| log_on_pipe(fork));
        }
        done.store(true, Ordering::Relaxed);
    });
}

fn fork_beside_a_stuck_pipe(arguments: &[String]) {
    logbridge::builder().console(Console::pipe(Slow)).init();
    HOLDS.store(true, Ordering::Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| log::info!(target: "noise", "on the console"));
        while !STUCK.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        for fork in 0..times(arguments) {
            let child = || {
                HOLDS.store(false, Ordering::Relaxed);
                log_on_pipe(fork);
            };
            wait_until_others_sleep();
            if fork % 2 == 0 { in_a_raw_child(child) } else { in_a_child(child) }
        }
        HOLDS.store(false, Ordering::Relaxed);
    });
}

fn a_child_has_a_pipe_as_console_while_its_parent_writes_there() {
    let (receiver, forks) = (receiver(), forks());
    let child = child_of("fork_beside_a_pipe", forks, &receiver).env("LOGBRIDGE_OTLP_LEVEL", "noise=off");
    let child = child.run().success().quiet();
    assert_messages(&receiver, (0..forks).map(|fork| (format!("child {fork}"), 1)), &child);
    // On a machine that is busy, the wait of a fork for a line may not be long enough, now and then.
    let printed = child.stdout.lines().filter(|line| *line == "failed=0").count() as u64;
    assert!(printed >= forks / 2, "{printed} of {forks} children had a console: {child}");
}

fn a_child_whose_parent_is_stuck_in_a_pipe_has_no_console_and_delivers() {
    const FORKS: u64 = 6;
    let receiver = receiver();
    let child = child_of("fork_beside_a_stuck_pipe", FORKS, &receiver).env("LOGBRIDGE_OTLP_LEVEL", "noise=off");
    let child = child.run().success().quiet();
    assert_messages(&receiver, (0..FORKS).map(|fork| (format!("child {fork}"), 1)), &child);
    assert_eq!(child.stdout.matches("failed=1").count() as u64, FORKS, "the line is counted: {child}");
}

fn fork_while_levels_change(arguments: &[String]) {
    logbridge::init();
    let levels = logbridge::bridge().expect("installed").levels();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            until(&done, |round| {
                levels.set("", if round % 2 == 0 { LevelFilter::Debug } else { LevelFilter::Warn });
                levels.set_for("noise", Level::Trace, Duration::from_millis(1 + round % 5));
            });
        });
        for fork in 0..times(arguments) {
            in_a_child(|| {
                let levels = logbridge::bridge().expect("installed").levels();
                levels.set("", LevelFilter::Info);
                levels.set_for("noise", Level::Debug, Duration::from_millis(5));
                log::info!("child {fork} of log");
                tracing::info!("child {fork} of tracing");
                log::debug!("below");
                tracing::debug!("below");
            });
        }
        done.store(true, Ordering::Relaxed);
    });
}

fn a_child_can_change_levels_while_its_parent_does() {
    let (receiver, forks) = (receiver(), forks());
    let child = child_of("fork_while_levels_change", forks, &receiver).run().success().quiet();
    let of_one = |fork| [format!("child {fork} of log"), format!("child {fork} of tracing")];
    assert_messages(&receiver, (0..forks).flat_map(of_one).map(|message| (message, 1)), &child);
}

/// A fork that no handler of the C library sees.
fn in_a_raw_child(child: impl FnOnce()) {
    // SAFETY: the child runs ordinary code; the parent's other threads, if any, hold nothing that it cannot do without.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } as libc::pid_t;
    assert!(pid >= 0, "no fork: {}", io::Error::last_os_error());
    if pid == 0 {
        child();
        std::process::exit(0);
    }
    let mut status = 0;
    // SAFETY: `status` is a live integer that waitpid writes.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!((waited, status), (pid, 0), "the child did not end well");
}

const THREADS: usize = 4;

/// Until all other threads of this process sleep: none is in the middle of anything, such as an allocation, whose lock
/// glibc readies for a child only in a fork that it sees.
fn wait_until_others_sleep() {
    // SAFETY: gettid(2) takes nothing and cannot fail.
    let own = unsafe { libc::gettid() }.to_string();
    let is_awake = |stat: &String| stat.rsplit_once(')').is_none_or(|(_, rest)| !rest.starts_with(" S"));
    let all_sleep = || {
        let tasks = std::fs::read_dir("/proc/self/task").expect("tasks").flatten();
        let others = tasks.filter(|task| task.file_name().to_string_lossy() != own);
        let stats: Vec<String> =
            others.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok()).collect();
        !stats.iter().any(is_awake)
    };
    let mut times = 0;
    while times < 3 {
        times = if all_sleep() { times + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn fork_raw_with_threads(arguments: &[String]) {
    logbridge::init();
    let forks = times(arguments);
    // They live as long as the parent, since the end of a thread takes locks of glibc's too.
    let (begin, end) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (begin, end) = (&begin, &end);
            scope.spawn(move || {
                for fork in 0..forks {
                    begin.wait();
                    match thread % 2 {
                        0 => log::info!("parent {fork}"),
                        _ => log::warn!("parent {fork}"),
                    }
                    end.wait();
                }
            });
        }
        for fork in 0..forks {
            // There is something in the parent's outbox each time, in every shard and lane.
            begin.wait();
            end.wait();
            wait_until_others_sleep();
            in_a_raw_child(|| log_on_threads(fork));
        }
    });
    flushed();
}

fn log_on_threads(fork: u64) {
    let begun = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let begun = &begun;
            scope.spawn(move || {
                begun.wait();
                match thread % 2 {
                    0 => log::info!("child {fork} thread {thread}"),
                    _ => log::warn!("child {fork} thread {thread}"),
                }
            });
        }
    });
    flushed();
}

fn assert_raw_children(change: impl FnOnce(Child) -> Child) {
    let (receiver, forks) = (receiver(), forks());
    let child = change(child_of("fork_raw_with_threads", forks, &receiver).env("LOGBRIDGE_CONSOLE", "off"));
    let child = child.run().success().quiet();
    let of_one = |fork| {
        let threads = (0..THREADS).map(move |thread| (format!("child {fork} thread {thread}"), 1));
        threads.chain([(format!("parent {fork}"), THREADS)])
    };
    assert_messages(&receiver, (0..forks).flat_map(of_one), &child);
}

fn threads_of_a_child_that_no_handler_has_seen_all_have_its_outbox() {
    assert_raw_children(|child| child);
}

fn threads_of_a_child_that_no_handler_has_seen_all_have_its_spool() {
    let folder = Folder::new();
    assert_raw_children(|child| child.env("LOGBRIDGE_SPOOL_DIR", folder.spool()));
}

/// The next formatting forks.
static ARMED: AtomicBool = AtomicBool::new(false);
/// The child that it made; 0 in the child itself.
static FORKED: AtomicI32 = AtomicI32::new(-1);
static NUMBER: AtomicU64 = AtomicU64::new(0);

fn fork_if_armed() {
    if ARMED.swap(false, Ordering::Relaxed) {
        // SAFETY: the child runs ordinary code although the parent has other threads, which is what is tested.
        FORKED.store(unsafe { libc::fork() }, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug)]
struct Forks;

impl fmt::Display for Forks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fork_if_armed();
        write!(f, "{}", NUMBER.load(Ordering::Relaxed))
    }
}

#[derive(Debug)]
struct ForkingProcessor;

impl LogProcessor for ForkingProcessor {
    fn emit(&self, record: &mut SdkLogRecord, _scope: &InstrumentationScope) {
        if record.target().is_some_and(|target| target == "chain") {
            fork_if_armed();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }
}

/// What each of the parent's other threads logs about while one fork happens.
const PER_FORK: u64 = 20;

/// A record without a location, whose text makes it similar to others.
fn bare(target: &str, text: fmt::Arguments<'_>) {
    log::logger().log(&log::Record::builder().level(Level::Info).target(target).args(text).build());
}

const WAYS: [&str; 6] = ["message", "key-value", "field", "panic", "repeated", "chain"];

fn fork_in_a_log_call(arguments: &[String]) {
    let way = arguments[1].as_str();
    let mut builder = logbridge::builder();
    match way {
        "repeated" => drop(builder.repetition(Repetition::at_most(1_000_000, Duration::from_secs(600)))),
        "chain" => drop(builder.log_processor(ForkingProcessor)),
        "panic" => drop(builder.panic_hook(false)),
        _ => {}
    }
    builder.init();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Its threads are in the outbox, and in what else there is, when it forks.
        for _ in 0..2 {
            scope.spawn(|| {
                let mut written = 0;
                until(&done, |_| match NUMBER.load(Ordering::Relaxed) * PER_FORK {
                    wanted if wanted < written => std::thread::yield_now(),
                    _ => {
                        written += 1;
                        bare("noise", format_args!("noise"));
                    }
                });
            });
        }
        for number in 0..times(arguments) {
            NUMBER.store(number, Ordering::Relaxed);
            ARMED.store(true, Ordering::Relaxed);
            let own = || match way {
                "key-value" => log::info!(number:% = Forks; "fork {number}"),
                "field" => tracing::info!(number = %Forks, "fork {number}"),
                "chain" => log::info!(target: "chain", "fork {number}"),
                "panic" => log::info!("fork {}{}", Forks, PanicsInChild),
                "repeated" => bare("process", format_args!("fork {Forks}")),
                _ => log::info!("fork {Forks}"),
            };
            own();
            let pid = FORKED.swap(-1, Ordering::Relaxed);
            if pid == 0 {
                end_of_child(way);
            }
            assert!(pid > 0, "no fork happened");
            let mut status = 0;
            // SAFETY: `status` is a live integer that waitpid writes.
            let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
            assert_eq!((waited, status), (pid, 0), "the child did not end well");
        }
        done.store(true, Ordering::Relaxed);
    });
    flushed();
}

struct PanicsInChild;

impl fmt::Display for PanicsInChild {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert_ne!(FORKED.load(Ordering::Relaxed), 0, "in the child");
        Ok(())
    }
}

/// Its flush, its counters and what arrives say the same.
fn end_of_child(way: &str) -> ! {
    let bridge = logbridge::bridge().expect("installed");
    let result = bridge.flush(Duration::from_secs(20));
    let otlp = bridge.report().counters.otlp;
    let flushed = result.map_err(|error| error.undelivered().expect("numbers").logs.dropped);
    let numbers = (flushed, otlp.accepted, otlp.delivered, otlp.lost());
    let expected = if way == "panic" { (Err(1), 1, 0, 1) } else { (Ok(()), 1, 1, 0) };
    if numbers != expected {
        // A panic would wait for the other threads of the parent.
        println!("{way}: {numbers:?} instead of {expected:?}");
        std::process::exit(1);
    }
    std::process::exit(0)
}

fn assert_forks_in_calls(change: impl Fn(Child) -> Child) {
    // Of so many kinds together.
    let forks = (forks() / 10).max(10);
    for way in WAYS {
        for console in ["stderr", "off"] {
            let receiver = receiver();
            let child = child_of("fork_in_a_log_call", forks, &receiver).arg(way).env("LOGBRIDGE_CONSOLE", console);
            let child = change(child.env("LOGBRIDGE_CONSOLE_LEVEL", "noise=off")).run().success();
            // From the parent and from the child.
            let times = if way == "panic" { 1 } else { 2 };
            assert_messages(&receiver, (0..forks).map(|fork| (format!("fork {fork}"), times)), &child);
            let processes: std::collections::BTreeSet<_> =
                receiver.logs().iter().map(|log| log.resource["service.instance.id"].to_string()).collect();
            let expected = if way == "panic" { 1 } else { forks + 1 };
            assert_eq!(processes.len() as u64, expected, "{way}, {console}: {child}");
        }
    }
}

fn a_child_forked_in_a_log_call_has_the_record_of_its_own() {
    assert_forks_in_calls(|child| child);
}

fn a_child_forked_in_a_log_call_has_the_record_of_its_own_in_a_spool() {
    let folder = Folder::new();
    assert_forks_in_calls(|child| child.env("LOGBRIDGE_SPOOL_DIR", folder.spool()));
}

fn lose_in_parent_and_child(_: &[String]) {
    let bridge = logbridge::try_init().expect("both slots are free");
    let lose = |records: u64| {
        (0..records).for_each(|_| log::info!("nobody takes it"));
        bridge.flush(Duration::from_secs(20)).map_err(|error| error.undelivered().expect("numbers").logs.rejected)
    };
    assert_eq!(lose(3), Err(3));
    assert_eq!(lose(0), Ok(()), "it was reported");
    in_a_child(|| {
        assert_eq!(lose(0), Ok(()), "the parent's losses are the parent's");
        // Fewer than the parent has lost.
        assert_eq!(lose(2), Err(2));
        assert_eq!(lose(0), Ok(()));
    });
    assert_eq!(lose(1), Err(1));
}

fn a_flush_in_a_child_tells_what_the_child_has_lost() {
    let receiver = receiver();
    receiver.answer_always(Answer::status(401));
    Child::new("lose_in_parent_and_child").to(&receiver).run().success();
}
