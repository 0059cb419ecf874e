//! Tests that need a whole process: delivery at every kind of exit, forks, ending threads, broken streams.
//!
//! `cargo test --test process` runs the tests below. Each of them starts this executable again as `process child
//! SCENARIO`, a real program that installs logbridge and ends in its own way. The test checks the output, the exit, the
//! duration, and the items that arrived at a receiver in the runner. A test and its scenarios are in the same file.

// Test code; `unsafe` is needed for `fork`, `atexit`, `dup2`, `openpty` and for killing a process group.
#![allow(unsafe_code, clippy::print_stdout, clippy::print_stderr, clippy::expect_used, clippy::unwrap_used)]
#![cfg(unix)]

#[path = "process/bounds.rs"]
mod bounds;
#[path = "process/carriers.rs"]
mod carriers;
#[path = "process/consistency.rs"]
mod consistency;
#[path = "process/console.rs"]
mod console;
#[path = "process/contents.rs"]
mod contents;
#[path = "process/dying.rs"]
mod dying;
#[path = "process/endpoint.rs"]
mod endpoint;
#[path = "process/escaping.rs"]
mod escaping;
#[path = "process/exit.rs"]
mod exit;
#[path = "process/extremes.rs"]
mod extremes;
#[path = "process/fork.rs"]
mod fork;
#[path = "process/fork_states.rs"]
mod fork_states;
#[path = "process/ledger.rs"]
mod ledger;
#[path = "process/levels.rs"]
mod levels;
#[path = "process/mirror.rs"]
mod mirror;
#[path = "process/once.rs"]
mod once;
#[path = "process/overload.rs"]
mod overload;
#[path = "process/panics.rs"]
mod panics;
#[path = "process/providers.rs"]
mod providers;
#[path = "process/redaction.rs"]
mod redaction;
#[path = "process/reentry.rs"]
mod reentry;
#[path = "process/report.rs"]
mod report;
#[path = "process/request_spans.rs"]
mod request_spans;
#[path = "process/retries.rs"]
mod retries;
#[path = "process/runner.rs"]
mod runner;
#[path = "process/runtimes.rs"]
mod runtimes;
#[path = "process/signals.rs"]
mod signals;
#[path = "process/slots.rs"]
mod slots;
#[path = "process/spans.rs"]
mod spans;
#[path = "process/spool.rs"]
mod spool;
#[path = "process/spool_attacks.rs"]
mod spool_attacks;
#[path = "process/spool_crowd.rs"]
mod spool_crowd;
#[path = "process/spool_forks.rs"]
mod spool_forks;
#[path = "process/spool_trouble.rs"]
mod spool_trouble;
#[path = "process/stalled.rs"]
mod stalled;
#[path = "process/support.rs"]
mod support;
#[path = "process/surroundings.rs"]
mod surroundings;
#[path = "process/terminal.rs"]
mod terminal;
#[path = "process/transports.rs"]
mod transports;
#[path = "process/truth.rs"]
mod truth;

use std::process::ExitCode;

use runner::Group;

const GROUPS: &[Group] = &[
    exit::GROUP,
    panics::GROUP,
    escaping::GROUP,
    once::GROUP,
    redaction::GROUP,
    endpoint::GROUP,
    retries::GROUP,
    runtimes::GROUP,
    mirror::GROUP,
    slots::GROUP,
    console::GROUP,
    terminal::GROUP,
    transports::GROUP,
    reentry::GROUP,
    dying::GROUP,
    fork::GROUP,
    fork_states::GROUP,
    signals::GROUP,
    ledger::GROUP,
    surroundings::GROUP,
    spans::GROUP,
    request_spans::GROUP,
    providers::GROUP,
    carriers::GROUP,
    levels::GROUP,
    bounds::GROUP,
    extremes::GROUP,
    overload::GROUP,
    contents::GROUP,
    spool::GROUP,
    spool_attacks::GROUP,
    spool_crowd::GROUP,
    spool_forks::GROUP,
    spool_trouble::GROUP,
    report::GROUP,
    runner::GROUP,
    consistency::GROUP,
    truth::GROUP,
    stalled::GROUP,
];

fn main() -> ExitCode {
    runner::main(GROUPS)
}
