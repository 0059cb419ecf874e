//! Records of the canary, whose way is noted on the thread that writes them, and questions of `explain`, of which is noted
//! whether they come to us.
//!
//! Only threads of the crate's own probe and ask, and those are told apart already: no other call pays for this.

use std::cell::Cell;

use super::pipeline::Pipeline;

/// The farthest place that a record has reached.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Reached {
    /// It never came to us.
    Nowhere,
    /// The module stage, which cut it.
    Gate,
    /// The text filter, which cut it.
    TextFilter,
    /// The otlp destination, which did not take it.
    Destination,
    /// It was accepted, and lost before the outbox.
    Accepted,
    /// The outbox.
    Outbox,
}

thread_local! {
    static REACHED: Cell<Option<Reached>> = const { Cell::new(None) };
    /// Which pipeline is asked about, by its address, and whether the question came to it.
    static ASKED: Cell<Option<(usize, bool)>> = const { Cell::new(None) };
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

/// What came of a question whether a record is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    /// What whoever was asked said.
    pub(crate) is_wanted: bool,
    /// Whether the question was handed on to the pipeline.
    pub(crate) came: bool,
}

/// Asks, on a thread of our own, whether a record is wanted; `pipeline` is the address of the one it is about.
pub(crate) fn ask(pipeline: usize, ask: impl FnOnce() -> bool) -> Answer {
    ASKED.set(Some((pipeline, false)));
    let is_wanted = ask();
    Answer { is_wanted, came: ASKED.take().is_some_and(|(_, came)| came) }
}

/// Whether somebody asks on this thread.
pub(super) fn is_asking() -> bool {
    ASKED.get().is_some()
}

/// The question has come to this pipeline.
pub(super) fn came_to(pipeline: &Pipeline) {
    if let Some((asked, _)) = ASKED.get()
        && asked == address(pipeline)
    {
        ASKED.set(Some((asked, true)));
    }
}

/// What tells pipelines apart.
pub(crate) fn address(pipeline: &Pipeline) -> usize {
    std::ptr::from_ref(pipeline).addr()
}
