//! Platforms without Unix signals: nothing is caught.

use std::io;

use super::{Caught, SignalWish};

pub(super) fn begin_watching() -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn give_up_watching() {}

pub(super) fn catch_signals(_caught: Caught) -> io::Result<()> {
    Ok(())
}

pub(super) fn await_signal() -> SignalWish {
    SignalWish::Flush
}

pub(super) fn end_by(_signal: i32) {}
