//! What belongs to one process: counters, outbox and ship thread. A forked child starts with new ones at its first
//! record; the parent's are left as they are, never dropped and never touched again.

use std::sync::{Arc, OnceLock};

use super::repetition::Windows;
use crate::config::{Config, Delivery, Mirror, RepetitionLimit, ResourceConfig, SpanDelivery, defaults};
use crate::error::Error;
use crate::finding::kind;
use crate::ledger::Ledger;
use crate::notice::{self, Notice};
use crate::os;
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
    /// The engine of a child of this process, in that child.
    child: OnceLock<Box<Engine>>,
}

/// How engines of this pipeline are made.
#[derive(Debug)]
pub(crate) struct Plan {
    delivery: Option<Delivery>,
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
        os::watch_forks();
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
            notice::say(&Notice::new(
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
            child: OnceLock::new(),
        }
    }
}

impl Drop for Engine {
    /// The last handle of a pipeline that was built and never installed is gone: its thread delivers what is there and
    /// ends. In a forked child the parent's thread does not exist, and its locks must not be touched.
    fn drop(&mut self) {
        if let Some(ship) = &self.ship
            && self.generation == os::fork_generation()
        {
            ship.finish();
        }
    }
}

/// The engine of the current process.
#[derive(Debug)]
pub(crate) struct Engines {
    first: OnceLock<Engine>,
    plan: Plan,
}

impl Engines {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { first: OnceLock::new(), plan }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Starts the first engine now, so that a failure is an error and not a notice.
    pub(crate) fn start(&self) -> Result<(), Error> {
        let engine = self.plan.start()?;
        let _already_started = self.first.set(engine);
        Ok(())
    }

    /// The engine of this process; a new one where the process was forked since.
    #[inline]
    pub(crate) fn current(&self) -> &Engine {
        let generation = os::fork_generation();
        let mut engine = self.first.get_or_init(|| self.plan.start_or_count());
        while engine.generation != generation {
            engine = engine.child.get_or_init(|| {
                if let Some(InChild(begin)) = self.plan.in_child.get() {
                    begin();
                }
                Box::new(self.plan.start_or_count())
            });
        }
        engine
    }

    /// The engine of this process, where it has one.
    pub(crate) fn existing(&self) -> Option<&Engine> {
        let generation = os::fork_generation();
        let mut engine = self.first.get()?;
        while engine.generation != generation {
            engine = engine.child.get()?;
        }
        Some(engine)
    }
}
