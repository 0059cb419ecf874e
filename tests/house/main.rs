//! The rules of this repository that no lint checks.

#![allow(clippy::expect_used)] // A test may panic.

// The doctor's own scanner of Rust source.
mod circles;
mod source;
#[allow(dead_code)]
#[path = "../../cli/src/doctor/project/strip.rs"]
mod strip;
mod structure;
mod words;
