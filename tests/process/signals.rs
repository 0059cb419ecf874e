//! SIGTERM and SIGINT: pending records are delivered, and then the signal acts as it would without logbridge.
//!
//! The programs send the signal to themselves, so that it arrives at the intended moment.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use libc::{SIGINT, SIGTERM, c_int};
use logbridge::testing::{Answer, ReceivedLog};

use crate::runner::{Group, named};
use crate::support::{Child, SLACK, arrived, assert_arrived, dead_end, flush, receiver};
use crate::surroundings::close_what_the_ship_thread_waits_for;

pub(crate) const GROUP: Group = Group {
    name: "signals",
    tests: named![
        a_dead_endpoint_delays_nothing,
        a_forked_child_delivers_its_own,
        a_forked_child_without_a_record_ends_at_once,
        a_hanging_endpoint_delays_the_end_by_the_timeout_at_most,
        a_second_signal_ends_at_once,
        a_signal_while_init_runs_is_never_lost,
        a_signal_while_others_log_loses_nothing_of_before,
        a_signal_while_others_wait_for_room_ends_in_time,
        an_ignored_signal_stays_ignored,
        closed_descriptors_do_not_keep_it_alive,
        ctrl_c_of_tokio_is_heard,
        everything_arrives_and_the_signal_is_seen,
        own_handlers_run,
        own_handlers_for_one_time_leave_the_default,
        signals_at_the_same_time_are_one,
        signals_that_are_waited_for_are_not_taken,
        a_storm_of_signals_does_no_harm,
        what_is_composed_is_delivered_too,
        while_the_process_exits_a_signal_adds_no_more_than_the_timeout,
        without_being_asked_nothing_is_touched,
    ],
    scenarios: named![
        blocked_everywhere,
        close_everything,
        composed_and_ended,
        dispositions,
        end_while_blocked,
        end_while_init_runs,
        end_while_threads_log,
        ended_by,
        exit_and_end,
        fork_and_end,
        ignore,
        one_shot,
        own_handler,
        storm,
        tokio_ctrl_c,
        twice,
        again_and_again,
    ],
};

const SIGNALS: [(&str, c_int); 2] = [("SIGTERM", SIGTERM), ("SIGINT", SIGINT)];

fn number(argument: &str) -> c_int {
    SIGNALS.iter().find(|(name, _)| *name == argument).expect("a signal").1
}

fn send(pid: libc::pid_t, signal: c_int) {
    // SAFETY: kill(2) touches no memory; the process is this one, or a child that was not waited for.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "{}", std::io::Error::last_os_error());
}

fn send_self(signal: c_int) {
    send(std::process::id() as libc::pid_t, signal);
}

/// What a program does that is to be ended from outside.
fn wait_for_the_end() -> ! {
    loop {
        // SAFETY: pause(2) takes nothing; it comes back when a handler has run.
        unsafe { libc::pause() };
    }
}

fn init() {
    logbridge::builder().flush_on_signals(true).init();
}

/// The disposition's handler, as a number.
fn disposition(signal: c_int) -> libc::sighandler_t {
    let mut found = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null pointer asks without changing anything; there is room for one sigaction.
    assert_eq!(unsafe { libc::sigaction(signal, std::ptr::null(), found.as_mut_ptr()) }, 0);
    // SAFETY: sigaction(2) gave 0, so it is filled.
    unsafe { found.assume_init() }.sa_sigaction
}

fn handle(signal: c_int, handler: libc::sighandler_t, flags: c_int) {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zeros is a sigaction with an empty mask; the handler lives for ever and only stores to an atomic.
    let set = unsafe {
        (*action.as_mut_ptr()).sa_sigaction = handler;
        (*action.as_mut_ptr()).sa_flags = flags;
        libc::sigaction(signal, action.as_ptr(), std::ptr::null_mut())
    };
    assert_eq!(set, 0);
}

static HANDLED: AtomicU64 = AtomicU64::new(0);

extern "C" fn count(_: c_int) {
    HANDLED.fetch_add(1, Ordering::SeqCst);
}

extern "C" fn count_with_sender(_: c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel gives a siginfo of a signal that was sent with kill(2).
    let sender = unsafe { (*info).si_pid() };
    HANDLED.fetch_add(u64::from(sender == std::process::id() as libc::pid_t), Ordering::SeqCst);
}

fn counting() -> libc::sighandler_t {
    count as *const () as libc::sighandler_t
}

