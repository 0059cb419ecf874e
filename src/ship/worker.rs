//! What runs on the ship thread: seal, gather, send, settle.
//!
//! Constraints:
//! * A record leaves the queue in the same step in which the ledger counts its fate.
//! * An order wakes the thread wherever it waits; shutdown beats flush beats the schedule.
//! * While a retryable failure lasts, the batch stays in the queue and memory stays bounded by the outbox.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use bytes::Bytes;

use super::batch::{Batch, gather};
use super::control::{Control, State};
use super::voice::Voice;
use crate::ledger::{DropReason, Fate, Ledger, RejectReason};
use crate::outbox::{Outbox, Segment};
use crate::transport::{Cause, Http, Outcome};

/// After this much silence the memory of a burst is given back.
const TRIM_AFTER: Duration = Duration::from_secs(30);

pub(super) struct Worker {
    pub(super) control: Arc<Control>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) resource: Vec<u8>,
    pub(super) schedule_delay: Duration,
    pub(super) transport: Http,
    pub(super) voice: Voice,
    pub(super) queue: Queue,
    pub(super) retry: Retry,
}

/// Sealed segments, and how far the first one is used up.
#[derive(Debug, Default)]
pub(super) struct Queue {
    segments: VecDeque<Segment>,
    offset: usize,
    /// When the current segments are handed over although they are not full.
    seal_at: Option<Instant>,
    /// Segments that ever left the queue.
    left: u64,
}

#[derive(Debug)]
pub(super) struct Retry {
    backoff: ExponentialBackoff,
    /// Not before this, by our own choice.
    at: Option<Instant>,
    /// Not before this, by the endpoint's word.
    not_before: Option<Instant>,
    /// The flush that was last tried for in spite of the backoff.
    tried_for: u64,
    /// The buffer of the last request, to be used again.
    spare: Vec<u8>,
}

impl Default for Retry {
    fn default() -> Self {
        Self { backoff: backoff(), at: None, not_before: None, tried_for: 0, spare: Vec::new() }
    }
}

fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(30))
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}

impl Worker {
    /// Runs until it is told to stop.
    pub(super) async fn run(&mut self) {
        loop {
            let orders = self.control.look();
            self.collect(orders.stop);
            self.control.segments_left(self.queue.left);
            if self.is_over(&orders) {
                self.end();
                return;
            }
            if has_given_up(&orders) {
                // Only a new order changes anything.
                self.control.woken().await;
                continue;
            }
            if self.queue.segments.is_empty() {
                self.sleep(self.queue.seal_at, true).await;
                continue;
            }
            if let Some(until) = self.retry.wait_until(&orders) {
                if orders.deadline.is_some_and(|deadline| until >= deadline) {
                    self.control.update(|state| state.gave_up = state.gave_up.max(orders.flush_wanted));
                    continue;
                }
                self.sleep(Some(until), false).await;
                continue;
            }
            let batch = gather(
                &self.queue.segments,
                self.queue.offset,
                &self.resource,
                self.outbox.request_bytes(),
                std::mem::take(&mut self.retry.spare),
            );
            self.ship(batch).await;
        }
    }

    fn is_over(&self, orders: &State) -> bool {
        let empty = self.queue.segments.is_empty() && !self.outbox.is_waiting();
        orders.stop && (empty || has_given_up(orders))
    }

    /// Takes over what is sealed, and seals what is due.
    fn collect(&mut self, at_once: bool) {
        let now = Instant::now();
        if !self.outbox.is_waiting() {
            self.queue.seal_at = None;
        } else if self.queue.seal_at.is_none() {
            self.queue.seal_at = Some(now + self.schedule_delay);
        }
        // While the endpoint fails, what is new stays in its segments: they fill up instead of becoming many small ones.
        let due = self.retry.at.is_none() && self.queue.seal_at.is_some_and(|at| at <= now);
        if due || (at_once && self.outbox.is_waiting()) {
            self.outbox.seal();
            self.queue.seal_at = None;
        }
        self.outbox.take_sealed(&mut self.queue.segments);
    }

    /// Sleeps until the time, an order, or a full segment.
    async fn sleep(&mut self, until: Option<Instant>, idle: bool) {
        let trim = Instant::now() + TRIM_AFTER;
        let at = until.unwrap_or(trim);
        let woken = tokio::time::timeout_at(at.into(), self.control.woken()).await.is_ok();
        if idle && !woken && until.is_none() {
            self.outbox.trim();
            self.retry.spare = Vec::new();
            // Nothing to wait for but an order.
            self.control.woken().await;
        }
    }

