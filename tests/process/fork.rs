//! Forks while other threads log: no process hangs, and each record arrives once and names the process that logged it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use logbridge::testing::Receiver;

use crate::runner::{Group, named};
use crate::support::{Child, Finished, SLACK, arrived, assert_arrived, flush, receiver};

pub(crate) const GROUP: Group = Group {
    name: "fork",
    tests: named![
        a_child_of_a_child_is_a_process_of_its_own,
        a_child_that_only_exits_delivers_nothing_of_the_parent,
        forked_children_and_their_parent_each_deliver_their_own,
        forked_children_are_instances_of_their_own,
        forked_children_have_traces_of_their_own,
    ],
    scenarios: named![fork_in_turn, fork_twice, fork_while_threads_log, fork_without_a_record],
};

const THREADS: u64 = 3;
/// What each thread of the parent logs about while one fork happens.
const PER_FORK: u64 = 20;

/// Runs `child` in a forked process, which ends by `process::exit`; waits for it.
pub(crate) fn in_a_child(child: impl FnOnce()) {
    // SAFETY: the child runs ordinary code although the parent has other threads. That is what is tested: it may only
    // hang where a lock was held by one of them, and glibc itself keeps `malloc` usable.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "no fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        child();
        std::process::exit(0);
    }
    let mut status = 0;
    // SAFETY: `status` is a live integer that waitpid writes.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!((waited, status), (pid, 0), "the forked child did not end well");
}

fn fork_while_threads_log(arguments: &[String]) {
    static ROUND: AtomicU64 = AtomicU64::new(0);
    let forks: u64 = arguments[0].parse().expect("a number");
    logbridge::init();
    log::info!("parent before");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for number in 0..forks * PER_FORK {
                    while ROUND.load(Ordering::Acquire) <= number / PER_FORK {
                        std::thread::yield_now();
                    }
                    match number % 2 {
                        0 => log::info!("parent {thread}.{number}"),
                        _ => tracing::info!("parent {thread}.{number}"),
                    }
                }
            });
        }
        for fork in 0..forks {
            ROUND.store(fork + 1, Ordering::Release);
            in_a_child(|| {
                log::info!("child {fork} of log");
                tracing::info!("child {fork} of tracing");
            });
        }
    });
    log::info!("parent after");
}

/// What arrived, by the process that wrote it.
fn by_process(receiver: &Receiver) -> BTreeMap<i64, Vec<String>> {
    let mut processes: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for log in receiver.logs() {
        let pid = log.resource["process.pid"].as_int().expect("a number");
        processes.entry(pid).or_default().push(log.message());
    }
    processes
}

#[track_caller]
fn assert_each_its_own(receiver: &Receiver, forks: u64, child: &Finished) {
    let processes = by_process(receiver);
    let (parents, mut children): (Vec<_>, Vec<_>) =
        processes.values().partition(|messages| messages.iter().any(|message| message.starts_with("parent")));
    assert_eq!((parents.len(), children.len() as u64), (1, forks), "processes: {child}");
    let unique: BTreeSet<_> = parents[0].iter().collect();
    assert_eq!(unique.len(), parents[0].len(), "some of the parent's arrived twice");
    assert_eq!(unique.len() as u64, forks * PER_FORK * THREADS + 2, "of the parent's records: {child}");
    children.sort_by_key(|messages| messages[0].split(' ').nth(1).and_then(|fork| fork.parse::<u64>().ok()));
    for (fork, messages) in children.into_iter().enumerate() {
        assert_eq!(messages, &[format!("child {fork} of log"), format!("child {fork} of tracing")]);
    }
}

fn forked_children_and_their_parent_each_deliver_their_own() {
    let long = std::env::vars_os().any(|(name, value)| name == "LOGBRIDGE_LONG_TESTS" && value == "1");
    let forks = if long { 2_000 } else { 200 };
    let receiver = receiver();
    let child = Child::new("fork_while_threads_log").arg(forks.to_string()).to(&receiver);
    let child = child.deadline(Duration::from_secs(60 + forks / 5)).run().success().quiet();
    assert_each_its_own(&receiver, forks, &child);
    // Lines stay whole, and each is there once.
    let lines: BTreeSet<_> = child.stderr.lines().collect();
    assert_eq!(lines.len() as u64, forks * PER_FORK * THREADS + 2 + 2 * forks, "{child}");
    assert!(lines.iter().all(|line| line.starts_with("[20") && line.matches('[').count() == 1), "{child}");
}

fn fork_twice(_: &[String]) {
    logbridge::init();
    log::info!("first");
    in_a_child(|| {
        log::info!("second");
        in_a_child(|| {
            log::info!("third");
            flush();
        });
        tracing::info!("second");
    });
    log::info!("first");
}

fn a_child_of_a_child_is_a_process_of_its_own() {
    let receiver = receiver();
    let child = Child::new("fork_twice").to(&receiver).run().success().quiet().within(SLACK);
    let mut processes: Vec<_> = by_process(&receiver).into_values().collect();
    processes.sort();
    let expected = [vec!["first", "first"], vec!["second", "second"], vec!["third"]];
    assert_eq!(processes, expected, "{child}");
}

/// Children of one thread, one after the other: each inherits the same state of everything, also of the thread's
/// random numbers.
fn fork_in_turn(_: &[String]) {
    logbridge::init();
    let record = |who: &str| {
        let _span = tracing::info_span!("work").entered();
        log::info!("{who}");
    };
    record("parent");
    for child in ["one", "two", "three"] {
        in_a_child(|| record(child));
    }
    record("parent");
}

fn forked_children_are_instances_of_their_own() {
    let receiver = receiver();
    let child = Child::new("fork_in_turn").to(&receiver).run().success().quiet().within(SLACK);
    assert_arrived(&receiver, &["one", "parent", "parent", "three", "two"], &child);
    let mut ids: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for log in receiver.logs() {
        let pid = log.resource["process.pid"].as_int().expect("a number");
        ids.entry(log.resource["service.instance.id"].to_string()).or_default().insert(pid);
    }
    assert_eq!(ids.len(), 4, "process ids by service.instance.id: {ids:#?}");
}

fn forked_children_have_traces_of_their_own() {
    let receiver = receiver();
    let child = Child::new("fork_in_turn").to(&receiver).run().success().quiet().within(SLACK);
    let traces: BTreeSet<(String, String)> =
        receiver.logs().iter().map(|log| (log.trace_id.clone(), log.span_id.clone())).collect();
    assert_eq!(traces.len(), 5, "{traces:#?}; {child}");
}

fn fork_without_a_record(_: &[String]) {
    logbridge::init();
    log::info!("of the parent");
    in_a_child(|| ());
    in_a_child(|| log::logger().flush());
}

fn a_child_that_only_exits_delivers_nothing_of_the_parent() {
    let receiver = receiver();
    let child = Child::new("fork_without_a_record").to(&receiver).run().success().quiet().within(SLACK);
    assert_eq!((arrived(&receiver.logs(), "of the parent"), receiver.requests().len()), (1, 1), "{child}");
}
