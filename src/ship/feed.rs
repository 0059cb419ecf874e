//! What a worker sends: a store of items that become requests, whatever they are.

use bytes::Bytes;
use http::HeaderValue;
use tokio::time::Instant;

use super::voice::Failure;
use crate::ledger::{DropReason, ItemOutcome};
use crate::signal::Signal;

/// One request, ready to be sent any number of times.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) body: Bytes,
    /// The content encoding of the body; none where it is plain.
    pub(super) encoding: Option<HeaderValue>,
    /// How many items are in it.
    pub(super) items: u64,
}

/// The items of one signal on their way.
///
/// Constraints: the items of a request stay until [`settle`](Feed::settle) says what became of them, and leave in the
/// same step in which the ledger counts the last of their fates.
pub(super) trait Feed: Send {
    /// Takes over what is sealed, and seals what is due: because it waited long enough, because there is enough of it, or
    /// `at_once`. While the endpoint fails, what is new is `held` back.
    fn collect(&mut self, at_once: bool, held: bool);

    /// How many of the things that a flush counts, from the first one on, have met their fates.
    fn settled(&self) -> u64;

    /// Whether there is nothing to send.
    fn is_empty(&self) -> bool;

    /// Whether something has not been taken over yet.
    fn is_waiting(&self) -> bool;

    /// When what waits is due.
    fn due_at(&self) -> Option<Instant>;

    /// The next request: the same one again while its items have not met their fates. `None` where what there was could
    /// not become one.
    fn request(&mut self) -> Option<Request>;

    /// Some items of the last request have met these fates. The others stay until [`settle`](Feed::settle), which comes
    /// before the next request is asked for.
    fn settle_some(&mut self, fates: &[(ItemOutcome, u64)]);

    /// The items of the last request, but for those that were settled before, have met these fates.
    fn settle(&mut self, fates: &[(ItemOutcome, u64)]);

    /// Takes a request back that is not being sent any more: its memory may serve again.
    fn take_back(&mut self, request: Request);

    /// From now on, requests are to be no longer than this, unless a single item is.
    fn limit(&mut self, bytes: usize);

    /// The last request will not be sent again, and so many of its items have not met their fates.
    fn give_up(&mut self, rest: u64) {
        self.settle(&[(ItemOutcome::Dropped(DropReason::Shutdown), rest)]);
    }

    /// Everything that is left is dropped and counted.
    fn drop_all(&mut self);

    /// Gets memory ready for what is written meanwhile.
    fn prepare(&self) {}

    /// Looks whether there is something to say of what was dropped for want of room, and says it when it is time. `ending`:
    /// there is no later. Returns when it is time.
    fn watch(&mut self, _ending: bool) -> Option<std::time::Instant> {
        None
    }

    /// Gives memory back after a while of silence.
    fn trim(&mut self);

    /// How many items wait, in memory or on their way.
    fn pending(&self) -> u64;

    /// How much may wait, in words.
    fn bound(&self) -> String;

    /// Where it waits, in words.
    fn place(&self) -> &'static str {
        "in memory"
    }

    /// What waits to be tried again, in words.
    fn waiting(&self, signal: Signal) -> String {
        format!("{} to be tried again: {} (the bound is {})", self.place(), signal.count(self.pending()), self.bound())
    }

    /// The endpoint refuses whatever it is sent, or is none at all. Says whether what is there is kept for a better one:
    /// then nothing has met its fate, and nothing more is sent.
    fn halts(&mut self, _failure: &Failure) -> bool {
        false
    }

    /// Whether what was sent last outlives this process: then it waits until somebody has mended the key or the address
    /// that the endpoint refuses.
    fn keeps(&self) -> bool {
        false
    }

    /// Whether everything that waits outlives this process, so that an exit need not wait for it.
    fn is_safe(&self) -> bool {
        false
    }

    /// The process ends. Where nothing waits, what is only there to take more is cleared away.
    fn end(&mut self) {}
}