    async fn ship(&mut self, batch: Batch) {
        let Batch { body, records, segments, offset } = batch;
        let body = Bytes::from(body);
        let outcome = self.send(body.clone()).await;
        // Without a copy, as soon as the client has let go of it.
        self.retry.spare = Vec::from(body);
        let Some(outcome) = outcome else { return };
        let fates = match &outcome {
            Outcome::Delivered => vec![(Fate::Delivered, records)],
            Outcome::Partial { rejected, .. } => {
                let rejected = (*rejected).min(records);
                vec![(Fate::Rejected(RejectReason::PartialSuccess), rejected), (Fate::Delivered, records - rejected)]
            }
            Outcome::Refused { reason, .. } => vec![(Fate::Rejected(*reason), records)],
            Outcome::Unconfirmed { .. } => vec![(Fate::Unconfirmed, records)],
            Outcome::Retry { cause, after } => {
                self.fail(cause, *after);
                return;
            }
        };
        self.ledger.resolve(&fates);
        self.queue.advance(segments, offset, &self.outbox);
        self.retry.reset();
        self.voice.answered(&outcome, records);
    }

    /// Sends, unless the deadline of an ending process comes first.
    async fn send(&self, body: Bytes) -> Option<Outcome> {
        let mut request = pin!(self.transport.send(body, None));
        loop {
            let deadline = self.control.look().deadline;
            let mut woken = pin!(self.control.woken());
            let either = std::future::poll_fn(|context| {
                if let Poll::Ready(outcome) = request.as_mut().poll(context) {
                    return Poll::Ready(Some(outcome));
                }
                woken.as_mut().poll(context).map(|()| None)
            });
            let answered = match deadline {
                None => either.await,
                Some(deadline) => tokio::time::timeout_at(deadline.into(), either).await.ok()?,
            };
            if answered.is_some() {
                return answered;
            }
        }
    }

    fn fail(&mut self, cause: &Cause, after: Option<Duration>) {
        let now = Instant::now();
        self.retry.not_before = after.map(|after| now + after);
        self.retry.at = self.retry.backoff.next().map(|delay| now + delay);
        let orders = self.control.look();
        let next = self.retry.at.max(self.retry.not_before);
        let too_late = orders.deadline.is_some_and(|deadline| next.is_some_and(|next| next >= deadline));
        let hopeless = orders.deadline.is_some() && (cause.kind.is_hopeless_at_exit() || too_late);
        let pending = self.ledger.snapshot().otlp.pending;
        let failure = self.voice.failed(cause, pending, self.outbox.max_bytes(), orders.deadline.is_some());
        self.control.update(|state| {
            state.last_failure = Some(failure);
            if hopeless {
                state.gave_up = state.gave_up.max(orders.flush_wanted);
            }
        });
    }

    /// What is left is dropped and counted; the thread ends.
    pub(super) fn end(&mut self) {
        drop_from(&mut self.queue.segments, self.queue.offset, &self.outbox, &self.ledger);
    }
}

/// Drops and counts everything, where no worker could be made.
pub(super) fn drop_all(outbox: &Outbox, ledger: &Ledger) {
    drop_from(&mut VecDeque::new(), 0, outbox, ledger);
}

fn drop_from(segments: &mut VecDeque<Segment>, offset: usize, outbox: &Outbox, ledger: &Ledger) {
    outbox.seal();
    outbox.take_sealed(segments);
    let mut left = 0;
    for (index, segment) in std::mem::take(segments).into_iter().enumerate() {
        left += if index == 0 { segment.records_from(offset) } else { segment.records() };
        outbox.recycle(segment);
    }
    if left > 0 {
        ledger.resolve(&[(Fate::Dropped(DropReason::Shutdown), left)]);
    }
}

/// The process or the pipeline ends, and nothing more can be delivered in the time that is left. A new order may come.
fn has_given_up(orders: &State) -> bool {
    orders.deadline.is_some_and(|deadline| deadline <= Instant::now() || orders.gave_up >= orders.flush_wanted)
}

impl Queue {
    fn advance(&mut self, segments: usize, offset: usize, outbox: &Outbox) {
        for segment in self.segments.drain(..segments.min(self.segments.len())) {
            outbox.recycle(segment);
        }
        self.left += segments as u64;
        self.offset = offset;
    }
}

impl Retry {
    fn reset(&mut self) {
        if self.at.take().is_some() {
            self.backoff = backoff();
        }
        self.not_before = None;
    }

    /// How long to wait before the next try. A flush that is new is tried for at once, unless the endpoint said when.
    fn wait_until(&mut self, orders: &State) -> Option<Instant> {
        let now = Instant::now();
        let fresh = orders.flush_wanted > self.tried_for;
        let at = if fresh { self.not_before } else { self.at.max(self.not_before) };
        let wait = at.filter(|at| *at > now);
        if wait.is_none() {
            self.tried_for = orders.flush_wanted;
        }
        wait
    }
}
