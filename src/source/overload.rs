//! Handles a record for which the outbox has no space. Not inlined, so that accepted records do not pay for it.

use super::exit;
use super::process_state::ProcessState;
use crate::config::Overload;
use crate::console::is_in_custom_writer;
use crate::ledger::DropReason;
use crate::outbox::{Outbox, Refused, Wake};
use crate::ship::Ship;
use crate::signal::Signal;
use crate::thread;

/// A record that the outbox did not accept, and why.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overflowing<'a> {
    pub(super) thread: usize,
    /// The record is at WARN or above.
    pub(super) high: bool,
    pub(super) frame: &'a [u8],
    pub(super) reason: DropReason,
}

/// Applies the overload policy. Returns `None` if the record was dropped, which is counted here.
#[cold]
#[inline(never)]
pub(super) fn overflow(process: &ProcessState, outbox: &Outbox, ship: &Ship, record: Overflowing<'_>) -> Option<Wake> {
    let Overflowing { thread, high, frame, reason } = record;
    let shard = thread::shard_of(thread);
    let appended = match (reason, outbox.overload()) {
        (DropReason::OutboxFull, policy) => {
            // The exporter thread must make space, so it is woken before this thread waits.
            if outbox.request_seal() == Wake::Yes {
                ship.wake(Signal::Logs);
            }
            match policy {
                Overload::Block(most) if may_wait() => outbox.append_blocking(shard, high, frame, most),
                _ => outbox.append_evicting(shard, high, frame),
            }
        }
        (reason, _) => Err(Refused::from(reason)),
    };
    let Err(Refused { reason, wake }) = appended else { return appended.ok() };
    process.ledger.count_dropped(thread, Signal::Logs, reason);
    // After the loss is in the ledger, from which the exporter thread reports it.
    if outbox.count_loss(thread, reason, frame) == Wake::Yes || wake == Wake::Yes {
        ship.wake(Signal::Logs);
    }
    None
}

/// Returns whether the calling thread may block. It must not wait for itself, nor block other threads by a lock of
/// logbridge.
fn may_wait() -> bool {
    !thread::is_internal() && !thread::is_nested() && !is_in_custom_writer() && !exit::is_exiting_here()
}
