//! Hostile environments: closed or exhausted descriptors, and an unread console while the process forks.

use std::os::fd::FromRawFd as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::runner::{Group, named};
use crate::support::{Child, SLACK, assert_arrived, receiver};

pub(crate) const GROUP: Group = Group {
    name: "surroundings",
    tests: named![
        a_fork_does_not_wait_for_a_console_that_nobody_reads,
        closed_descriptors_are_named_as_the_cause,
        closing_every_descriptor_panics_nowhere_and_the_exit_stays_bounded,
        without_descriptors_at_first_everything_is_sent_when_there_are_some,
    ],
    scenarios: named![close_descriptors, close_range_after_init, fork_beside_a_stuck_console, no_descriptors_at_first],
};

fn close_descriptors(_: &[String]) {
    let bridge = logbridge::try_init().expect("both slots are free");
    log::info!("before");
    bridge.flush(Duration::from_secs(10)).expect("delivered");
    close_what_the_ship_thread_waits_for();
    log::info!("after");
    tracing::info!("after");
    println!("still here");
}

/// What daemonising code does that closes everything it does not know.
pub(crate) fn close_what_the_ship_thread_waits_for() {
    // Were it about to wait, it would find its epoll gone and drop it: std itself aborts a debug build where an owned
    // descriptor was closed behind its owner's back.
    wait_until_ship_thread_sleeps();
    for descriptor in 3..256 {
        // What the runtime wakes its thread with. Sockets stay, for the same reason.
        let what = std::fs::read_link(format!("/proc/self/fd/{descriptor}")).unwrap_or_default();
        if !what.to_string_lossy().starts_with("anon_inode:") {
            continue;
        }
        // SAFETY: nothing of this program uses a descriptor it opened itself after this but
        // the crate's thread, which is what is tested.
        unsafe { libc::close(descriptor) };
    }
}

/// Until the kernel says so twice, some time apart.
fn wait_until_ship_thread_sleeps() {
    let sleeps = || {
        let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        tasks
            .filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok())
            .any(|stat| stat.contains("(logbridge) S"))
    };
    let (deadline, mut asleep_since) = (Instant::now() + Duration::from_secs(10), None);
    while Instant::now() < deadline {
        match (sleeps(), asleep_since) {
            (false, _) => asleep_since = None,
            (true, None) => asleep_since = Some(Instant::now()),
            (true, Some(since)) if since.elapsed() > Duration::from_millis(50) => return,
            (true, Some(_)) => {}
        }
        std::thread::yield_now();
    }
}

fn closing_every_descriptor_panics_nowhere_and_the_exit_stays_bounded() {
    let receiver = receiver();
    let child = Child::new("close_descriptors").to(&receiver).env("LOGBRIDGE_EXIT_TIMEOUT", "500ms").run();
    let child = child.success().within(SLACK + Duration::from_millis(500));
    assert_arrived(&receiver, &["before"], &child);
    assert!(child.stdout.contains("still here"), "{child}");
    // The crate's own thread may find its descriptors closed, and says so; the callers never do.
    assert!(!child.stderr.contains("thread 'main'"), "{child}");
}

/// As sandboxes and daemons do it, with files of the program's own in place of what was closed.
fn close_range_after_init(arguments: &[String]) {
    let bridge = logbridge::try_init().expect("both slots are free");
    log::info!("before");
    bridge.flush(Duration::from_secs(10)).expect("delivered");
    wait_until_ship_thread_sleeps();
    // SAFETY: nothing of this program uses a descriptor it opened itself after this but the crate's thread, which is what is
    // tested.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
    let mut files = Vec::new();
    for _ in 0..if arguments[0] == "reopened" { 16 } else { 0 } {
        // SAFETY: a new descriptor, which is this file's alone.
        files.push(unsafe { std::fs::File::from_raw_fd(libc::memfd_create(c"own".as_ptr(), 0)) });
    }
    log::info!("after");
    for millis in [200, 5_000] {
        println!("{:?}", bridge.flush(Duration::from_millis(millis)));
    }
    files.into_iter().for_each(std::mem::forget);
}

fn closed_descriptors_are_named_as_the_cause() {
    for how in ["closed", "reopened"] {
        let receiver = receiver();
        let child = Child::new("close_range_after_init").arg(how).to(&receiver).run().success();
        // What comes after cannot be sent: this program has tokio's feature `signal`, and with it a descriptor that no new
        // runtime can do without.
        assert!(receiver.logs().iter().any(|log| log.message() == "before"), "{child}");
        assert!(child.stderr.contains("the program has closed descriptors of logbridge"), "{child}");
        assert!(child.stderr.contains("call `close_range` and the like before `init`"), "{child}");
        // Nothing says that anything else is to blame.
        for wrong in ["a bug of logbridge", "did not answer", "ulimit", "panicked"] {
            assert!(!child.stderr.contains(wrong), "`{wrong}`: {child}");
        }
        let is_named = child.stdout.contains("the program has closed descriptors of logbridge");
        assert!(is_named || how == "reopened", "a flush that cannot wait for that says it: {child}");
    }
}

fn limit_descriptors(limit: u64) {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a live rlimit.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limits), 0);
        limits.rlim_cur = limit.min(limits.rlim_max);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limits), 0);
    }
}

fn no_descriptors_at_first(_: &[String]) {
    limit_descriptors(3);
    let bridge = logbridge::try_init().expect("the thread starts, its runtime cannot yet");
    log::info!("written without descriptors");
    assert!(
        bridge
            .flush(Duration::from_millis(100))
            .is_err_and(|error| error.undelivered().expect("numbers").logs.pending == 1)
    );
    limit_descriptors(256);
    bridge.flush(Duration::from_secs(10)).expect("sent as soon as there are some");
}

fn without_descriptors_at_first_everything_is_sent_when_there_are_some() {
    let receiver = receiver();
    let child = Child::new("no_descriptors_at_first").to(&receiver).run().success();
    assert_arrived(&receiver, &["written without descriptors"], &child);
    assert!(child.stderr.contains("cannot start its runtime"), "{child}");
}

fn fork_beside_a_stuck_console(_: &[String]) {
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    logbridge::init();
    std::thread::spawn(|| {
        loop {
            log::error!("{}", "x".repeat(4_096));
            WRITTEN.fetch_add(1, Ordering::Relaxed);
        }
    });
    // Stuck is who has written something and writes no more.
    let (mut last, mut since) = (0, Instant::now());
    while last == 0 || since.elapsed() < Duration::from_millis(200) {
        let now = WRITTEN.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        std::thread::yield_now();
    }
    // SAFETY: the child calls only async-signal-safe functions.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: `status` is a live integer that waitpid writes.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    println!("forked");
    // The console thread holds its lock for ever: ending must not wait for it either.
}

fn a_fork_does_not_wait_for_a_console_that_nobody_reads() {
    let (unread, stderr) = std::io::pipe().expect("a pipe");
    let receiver = receiver();
    let child = Child::new("fork_beside_a_stuck_console").to(&receiver).stderr(stderr).run();
    drop(unread);
    let child = child.success().within(SLACK + Duration::from_secs(3));
    assert!(child.stdout.contains("forked"), "{child}");
}
