//! Platforms without Unix signals, where no signal is caught.

use std::io;

use super::types::{CaughtSignals, SignalRequest};

pub(super) fn begin_signal_watch() -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn abort_signal_watch() {}

pub(super) fn catch_signals(_caught: CaughtSignals) -> io::Result<()> {
    Ok(())
}

pub(super) fn wait_for_signal() -> SignalRequest {
    SignalRequest::Flush
}

pub(super) fn die_by_signal(_signal: i32) {}
