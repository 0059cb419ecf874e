//! Forks with a spool: however a child ends, its records arrive once, under its own instance id, and no process waits.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt as _;
use std::time::{Duration, Instant};

use logbridge::testing::Receiver;

use crate::runner::{Group, named};
use crate::spool::Folder;
use crate::support::{Child, Finished, SLACK, is_long, receiver, wait_for_runner};

pub(crate) const GROUP: Group = Group {
    name: "spool_forks",
    tests: named![
        a_child_of_a_fork_that_no_handler_sees_has_a_spool_of_its_own,
        a_child_that_executes_another_program_loses_nothing,
        a_daemon_with_closed_descriptors_loses_nothing,
        a_program_that_is_replaced_loses_nothing_and_the_next_one_says_so,
        children_that_end_suddenly_lose_nothing,
        children_of_children_lose_nothing,
        forks_while_threads_log_and_segments_are_sent,
        workers_of_a_server_that_are_killed_lose_nothing,
    ],
    scenarios: named![
        daemonize,
        exec_in_child,
        exec_itself,
        fork_and_exit,
        fork_and_fork,
        fork_raw,
        fork_under_load,
        prefork
    ],
};

/// Ends without any handler.
fn exit_now() -> ! {
    // SAFETY: ends the process; nothing runs after it.
    unsafe { libc::_exit(0) }
}

/// Runs `child` in a forked process.
fn fork(child: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child runs ordinary code although the parent has other threads, which is what is tested.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "no fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        child();
        exit_now();
    }
    pid
}

fn wait(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: `status` is a live integer that waitpid writes.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(waited, pid);
}

/// Goes on until the runner has seen what it waits for, and looks for what children left meanwhile.
fn until_released() {
    let bridge = logbridge::bridge().expect("installed");
    bridge.flush(Duration::from_secs(20)).expect("its own records are delivered");
    wait_for_runner();
}

/// What arrived, by instance.
///
/// A child that ends while it sends what another one left cannot note that it was delivered: the next process sends a copy
/// with the same id.
fn by_instance(receiver: &Receiver) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for log in receiver.logs() {
        if log.attribute("log.record.uid").is_some_and(|id| !ids.insert(id.to_string())) {
            continue;
        }
        let instance = log.resource.iter().find(|(key, _)| *key == "service.instance.id").expect("an instance");
        all.entry(instance.1.to_string()).or_default().push(log.message());
    }
    all
}

/// Runs a scenario until each message has come, once and from so many instances.
fn assert_each_once(scenario: &str, arguments: &[&str], expected: &BTreeSet<String>, instances: usize) -> Finished {
    let (folder, receiver) = (Folder::new(), receiver());
    let child = arguments.iter().fold(Child::new(scenario), Child::arg).to(&receiver);
    let child = child.env("LOGBRIDGE_SPOOL_DIR", folder.spool()).env("LOGBRIDGE_RECORD_IDS", "true");
    // Nobody reads the lines before the end.
    let mut child = child.env("LOGBRIDGE_CONSOLE", "off").start();
    let started = Instant::now();
    let all = receiver.wait_until(Duration::from_secs(40), |logs| logs.len() >= expected.len());
    // Those that come twice would come soon after.
    child.release();
    let child = child.finish().success();
    let seen = by_instance(&receiver);
    let mut messages: Vec<String> = seen.values().flatten().cloned().collect();
    messages.sort_unstable();
    let missing: Vec<&String> = expected.iter().filter(|message| !messages.contains(message)).take(5).collect();
    assert!(all && missing.is_empty(), "{} of {}, missing {missing:?}: {child}", messages.len(), expected.len());
    assert_eq!(messages, expected.iter().cloned().collect::<Vec<_>>(), "once each: {child}");
    assert_eq!(seen.len(), instances, "{child}");
    assert!(started.elapsed() < SLACK * 6, "{:?}", started.elapsed());
    child
}

