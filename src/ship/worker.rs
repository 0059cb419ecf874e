//! What runs on the ship thread for one signal: collect, send, settle.
//!
//! Constraints:
//! * An order wakes the worker wherever it waits; shutdown beats flush beats the schedule.
//! * While a retryable failure lasts, the request's items stay in the feed and memory stays bounded by it.
//! * A request that is taken apart is kept until its last item has met its fate: nothing else is gathered meanwhile, and
//!   what was confirmed is not sent again.
//! * Workers share the thread and nothing else: an endpoint that fails delays only its own signal.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;

use super::control::{Control, State};
use super::feed::{Feed, Request};
use super::limit::Limit;
use super::retry::Retry;
use super::search::{Part, Refusal, Search, Step, Verdict};
use super::voice::{Failure, Voice};
use crate::ledger::{DropReason, ItemOutcome, RejectReason};
use crate::otlp::summarize_first_item;
use crate::signal::Signal;
use crate::transport::{Cause, Outcome, Transport};

/// After this much silence the memory of a burst is given back.
const TRIM_AFTER: Duration = Duration::from_secs(30);

pub(super) struct Worker {
    control: Arc<Control>,
    feed: Box<dyn Feed>,
    voice: Voice,
    retry: Retry,
    /// Belongs to the runtime that runs the worker.
    pub(super) transport: Option<Transport>,
    signal: Signal,
    /// Whether the endpoint has ever confirmed anything.
    confirmed: bool,
    /// How much it takes at once.
    limit: Limit,
    /// The request that is being taken apart.
    dissected: Option<Dissected>,
}

/// A request that the endpoint refused, on its way in parts.
#[derive(Debug)]
struct Dissected {
    search: Search,
    /// What the endpoint said last.
    cause: Cause,
    /// How many items were rejected one by one.
    rejected: u64,
    /// How many were not tried, since something no larger was too large.
    untried: u64,
}

impl Worker {
    pub(super) fn new(
        control: Arc<Control>,
        feed: Box<dyn Feed>,
        voice: Voice,
        signal: Signal,
        export_timeout: Option<Duration>,
    ) -> Self {
        Self {
            control,
            feed,
            voice,
            retry: Retry::new(export_timeout),
            transport: None,
            signal,
            confirmed: false,
            limit: Limit::default(),
            dissected: None,
        }
    }

    /// Everything that has not met its fate is dropped and counted.
    pub(super) fn drop_all(&mut self) {
        if let Some(dissected) = self.dissected.take() {
            self.feed.give_up(dissected.search.rest());
        }
        self.feed.drop_all();
    }

    /// A panic has ended it, and it begins anew.
    pub(super) fn restarted(&self) {
        self.voice.restarted();
    }

    /// Rests after a panic, which is why nothing could be delivered. Says whether there is time for another try.
    ///
    /// This always sleeps, and on the runtime.
    pub(super) async fn rest(&self, failure: Failure, rest: Duration) -> bool {
        self.control.update(|state| state.last_failure = Some(failure));
        let until = tokio::time::Instant::now() + rest;
        loop {
            let orders = self.control.orders();
            if orders.deadline.is_some_and(|deadline| deadline <= until.into_std()) {
                if orders.stop {
                    return false;
                }
                self.control.update(|state| state.gave_up = state.gave_up.max(orders.flush_wanted));
            }
            if tokio::time::timeout_at(until, self.control.woken()).await.is_err() {
                return true;
            }
        }
    }

