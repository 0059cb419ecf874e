//! Sends the records that ended processes left in a spool, for the command `replay`.
//!
//! Constraints:
//! * The worker is the same as for live records, except that it ends when nothing is left.
//! * If the endpoint refuses every record, the records stay in the spool. The user can correct the address or the key
//!   and run the command again.
//! * However it ends, even by ^C, files whose records have no outcome stay, and no process owns them.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
use tokio::runtime::Builder;

use super::control::Control;
use super::failure::Failure;
use super::failure_notices::FailureNotices;
use super::recovery::RecoverySource;
use super::request_source::{Request, RequestSource};
use super::worker::Worker;
use crate::config::{LogDelivery, SpoolConfig};
use crate::error::{Error, Kind};
use crate::ledger::{ItemOutcome, Ledger, OtlpCounters};
use crate::otlp::encode_resource;
use crate::outbox::{Outbox, Spool};
use crate::signal::Signal;
use crate::transport::Transport;

/// How often progress is reported.
const TICK: Duration = Duration::from_millis(100);

/// What to send, and where.
#[derive(Debug)]
pub struct Replay {
    pub directory: PathBuf,
    /// Whether files of other users are sent, too.
    pub any_owner: bool,
    pub delivery: LogDelivery,
    /// Gives up if no record gets an outcome for this long.
    pub patience: Duration,
    /// Approximate number of records.
    pub records: u64,
}

/// Why a replay ended.
#[derive(Debug)]
pub enum End {
    /// Nothing is left that can be sent.
    Done,
    /// There was no progress for too long; the last failure.
    GaveUp(Option<Failure>),
    /// The endpoint refuses every record, for this reason.
    Halted(Failure),
    /// The user pressed ^C.
    Interrupted,
}

/// The result of a replay.
#[derive(Debug)]
pub struct Replayed {
    pub end: End,
    pub counters: OtlpCounters,
}

impl Replay {
    /// Sends everything that can be sent, until `interrupted` ends. Calls `watch` regularly with the number of records
    /// that have an outcome.
    ///
    /// # Errors
    ///
    /// Returns an error if no runtime can be built, for example for want of descriptors.
    pub fn run(self, mut watch: impl FnMut(u64), interrupted: impl Future<Output = ()>) -> Result<Replayed, Error> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new(Kind::Thread).with_source(error))?;
        let ledger = Arc::new(Ledger::new());
        let end = runtime.block_on(self.send(&ledger, &mut watch, interrupted));
        // Does not wait, because a resolver call may hang.
        runtime.shutdown_background();
        let counters = ledger.snapshot().otlp;
        watch(settled(&counters));
        Ok(Replayed { end, counters })
    }

    async fn send(
        self,
        ledger: &Arc<Ledger>,
        watch: &mut impl FnMut(u64),
        interrupted: impl Future<Output = ()>,
    ) -> End {
        let halted = Arc::default();
        let route = &self.delivery.route;
        let control = Arc::<Control>::default();
        let source = self.source(ledger, &halted, &control);
        // Stopped from the start, so that the worker ends when nothing is left.
        control.update(|state| state.stop = true);
        let notices = FailureNotices::new(Signal::Logs, route.endpoint.clone(), Arc::clone(ledger));
        // No time limit for retries, because records would be dropped after it.
        let mut worker = Worker::new(Arc::clone(&control), Box::new(source), notices, Signal::Logs, None);
        worker.transport = Transport::for_routes(std::slice::from_ref(route)).pop();
        let (mut running, mut interrupted) = (pin!(worker.run()), pin!(interrupted));
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let mut tick = pin!(tokio::time::sleep(TICK));
            let event = std::future::poll_fn(|context| {
                // ^C first, because the user does not want to wait any longer.
                if interrupted.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Some(End::Interrupted));
                }
                if running.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Some(End::Done));
                }
                tick.as_mut().poll(context).map(|()| None)
            });
            match event.await {
                Some(End::Done) => return lock(&halted).take().map_or(End::Done, End::Halted),
                Some(end) => return end,
                None => {}
            }
            let now = settled(&ledger.snapshot().otlp);
            watch(now);
            if now > last {
                (last, since) = (now, Instant::now());
            }
            if since.elapsed() >= self.patience {
                return End::GaveUp(control.snapshot().last_failure);
            }
        }
    }

    fn source(
        &self,
        ledger: &Arc<Ledger>,
        halted: &Arc<Mutex<Option<Failure>>>,
        control: &Arc<Control>,
    ) -> ReplaySource {
        let LogDelivery { max_bytes, max_request, .. } = self.delivery;
        let outbox = Outbox::new(max_bytes, 1, Arc::clone(ledger)).with_max_request(max_request);
        // Nothing is written to the spool, so the bound is irrelevant.
        let config = SpoolConfig { directory: self.directory.clone(), max_bytes: usize::MAX, sync: None };
        let spool = Spool::new(config, encode_resource(&Resource::builder_empty().build()));
        let spool = Arc::new(spool.of_any_owner(self.any_owner));
        let (ledger, control) = (Arc::clone(ledger), Arc::clone(control));
        let recovery =
            RecoverySource::new(Arc::clone(&ledger), Arc::new(outbox), spool, &self.delivery, control).in_foreground();
        ReplaySource {
            recovery,
            ledger,
            has_looked: false,
            records: self.records,
            patience: self.patience,
            halted: Arc::clone(halted),
        }
    }
}

