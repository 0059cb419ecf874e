//! Capture of a server and a client that talk to each other: what is recorded has no secrets, and what the applications
//! read is unchanged, at any size.

#![allow(clippy::expect_used, clippy::unwrap_used)] // A test may panic.

mod streams;
mod support;
mod weaknesses;
