//! The command `logbridge` as its users call it.

#![allow(clippy::expect_used)] // A test may panic.

mod hostile_project;
mod listen;
mod listening;
mod page;
mod run;
mod verbs;