fn words(words: impl IntoIterator<Item = impl Into<String>>) -> BTreeSet<String> {
    words.into_iter().map(Into::into).collect()
}

fn fork_and_exit(_: &[String]) {
    logbridge::init();
    log::info!("parent before");
    for number in 0..10 {
        let pid = fork(|| {
            logbridge::post_fork();
            logbridge::post_fork();
            log::info!("child {number} of log");
            tracing::warn!("child {number} of tracing");
        });
        wait(pid);
    }
    log::info!("parent after");
    until_released();
}

fn children_that_end_suddenly_lose_nothing() {
    let mut expected = words(["parent before", "parent after"]);
    expected.extend((0..10).flat_map(|n| [format!("child {n} of log"), format!("child {n} of tracing")]));
    assert_each_once("fork_and_exit", &[], &expected, 11);
}

fn fork_and_fork(_: &[String]) {
    logbridge::init();
    log::info!("parent");
    let pid = fork(|| {
        log::info!("child");
        let pid = fork(|| {
            log::info!("grandchild");
            // Its parent is gone before it is.
            let pid = fork(|| log::info!("great-grandchild"));
            wait(pid);
        });
        wait(pid);
        log::info!("child after");
    });
    wait(pid);
    until_released();
}

fn children_of_children_lose_nothing() {
    let expected = words(["parent", "child", "grandchild", "great-grandchild", "child after"]);
    assert_each_once("fork_and_fork", &[], &expected, 4);
}

fn exec_in_child(_: &[String]) {
    logbridge::init();
    log::info!("parent");
    let pid = fork(|| {
        log::info!("child before it executes");
        let error = std::process::Command::new("/bin/true").exec();
        panic!("{error}");
    });
    wait(pid);
    until_released();
}

fn a_child_that_executes_another_program_loses_nothing() {
    assert_each_once("exec_in_child", &[], &words(["parent", "child before it executes"]), 2);
}

fn exec_itself(arguments: &[String]) {
    logbridge::init();
    if arguments.is_empty() {
        log::info!("before it executes");
        let mut next = std::process::Command::new(std::env::current_exe().expect("the path of this program"));
        panic!("{}", next.args(["child", "exec_itself", "next"]).exec());
    }
    log::info!("after it executed");
    until_released();
    println!("{}", logbridge::bridge().expect("installed").report());
}

fn a_program_that_is_replaced_loses_nothing_and_the_next_one_says_so() {
    let expected = words(["before it executes", "after it executed"]);
    let child = assert_each_once("exec_itself", &[], &expected, 2).said("called `exec` without a flush");
    assert!(!child.stderr.contains("was killed or crashed"), "{child}");
    let told = |text: &str| text.contains("the previous program in this process (");
    assert!(told(&child.stderr) && told(&child.stdout), "on stderr and in the report: {child}");
}

/// As `daemon(3)` and its like do it: fork, new session, fork, another directory, no descriptor of before.
fn daemonize(_: &[String]) {
    logbridge::init();
    log::info!("before the daemon");
    let pid = fork(|| {
        // SAFETY: setsid and chdir touch no memory of ours; closing descriptors that belong to nobody in this child.
        unsafe { libc::setsid() };
        fork(|| {
            std::env::set_current_dir("/").expect("a root");
            for descriptor in 0..1024 {
                // SAFETY: nothing in this child uses a descriptor of its parent's.
                unsafe { libc::close(descriptor) };
            }
            for number in 0..100 {
                log::info!("daemon {number}");
            }
            log::logger().flush();
            for number in 100..200 {
                log::info!("daemon {number}");
            }
        });
    });
    wait(pid);
    until_released();
}

fn a_daemon_with_closed_descriptors_loses_nothing() {
    let mut expected = words(["before the daemon"]);
    expected.extend((0..200).map(|number| format!("daemon {number}")));
    assert_each_once("daemonize", &[], &expected, 2);
}