#[track_caller]
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what} did not come");
        std::thread::yield_now();
    }
}

fn delivered() -> u64 {
    logbridge::bridge().expect("installed").report().counters.otlp.delivered
}

fn ended_by(arguments: &[String]) {
    match arguments.get(1) {
        Some(_by_variable) => logbridge::init(),
        None => init(),
    }
    let _open = tracing::info_span!("open").entered();
    log::info!("last of log");
    tracing::info!("last of tracing");
    send_self(number(&arguments[0]));
    wait_for_the_end();
}

fn everything_arrives_and_the_signal_is_seen() {
    for (name, signal) in SIGNALS {
        let receiver = receiver();
        let child = Child::new("ended_by").arg(name).to(&receiver).run().killed_by(signal).quiet().within(SLACK);
        assert_arrived(&receiver, &["last of log", "last of tracing"], &child);
        let spans = receiver.spans();
        assert_eq!(spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["open"], "{child}");

        let child = Child::new("ended_by").arg(name).arg("variable").env("LOGBRIDGE_FLUSH_ON_SIGNALS", "on");
        receiver.clear();
        let child = child.to(&receiver).run().killed_by(signal).quiet().within(SLACK);
        assert_arrived(&receiver, &["last of log", "last of tracing"], &child);
    }
}

fn a_dead_endpoint_delays_nothing() {
    let dead = dead_end();
    let child = Child::new("ended_by").arg("SIGTERM").towards(&dead.url).env("LOGBRIDGE_EXIT_TIMEOUT", "30s").run();
    let child = child.killed_by(SIGTERM).within(SLACK).warned(1);
    child.said("logbridge: error[LB086]: 2 records and 1 span were not delivered before the process ended\n");
}

fn a_hanging_endpoint_delays_the_end_by_the_timeout_at_most() {
    const EXIT_TIMEOUT: Duration = Duration::from_millis(700);
    let receiver = receiver();
    receiver.answer_always(Answer::Hang(Duration::from_secs(60)));
    receiver.answer_traces_always(Answer::Hang(Duration::from_secs(60)));
    let child = Child::new("ended_by").arg("SIGTERM").to(&receiver).env("LOGBRIDGE_EXIT_TIMEOUT", "700").run();
    let child = child.killed_by(SIGTERM).within(EXIT_TIMEOUT + SLACK).warned(1);
    assert!(child.elapsed >= EXIT_TIMEOUT, "gave up too early: {child}");
    child.said("2 records and 1 span were not delivered before the process ended").said("the exit waited 700ms");
}

/// Its handler is installed before or after ours, with or without SA_SIGINFO; then the process ends past all exit
/// handlers.
fn own_handler(arguments: &[String]) {
    let install = || match arguments[1].as_str() {
        "plain" => handle(SIGTERM, counting(), libc::SA_RESTART),
        _ => handle(SIGTERM, count_with_sender as *const () as libc::sighandler_t, libc::SA_SIGINFO),
    };
    if arguments[0] == "before" {
        install();
    }
    init();
    if arguments[0] == "after" {
        install();
    }
    log::info!("before the signal");
    send_self(SIGTERM);
    wait_until("the handler", || HANDLED.load(Ordering::SeqCst) == 1);
    log::info!("after the signal");
    if arguments[0] == "before" {
        // Nobody asked for a flush but the signal.
        wait_until("the flush", || delivered() > 0);
    } else {
        logbridge::bridge().expect("installed").flush(Duration::from_secs(20)).expect("delivered");
    }
    // SAFETY: the process ends here; nothing is left to be run.
    unsafe { libc::_exit(7) };
}

fn own_handlers_run() {
    for when in ["before", "after"] {
        for kind in ["plain", "with sender"] {
            let receiver = receiver();
            let child = Child::new("own_handler").arg(when).arg(kind).to(&receiver).run();
            let child = child.code(7).quiet().within(SLACK);
            assert_eq!(arrived(&receiver.logs(), "before the signal"), 1, "{when}, {kind}: {child}");
        }
    }
}

fn one_shot(_: &[String]) {
    handle(SIGTERM, counting(), libc::SA_RESETHAND);
    init();
    log::info!("before the signal");
    send_self(SIGTERM);
    wait_until("the handler", || HANDLED.load(Ordering::SeqCst) == 1);
    log::info!("between the signals");
    send_self(SIGTERM);
    wait_for_the_end();
}

