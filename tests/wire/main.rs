//! Records on the wire: each source, each kind of value, redaction, order, and comparisons with the official exporters.

#![allow(clippy::expect_used)] // A test may panic.

mod differential;
mod mirror_json;
mod order;
mod processor;
mod record;
mod records;
mod redaction;
mod repetition;
#[path = "../delivery/undelivered.rs"]
mod undelivered;