    /// Runs until it is told to stop.
    pub(super) async fn run(&mut self) {
        loop {
            let orders = self.control.orders();
            self.feed.prepare();
            // Before those are answered who wait for the end: nothing is said after it.
            let ending = orders.deadline.is_some();
            let is_over = ending && self.feed.is_empty() && !self.feed.is_waiting();
            let tell_at = earlier(self.feed.watch(ending), self.voice.watch(is_over));
            self.feed.collect(orders.stop, self.retry.at.is_some());
            if ending {
                // Before those are told who wait for it, since there is no later.
                self.feed.end();
            }
            self.control.settled(self.feed.settled(), orders.flush_wanted);
            if self.is_over(&orders) {
                self.drop_all();
                return;
            }
            if has_given_up(&orders) {
                // Only a new order changes anything.
                self.control.woken_until(Instant::now() + TRIM_AFTER).await;
                continue;
            }
            if self.feed.is_empty() {
                self.sleep(earlier(self.feed.due_at().map(tokio::time::Instant::into_std), tell_at), true).await;
                continue;
            }
            if let Some(until) = self.retry.wait_until(&orders) {
                if orders.deadline.is_some_and(|deadline| until >= deadline) {
                    self.control.update(|state| state.gave_up = state.gave_up.max(orders.flush_wanted));
                    continue;
                }
                self.sleep(earlier(Some(until), tell_at), false).await;
                continue;
            }
            if let Some(dissected) = &mut self.dissected {
                let step = dissected.search.next();
                self.take(step).await;
            } else if let Some(request) = self.feed.request() {
                self.ship(request).await;
            } else {
                // Others on this thread get their turn, however often there is nothing to send.
                tokio::task::yield_now().await;
            }
        }
    }

    fn is_over(&self, orders: &State) -> bool {
        let empty = self.feed.is_empty() && !self.feed.is_waiting();
        orders.stop && (empty || has_given_up(orders))
    }

    /// Sleeps until the time, an order, or enough to send.
    async fn sleep(&mut self, until: Option<Instant>, idle: bool) {
        let trim = Instant::now() + TRIM_AFTER;
        let woken = self.control.woken_until(until.unwrap_or(trim)).await;
        if idle && !woken && until.is_none() {
            self.feed.trim();
            // Nothing to wait for but an order.
            while !self.control.woken_until(Instant::now() + TRIM_AFTER).await {}
        }
    }

    async fn ship(&mut self, request: Request) {
        let (items, bytes) = (request.items, request.body.len());
        let Some(outcome) = self.send(request.body.clone(), request.encoding.clone()).await else {
            return self.feed.take_back(request);
        };
        if let Some((refusal, cause)) = refusal_of(&outcome) {
            if request.encoding.is_none() {
                self.note_too_large(refusal, bytes, true);
                let search = Search::new(Part::whole(request.body, items), refusal, self.confirmed);
                self.dissected = Some(Dissected { search, cause: cause.clone(), rejected: 0, untried: 0 });
                return self.retry.reset();
            }
            let text = format!("{cause}; its body is compressed, so that it cannot be sent in parts");
            let outcome = Outcome::Rejected { reason: refusal.reason(), cause: Cause::new(cause.kind, text) };
            self.feed.take_back(request);
            return self.settle(&outcome, items);
        }
        let plain = request.encoding.is_none();
        self.feed.take_back(request);
        if self.is_to_be_tried_again(&outcome, items) || self.is_halted_by(&outcome) {
            return;
        }
        self.confirm(&outcome, if plain { bytes } else { 0 });
        self.settle(&outcome, items);
    }

    /// The request of the feed has met its fate as a whole.
    fn settle(&mut self, outcome: &Outcome, items: u64) {
        self.feed.settle(&fates(outcome, items));
        self.retry.reset();
        self.voice.answered(outcome, items);
    }

