//! Sends the requests of one signal on the exporter thread: collect, send, settle.
//!
//! Constraints:
//! * An order wakes the worker at any point where it waits. Shutdown takes precedence over flush, and flush over the
//!   schedule.
//! * During a failure that is retried, the request's items stay in the source, which bounds the memory.
//! * A request that is being split is kept until its last item has an outcome. Nothing else is collected meanwhile, and
//!   confirmed parts are not sent again.
//! * Workers share only the thread: a failing endpoint delays only its own signal.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;

use super::bad_item_search::{BadItemSearch, Part, PartOutcome, Refusal, Step};
use super::control::{Control, ControlState};
use super::failure::Failure;
use super::failure_notices::FailureNotices;
use super::request_source::{Request, RequestSource};
use super::retry::Retry;
use super::size_limit::SizeLimit;
use crate::ledger::{DropReason, ItemOutcome, RejectReason};
use crate::otlp::summarize_first_item;
use crate::signal::Signal;
use crate::transport::{Cause, Outcome, Transport};

/// The idle time after which memory is freed.
const TRIM_AFTER: Duration = Duration::from_secs(30);

/// Sends the items of one source to one endpoint.
pub(super) struct Worker {
    control: Arc<Control>,
    source: Box<dyn RequestSource>,
    notices: FailureNotices,
    retry: Retry,
    /// Bound to the runtime that runs the worker.
    pub(super) transport: Option<Transport>,
    signal: Signal,
    /// Whether the endpoint has ever confirmed anything.
    confirmed: bool,
    limit: SizeLimit,
    /// The request that is being sent in parts.
    split: Option<SplitRequest>,
}

/// A request that the endpoint refused and that is sent in parts.
#[derive(Debug)]
struct SplitRequest {
    search: BadItemSearch,
    /// The endpoint's last answer to a part.
    cause: Cause,
    /// Items that were rejected one by one.
    rejected: u64,
    /// Items that were not sent, because an item that is no larger was too large.
    unsent: u64,
}

impl Worker {
    pub(super) fn new(
        control: Arc<Control>,
        source: Box<dyn RequestSource>,
        notices: FailureNotices,
        signal: Signal,
        export_timeout: Option<Duration>,
    ) -> Self {
        Self {
            control,
            source,
            notices,
            retry: Retry::new(export_timeout),
            transport: None,
            signal,
            confirmed: false,
            limit: SizeLimit::default(),
            split: None,
        }
    }

    /// Drops and counts everything that has no outcome.
    pub(super) fn drop_all(&mut self) {
        if let Some(split) = self.split.take() {
            self.source.give_up(split.search.rest());
        }
        self.source.drop_all();
    }

    /// Counts a restart after a panic.
    pub(super) fn note_restart(&self) {
        self.notices.note_restart();
    }

    /// Pauses after a panic, which is meanwhile reported as the failure. Returns whether there is time for another
    /// attempt.
    ///
    /// Returns `true` only after it has slept on the runtime, which shows that the runtime's descriptors are intact.
    pub(super) async fn pause(&self, failure: Failure, pause: Duration) -> bool {
        self.control.update(|state| state.last_failure = Some(failure));
        let until = tokio::time::Instant::now() + pause;
        loop {
            let orders = self.control.orders();
            if orders.deadline.is_some_and(|deadline| deadline <= until.into_std()) {
                if orders.stop {
                    return false;
                }
                self.give_up_flushes(&orders);
            }
            if tokio::time::timeout_at(until, self.control.woken()).await.is_err() {
                return true;
            }
        }
    }

    fn give_up_flushes(&self, orders: &ControlState) {
        self.control.update(|state| state.gave_up = state.gave_up.max(orders.flush_wanted));
    }

