//! Console lines are byte for byte those of env_logger: the same program runs once with each of them.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{FromRawFd as _, OwnedFd};

use crate::runner::{Group, named};
use crate::support::Child;

pub(crate) const GROUP: Group = Group {
    name: "terminal",
    tests: named![
        fields_of_events_and_key_values_of_records_are_on_the_line,
        lines_in_a_pipe_are_those_of_env_logger,
        lines_on_a_terminal_are_those_of_env_logger,
    ],
    scenarios: named![lines, lines_with_fields],
};

fn lines(arguments: &[String]) {
    if arguments == ["env_logger"] {
        env_logger::init();
    } else {
        logbridge::init();
    }
    log::error!("an error");
    log::warn!(target: "shop::cart", "a warning\nin two lines");
    log::info!(order = 1001, item = "green tea", total = 9.5, ok = true; "with key-values");
    log::debug!("some {}", "detail");
    log::trace!("not shown");
    log::info!(target: "noisy::inside", "not shown either");
}

/// Settings that change how lines look.
const LOOKS: [&[(&str, &str)]; 9] = [
    &[],
    &[("RUST_LOG_STYLE", "always")],
    &[("RUST_LOG_STYLE", "never")],
    &[("RUST_LOG_STYLE", "auto"), ("NO_COLOR", "1")],
    &[("RUST_LOG_STYLE", "always"), ("NO_COLOR", "1")],
    &[("CLICOLOR_FORCE", "1")],
    &[("CLICOLOR", "0")],
    &[("TERM", "dumb")],
    &[("TERM", "xterm-256color")],
];

fn child(by: &str, look: &[(&str, &str)]) -> Child {
    let child = Child::new("lines").arg(by).env("RUST_LOG", "debug,noisy=off");
    look.iter().fold(child, |child, (name, value)| child.env(name, value))
}

/// The time is the one thing that may differ.
fn without_times(text: &str) -> String {
    let mut shown = String::new();
    for line in text.lines() {
        let time = line.find("20").filter(|at| line.get(at + 19..at + 20) == Some("Z"));
        let (head, tail) = time.map_or((line, ""), |at| (&line[..at], &line[at + 20..]));
        shown.extend([head, tail, "\n"]);
    }
    shown
}

fn lines_in_a_pipe_are_those_of_env_logger() {
    for look in LOOKS {
        let (expected, seen) = (child("env_logger", look).run().success(), child("logbridge", look).run().success());
        assert_eq!(without_times(&seen.stderr), without_times(&expected.stderr), "{look:?}");
        assert_eq!(seen.stderr.lines().count(), 5, "{look:?}: {seen}");
        let wanted = look.contains(&("RUST_LOG_STYLE", "always")) || look.contains(&("CLICOLOR_FORCE", "1"));
        assert_eq!(seen.stderr.contains('\u{1b}'), wanted, "{look:?}: {seen}");
    }
}

fn lines_on_a_terminal_are_those_of_env_logger() {
    for look in LOOKS {
        let (expected, seen) = (on_a_terminal(child("env_logger", look)), on_a_terminal(child("logbridge", look)));
        assert_eq!(without_times(&seen), without_times(&expected), "{look:?}");
        assert_eq!(seen.lines().count(), 5, "{look:?}: {seen}");
    }
    let colored = on_a_terminal(child("logbridge", &[("TERM", "xterm-256color")]));
    assert!(colored.contains('\u{1b}'), "{colored}");
}

/// What the child wrote on a terminal of its own.
pub(crate) fn on_a_terminal(child: Child) -> String {
    let (mut master, mut slave) = (-1, -1);
    let (name, settings, size) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: the two pointers are to live integers; null says that nothing else is wanted.
    assert_eq!(unsafe { libc::openpty(&raw mut master, &raw mut slave, name, settings, size) }, 0);
    // SAFETY: openpty returned 0, so both are open descriptors that nobody else owns.
    let opened = unsafe { [OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)] };
    // Copies are closed in children of other tests.
    let [master, slave] = opened.each_ref().map(|descriptor| descriptor.try_clone().expect("a copy"));
    drop(opened);
    child.stderr(slave).run().success();
    let mut text = Vec::new();
    // With the last slave closed, Linux reports an I/O error where others report the end.
    File::from(master).read_to_end(&mut text).ok();
    String::from_utf8_lossy(&text).replace("\r\n", "\n")
}

fn lines_with_fields(_: &[String]) {
    logbridge::init();
    log::info!(order = 1001, item = "tea"; "placed");
    tracing::info!(order = 1002, item = "teapot", total = 9.5, "placed");
    tracing::info!(error = %"out of stock", "failed");
    tracing::info!(answer = 42);
}

fn fields_of_events_and_key_values_of_records_are_on_the_line() {
    let child = Child::new("lines_with_fields").env("RUST_LOG", "info").run().success().quiet();
    for line in [
        "] placed order=1001 item=tea\n",
        "] placed order=1002 item=teapot total=9.5\n",
        "] failed error=out of stock\n",
        "]  answer=42\n",
    ] {
        assert_eq!(child.count(line), 1, "{line:?}: {child}");
    }
}
