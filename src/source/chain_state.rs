//! The record that each thread has in a processor chain.
//!
//! A chain runs on the calling thread and passes the record to our processor at its end. The state here connects the start of
//! the chain with its end.

use std::cell::Cell;

use super::routing::Routing;
use crate::os;

/// A record between the two ends of the chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordInChain {
    pub(super) routing: Routing,
    /// The values are formatted, so a processor is the cause if the record is lost from here on.
    is_formatted: bool,
    /// How many values were truncated because they are nested too deep.
    pub(super) too_deep: u32,
    /// The time that logbridge set on the record.
    pub(super) time: Option<u64>,
    has_arrived: bool,
    /// The fork generation of the process that counted the record: the chain is code of the application, which may fork.
    generation: u64,
}

impl RecordInChain {
    /// Returns whether the process was forked while the record was in the chain.
    pub(super) fn was_forked(&self) -> bool {
        self.generation != os::fork_generation()
    }
}

/// How far a record got in a chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ChainProgress {
    /// Its values were not formatted.
    NotFormatted,
    /// It entered the chain but did not reach its end.
    Entered,
    /// It reached the end of the chain.
    Completed,
}

thread_local! {
    static CURRENT: Cell<Option<RecordInChain>> = const { Cell::new(None) };
}

/// Runs the chain for one record.
pub(super) fn run(routing: Routing, chain: impl FnOnce()) -> ChainProgress {
    let record = RecordInChain {
        routing,
        is_formatted: false,
        too_deep: 0,
        time: None,
        has_arrived: false,
        generation: os::fork_generation(),
    };
    let outer = CURRENT.replace(Some(record));
    chain();
    match CURRENT.replace(outer) {
        Some(RecordInChain { has_arrived: true, .. }) => ChainProgress::Completed,
        Some(RecordInChain { is_formatted: true, .. }) => ChainProgress::Entered,
        _ => ChainProgress::NotFormatted,
    }
}

/// Notes that the values are formatted and that the record enters the chain with this time.
pub(super) fn note_formatted(too_deep: u32, time: u64) {
    let formatted = |record| RecordInChain { is_formatted: true, too_deep, time: Some(time), ..record };
    CURRENT.set(CURRENT.get().map(formatted));
}

/// Returns the record of this thread at the end of the chain. Only the first call for a record returns it.
pub(super) fn arrive() -> Option<RecordInChain> {
    let record = CURRENT.get().filter(|record| !record.has_arrived)?;
    CURRENT.set(Some(RecordInChain { has_arrived: true, ..record }));
    Some(record)
}