fn own_handlers_for_one_time_leave_the_default() {
    let receiver = receiver();
    let child = Child::new("one_shot").to(&receiver).run().killed_by(SIGTERM).quiet().within(SLACK);
    assert_arrived(&receiver, &["before the signal", "between the signals"], &child);
}

fn ignore(_: &[String]) {
    handle(SIGTERM, libc::SIG_IGN, 0);
    init();
    log::info!("before the signal");
    send_self(SIGTERM);
    log::info!("after the signal");
    assert_eq!(disposition(SIGTERM), libc::SIG_IGN);
    assert_ne!(disposition(SIGINT), libc::SIG_DFL, "the other one is caught");
}

fn an_ignored_signal_stays_ignored() {
    let receiver = receiver();
    let child = Child::new("ignore").to(&receiver).run().success().quiet().within(SLACK);
    assert_arrived(&receiver, &["before the signal", "after the signal"], &child);
    assert_eq!(receiver.requests().len(), 1, "nothing but the end of the process flushed");
}

fn dispositions(_: &[String]) {
    logbridge::init();
    log::info!("a record");
    for (name, signal) in SIGNALS {
        println!("{name}={}", disposition(signal));
    }
}

fn without_being_asked_nothing_is_touched() {
    let receiver = receiver();
    let default = libc::SIG_DFL as u64;
    let child = Child::new("dispositions").to(&receiver).run().success().quiet();
    child.numbers().expect(&[("SIGTERM", default), ("SIGINT", default)]);
    let child = Child::new("dispositions").env("LOGBRIDGE_FLUSH_ON_SIGNALS", "1").to(&receiver).run().success().quiet();
    let numbers = child.numbers();
    assert!(numbers.get("SIGTERM") != default && numbers.get("SIGINT") != default, "{child}");
}

fn twice(_: &[String]) {
    init();
    log::info!("a record");
    let start = Instant::now();
    send_self(SIGTERM);
    // Some milliseconds long, and far from a hundred.
    while start.elapsed() < Duration::from_millis(10) {
        send_self(SIGTERM);
        send_self(SIGINT);
    }
    wait_for_the_end();
}

fn signals_at_the_same_time_are_one() {
    let receiver = receiver();
    receiver.answer_with([Answer::Hang(Duration::from_millis(300)), Answer::Ok]);
    let child = Child::new("twice").to(&receiver).env("LOGBRIDGE_EXIT_TIMEOUT", "30s").run();
    assert_arrived(&receiver, &["a record"], &child.killed_by(SIGTERM).quiet().within(SLACK));
}

fn again_and_again(_: &[String]) {
    init();
    log::info!("a record");
    loop {
        send_self(SIGINT);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn a_second_signal_ends_at_once() {
    let receiver = receiver();
    receiver.answer_always(Answer::Hang(Duration::from_secs(60)));
    let child = Child::new("again_and_again").to(&receiver).env("LOGBRIDGE_EXIT_TIMEOUT", "50s").run();
    child.killed_by(SIGINT).quiet().within(SLACK);
}

/// Forks; the child logs or not, and gets the signal. Says how it ended.
fn fork_and_end(arguments: &[String]) {
    init();
    log::info!("of the parent");
    // So that the threads of the parent are at rest, and hold no lock that the child inherits.
    flush();
    // SAFETY: the child runs ordinary code although the parent has other threads, which is what is tested.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "no fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        if arguments[0] == "logs" {
            log::info!("of the child");
        }
        send_self(SIGTERM);
        wait_for_the_end();
    }
    let mut status = 0;
    // SAFETY: `status` is a live integer that waitpid writes.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    println!("signal={}", if libc::WIFSIGNALED(status) { libc::WTERMSIG(status) } else { 0 });
    log::info!("of the parent");
}

fn a_forked_child_delivers_its_own() {
    let receiver = receiver();
    let child = Child::new("fork_and_end").arg("logs").to(&receiver).run().success().quiet().within(SLACK);
    child.numbers().expect(&[("signal", SIGTERM as u64)]);
    assert_arrived(&receiver, &["of the child", "of the parent", "of the parent"], &child);
}

fn a_forked_child_without_a_record_ends_at_once() {
    let receiver = receiver();
    let child = Child::new("fork_and_end").arg("is silent").to(&receiver).run().success().quiet().within(SLACK);
    child.numbers().expect(&[("signal", SIGTERM as u64)]);
    assert_arrived(&receiver, &["of the parent", "of the parent"], &child);
}

