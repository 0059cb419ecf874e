//! The source of a worker's requests: a store of records or spans.

use bytes::Bytes;
use http::HeaderValue;
use tokio::time::Instant;

use super::failure::Failure;
use crate::ledger::{DropReason, ItemOutcome};
use crate::signal::Signal;

/// A request that can be sent any number of times.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) body: Bytes,
    /// The content encoding of the body; `None` if it is not compressed.
    pub(super) encoding: Option<HeaderValue>,
    /// How many items it holds.
    pub(super) items: u64,
}

/// The items of one signal that wait to be sent.
///
/// Constraint: the items of a request stay until [`settle`](RequestSource::settle) gives their outcomes. They leave in
/// the same step in which the ledger counts the last of these outcomes.
pub(super) trait RequestSource: Send {
    /// Seals and takes what is due: because it waited long enough, because there is enough of it, or because of
    /// `at_once`. With `held`, new items are held back, because the endpoint fails.
    fn collect(&mut self, at_once: bool, held: bool);

    /// Returns how many groups or spans, counted from the first one ever sealed, have an outcome.
    fn settled(&self) -> u64;

    /// Whether there is nothing to send.
    fn is_empty(&self) -> bool;

    /// Whether something has not been sealed yet.
    fn has_unsealed(&self) -> bool;

    /// Returns when the waiting items are due.
    fn due_at(&self) -> Option<Instant>;

    /// Returns the next request, and the same one again until its items have an outcome. Returns `None` if the waiting
    /// items were dropped meanwhile, or could not be encoded.
    fn next_request(&mut self) -> Option<Request>;

    /// Gives outcomes to some items of the last request. The others stay until [`settle`](RequestSource::settle), which
    /// is called before the next request is taken.
    fn settle_some(&mut self, outcomes: &[(ItemOutcome, u64)]);

    /// Gives outcomes to all items of the last request that have none.
    fn settle(&mut self, outcomes: &[(ItemOutcome, u64)]);

    /// Takes back a request that is not being sent any more, to reuse its memory.
    fn take_back(&mut self, request: Request);

    /// Limits later requests to this length, unless a single item is longer.
    fn set_max_bytes(&mut self, bytes: usize);

    /// Gives up the last request, of which `rest` items have no outcome.
    fn give_up(&mut self, rest: u64) {
        self.settle(&[(ItemOutcome::Dropped(DropReason::Shutdown), rest)]);
    }

    /// Drops and counts everything that is left.
    fn drop_all(&mut self);

    /// Keeps memory ready for records that are written meanwhile.
    fn prepare(&self) {}

    /// Reports records that were dropped because there was no room, if that is due. With `ending`, it is due now.
    /// Returns when it will be due.
    fn report_losses(&mut self, _ending: bool) -> Option<std::time::Instant> {
        None
    }

    /// Gives memory back after a silence.
    fn trim(&mut self);

    /// Returns how many items have no outcome.
    fn pending(&self) -> u64;

    /// Says in words how much may wait.
    fn bound_text(&self) -> String;

    /// Says in words where items wait.
    fn place_text(&self) -> &'static str {
        "in memory"
    }

    /// Says in a sentence what waits for a retry.
    fn waiting_text(&self, signal: Signal) -> String {
        let (items, place, bound) = (signal.count(self.pending()), self.place_text(), self.bound_text());
        format!("waiting {place} for a retry: {items} (the bound is {bound})")
    }

    /// Stops sending because the endpoint refuses every request, if this source keeps its items for another endpoint.
    /// Returns whether it does.
    fn halt(&mut self, _failure: &Failure) -> bool {
        false
    }

    /// Whether the items of the last request outlive this process. If the endpoint refuses every request, they then
    /// wait until the key or the address is corrected.
    fn keeps_refused(&self) -> bool {
        false
    }

    /// Whether all waiting items outlive this process, so that its exit need not wait for them.
    fn is_durable(&self) -> bool {
        false
    }

    /// Removes what is only needed to accept more items, when the process ends and nothing waits.
    fn clean_up(&mut self) {}
}