    /// One step of taking a request apart.
    async fn take(&mut self, step: Step) {
        match step {
            Step::Ask => {
                let Some(outcome) = self.send(Bytes::new(), None).await else { return };
                if !self.is_to_be_tried_again(&outcome, 0) {
                    self.answer_search(if is_confirmed(&outcome) { Verdict::Taken } else { Verdict::Settled });
                }
            }
            Step::Done => {
                if let Some(Dissected { cause, rejected, untried, .. }) = self.dissected.take()
                    && (rejected > 1 || untried > 0)
                {
                    self.voice.refused_one_by_one(&cause, rejected, untried);
                }
                self.feed.settle(&[]);
                if let Some((bytes, too_large)) = self.limit.bytes().zip(self.limit.too_large()) {
                    self.voice.limited(bytes, too_large);
                }
            }
            // It has never taken any: it may be the endpoint and not this one.
            Step::Reject { refusal: Refusal::Malformed, .. } if !self.confirmed && self.halts() => {}
            Step::RejectRest { .. } if self.halts() => {}
            Step::Reject { part, refusal } => {
                self.feed.settle_some(&[(ItemOutcome::Rejected(refusal.reason()), part.items)]);
                if let Some(dissected) = &mut self.dissected {
                    dissected.rejected += part.items;
                    let sketch = summarize_first_item(&part.body, self.signal).filter(|_| part.items == 1);
                    self.voice.refused_alone(&dissected.cause, part.items, sketch.as_ref());
                }
            }
            Step::RejectUntried { items } => {
                self.feed.settle_some(&[(ItemOutcome::Rejected(RejectReason::TooLarge), items)]);
                if let Some(dissected) = &mut self.dissected {
                    dissected.untried += items;
                }
            }
            Step::RejectRest { items, why } => {
                self.feed.settle_some(&[(ItemOutcome::Rejected(RejectReason::Malformed), items)]);
                if let Some(dissected) = &self.dissected {
                    self.voice.refused_all(&dissected.cause, items, why);
                }
            }
            Step::Send(part) => self.ship_part(part).await,
        }
    }

    async fn ship_part(&mut self, part: Part) {
        let (items, bytes) = (part.items, part.body.len());
        let Some(outcome) = self.send(part.body, None).await else { return };
        if self.is_to_be_tried_again(&outcome, items) || self.is_halted_by(&outcome) {
            return;
        }
        if let Some((refusal, cause)) = refusal_of(&outcome) {
            self.note_too_large(refusal, bytes, false);
            if let Some(dissected) = &mut self.dissected {
                dissected.cause = cause.clone();
            }
            return self.answer_search(Verdict::Refused(refusal));
        }
        self.confirm(&outcome, bytes);
        // In the same step: what is confirmed here is not among the rest any more.
        self.feed.settle_some(&fates(&outcome, items));
        self.answer_search(if is_confirmed(&outcome) { Verdict::Taken } else { Verdict::Settled });
        self.voice.answered(&outcome, items);
    }

    /// Whether it is the endpoint that is wrong, whatever it is sent, and the feed keeps what it has for a better one.
    fn is_halted_by(&mut self, outcome: &Outcome) -> bool {
        let cause = match outcome {
            Outcome::Rejected { cause, .. } if refusal_of(outcome).is_none() => cause,
            Outcome::Unconfirmed { cause } => cause,
            _ => return false,
        };
        self.feed.halts(&self.voice.failure(cause))
    }

    /// The same where that was found out by taking a request apart.
    fn halts(&mut self) -> bool {
        self.dissected.as_ref().is_some_and(|dissected| self.feed.halts(&self.voice.failure(&dissected.cause)))
    }

    fn answer_search(&mut self, verdict: Verdict) {
        self.retry.reset();
        if let Some(dissected) = &mut self.dissected {
            dissected.search.answered(verdict);
        }
    }

    fn confirm(&mut self, outcome: &Outcome, bytes: usize) {
        if is_confirmed(outcome) {
            self.confirmed = true;
            self.limit.taken(bytes);
            self.feed.limit(self.limit.bytes().unwrap_or(usize::MAX));
        }
    }

    fn note_too_large(&mut self, refusal: Refusal, bytes: usize, whole: bool) {
        if refusal == Refusal::TooLarge {
            self.limit.refused(bytes, whole);
        }
    }

    /// Whether that may pass. Where there is no time left for that, what is left of the request is dropped.
    fn is_to_be_tried_again(&mut self, outcome: &Outcome, items: u64) -> bool {
        let Outcome::Retry { cause, after } = outcome else { return false };
        if !self.retry.is_over() {
            self.fail(cause, *after);
            return true;
        }
        let items = self.dissected.take().map_or(items, |dissected| dissected.search.rest());
        self.feed.settle(&[(ItemOutcome::Dropped(DropReason::ExportTimeout), items)]);
        self.retry.reset();
        self.voice.gave_up(cause, items);
        true
    }

