//! `logbridge replay` with spools that real processes have left.
//!
//! The runner and the programs that leave records are borrowed from the library's process tests.

// Test code. The files borrowed from the library's tests contain `unsafe` code, and helpers that only those tests use.
#![allow(unsafe_code, dead_code, unused_imports, clippy::print_stdout, clippy::print_stderr, clippy::expect_used)]
#![allow(clippy::unwrap_used, reason = "test code")]
#![cfg(unix)]

mod replay;
#[path = "../../../tests/process/runner.rs"]
mod runner;
#[path = "../../../tests/process/spool.rs"]
mod spool;
#[path = "../../../tests/process/support.rs"]
mod support;
#[path = "../../../tests/process/terminal.rs"]
mod terminal;

use std::process::ExitCode;

use runner::Group;

const GROUPS: &[Group] = &[replay::GROUP, Group { name: "spool", tests: &[], scenarios: spool::GROUP.scenarios }];

fn main() -> ExitCode {
    runner::main(GROUPS)
}