    /// Runs until it is stopped.
    pub(super) async fn run(&mut self) {
        loop {
            let orders = self.control.orders();
            self.source.prepare();
            // Notices come before the flushes are answered, because the process may end right after that.
            let ending = orders.deadline.is_some();
            let is_over = ending && self.source.is_empty() && !self.source.has_unsealed();
            let report_at = earlier(self.source.report_losses(ending), self.notices.report_health(is_over));
            self.source.collect(orders.stop, self.retry.at.is_some());
            if ending {
                // For the same reason.
                self.source.clean_up();
            }
            self.control.note_settled(self.source.settled(), orders.flush_wanted);
            if self.is_over(&orders) {
                self.drop_all();
                return;
            }
            if has_given_up(&orders) {
                // Only a new order can change this.
                self.control.woken_until(Instant::now() + TRIM_AFTER).await;
                continue;
            }
            if self.source.is_empty() {
                self.sleep(earlier(self.source.due_at().map(tokio::time::Instant::into_std), report_at), true).await;
                continue;
            }
            if let Some(until) = self.retry.wait_until(&orders) {
                if orders.deadline.is_some_and(|deadline| until >= deadline) {
                    self.give_up_flushes(&orders);
                    continue;
                }
                self.sleep(earlier(Some(until), report_at), false).await;
                continue;
            }
            if let Some(split) = &mut self.split {
                let step = split.search.next();
                self.take_step(step).await;
            } else if let Some(request) = self.source.next_request() {
                self.send_request(request).await;
            } else {
                // Lets other workers run, even if there is repeatedly nothing to send.
                tokio::task::yield_now().await;
            }
        }
    }

    fn is_over(&self, orders: &ControlState) -> bool {
        let empty = self.source.is_empty() && !self.source.has_unsealed();
        orders.stop && (empty || has_given_up(orders))
    }

    /// Sleeps until the time, an order, or enough items to send.
    async fn sleep(&mut self, until: Option<Instant>, idle: bool) {
        let trim = Instant::now() + TRIM_AFTER;
        let woken = self.control.woken_until(until.unwrap_or(trim)).await;
        if idle && !woken && until.is_none() {
            self.source.trim();
            // Only an order can end this wait.
            while !self.control.woken_until(Instant::now() + TRIM_AFTER).await {}
        }
    }

    async fn send_request(&mut self, request: Request) {
        let (items, bytes) = (request.items, request.body.len());
        let Some(outcome) = self.send(request.body.clone(), request.encoding.clone()).await else {
            return self.source.take_back(request);
        };
        if let Some((refusal, cause)) = refusal_of(&outcome) {
            if request.encoding.is_none() {
                self.note_too_large(refusal, bytes, true);
                let search = BadItemSearch::new(Part::whole(request.body, items), refusal, self.confirmed);
                self.split = Some(SplitRequest { search, cause: cause.clone(), rejected: 0, unsent: 0 });
                return self.retry.reset();
            }
            let text = format!("{cause}; its body is compressed, so it cannot be sent in parts");
            let outcome = Outcome::Rejected { reason: refusal.reason(), cause: Cause::new(cause.kind, text) };
            self.source.take_back(request);
            return self.settle(&outcome, items);
        }
        let is_plain = request.encoding.is_none();
        self.source.take_back(request);
        if self.will_retry(&outcome, items) || self.is_halted_by(&outcome) {
            return;
        }
        self.note_confirmed(&outcome, if is_plain { bytes } else { 0 });
        self.settle(&outcome, items);
    }

    /// Gives all items of the source's request their outcome.
    fn settle(&mut self, outcome: &Outcome, items: u64) {
        self.source.settle(&item_outcomes(outcome, items));
        self.retry.reset();
        self.notices.report_outcome(outcome, items);
    }