/// Returns how many records have an outcome.
fn settled(counters: &OtlpCounters) -> u64 {
    counters.adopted - counters.pending
}

fn lock(halted: &Mutex<Option<Failure>>) -> std::sync::MutexGuard<'_, Option<Failure>> {
    halted.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The records of ended processes that one scan of the directory found.
struct ReplaySource {
    recovery: RecoverySource,
    ledger: Arc<Ledger>,
    has_looked: bool,
    /// Approximate number of records at the start.
    records: u64,
    patience: Duration,
    halted: Arc<Mutex<Option<Failure>>>,
}

impl RequestSource for ReplaySource {
    /// Ignores `at_once`, which is always set.
    fn collect(&mut self, _at_once: bool, held: bool) {
        match std::mem::replace(&mut self.has_looked, true) {
            false => self.recovery.collect(false, held),
            true => self.recovery.scan_more(),
        }
    }

    fn settled(&self) -> u64 {
        self.recovery.settled()
    }

    fn is_empty(&self) -> bool {
        lock(&self.halted).is_some() || (self.recovery.is_empty() && !self.recovery.has_more())
    }

    fn has_unsealed(&self) -> bool {
        false
    }

    fn due_at(&self) -> Option<tokio::time::Instant> {
        None
    }

    fn next_request(&mut self) -> Option<Request> {
        self.recovery.next_request()
    }

    fn settle_some(&mut self, outcomes: &[(ItemOutcome, u64)]) {
        self.recovery.settle_some(outcomes);
    }

    fn settle(&mut self, outcomes: &[(ItemOutcome, u64)]) {
        self.recovery.settle(outcomes);
    }

    fn take_back(&mut self, request: Request) {
        self.recovery.take_back(request);
    }

    fn set_max_bytes(&mut self, bytes: usize) {
        self.recovery.set_max_bytes(bytes);
    }

    fn give_up(&mut self, _rest: u64) {}

    fn drop_all(&mut self) {
        self.recovery.drop_all();
    }

    fn trim(&mut self) {
        self.recovery.trim();
    }

    fn pending(&self) -> u64 {
        self.records.saturating_sub(settled(&self.ledger.snapshot().otlp))
    }

    fn bound_text(&self) -> String {
        self.recovery.bound_text()
    }

    fn waiting_text(&self, signal: Signal) -> String {
        let (records, patience) = (signal.count(self.pending()), self.patience);
        format!(
            "about {records} stay in the spool, retried until {patience:?} have passed without progress \
             (--timeout)"
        )
    }

    fn halt(&mut self, failure: &Failure) -> bool {
        *lock(&self.halted) = Some(failure.clone());
        true
    }
}