fn tokio_ctrl_c(arguments: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        if arguments[0] == "after" {
            init();
        }
        let mut interrupts =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).expect("a signal");
        if arguments[0] == "before" {
            init();
        }
        log::info!("before the signal");
        send_self(SIGINT);
        interrupts.recv().await.expect("the signal");
        log::info!("after the signal");
        // One that comes now finds tokio's handler in its place too.
        let again = tokio::spawn(tokio::signal::ctrl_c());
        tokio::task::yield_now().await;
        send_self(SIGINT);
        again.await.expect("no panic").expect("the signal");
        // Nobody asked for a flush but the signals.
        while delivered() == 0 {
            tokio::task::yield_now().await;
        }
    });
}

fn ctrl_c_of_tokio_is_heard() {
    for when in ["before", "after"] {
        let receiver = receiver();
        let child = Child::new("tokio_ctrl_c").arg(when).to(&receiver).run().success().quiet().within(SLACK);
        assert_arrived(&receiver, &["before the signal", "after the signal"], &child);
    }
}

fn storm(_: &[String]) {
    handle(SIGTERM, counting(), libc::SA_RESTART);
    init();
    const THREADS: u64 = 3;
    let others = Barrier::new(THREADS as usize + 1);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let others = &others;
            scope.spawn(move || {
                others.wait();
                (0..300).for_each(|number| log::info!("{thread}.{number}"));
            });
        }
        others.wait();
        (0..1_000).for_each(|_| send_self(SIGTERM));
    });
    println!("handled={}", HANDLED.load(Ordering::SeqCst));
}

fn a_storm_of_signals_does_no_harm() {
    let receiver = receiver();
    let child = Child::new("storm").to(&receiver).run().success().quiet().within(2 * SLACK);
    let mut messages: Vec<String> = receiver.logs().iter().map(ReceivedLog::message).collect();
    messages.sort_unstable();
    messages.dedup();
    assert_eq!((messages.len(), receiver.logs().len()), (900, 900), "{child}");
    // The kernel makes one of those that wait to be handled, but each of these was handled before the next was sent, or
    // beside it on another thread.
    assert!(child.numbers().get("handled") > 0, "{child}");
}

fn end_while_threads_log(_: &[String]) {
    const THREADS: usize = 4;
    init();
    let logged = Barrier::new(THREADS + 1);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let logged = &logged;
            scope.spawn(move || {
                for number in 0.. {
                    if number == 200 {
                        logged.wait();
                    }
                    log::info!("{thread}.{number}");
                }
            });
        }
        logged.wait();
        send_self(SIGTERM);
    });
}

fn a_signal_while_others_log_loses_nothing_of_before() {
    let receiver = receiver();
    let child = Child::new("end_while_threads_log").env("LOGBRIDGE_CONSOLE", "off").to(&receiver).run();
    let child = child.killed_by(SIGTERM).within(Duration::from_secs(3) + SLACK);
    let logs = receiver.logs();
    let messages: std::collections::BTreeSet<String> = logs.iter().map(ReceivedLog::message).collect();
    for thread in 0..4 {
        for number in 0..200 {
            assert!(messages.contains(&format!("{thread}.{number}")), "{thread}.{number}: {child}");
        }
    }
}

/// Two threads stand in log calls that wait for room, before the signal comes or while it is dealt with: one of them is the
/// main thread.
fn end_while_blocked(_: &[String]) {
    init();
    let pending = || logbridge::bridge().expect("installed").report().counters.otlp.pending;
    let fill = || loop {
        log::info!("{}", "x".repeat(10_000));
    };
    std::thread::spawn(fill);
    std::thread::spawn(move || {
        // Four of them fit, and none leaves.
        wait_until("a full outbox", || pending() >= 3);
        send_self(SIGTERM);
    });
    fill();
}

fn a_signal_while_others_wait_for_room_ends_in_time() {
    let receiver = receiver();
    receiver.answer_always(Answer::Hang(Duration::from_secs(60)));
    let child = Child::new("end_while_blocked").to(&receiver).env("LOGBRIDGE_EXIT_TIMEOUT", "700");
    let child = child.env("LOGBRIDGE_OVERLOAD", "block=60s").env("LOGBRIDGE_MAX_BYTES", "64KiB");
    let child = child.env("LOGBRIDGE_CONSOLE", "off").run();
    child.killed_by(SIGTERM).within(Duration::from_millis(700) + SLACK).said("were not delivered");
}

