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
    /// Seals and takes the items that are due: because they waited long enough, because there are enough of them, or
    /// because of `at_once`. With `held`, new items are held back, because the endpoint fails.
    fn collect(&mut self, at_once: bool, held: bool);

    /// Returns how many of the groups or spans ever sealed have an outcome.
    fn settled(&self) -> u64;

    /// Returns whether there is nothing to send.
    fn is_empty(&self) -> bool;

    /// Returns whether there are unsealed items.
    fn has_unsealed(&self) -> bool;

    /// Returns when the waiting items are due.
    fn due_at(&self) -> Option<Instant>;

    /// Returns the next request. Returns the same request again until its items have an outcome. Returns `None` if the
    /// waiting items were dropped meanwhile, or could not be encoded.
    fn next_request(&mut self) -> Option<Request>;

    /// Gives outcomes to some items of the last request. The others stay until [`settle`](RequestSource::settle), which
    /// is called before the next request is taken.
    fn settle_some(&mut self, outcomes: &[(ItemOutcome, u64)]);

    /// Gives outcomes to all items of the last request that have none.
    fn settle(&mut self, outcomes: &[(ItemOutcome, u64)]);

    /// Takes back a request that is no longer being sent, to reuse its memory.
    fn take_back(&mut self, request: Request);

    /// Limits later requests to this length, unless a single item is longer.
    fn set_max_bytes(&mut self, bytes: usize);

    /// Gives up the last request, of which `rest` items have no outcome.
    fn give_up(&mut self, rest: u64) {
        self.settle(&[(ItemOutcome::Dropped(DropReason::Shutdown), rest)]);
    }

    /// Drops and counts all remaining items.
    fn drop_all(&mut self);

    /// Allocates memory in advance for records that are logged meanwhile.
    fn prepare(&self) {}

    /// Reports records that were dropped because the outbox was full, if a report is due. With `ending`, it is due now.
    /// Returns when it will be due.
    fn report_losses(&mut self, _ending: bool) -> Option<std::time::Instant> {
        None
    }

    /// Frees memory after an idle period.
    fn trim(&mut self);

    /// Returns how many items have no outcome.
    fn pending(&self) -> u64;

    /// Returns a description of how much may wait.
    fn bound_text(&self) -> String;

    /// Returns a description of where items wait.
    fn place_text(&self) -> &'static str {
        "in memory"
    }

    /// Returns a sentence that says which items wait for a retry.
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

    /// Removes resources that are only needed to accept more items, when the process ends and nothing waits.
    fn clean_up(&mut self) {}
}
