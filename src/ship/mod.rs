//! The one thread that sends: it owns the runtime, the client and every outcome.

mod batch;
mod control;
mod voice;
mod worker;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use control::{Control, Waited};
use tokio::runtime::{Builder, Runtime};
pub(crate) use voice::Failure;
use voice::Voice;
use worker::{Queue, Retry, Worker};

use crate::config::Delivery;
use crate::error::{Error, Kind, Undelivered};
use crate::ledger::Ledger;
use crate::notice::{self, Notice};
use crate::outbox::Outbox;
use crate::thread;
use crate::transport::Http;

/// How long a thread goes on that nobody can ask any more.
const FINISH: Duration = Duration::from_secs(10);
/// How long to wait before the runtime is tried for again.
const RUNTIME_RETRY: Duration = Duration::from_millis(500);
/// How long to wait after a panic of the ship thread.
const PANIC_RETRY: Duration = Duration::from_secs(1);
/// The name of the ship thread, as debuggers and `top -H` show it.
const THREAD_NAME: &str = "logbridge";

/// A handle of the ship thread. Dropping it stops nothing.
#[derive(Debug)]
pub(crate) struct Ship {
    control: Arc<Control>,
    outbox: Arc<Outbox>,
}

/// How an order to flush ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Flushed {
    /// Everything accepted before the order has met its fate, good or bad.
    All,
    /// It has not, for this reason.
    Not { timed_out: bool, last_failure: Option<Failure> },
}

impl Ship {
    /// Starts the thread.
    pub(crate) fn start(
        outbox: Arc<Outbox>,
        ledger: Arc<Ledger>,
        resource: Vec<u8>,
        delivery: &Delivery,
    ) -> Result<Self, Error> {
        let control = Arc::new(Control::default());
        let (shared, delivery) = (Arc::clone(&control), delivery.clone());
        let shared_outbox = Arc::clone(&outbox);
        std::thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || {
                thread::mark_own();
                let ended = Ended(Arc::clone(&shared));
                run(shared, shared_outbox, ledger, resource, &delivery);
                drop(ended);
            })
            .map_err(|error| Error::new(Kind::Thread).with_source(error))?;
        Ok(Self { control, outbox })
    }

    #[inline]
    pub(crate) fn wake(&self) {
        self.control.wake();
    }

    /// Sends everything accepted before the call, until the time is up.
    pub(crate) fn flush(&self, timeout: Duration) -> Flushed {
        self.order(timeout, false, false)
    }

    /// The same for a process that ends: what cannot be delivered is not waited for.
    pub(crate) fn flush_at_exit(&self, timeout: Duration) -> Flushed {
        self.order(timeout, true, false)
    }

    /// The same, and then the thread ends; what is left is dropped and counted.
    pub(crate) fn stop(&self, timeout: Duration) -> Flushed {
        let flushed = self.order(timeout, true, true);
        // The deadline has passed for the requests; the thread itself needs a moment to count what is left.
        self.control.wait_ended(Duration::from_millis(500));
        flushed
    }

    /// The same without waiting for it.
    pub(crate) fn finish(&self) {
        self.control.order(self.outbox.seal(), FINISH, true, true);
    }

    fn order(&self, timeout: Duration, ending: bool, stop: bool) -> Flushed {
        // On our own thread nobody would answer.
        if thread::is_own() {
            return Flushed::Not { timed_out: false, last_failure: None };
        }
        // Sealed here and now: what is written from now on is not waited for.
        match self.control.flush(self.outbox.seal(), timeout, ending, stop) {
            Waited::Done => Flushed::All,
            waited => {
                Flushed::Not { timed_out: waited == Waited::TimedOut, last_failure: self.control.look().last_failure }
            }
        }
    }
}

/// Runs a task on a thread of the crate's own and waits for it: tracing's caches may only be rebuilt where no scoped
/// subscriber is in force, which no thread of the application can promise.
pub(crate) fn on_own_thread(task: fn()) {
    let spawned = std::thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || {
        thread::mark_own();
        task();
    });
    match spawned {
        // A panic of the task has been printed by the panic hook.
        Ok(thread) => drop(thread.join()),
        Err(_no_thread) => task(),
    }
}

/// Says that the thread has ended, also when it ends by a panic.
struct Ended(Arc<Control>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.update(|state| state.ended = true);
    }
}

fn run(control: Arc<Control>, outbox: Arc<Outbox>, ledger: Arc<Ledger>, resource: Vec<u8>, delivery: &Delivery) {
    let mut resource = Some(resource);
    let mut worker: Option<Worker> = None;
    loop {
        let Some(runtime) = start_runtime(&control) else {
            worker::drop_all(&outbox, &ledger);
            return;
        };
        // Timers and sockets of the client belong to this runtime.
        let transport = {
            let _entered = runtime.enter();
            Http::new(delivery)
        };
        match &mut worker {
            // Descriptors that somebody closed may be somebody else's by now: what used them is not dropped.
            Some(worker) => std::mem::forget(std::mem::replace(&mut worker.transport, transport)),
            None => {
                worker = Some(Worker {
                    control: Arc::clone(&control),
                    ledger: Arc::clone(&ledger),
                    outbox: Arc::clone(&outbox),
                    resource: resource.take().unwrap_or_default(),
                    schedule_delay: delivery.schedule_delay,
                    transport,
                    voice: Voice::new(delivery.endpoint.clone()),
                    queue: Queue::default(),
                    retry: Retry::default(),
                });
            }
        }
        let Some(worker) = &mut worker else { return };
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| runtime.block_on(worker.run()))) else {
            // A resolver call may hang: nobody waits for it.
            return runtime.shutdown_background();
        };
        std::mem::forget(runtime);
        let failure = panicked(&*panic);
        notice::say(&Notice::new("ship panic", failure.text.clone()).help(failure.help));
        if control.wait_in_vain(failure, PANIC_RETRY) {
            worker.end();
            return;
        }
    }
}

/// A bug of ours, or descriptors that somebody has closed; the records that wait must not pay for either.
fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    let what = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let what = what.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Failure {
        text: format!("the ship thread panicked and starts again: {what}"),
        help: "if nothing closes descriptors that it did not open, please report this as a bug of logbridge",
    }
}

/// The runtime, as soon as it can be had: without descriptors, say, it cannot. `None` where the pipeline is stopped first.
fn start_runtime(control: &Control) -> Option<Runtime> {
    loop {
        let error = match Builder::new_current_thread()
            .enable_all()
            .thread_name(THREAD_NAME)
            .on_thread_start(thread::mark_own)
            .build()
        {
            Ok(runtime) => return Some(runtime),
            Err(error) => error,
        };
        let text = format!("no logs can be sent yet: the ship thread cannot start its runtime: {error}");
        let help = "check the limits of the process (ulimit -n)";
        notice::say(&Notice::new("runtime", text.clone()).help(help));
        if control.wait_in_vain(Failure { text, help }, RUNTIME_RETRY) {
            return None;
        }
    }
}

impl From<Undelivered> for Error {
    fn from(numbers: Undelivered) -> Self {
        Self::new(Kind::NotDelivered(numbers))
    }
}