fn close_everything(_: &[String]) {
    init();
    log::info!("before");
    flush();
    close_what_the_ship_thread_waits_for();
    log::info!("after");
    send_self(SIGTERM);
    wait_for_the_end();
}

fn closed_descriptors_do_not_keep_it_alive() {
    let receiver = receiver();
    let child = Child::new("close_everything").to(&receiver).env("LOGBRIDGE_EXIT_TIMEOUT", "500ms").run();
    let child = child.killed_by(SIGTERM).within(Duration::from_millis(500) + SLACK);
    assert_arrived(&receiver, &["before"], &child);
}

/// A program that blocks its signals before it starts any thread, and waits for them.
fn blocked_everywhere(_: &[String]) {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    let mut came = 0;
    // SAFETY: sigemptyset makes the set one; all pointers are to live values.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), SIGTERM);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
    }
    init();
    log::info!("before the signal");
    send_self(SIGTERM);
    // SAFETY: the set was made above; `came` is a live integer.
    assert_eq!(unsafe { libc::sigwait(set.as_ptr(), &raw mut came) }, 0);
    println!("came={came}");
    log::info!("after the signal");
}

fn signals_that_are_waited_for_are_not_taken() {
    let receiver = receiver();
    let child = Child::new("blocked_everywhere").to(&receiver).run().success().quiet().within(SLACK);
    child.numbers().expect(&[("came", SIGTERM as u64)]);
    assert_arrived(&receiver, &["before the signal", "after the signal"], &child);
}

/// The signal comes at some moment of `init`, another one each time.
fn end_while_init_runs(arguments: &[String]) {
    let after = Duration::from_micros(arguments[0].parse().expect("a number"));
    let ready = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            ready.wait();
            // Not by yielding: on a loaded machine that takes as long as the others like.
            let start = Instant::now();
            while start.elapsed() < after {
                std::hint::spin_loop();
            }
            send_self(SIGTERM);
        });
        ready.wait();
        init();
        log::info!("a record");
        wait_for_the_end();
    });
}

fn a_signal_while_init_runs_is_never_lost() {
    let receiver = receiver();
    for micros in [0, 10, 50, 200, 1_000, 5_000] {
        let child = Child::new("end_while_init_runs").arg(micros.to_string()).to(&receiver).run();
        child.killed_by(SIGTERM).quiet().within(SLACK);
    }
}

fn composed_and_ended(_: &[String]) {
    let bridge = logbridge::builder().flush_on_signals(true).build().expect("builds");
    let logger = bridge.logger();
    log::set_max_level(logger.filter());
    log::info!(logger: logger, "composed");
    send_self(SIGTERM);
    wait_for_the_end();
}

fn what_is_composed_is_delivered_too() {
    let receiver = receiver();
    let child = Child::new("composed_and_ended").to(&receiver).run().killed_by(SIGTERM).quiet().within(SLACK);
    assert_arrived(&receiver, &["composed"], &child);
}

extern "C" fn end_at_exit() {
    send_self(SIGTERM);
}

/// The signal comes when the flush of the exit handler is over, or just before it, and in vain both times.
fn exit_and_end(arguments: &[String]) {
    let register = || {
        // SAFETY: a function of the right signature, which lives for ever.
        assert_eq!(unsafe { libc::atexit(end_at_exit) }, 0);
    };
    // Handlers run last in, first out.
    if arguments[0] == "after ours" {
        register();
    }
    init();
    if arguments[0] == "before ours" {
        register();
    }
    log::info!("a record");
}

fn while_the_process_exits_a_signal_adds_no_more_than_the_timeout() {
    const EXIT_TIMEOUT: Duration = Duration::from_millis(700);
    for when in ["before ours", "after ours"] {
        let hanging = receiver();
        hanging.answer_always(Answer::Hang(Duration::from_secs(60)));
        let child = Child::new("exit_and_end").arg(when).to(&hanging).env("LOGBRIDGE_EXIT_TIMEOUT", "700").run();
        child.within(2 * EXIT_TIMEOUT + SLACK).said("1 record was not delivered before the process ended");

        let receiver = receiver();
        let child = Child::new("exit_and_end").arg(when).to(&receiver).run().quiet().within(SLACK);
        assert_arrived(&receiver, &["a record"], &child);
    }
}