    /// Takes one step of splitting a request.
    async fn take_step(&mut self, step: Step) {
        match step {
            Step::SendEmpty => {
                let Some(outcome) = self.send(Bytes::new(), None).await else { return };
                if !self.will_retry(&outcome, 0) {
                    self.answer_search(part_outcome(&outcome));
                }
            }
            Step::Done => {
                if let Some(SplitRequest { cause, rejected, unsent, .. }) = self.split.take()
                    && (rejected > 1 || unsent > 0)
                {
                    self.notices.report_refused_items(&cause, rejected, unsent);
                }
                self.source.settle(&[]);
                if let Some((bytes, too_large)) = self.limit.bytes().zip(self.limit.too_large()) {
                    self.notices.report_limit(bytes, too_large);
                }
            }
            // The endpoint has never confirmed an item, so the endpoint may be at fault and not this item.
            Step::Reject { refusal: Refusal::Malformed, .. } if !self.confirmed && self.is_halted_by_split() => {}
            Step::RejectRest { .. } if self.is_halted_by_split() => {}
            Step::Reject { part, refusal } => {
                self.source.settle_some(&[(ItemOutcome::Rejected(refusal.reason()), part.items)]);
                if let Some(split) = &mut self.split {
                    split.rejected += part.items;
                    let summary = summarize_first_item(&part.body, self.signal).filter(|_| part.items == 1);
                    self.notices.report_refused_item(&split.cause, part.items, summary.as_ref());
                }
            }
            Step::RejectUnsent { items } => {
                self.source.settle_some(&[(ItemOutcome::Rejected(RejectReason::TooLarge), items)]);
                if let Some(split) = &mut self.split {
                    split.unsent += items;
                }
            }
            Step::RejectRest { items, why } => {
                self.source.settle_some(&[(ItemOutcome::Rejected(RejectReason::Malformed), items)]);
                if let Some(split) = &self.split {
                    self.notices.report_refused_all(&split.cause, items, why);
                }
            }
            Step::Send(part) => self.send_part(part).await,
        }
    }

    async fn send_part(&mut self, part: Part) {
        let (items, bytes) = (part.items, part.body.len());
        let Some(outcome) = self.send(part.body, None).await else { return };
        if self.will_retry(&outcome, items) || self.is_halted_by(&outcome) {
            return;
        }
        if let Some((refusal, cause)) = refusal_of(&outcome) {
            self.note_too_large(refusal, bytes, false);
            if let Some(split) = &mut self.split {
                split.cause = cause.clone();
            }
            return self.answer_search(PartOutcome::Refused(refusal));
        }
        self.note_confirmed(&outcome, bytes);
        // Both in the same step, so that the rest of the search no longer includes confirmed items.
        self.source.settle_some(&item_outcomes(&outcome, items));
        self.answer_search(part_outcome(&outcome));
        self.notices.report_outcome(&outcome, items);
    }

    /// Whether the endpoint refuses every request, and the source keeps its items for another endpoint.
    fn is_halted_by(&mut self, outcome: &Outcome) -> bool {
        let cause = match outcome {
            Outcome::Rejected { cause, .. } if refusal_of(outcome).is_none() => cause,
            Outcome::Unconfirmed { cause } => cause,
            _ => return false,
        };
        self.source.halt(&self.notices.failure(cause))
    }

    /// The same, for a request that was split.
    fn is_halted_by_split(&mut self) -> bool {
        self.split.as_ref().is_some_and(|split| self.source.halt(&self.notices.failure(&split.cause)))
    }

    fn answer_search(&mut self, outcome: PartOutcome) {
        self.retry.reset();
        if let Some(split) = &mut self.split {
            split.search.answered(outcome);
        }
    }

    fn note_confirmed(&mut self, outcome: &Outcome, bytes: usize) {
        if is_confirmed(outcome) {
            self.confirmed = true;
            self.limit.note_accepted(bytes);
            self.source.set_max_bytes(self.limit.bytes().unwrap_or(usize::MAX));
        }
    }

    fn note_too_large(&mut self, refusal: Refusal, bytes: usize, is_whole: bool) {
        if refusal == Refusal::TooLarge {
            self.limit.note_too_large(bytes, is_whole);
        }
    }

