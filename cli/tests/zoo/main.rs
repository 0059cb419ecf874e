//! The zoo: every cause of docs/missing-logs.md, reproduced on this machine, and the tool that names it.
//!
//! Constraints:
//! * Each row is a cause. It is either *named*: a tool gives a finding with its code for the case, and none of that code
//!   for its healthy twin, which differs in the fault alone. Or it *cannot happen* here, and a test that tries it says so.
//! * Rows that need a process of their own run this program again with the row's child as an argument.
//! * The name of a test is a line of the table: id, cause, tool, code.

// A test may panic, its table is its output, what it starts needs some of its variables, and some rows fork or close
// descriptors.
#![allow(
    unsafe_code,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod arrived;
mod cargo;
mod child;
mod composed;
mod environment;
mod healthy;
mod network;
mod project;
mod row;
mod running;
mod server;
mod stock;
mod time;
#[path = "../../../tests/delivery/server.rs"]
mod tls;

use std::process::ExitCode;

use row::{Row, impossible};

/// The rows of each stage, in the order of a record's way.
fn rows() -> Vec<Row> {
    let mut rows = project::rows();
    rows.extend(environment::rows());
    rows.extend(network::rows());
    rows.extend(running::rows());
    rows.extend(composed::rows());
    rows.extend(arrived::rows());
    rows.extend(time::rows());
    rows.push(impossible("0b", "the doctor changes no lock file", healthy::a_lock_file_stays_as_it_is));
    rows.push(impossible("0c", "the doctor leaves no lock file", healthy::no_lock_file_is_left));
    rows.push(impossible("0f", "a filter that plays no row succeeds", row::a_filter_that_plays_nothing_fails));
    rows.push(impossible("0", "fourteen healthy set-ups without error or warning", healthy::nothing_is_found));
    rows
}

fn main() -> ExitCode {
    let programs = [running::PROGRAMS, composed::PROGRAMS, arrived::PROGRAMS].concat();
    if child::play(&programs).is_some() {
        return ExitCode::SUCCESS;
    }
    row::run(rows())
}
