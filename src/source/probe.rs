//! Records of the canary: how far they come is noted on the thread that writes them.
//!
//! Only threads of the crate's own probe, and those are told apart already: no other call pays for this.

use std::cell::Cell;

/// The farthest place that a record has reached.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Reached {
    /// It never came to us.
    Nowhere,
    /// The module stage, which cut it.
    Gate,
    /// The otlp destination, which did not take it.
    Destination,
    /// It was accepted, and there was no room for it.
    Accepted,
    /// The outbox.
    Outbox,
}

thread_local! {
    static REACHED: Cell<Option<Reached>> = const { Cell::new(None) };
}

/// Writes a record, on a thread of our own, and says how far it came.
pub(crate) fn probe(write: impl FnOnce()) -> Reached {
    REACHED.set(Some(Reached::Nowhere));
    write();
    REACHED.take().unwrap_or(Reached::Nowhere)
}

/// Whether a record of the canary is on its way on this thread.
pub(super) fn is_probing() -> bool {
    REACHED.get().is_some()
}

/// It has come so far.
pub(super) fn note(reached: Reached) {
    if let Some(before) = REACHED.get() {
        REACHED.set(Some(before.max(reached)));
    }
}
