//! State that belongs to one process: counters, outbox and exporter thread.
//!
//! A forked child starts with new state at its first record. The parent's state is leaked: it is never dropped and
//! never accessed again.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::repetition::Windows;
use super::reported_losses::ReportedLosses;
use crate::config::{Config, LogDelivery, Mirror, RepetitionLimit, ResourceConfig, SpanDelivery, defaults};
use crate::error::Error;
use crate::finding::kind;
use crate::ledger::Ledger;
use crate::notice::{self, Notice};
use crate::os::{self, PerProcess};
use crate::otlp::encode_resource;
use crate::outbox::{Outbox, SpanQueue, Spool};
use crate::ship::{Ship, ShipConfig};

/// Everything that a process needs to count and export.
#[derive(Debug)]
pub(crate) struct ProcessState {
    generation: u64,
    pub(crate) ledger: Arc<Ledger>,
    /// Where records wait; `None` if they are not sent.
    pub(crate) outbox: Option<Arc<Outbox>>,
    /// Where open spans are noted and ended spans wait; `None` if they are neither sent nor shown.
    pub(crate) spans: Option<Arc<SpanQueue>>,
    /// The counts of similar records; `None` if repetition is not limited.
    pub(super) windows: Option<Windows>,
    /// `None` if nothing is sent, or if the thread could not be started.
    pub(crate) ship: Option<Ship>,
    /// The encoded fields of `ResourceLogs` before the scopes.
    pub(crate) resource: Vec<u8>,
    /// The losses that flushes have reported, of records and of spans.
    pub(super) reported: Mutex<[ReportedLosses; 2]>,
}

/// The inputs for the state of a process.
#[derive(Debug)]
pub(crate) struct ProcessConfig {
    delivery: Option<LogDelivery>,
    spans: Option<SpanDelivery>,
    shows_spans: bool,
    pub(super) repetition: Option<RepetitionLimit>,
    resource: ResourceConfig,
    /// The resource of a provider of the application, which takes precedence.
    pub(super) given_resource: OnceLock<opentelemetry_sdk::Resource>,
    each_second: fn(),
}

impl ProcessConfig {
    /// `each_second` is called about once a second on the exporter thread.
    pub(super) fn new(config: &Config, each_second: fn()) -> Self {
        // From here on, per-process state must not be shared with a child.
        os::watch_forks();
        Self {
            delivery: config.otlp.delivery.clone(),
            spans: config.span.delivery.clone(),
            shows_spans: config.span.mirror != Mirror::Off,
            repetition: config.repetition,
            resource: config.resource.clone(),
            given_resource: OnceLock::new(),
            each_second,
        }
    }

    fn start(&self) -> Result<ProcessState, Error> {
        let resource = self.given_resource.get().cloned().unwrap_or_else(|| self.resource.build());
        let mut state = ProcessState::without_thread(self);
        state.resource = encode_resource(&resource);
        state.outbox = self.delivery.as_ref().map(|delivery| {
            let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            let outbox = Outbox::new(delivery.max_bytes, threads, Arc::clone(&state.ledger));
            let outbox = outbox.with_max_request(delivery.max_request);
            let outbox = outbox.with_max_records(delivery.max_queue).with_overload(delivery.overload);
            Arc::new(match &delivery.spool {
                Some(spool) => outbox.with_spool(Arc::new(Spool::new(spool.clone(), state.resource.clone()))),
                None => outbox,
            })
        });
        if state.outbox.is_some() || self.spans.is_some() {
            state.ship = Some(Ship::start(ShipConfig {
                ledger: Arc::clone(&state.ledger),
                logs: state.outbox.clone().zip(self.delivery.clone()),
                resource,
                spans: state.spans.clone().zip(self.spans.clone()),
                each_second: self.each_second,
            })?);
        }
        Ok(state)
    }