    /// Whether the request will be retried. If the time for retries is over, drops its remaining items.
    fn will_retry(&mut self, outcome: &Outcome, items: u64) -> bool {
        let Outcome::Retry { cause, after } = outcome else { return false };
        if !self.retry.is_over() {
            self.note_failure(cause, *after);
            return true;
        }
        let items = self.split.take().map_or(items, |split| split.search.rest());
        self.source.settle(&[(ItemOutcome::Dropped(DropReason::ExportTimeout), items)]);
        self.retry.reset();
        self.notices.report_timeout(cause, items);
        true
    }

    /// Sends a body and returns the outcome, or `None` if the deadline of an ending process comes first.
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
            self.source.prepare();
            let report_at = earlier(self.source.report_losses(deadline.is_some()), self.notices.report_health(false));
            let answered = match earlier(deadline, report_at) {
                None => either.await,
                Some(until) => match tokio::time::timeout_at(until.into(), either).await {
                    Ok(answered) => answered,
                    Err(_) if deadline.is_some_and(|deadline| deadline <= Instant::now()) => return None,
                    Err(_) => None,
                },
            };
            if let Some(outcome) = answered {
                self.notices.note_outcome(&outcome, transport.clock_offset());
                return Some(if self.source.keeps_refused() { outcome.retry_endpoint_faults() } else { outcome });
            }
        }
    }

    /// Schedules a retry, reports the failure, and gives up the flushes of an ending process if a retry is hopeless.
    fn note_failure(&mut self, cause: &Cause, after: Option<Duration>) {
        let now = Instant::now();
        let orders = self.control.snapshot();
        let next = self.retry.failed(now, after, orders.deadline);
        let is_hopeless = self.retry.is_hopeless_at_exit(cause.kind);
        // A call of `shutdown` has chosen how long to wait, so only an exit ends early.
        let ends_early =
            !orders.stop && (self.source.is_durable() || self.retry.is_in_vain_at_exit(now, self.confirmed));
        let gives_up = orders.deadline.is_some_and(|deadline| is_hopeless || ends_early || next >= Some(deadline));
        let waiting = self.source.waiting_text(self.signal);
        let failure = self.notices.report_failure(cause, waiting, orders.deadline.is_some());
        self.control.update(|state| {
            state.last_failure = Some(failure);
            if gives_up {
                state.gave_up = state.gave_up.max(orders.flush_wanted);
            }
        });
    }
}

/// Returns the earlier of two optional times.
fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    a.into_iter().chain(b).min()
}

/// Returns the outcomes of a request's items, given the outcome of the request.
fn item_outcomes(outcome: &Outcome, items: u64) -> Vec<(ItemOutcome, u64)> {
    match outcome {
        Outcome::Delivered => vec![(ItemOutcome::Delivered, items)],
        Outcome::Partial { rejected, .. } => {
            let rejected = (*rejected).min(items);
            let reason = RejectReason::PartialSuccess;
            vec![(ItemOutcome::Rejected(reason), rejected), (ItemOutcome::Delivered, items - rejected)]
        }
        Outcome::Rejected { reason, .. } => vec![(ItemOutcome::Rejected(*reason), items)],
        Outcome::Retry { .. } => Vec::new(),
        Outcome::Unconfirmed { .. } => vec![(ItemOutcome::Unconfirmed, items)],
    }
}

/// Returns the refusal if only some of the items may be its cause.
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

/// Returns the outcome of a part that was not refused.
fn part_outcome(outcome: &Outcome) -> PartOutcome {
    if is_confirmed(outcome) { PartOutcome::Accepted } else { PartOutcome::Settled }
}

impl Refusal {
    fn reason(self) -> RejectReason {
        match self {
            Self::Malformed => RejectReason::Malformed,
            Self::TooLarge => RejectReason::TooLarge,
        }
    }
}

/// Whether the process or the pipeline ends, and nothing more can be delivered in the time left. A new order may come.
fn has_given_up(orders: &ControlState) -> bool {
    orders.deadline.is_some_and(|deadline| deadline <= Instant::now() || orders.gave_up >= orders.flush_wanted)
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
