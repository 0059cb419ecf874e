//! Probes for diagnosis: they show how far a canary record gets, and whether a query of `explain` reaches a pipeline.
//!
//! Only internal threads use probes. A log call checks for internal threads anyway, so other calls do not pay for this.

use std::cell::Cell;

/// How far a record got.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Reached {
    /// The record did not reach logbridge.
    Nowhere,
    /// The module stage filtered it.
    Gate,
    /// The message filter stopped it.
    MessageFilter,
    /// The otlp destination did not accept it.
    Destination,
    /// It was accepted, and lost before the outbox.
    Accepted,
    /// It is in the outbox.
    Outbox,
}

thread_local! {
    static REACHED: Cell<Option<Reached>> = const { Cell::new(None) };
    /// The address of the queried pipeline, and whether the query reached it.
    static ASKED: Cell<Option<(usize, bool)>> = const { Cell::new(None) };
}

/// Logs a record on an internal thread. Returns how far it got.
pub(crate) fn probe(write: impl FnOnce()) -> Reached {
    REACHED.set(Some(Reached::Nowhere));
    write();
    REACHED.take().unwrap_or(Reached::Nowhere)
}

/// Returns whether this thread is logging a canary record.
pub(super) fn is_probing() -> bool {
    REACHED.get().is_some()
}

/// Notes how far the canary record got.
pub(super) fn note(reached: Reached) {
    if let Some(before) = REACHED.get() {
        REACHED.set(Some(before.max(reached)));
    }
}

/// The answer to the query whether a record is enabled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    /// The answer of the logger or subscriber.
    pub(crate) is_wanted: bool,
    /// Whether the query reached the pipeline.
    pub(crate) reached: bool,
}

/// Queries on an internal thread whether a record is enabled. `pipeline` is the address of the queried pipeline.
pub(crate) fn ask(pipeline: usize, ask: impl FnOnce() -> bool) -> Answer {
    ASKED.set(Some((pipeline, false)));
    let is_wanted = ask();
    Answer { is_wanted, reached: ASKED.take().is_some_and(|(_, reached)| reached) }
}

/// Returns whether this thread is making a query.
pub(super) fn is_asking() -> bool {
    ASKED.get().is_some()
}

/// Notes that the query has reached the pipeline with this address.
pub(super) fn note_asked(pipeline: usize) {
    if let Some((asked, _)) = ASKED.get()
        && asked == pipeline
    {
        ASKED.set(Some((asked, true)));
    }
}