fn prefork(_: &[String]) {
    logbridge::init();
    log::info!("master");
    let workers: Vec<libc::pid_t> = (0..4)
        .map(|worker| {
            fork(|| {
                for number in 0..500 {
                    log::info!("worker {worker} {number}");
                }
                // SAFETY: kill(2) touches no memory; it is this process.
                unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
            })
        })
        .collect();
    workers.into_iter().for_each(wait);
    log::info!("master after");
    until_released();
}

fn workers_of_a_server_that_are_killed_lose_nothing() {
    let mut expected = words(["master", "master after"]);
    expected.extend((0..4).flat_map(|worker| (0..500).map(move |number| format!("worker {worker} {number}"))));
    assert_each_once("prefork", &[], &expected, 5);
}

/// By the system call alone, as some sandboxes do: the C library's handlers do not run.
fn fork_raw(_: &[String]) {
    logbridge::init();
    log::info!("parent");
    // SAFETY: a fork without the C library's knowledge; the child only logs and ends.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } as libc::pid_t;
    if pid == 0 {
        log::info!("child without handlers");
        exit_now();
    }
    wait(pid);
    log::info!("parent after");
    until_released();
}

fn a_child_of_a_fork_that_no_handler_sees_has_a_spool_of_its_own() {
    assert_each_once("fork_raw", &[], &words(["parent", "child without handlers", "parent after"]), 2);
}

const THREADS: usize = 3;

fn fork_under_load(arguments: &[String]) {
    let forks: usize = arguments[0].parse().expect("a number");
    logbridge::init();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let done = &done;
            scope.spawn(move || {
                for number in 0..forks * 10 {
                    log::info!("parent {thread} {number}");
                    std::thread::yield_now();
                }
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    std::thread::yield_now();
                }
            });
        }
        for number in 0..forks {
            wait(fork(|| {
                log::info!("child {number}");
                if number % 2 == 0 {
                    // Delivered, and known to be.
                    logbridge::bridge().expect("installed").flush(Duration::from_secs(20)).expect("delivered");
                }
            }));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    until_released();
}

fn forks_while_threads_log_and_segments_are_sent() {
    let forks: usize = if is_long() { 2_000 } else { 100 };
    let mut expected: BTreeSet<String> = (0..forks).map(|number| format!("child {number}")).collect();
    expected.extend((0..THREADS).flat_map(|thread| (0..forks * 10).map(move |n| format!("parent {thread} {n}"))));
    let (folder, receiver) = (Folder::new(), receiver());
    let child = Child::new("fork_under_load").arg(forks.to_string()).to(&receiver);
    // Each millisecond something is sent.
    let child = child.env("OTEL_BLRP_SCHEDULE_DELAY", "1").env("LOGBRIDGE_SPOOL_DIR", folder.spool());
    let mut child = child.env("LOGBRIDGE_CONSOLE", "off").deadline(Duration::from_secs(60 + forks as u64 / 5)).start();
    let is_all = |receiver: &Receiver| {
        let seen: BTreeSet<String> = receiver.logs().iter().map(|log| log.message()).collect();
        seen.len() >= expected.len()
    };
    let end = Instant::now() + Duration::from_secs(60 + forks as u64 / 5);
    while !is_all(&receiver) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    child.release();
    let child = child.finish().success();
    let mut messages: Vec<String> = receiver.logs().iter().map(|log| log.message()).collect();
    messages.sort_unstable();
    // A child that ends while its own request is on its way: whoever finds its record cannot know that it arrived.
    let may_come_twice = |message: &str| {
        message.strip_prefix("child ").and_then(|number| number.parse::<usize>().ok()).is_some_and(|n| n % 2 == 1)
    };
    messages.dedup_by(|a, b| a == b && may_come_twice(a));
    let twice: Vec<&String> = messages.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
    assert!(twice.is_empty(), "{twice:?} came twice: {child}");
    assert_eq!(messages, expected.into_iter().collect::<Vec<_>>(), "{child}");
    assert_eq!(by_instance(&receiver).len(), forks + 1, "{child}");
}