    /// Sends, unless the deadline of an ending process comes first.
    async fn send(&mut self, body: Bytes, encoding: Option<HeaderValue>) -> Option<Outcome> {
        self.retry.since.get_or_insert_with(Instant::now);
        let transport = self.transport.as_ref()?;
        let mut request = pin!(transport.send(body, encoding));
        loop {
            let deadline = self.control.orders().deadline;
            let mut woken = pin!(self.control.woken());
            let either = std::future::poll_fn(|context| {
                if let Poll::Ready(outcome) = request.as_mut().poll(context) {
                    return Poll::Ready(Some(outcome));
                }
                woken.as_mut().poll(context).map(|()| None)
            });
            self.feed.prepare();
            let tell_at = earlier(self.feed.watch(deadline.is_some()), self.voice.watch(false));
            let answered = match earlier(deadline, tell_at) {
                None => either.await,
                Some(until) => match tokio::time::timeout_at(until.into(), either).await {
                    Ok(answered) => answered,
                    Err(_) if deadline.is_some_and(|deadline| deadline <= Instant::now()) => return None,
                    Err(_) => None,
                },
            };
            if let Some(outcome) = answered {
                self.voice.heard(&outcome, transport.clock_offset());
                return Some(if self.feed.keeps() { outcome.retry_endpoint_faults() } else { outcome });
            }
        }
    }

    fn fail(&mut self, cause: &Cause, after: Option<Duration>) {
        let now = Instant::now();
        let orders = self.control.look();
        let next = self.retry.failed(now, after, orders.deadline);
        let is_hopeless = self.retry.is_hopeless_at_exit(cause.kind);
        // Somebody who shuts down by a call has chosen the time to wait.
        let ends_early = !orders.stop && (self.feed.is_safe() || self.retry.is_in_vain_at_exit(now, self.confirmed));
        let hopeless = orders.deadline.is_some_and(|deadline| is_hopeless || ends_early || next >= Some(deadline));
        let failure = self.voice.failed(cause, &self.feed.waiting(self.signal), orders.deadline.is_some());
        self.control.update(|state| {
            state.last_failure = Some(failure);
            if hopeless {
                state.gave_up = state.gave_up.max(orders.flush_wanted);
            }
        });
    }
}

/// The earlier of two times, where there are any.
fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    a.into_iter().chain(b).min()
}

/// What became of the items of a request with this outcome.
fn fates(outcome: &Outcome, items: u64) -> Vec<(ItemOutcome, u64)> {
    match outcome {
        Outcome::Delivered => vec![(ItemOutcome::Delivered, items)],
        Outcome::Partial { rejected, .. } => {
            let rejected = (*rejected).min(items);
            vec![
                (ItemOutcome::Rejected(RejectReason::PartialSuccess), rejected),
                (ItemOutcome::Delivered, items - rejected),
            ]
        }
        Outcome::Rejected { reason, .. } => vec![(ItemOutcome::Rejected(*reason), items)],
        Outcome::Retry { .. } => Vec::new(),
        Outcome::Unconfirmed { .. } => vec![(ItemOutcome::Unconfirmed, items)],
    }
}

/// A refusal that may be that of some items only.
fn refusal_of(outcome: &Outcome) -> Option<(Refusal, &Cause)> {
    match outcome {
        Outcome::Rejected { reason: RejectReason::Malformed, cause } => Some((Refusal::Malformed, cause)),
        Outcome::Rejected { reason: RejectReason::TooLarge, cause } => Some((Refusal::TooLarge, cause)),
        _ => None,
    }
}

fn is_confirmed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Delivered | Outcome::Partial { .. })
}

impl Refusal {
    fn reason(self) -> RejectReason {
        match self {
            Self::Malformed => RejectReason::Malformed,
            Self::TooLarge => RejectReason::TooLarge,
        }
    }
}

/// The process or the pipeline ends, and nothing more can be delivered in the time that is left. A new order may come.
fn has_given_up(orders: &State) -> bool {
    orders.deadline.is_some_and(|deadline| deadline <= Instant::now() || orders.gave_up >= orders.flush_wanted)
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
