//! What runs on the ship thread for one signal: collect, send, settle.
//!
//! Constraints:
//! * An order wakes the worker wherever it waits; shutdown beats flush beats the schedule.
//! * While a retryable failure lasts, the request's items stay in the feed and memory stays bounded by it.
//! * Workers share the thread and nothing else: an endpoint that fails delays only its own signal.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

use super::control::{Control, State};
use super::feed::{Feed, Request};
use super::voice::Voice;
use crate::ledger::{DropReason, Fate, RejectReason};
use crate::transport::{Cause, Outcome, Transport};

/// After this much silence the memory of a burst is given back.
const TRIM_AFTER: Duration = Duration::from_secs(30);

pub(super) struct Worker {
    pub(super) control: Arc<Control>,
    pub(super) feed: Box<dyn Feed>,
    pub(super) voice: Voice,
    pub(super) retry: Retry,
    /// Belongs to the runtime that runs the worker.
    pub(super) transport: Option<Transport>,
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
    /// How long a request with all its tries may take; for ever where nobody said.
    export_timeout: Option<Duration>,
    /// When the first of these tries began.
    since: Option<Instant>,
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
            // Before those are answered who wait for the end: nothing is said after it.
            let tell_at = self.feed.watch(orders.deadline.is_some());
            self.feed.collect(orders.stop, self.retry.at.is_some());
            self.control.settled(self.feed.settled());
            if self.is_over(&orders) {
                self.feed.drop_all();
                return;
            }
            if has_given_up(&orders) {
                // Only a new order changes anything.
                self.control.woken().await;
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
            if let Some(request) = self.feed.request() {
                self.ship(request).await;
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
        let at = until.unwrap_or(trim);
        let woken = tokio::time::timeout_at(at.into(), self.control.woken()).await.is_ok();
        if idle && !woken && until.is_none() {
            self.feed.trim();
            // Nothing to wait for but an order.
            self.control.woken().await;
        }
    }

    async fn ship(&mut self, request: Request) {
        let items = request.items;
        self.retry.since.get_or_insert_with(Instant::now);
        let outcome = self.send(request.clone()).await;
        self.feed.take_back(request);
        let Some(outcome) = outcome else { return };
        let fates = match &outcome {
            Outcome::Delivered => vec![(Fate::Delivered, items)],
            Outcome::Partial { rejected, .. } => {
                let rejected = (*rejected).min(items);
                vec![(Fate::Rejected(RejectReason::PartialSuccess), rejected), (Fate::Delivered, items - rejected)]
            }
            Outcome::Refused { reason, .. } => vec![(Fate::Rejected(*reason), items)],
            Outcome::Unconfirmed { .. } => vec![(Fate::Unconfirmed, items)],
            Outcome::Retry { cause, .. } if self.retry.is_over() => {
                self.voice.gave_up(cause, items);
                vec![(Fate::Dropped(DropReason::ExportTimeout), items)]
            }
            Outcome::Retry { cause, after } => {
                self.fail(cause, *after);
                return;
            }
        };
        self.feed.settle(&fates);
        self.retry.reset();
        self.voice.answered(&outcome, items);
    }

    /// Sends, unless the deadline of an ending process comes first.
    async fn send(&mut self, request: Request) -> Option<Outcome> {
        let transport = self.transport.as_ref()?;
        let mut request = pin!(transport.send(request.body, request.encoding));
        loop {
            let deadline = self.control.look().deadline;
            let mut woken = pin!(self.control.woken());
            let either = std::future::poll_fn(|context| {
                if let Poll::Ready(outcome) = request.as_mut().poll(context) {
                    return Poll::Ready(Some(outcome));
                }
                woken.as_mut().poll(context).map(|()| None)
            });
            let tell_at = self.feed.watch(deadline.is_some());
            let answered = match earlier(deadline, tell_at) {
                None => either.await,
                Some(until) => match tokio::time::timeout_at(until.into(), either).await {
                    Ok(answered) => answered,
                    Err(_) if deadline.is_some_and(|deadline| deadline <= Instant::now()) => return None,
                    Err(_) => None,
                },
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
        let failure = self.voice.failed(cause, self.feed.pending(), &self.feed.bound(), orders.deadline.is_some());
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

/// The process or the pipeline ends, and nothing more can be delivered in the time that is left. A new order may come.
fn has_given_up(orders: &State) -> bool {
    orders.deadline.is_some_and(|deadline| deadline <= Instant::now() || orders.gave_up >= orders.flush_wanted)
}

impl Retry {
    pub(super) fn new(export_timeout: Option<Duration>) -> Self {
        Self { backoff: backoff(), at: None, not_before: None, tried_for: 0, export_timeout, since: None }
    }

    /// Whether the request has had its time.
    fn is_over(&self) -> bool {
        self.export_timeout.zip(self.since).is_some_and(|(most, since)| since.elapsed() >= most)
    }

    fn reset(&mut self) {
        if self.at.take().is_some() {
            self.backoff = backoff();
        }
        self.not_before = None;
        self.since = None;
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
