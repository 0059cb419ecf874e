//! A record that found no room in the outbox. Apart, so that what is accepted does not pay for it.

use super::engine::Engine;
use super::lifecycle;
use crate::config::Overload;
use crate::console::is_in_custom_writer;
use crate::ledger::DropReason;
use crate::outbox::{Outbox, Refused, Wake};
use crate::ship::Ship;
use crate::signal::Signal;
use crate::thread;

/// The record, and why it was not taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overflowing<'a> {
    pub(super) shard: usize,
    /// At WARN or above.
    pub(super) high: bool,
    pub(super) frame: &'a [u8],
    pub(super) reason: DropReason,
}

/// Does what the policy says. `None` where the record was dropped and counted all the same.
#[cold]
#[inline(never)]
pub(super) fn overflow(engine: &Engine, outbox: &Outbox, ship: &Ship, record: Overflowing<'_>) -> Option<Wake> {
    let Overflowing { shard, high, frame, reason } = record;
    let place = thread::shard_of(shard);
    let appended = match (reason, outbox.overload()) {
        (DropReason::OutboxFull, policy) => {
            // Before somebody waits for it.
            if outbox.press() == Wake::Yes {
                ship.wake(Signal::Logs);
            }
            match policy {
                Overload::Block(most) if may_wait() => outbox.append_when_there_is_room(place, high, frame, most),
                _ => outbox.append_by_dropping(place, high, frame),
            }
        }
        (reason, _) => Err(Refused::from(reason)),
    };
    let Err(Refused { reason, wake }) = appended else { return appended.ok() };
    engine.ledger.count_dropped(shard, Signal::Logs, reason);
    // Behind the ledger, from which the ship thread tells it.
    if outbox.count_loss(shard, reason, frame) == Wake::Yes || wake == Wake::Yes {
        ship.wake(Signal::Logs);
    }
    None
}

/// Whether the calling thread may be held up: not where it would wait for itself, or hold up others with a lock of ours.
fn may_wait() -> bool {
    !thread::is_internal() && !thread::is_nested() && !is_in_custom_writer() && !lifecycle::is_exiting_here()
}