    /// Creates the state even if the thread cannot be started. It then counts the lost records.
    fn start_or_count(&self) -> ProcessState {
        self.start().unwrap_or_else(|error| {
            notice::emit(&Notice::new(
                kind::WORKER_ENDED.code,
                "exporter thread",
                format!("nothing can be delivered: {error:?}"),
            ));
            ProcessState::without_thread(self)
        })
    }
}

impl ProcessState {
    fn without_thread(config: &ProcessConfig) -> Self {
        let spans = match &config.spans {
            Some(delivery) => Some(SpanQueue::new(delivery.max_queue, delivery.max_batch)),
            None => config.shows_spans.then(|| SpanQueue::new(defaults::SPAN_QUEUE, defaults::SPAN_BATCH)),
        };
        Self {
            generation: os::fork_generation(),
            ledger: Arc::new(Ledger::new()),
            outbox: None,
            spans: spans.map(Arc::new),
            windows: config.repetition.map(Windows::new),
            ship: None,
            resource: Vec::new(),
            reported: Mutex::default(),
        }
    }

    /// Returns whether this is the state of the current process. It is not if code of the application forked in the
    /// middle of a log call.
    #[inline]
    pub(super) fn is_of_this_process(&self) -> bool {
        self.generation == os::fork_generation()
    }
}

impl Drop for ProcessState {
    /// Lets the exporter thread deliver the pending records and end, if a pipeline was built and never installed.
    ///
    /// In a forked child, the parent's thread does not exist, and its locks must not be used.
    fn drop(&mut self) {
        if let Some(ship) = &self.ship
            && self.is_of_this_process()
        {
            ship.finish();
        }
    }
}

/// How long a thread waits for another thread that creates the state. After that, it creates the state itself.
const PATIENCE: Duration = Duration::from_millis(50);

/// The state of the current process. A forked child creates its own.
#[derive(Debug)]
pub(crate) struct StatePerProcess {
    states: PerProcess<ProcessState>,
    /// The fork generation, plus one, of the process in which a thread has begun to create the state.
    begun_in: AtomicU64,
    config: ProcessConfig,
    in_child: Option<ChildHook>,
}

/// Starts whatever else a forked child needs at its first record.
struct ChildHook(Box<dyn Fn() + Send + Sync>);

impl fmt::Debug for ChildHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChildHook")
    }
}

impl StatePerProcess {
    pub(super) fn new(config: ProcessConfig) -> Self {
        Self { states: PerProcess::new(), begun_in: AtomicU64::new(0), config, in_child: None }
    }

    /// Runs `hook` at the first record of a forked child.
    pub(super) fn with_child_hook(self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        Self { in_child: Some(ChildHook(Box::new(hook))), ..self }
    }

    pub(super) fn config(&self) -> &ProcessConfig {
        &self.config
    }

    /// Creates the first state now, so that a failure is returned as an error instead of a notice.
    pub(crate) fn start(&self) -> Result<(), Error> {
        let state = self.config.start()?;
        let _already_started = self.states.set(state);
        Ok(())
    }

    /// Returns the state of this process. Creates it if the process was forked since.
    #[inline]
    pub(crate) fn current(&self) -> &ProcessState {
        match self.states.existing() {
            Some(state) => state,
            None => self.begin(),
        }
    }

    /// Creates the state of this process.
    ///
    /// Holds no lock and never waits long for another thread, because a fork may come at any moment and an allocator
    /// may log. If two threads create a state at the same time, one state is dropped, which ends its exporter thread.
    #[cold]
    fn begin(&self) -> &ProcessState {
        let process = os::fork_generation() + 1;
        if self.begun_in.swap(process, Ordering::Relaxed) == process {
            let since = Instant::now();
            while self.states.existing().is_none() && since.elapsed() < PATIENCE {
                std::thread::yield_now();
            }
        }
        self.states.get_or_init(|_| {
            if process > 1
                && let Some(ChildHook(begin)) = &self.in_child
            {
                begin();
            }
            self.config.start_or_count()
        })
    }

    /// Returns the state of this process, if it was created.
    pub(crate) fn existing(&self) -> Option<&ProcessState> {
        self.states.existing()
    }
}
