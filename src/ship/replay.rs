//! What dead processes have left in a spool, sent because somebody asks for it, and watches.
//!
//! Constraints:
//! * The sender of every other record sends these too; only the end is another one: it ends when nothing is left.
//! * What the endpoint does not take stays where it is, unless the endpoint takes others: whoever asks can mend the
//!   address or the key, and ask again.
//! * However it ends, by ^C too, files whose records have not met their fates stay, and belong to nobody.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
use tokio::runtime::Builder;

use super::control::Control;
use super::feed::{Feed, Request};
use super::recovery::RecoveryFeed;
use super::voice::{Failure, Voice};
use super::worker::Worker;
use crate::config::{LogDelivery, SpoolConfig};
use crate::error::{Error, Kind};
use crate::ledger::{ItemOutcome, Ledger, OtlpCounters};
use crate::otlp::encode_resource;
use crate::outbox::{Outbox, Spool};
use crate::signal::Signal;
use crate::transport::Transport;

/// How often the one who watches hears of it.
const TICK: Duration = Duration::from_millis(100);

/// What is to be sent, and where.
#[derive(Debug)]
pub struct Replay {
    pub directory: PathBuf,
    /// What other users have written too.
    pub any_owner: bool,
    pub delivery: LogDelivery,
    /// After this time in which no record met its fate, it gives up.
    pub patience: Duration,
    /// How many records there are, about.
    pub records: u64,
}

/// Why it has ended.
#[derive(Debug)]
pub enum End {
    /// Nothing is left that could be sent.
    Done,
    /// The patience was over; what failed last.
    GaveUp(Option<Failure>),
    /// The endpoint is wrong: nothing that it was sent counts.
    Halted(Failure),
    /// Somebody pressed ^C.
    Interrupted,
}

/// What became of what was there.
#[derive(Debug)]
pub struct Replayed {
    pub end: End,
    pub counters: OtlpCounters,
}

impl Replay {
    /// Sends everything that can be sent, until `interrupted` ends. `watch` is called now and then with the number of records
    /// that have an outcome.
    ///
    /// # Errors
    ///
    /// Where there is nothing to send with: no descriptors, say.
    pub fn run(self, mut watch: impl FnMut(u64), interrupted: impl Future<Output = ()>) -> Result<Replayed, Error> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new(Kind::Thread).with_source(error))?;
        let ledger = Arc::new(Ledger::new());
        let end = runtime.block_on(self.send(&ledger, &mut watch, interrupted));
        // A resolver call may hang: nobody waits for it.
        runtime.shutdown_background();
        let counters = ledger.snapshot().otlp;
        watch(fates(&counters));
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
        let feed = self.feed(ledger, &halted, &control);
        // It ends when nothing is left.
        control.update(|state| state.stop = true);
        let voice = Voice::new(Signal::Logs, route.endpoint.clone(), Arc::clone(ledger));
        // Without a time for one request with all its tries, after which it would be dropped.
        let mut worker = Worker::new(Arc::clone(&control), Box::new(feed), voice, Signal::Logs, None);
        worker.transport = Transport::for_routes(std::slice::from_ref(route)).pop();
        let (mut running, mut interrupted) = (pin!(worker.run()), pin!(interrupted));
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let mut tick = pin!(tokio::time::sleep(TICK));
            let event = std::future::poll_fn(|context| {
                // ^C first: whoever presses it has waited long enough.
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
            let now = fates(&ledger.snapshot().otlp);
            watch(now);
            if now > last {
                (last, since) = (now, Instant::now());
            }
            if since.elapsed() >= self.patience {
                return End::GaveUp(control.look().last_failure);
            }
        }
    }

    fn feed(&self, ledger: &Arc<Ledger>, halted: &Arc<Mutex<Option<Failure>>>, control: &Arc<Control>) -> ReplayFeed {
        let LogDelivery { max_bytes, max_request, .. } = self.delivery;
        let outbox = Outbox::new(max_bytes, 1, Arc::clone(ledger)).with_max_request(max_request);
        // Nothing is written there, so how much may be does not matter.
        let config = SpoolConfig { directory: self.directory.clone(), max_bytes: usize::MAX, sync: None };
        let spool = Spool::new(config, encode_resource(&Resource::builder_empty().build()));
        let spool = Arc::new(spool.of_any_owner(self.any_owner));
        let (ledger, control) = (Arc::clone(ledger), Arc::clone(control));
        let left = RecoveryFeed::new(Arc::clone(&ledger), Arc::new(outbox), spool, &self.delivery, control).watched();
        ReplayFeed {
            left,
            ledger,
            has_looked: false,
            records: self.records,
            patience: self.patience,
            halted: Arc::clone(halted),
        }
    }
}

/// How many records have met their fates.
fn fates(counters: &OtlpCounters) -> u64 {
    counters.adopted - counters.pending
}

fn lock(halted: &Mutex<Option<Failure>>) -> std::sync::MutexGuard<'_, Option<Failure>> {
    halted.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What dead processes have left, as it was when the directory was gone through.
struct ReplayFeed {
    left: RecoveryFeed,
    ledger: Arc<Ledger>,
    has_looked: bool,
    /// How many there were at the start, about.
    records: u64,
    patience: Duration,
    halted: Arc<Mutex<Option<Failure>>>,
}

impl Feed for ReplayFeed {
    /// It is told to stop from the start, and stops when nothing is left.
    fn collect(&mut self, _at_once: bool, held: bool) {
        match std::mem::replace(&mut self.has_looked, true) {
            false => self.left.collect(false, held),
            true => self.left.look_for_more(),
        }
    }

    fn settled(&self) -> u64 {
        self.left.settled()
    }

    fn is_empty(&self) -> bool {
        lock(&self.halted).is_some() || (self.left.is_empty() && !self.left.has_more())
    }

    fn is_waiting(&self) -> bool {
        false
    }

    fn due_at(&self) -> Option<tokio::time::Instant> {
        None
    }

    fn request(&mut self) -> Option<Request> {
        self.left.request()
    }

    fn settle_some(&mut self, fates: &[(ItemOutcome, u64)]) {
        self.left.settle_some(fates);
    }

    fn settle(&mut self, fates: &[(ItemOutcome, u64)]) {
        self.left.settle(fates);
    }

    fn take_back(&mut self, request: Request) {
        self.left.take_back(request);
    }

    fn limit(&mut self, bytes: usize) {
        self.left.limit(bytes);
    }

    fn give_up(&mut self, _rest: u64) {}

    fn drop_all(&mut self) {
        self.left.drop_all();
    }

    fn trim(&mut self) {
        self.left.trim();
    }

    fn pending(&self) -> u64 {
        self.records.saturating_sub(fates(&self.ledger.snapshot().otlp))
    }

    fn bound(&self) -> String {
        self.left.bound()
    }

    fn waiting(&self, signal: Signal) -> String {
        let (records, patience) = (signal.count(self.pending()), self.patience);
        format!(
            "where they are: about {records}, tried again until {patience:?} have passed without progress (--timeout)"
        )
    }

    fn halts(&mut self, failure: &Failure) -> bool {
        *lock(&self.halted) = Some(failure.clone());
        true
    }
}
