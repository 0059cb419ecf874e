//! What belongs to one process: counters, outbox and ship thread. A forked child starts with new ones at its first
//! record; the parent's are left as they are, never dropped and never touched again.

use std::sync::{Arc, OnceLock};

use crate::config::{Delivery, ResourceConfig};
use crate::error::Error;
use crate::ledger::Ledger;
use crate::notice::{self, Notice};
use crate::os;
use crate::otlp::encode_resource;
use crate::outbox::Outbox;
use crate::ship::Ship;

/// Everything that a process needs to count and ship.
#[derive(Debug)]
pub(crate) struct Engine {
    generation: u64,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) shipping: Option<Shipping>,
    /// Why there is none although the destination is on.
    pub(crate) broken: bool,
    /// The fields of `ResourceLogs` in front of the scopes.
    pub(crate) resource: Vec<u8>,
    /// The engine of a child of this process, in that child.
    child: OnceLock<Box<Engine>>,
}

#[derive(Debug)]
pub(crate) struct Shipping {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) ship: Ship,
}

/// How engines of this pipeline are made.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) delivery: Option<Delivery>,
    pub(crate) resource: ResourceConfig,
    /// The resource of somebody else's provider, which wins.
    pub(crate) given_resource: OnceLock<opentelemetry_sdk::Resource>,
}

impl Plan {
    fn start(&self) -> Result<Engine, Error> {
        os::watch_forks();
        let resource = match self.given_resource.get() {
            Some(resource) => encode_resource(resource),
            None => encode_resource(&self.resource.build()),
        };
        let ledger = Arc::new(Ledger::new());
        let shipping = match &self.delivery {
            None => None,
            Some(delivery) => {
                let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
                let outbox = Arc::new(Outbox::new(delivery.max_bytes, threads));
                let (shared_outbox, shared_ledger) = (Arc::clone(&outbox), Arc::clone(&ledger));
                let ship = Ship::start(shared_outbox, shared_ledger, resource.clone(), delivery)?;
                Some(Shipping { outbox, ship })
            }
        };
        let generation = os::fork_generation();
        Ok(Engine { generation, ledger, shipping, broken: false, resource, child: OnceLock::new() })
    }

    /// An engine in any case: where the thread cannot be started, it counts what is lost.
    fn start_or_count(&self) -> Engine {
        self.start().unwrap_or_else(|error| {
            notice::say(&Notice::new("engine", format!("no logs can be delivered: {error:?}")));
            Engine {
                generation: os::fork_generation(),
                ledger: Arc::new(Ledger::new()),
                shipping: None,
                broken: self.delivery.is_some(),
                resource: Vec::new(),
                child: OnceLock::new(),
            }
        })
    }
}

impl Drop for Engine {
    /// The last handle of a pipeline that was built and never installed is gone: its thread delivers what is there and
    /// ends. In a forked child the parent's thread does not exist, and its locks must not be touched.
    fn drop(&mut self) {
        if let Some(shipping) = &self.shipping
            && self.generation == os::fork_generation()
        {
            shipping.ship.finish();
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
            engine = engine.child.get_or_init(|| Box::new(self.plan.start_or_count()));
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
