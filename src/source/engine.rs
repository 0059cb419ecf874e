//! What belongs to one process: counters, outbox and ship thread. A forked child starts with new ones at its first
//! record; the parent's are left as they are, never dropped and never touched again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::flush::Told;
use super::repetition::Windows;
use crate::config::{Config, LogDelivery, Mirror, RepetitionLimit, ResourceConfig, SpanDelivery, defaults};
use crate::error::Error;
use crate::finding::kind;
use crate::ledger::Ledger;
use crate::notice::{self, Notice};
use crate::os::{self, PerProcess};
use crate::otlp::encode_resource;
use crate::outbox::{Outbox, SpanQueue, Spool};
use crate::ship::{Load, Ship};

/// Everything that a process needs to count and ship.
#[derive(Debug)]
pub(crate) struct Engine {
    generation: u64,
    pub(crate) ledger: Arc<Ledger>,
    /// Where records wait; `None` while they are not sent.
    pub(crate) outbox: Option<Arc<Outbox>>,
    /// Where spans are noted and wait; `None` while they are neither sent nor shown.
    pub(crate) spans: Option<Arc<SpanQueue>>,
    /// Which records repeat; `None` where nobody asked for that.
    pub(super) windows: Option<Windows>,
    /// `None` where there is nothing to send, or the thread could not be started.
    pub(crate) ship: Option<Ship>,
    /// The fields of `ResourceLogs` in front of the scopes.
    pub(crate) resource: Vec<u8>,
    /// What was lost and unconfirmed when a flush last told it, of records and of spans.
    pub(super) told: Mutex<[Told; 2]>,
}

/// How engines of this pipeline are made.
#[derive(Debug)]
pub(crate) struct Plan {
    delivery: Option<LogDelivery>,
    spans: Option<SpanDelivery>,
    shows_spans: bool,
    pub(super) repetition: Option<RepetitionLimit>,
    resource: ResourceConfig,
    /// The resource of somebody else's provider, which wins.
    pub(crate) given_resource: OnceLock<opentelemetry_sdk::Resource>,
    /// What else a forked child needs at its first record.
    pub(crate) in_child: OnceLock<InChild>,
}

pub(crate) struct InChild(pub(crate) Box<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for InChild {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InChild")
    }
}

impl Plan {
    pub(crate) fn new(config: &Config) -> Self {
        // From here on: what is keyed by process must not be shared with a child.
        os::watch_forks();
        Self {
            delivery: config.otlp.delivery.clone(),
            spans: config.span.delivery.clone(),
            shows_spans: config.span.mirror != Mirror::Off,
            repetition: config.repetition,
            resource: config.resource.clone(),
            given_resource: OnceLock::new(),
            in_child: OnceLock::new(),
        }
    }

    fn start(&self) -> Result<Engine, Error> {
        let resource = self.given_resource.get().cloned().unwrap_or_else(|| self.resource.build());
        let mut engine = Engine::without_thread(self);
        engine.resource = encode_resource(&resource);
        engine.outbox = self.delivery.as_ref().map(|delivery| {
            let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            let outbox = Outbox::new(delivery.max_bytes, threads, Arc::clone(&engine.ledger));
            let outbox = outbox.with_max_request(delivery.max_request);
            let outbox = outbox.with_max_records(delivery.max_queue).with_overload(delivery.overload);
            Arc::new(match &delivery.spool {
                Some(spool) => outbox.with_spool(Arc::new(Spool::new(spool.clone(), engine.resource.clone()))),
                None => outbox,
            })
        });
        if engine.outbox.is_some() || self.spans.is_some() {
            engine.ship = Some(Ship::start(Load {
                ledger: Arc::clone(&engine.ledger),
                logs: engine.outbox.clone().zip(self.delivery.clone()),
                resource,
                spans: engine.spans.clone().zip(self.spans.clone()),
            })?);
        }
        Ok(engine)
    }

    /// An engine in any case: where the thread cannot be started, it counts what is lost.
    fn start_or_count(&self) -> Engine {
        self.start().unwrap_or_else(|error| {
            notice::emit(&Notice::new(
                kind::WORKER_ENDED.code,
                "engine",
                format!("nothing can be delivered: {error:?}"),
            ));
            Engine::without_thread(self)
        })
    }
}

impl Engine {
    fn without_thread(plan: &Plan) -> Self {
        let spans = match &plan.spans {
            Some(delivery) => Some(SpanQueue::new(delivery.max_queue, delivery.max_batch)),
            None => plan.shows_spans.then(|| SpanQueue::new(defaults::SPAN_QUEUE, defaults::SPAN_BATCH)),
        };
        Self {
            generation: os::fork_generation(),
            ledger: Arc::new(Ledger::new()),
            outbox: None,
            spans: spans.map(Arc::new),
            windows: plan.repetition.map(Windows::new),
            ship: None,
            resource: Vec::new(),
            told: Mutex::default(),
        }
    }

    /// Whether it is that of this process. It is not after a fork in the middle of a call: user code may do that.
    #[inline]
    pub(super) fn is_of_this_process(&self) -> bool {
        self.generation == os::fork_generation()
    }
}

impl Drop for Engine {
    /// The last handle of a pipeline that was built and never installed is gone: its thread delivers what is there and
    /// ends. In a forked child the parent's thread does not exist, and its locks must not be touched.
    fn drop(&mut self) {
        if let Some(ship) = &self.ship
            && self.is_of_this_process()
        {
            ship.finish();
        }
    }
}

/// How long a thread waits for another one that makes the engine; then it makes one itself.
const PATIENCE: Duration = Duration::from_millis(50);

/// The engine of the current process.
#[derive(Debug)]
pub(crate) struct Engines {
    engines: PerProcess<Engine>,
    /// The process, as the number of its forks and one, in which a thread makes an engine, or has made one.
    begun_in: AtomicU64,
    plan: Plan,
}

impl Engines {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { engines: PerProcess::new(), begun_in: AtomicU64::new(0), plan }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Starts the first engine now, so that a failure is an error and not a notice.
    pub(crate) fn start(&self) -> Result<(), Error> {
        let engine = self.plan.start()?;
        let _already_started = self.engines.set(engine);
        Ok(())
    }

    /// The engine of this process; a new one where the process was forked since.
    #[inline]
    pub(crate) fn current(&self) -> &Engine {
        match self.engines.existing() {
            Some(engine) => engine,
            None => self.begin(),
        }
    }

    /// No lock is held here, and nobody is waited for without end: a fork may come at any moment, and what is allocated may
    /// log. Of two engines that are made at the same time one is dropped, which ends its thread.
    #[cold]
    fn begin(&self) -> &Engine {
        let process = os::fork_generation() + 1;
        if self.begun_in.swap(process, Ordering::Relaxed) == process {
            let since = Instant::now();
            while self.engines.existing().is_none() && since.elapsed() < PATIENCE {
                std::thread::yield_now();
            }
        }
        self.engines.get_or_init(|_| {
            if process > 1
                && let Some(InChild(begin)) = self.plan.in_child.get()
            {
                begin();
            }
            self.plan.start_or_count()
        })
    }

    /// The engine of this process, where it has one.
    pub(crate) fn existing(&self) -> Option<&Engine> {
        self.engines.existing()
    }
}
