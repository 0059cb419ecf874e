//! The console's stream fails in every way a stream can: nothing stops, nothing is lost, and it is counted.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd as _;

use logbridge::testing::Receiver;

use crate::runner::{Group, named};
use crate::support::{Child, Finished, SLACK, arrived, flush, print_counters, receiver, wait_for_runner};

pub(crate) const GROUP: Group = Group {
    name: "console",
    tests: named![
        a_broken_pipe_costs_no_record,
        a_closed_stderr_costs_no_record,
        a_console_that_nobody_reads_holds_its_caller_and_not_the_record,
        a_full_disk_costs_no_record,
        a_stderr_that_cannot_be_written_costs_no_record,
        a_stdout_that_cannot_be_written_is_counted_by_the_mirror,
    ],
    scenarios: named![
        log_ten,
        log_ten_after_the_pipe_broke,
        log_ten_with_bad_stderr,
        mirror_to_a_full_disk,
        print_until_it_blocks
    ],
};

fn ten() {
    for _ in 0..4 {
        log::info!(key = 1; "of log");
        tracing::info!(key = 1, "of tracing");
    }
    std::thread::spawn(|| log::warn!("of a thread")).join().expect("no panic");
    log::error!(target: "another", "last");
    flush();
    print_counters();
    log::info!("on the way out");
}

/// Everything arrived, and of the ten that were printed before the count so many failed.
#[track_caller]
fn assert_nothing_lost(receiver: &Receiver, child: Finished, failed: u64) {
    let child = child.success().within(SLACK);
    let logs = receiver.logs();
    for (message, times) in [("of log", 4), ("of tracing", 4), ("of a thread", 1), ("last", 1), ("on the way out", 1)] {
        assert_eq!(arrived(&logs, message), times, "{message}: {child}");
    }
    assert_eq!(logs.len(), 11, "{child}");
    child.numbers().expect(&[
        ("console.accepted", 10),
        ("console.failed", failed),
        ("otlp.delivered", 10),
        ("otlp.lost", 0),
    ]);
}

fn log_ten(_: &[String]) {
    logbridge::init();
    ten();
}

fn log_ten_after_the_pipe_broke(_: &[String]) {
    logbridge::init();
    wait_for_runner();
    ten();
}

fn a_broken_pipe_costs_no_record() {
    let receiver = receiver();
    let mut child = Child::new("log_ten_after_the_pipe_broke").to(&receiver).start();
    child.break_stderr();
    child.release();
    assert_nothing_lost(&receiver, child.finish(), 10);
}

/// std opens `/dev/null` in its place before `main`, so that no write fails.
fn a_closed_stderr_costs_no_record() {
    let receiver = receiver();
    let child = Child::with_closed_stderr("log_ten").to(&receiver).run();
    assert_nothing_lost(&receiver, child, 0);
}

/// Descriptor 2 closed later, as far as it can be played without another file taking its number: writes give EBADF.
fn log_ten_with_bad_stderr(_: &[String]) {
    logbridge::init();
    let read_only = File::open("/dev/null").expect("a null device");
    // SAFETY: dup2 touches no memory, and nothing in this process owns descriptor 2.
    assert_eq!(unsafe { libc::dup2(read_only.as_raw_fd(), 2) }, 2);
    ten();
}

fn a_stderr_that_cannot_be_written_costs_no_record() {
    let receiver = receiver();
    let child = Child::new("log_ten_with_bad_stderr").to(&receiver).run();
    assert_nothing_lost(&receiver, child, 10);
}

fn print_until_it_blocks(arguments: &[String]) {
    logbridge::init();
    let bridge = logbridge::bridge().expect("installed");
    // Far more than a pipe holds: the thread never comes back.
    let by_tracing = arguments == ["tracing"];
    std::thread::spawn(move || {
        let text = "x".repeat(1 << 20);
        if by_tracing {
            tracing::warn!(text, "the last words")
        } else {
            log::warn!(text; "the last words")
        }
        unreachable!("the console took all of it");
    });
    let counters = || bridge.report().counters;
    while counters().otlp.accepted == 0 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    // Counted before it is appended: the flush after that moment finds it.
    while counters().otlp.delivered == 0 {
        bridge.flush(std::time::Duration::from_secs(10)).expect("delivered, although the caller waits");
    }
    std::process::exit(0);
}

fn a_console_that_nobody_reads_holds_its_caller_and_not_the_record() {
    for way in ["log", "tracing"] {
        let receiver = receiver();
        let (_never_read, stderr) = std::io::pipe().expect("a pipe");
        let child = Child::new("print_until_it_blocks").arg(way).to(&receiver).stderr(stderr).run().success();
        let logs = receiver.logs();
        assert_eq!((arrived(&logs, "the last words"), logs.len()), (1, 1), "{way}: {child}");
    }
}

fn full_disk() -> Option<File> {
    OpenOptions::new().write(true).open("/dev/full").ok()
}

fn a_full_disk_costs_no_record() {
    // Linux and some BSDs have this device.
    let Some(full) = full_disk() else { return };
    let receiver = receiver();
    let child = Child::new("log_ten").to(&receiver).stderr(full).run();
    assert_nothing_lost(&receiver, child, 10);
}

fn mirror_to_a_full_disk(_: &[String]) {
    logbridge::init();
    log::info!("of log");
    tracing::info!("of tracing");
    flush();
    let counters = logbridge::bridge().expect("installed").report().counters;
    assert_eq!((counters.mirrored, counters.mirror_failed), (0, 2), "{counters:?}");
}

fn a_stdout_that_cannot_be_written_is_counted_by_the_mirror() {
    let Some(full) = full_disk() else { return };
    let receiver = receiver();
    let child = Child::new("mirror_to_a_full_disk").to(&receiver).env("DEBUG", "true").stdout(full).run();
    let child = child.success().quiet();
    assert_eq!((receiver.logs().len(), child.count("] of log\n")), (2, 1), "{child}");
}
