//! The one thread that sends: it owns the runtime, the client and every outcome.

mod batch;
mod control;
mod feed;
mod health;
mod keeper;
mod limit;
mod logs;
mod overload;
mod recovery;
mod replay;
mod retry;
mod search;
mod signals;
mod spans;
mod voice;
mod worker;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use control::{CLOSED_HELP, Control, Waited};
use feed::Feed;
pub(crate) use keeper::{HasKeeper, Keeper, Keeps};
use logs::LogFeed;
use opentelemetry_sdk::Resource;
use recovery::RecoveryFeed;
pub use replay::End;
pub use replay::Replay;
pub use replay::Replayed;
pub(crate) use signals::{After, Deeds, watch_signals};
use spans::SpanFeed;
use tokio::runtime::{Builder, Runtime};
use voice::Voice;
pub(crate) use voice::{Failure, clock_finding};
use worker::Worker;

use crate::config::{LogDelivery, Route, SpanDelivery};
use crate::error::{Error, Kind, Undelivered};
use crate::finding::kind;
use crate::ledger::Ledger;
use crate::notice::{self, Notice};
use crate::os::{self, OnceBox};
use crate::otlp::encode_resource;
use crate::outbox::{Outbox, SpanQueue, Spool};
use crate::signal::Signal;
use crate::thread;
use crate::transport::Transport;

/// How long a thread goes on that nobody can ask any more.
const FINISH: Duration = Duration::from_secs(10);
/// How long a start waits for the thread to have a runtime, which takes a fraction of a millisecond.
const START: Duration = Duration::from_millis(500);
/// How long to wait before the runtime is tried for again.
const RUNTIME_RETRY: Duration = Duration::from_millis(500);
/// How long to wait after a panic of the ship thread.
const PANIC_RETRY: Duration = Duration::from_secs(1);
/// How long a forked child waits for something that its parent may have left locked for ever.
const CHILD_PATIENCE: Duration = Duration::from_secs(2);
/// The name of the ship thread, as debuggers and `top -H` show it.
const THREAD_NAME: &str = "logbridge";

/// What there is to ship: the stores, and how what is in them reaches its endpoint.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) logs: Option<(Arc<Outbox>, LogDelivery)>,
    pub(crate) resource: Resource,
    pub(crate) spans: Option<(Arc<SpanQueue>, SpanDelivery)>,
}

/// A handle of the ship thread. Dropping it stops nothing.
#[derive(Debug)]
pub(crate) struct Ship {
    lanes: Vec<Lane>,
    /// What looks after the spool; nobody waits for what it sends.
    recovery: Option<Recovery>,
}

#[derive(Debug)]
struct Recovery {
    control: Arc<Control>,
    spool: Arc<Spool>,
}

/// One signal, as other threads see it.
#[derive(Debug)]
struct Lane {
    control: Arc<Control>,
    store: Store,
}

#[derive(Debug)]
enum Store {
    Logs(Arc<Outbox>),
    Spans(Arc<SpanQueue>),
}

impl Store {
    fn signal(&self) -> Signal {
        match self {
            Self::Logs(_) => Signal::Logs,
            Self::Spans(_) => Signal::Traces,
        }
    }

    fn seal(&self) -> u64 {
        match self {
            Self::Logs(outbox) => outbox.seal(),
            Self::Spans(queue) => queue.seal(),
        }
    }
}

/// How an order to flush ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Flushed {
    /// Everything accepted before the order has met its fate, good or bad.
    All,
    /// It has not, for these reasons.
    Not { timed_out: bool, failures: Vec<Failure> },
}

impl Ship {
    /// Starts the thread.
    pub(crate) fn start(load: Load) -> Result<Self, Error> {
        let mut lanes = Vec::new();
        if let Some((outbox, _)) = &load.logs {
            lanes.push(Lane { control: Arc::default(), store: Store::Logs(Arc::clone(outbox)) });
        }
        if let Some((queue, _)) = &load.spans {
            lanes.push(Lane { control: Arc::default(), store: Store::Spans(Arc::clone(queue)) });
        }
        let spool = load.logs.as_ref().and_then(|(outbox, _)| outbox.spool());
        let recovery = spool.map(|spool| Recovery { control: Arc::default(), spool: Arc::clone(spool) });
        let controls: Vec<_> =
            lanes.iter().map(|lane| &lane.control).chain(recovery.iter().map(|r| &r.control)).map(Arc::clone).collect();
        std::thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || {
                thread::mark_internal();
                let ended = Ended(controls.clone());
                run(&controls, load);
                drop(ended);
            })
            .map_err(|error| Error::new(Kind::Thread).with_source(error))?;
        // Where tokio has its feature `signal`, the first runtime of a process makes something global. A child that is forked
        // meanwhile waits for it for ever, so nobody gets the chance to fork before it is there.
        if let Some(lane) = lanes.first() {
            lane.control.wait_started(START);
        }
        Ok(Self { lanes, recovery })
    }

    #[inline]
    pub(crate) fn wake(&self, signal: Signal) {
        if let Some(lane) = self.lanes.iter().find(|lane| lane.store.signal() == signal) {
            lane.control.wake();
        }
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
        for lane in &self.lanes {
            lane.control.wait_ended(Duration::from_millis(500));
        }
        flushed
    }

    /// The same without waiting for it.
    pub(crate) fn finish(&self) {
        for lane in &self.lanes {
            lane.control.order(lane.store.seal(), FINISH, true, true);
        }
        if let Some(recovery) = &self.recovery {
            recovery.control.order(0, FINISH, true, true);
        }
    }

    fn order(&self, timeout: Duration, ending: bool, stop: bool) -> Flushed {
        // On our own thread nobody would answer.
        if thread::is_internal() {
            return Flushed::Not { timed_out: false, failures: Vec::new() };
        }
        let until = control::until(timeout);
        // Sealed here and now: what is written from now on is not waited for. All are ordered before one is waited for.
        let orders: Vec<_> =
            self.lanes.iter().map(|lane| lane.control.order(lane.store.seal(), timeout, ending, stop)).collect();
        if let Some(Recovery { control, spool }) = &self.recovery {
            if ending {
                // By the one who waits: the thread may have given up before it gets to it.
                spool.note_end();
            }
            match stop {
                true => drop(control.order(0, timeout, true, true)),
                // Children that have ended since the last look are found now.
                false if !ending => {
                    spool.look_soon();
                    control.wake();
                }
                false => {}
            }
        }
        let (mut all, mut timed_out, mut failures) = (true, false, Vec::new());
        for (lane, order) in self.lanes.iter().zip(orders) {
            let waited = lane.control.wait(order, until, ending, stop);
            if waited != Waited::Done {
                all = false;
                timed_out |= waited == Waited::TimedOut;
                let asleep = (waited == Waited::TimedOut).then(|| lane.control.asleep(order, timeout)).flatten();
                failures.extend(asleep.or_else(|| lane.control.look().last_failure));
            }
        }
        failures.dedup();
        if all { Flushed::All } else { Flushed::Not { timed_out, failures } }
    }
}

static TICK: OnceBox<fn()> = OnceBox::new();

/// From now on, this is done about once a second on the ship thread, while there is anything to ship.
pub(crate) fn each_second(task: fn()) {
    let _always_the_same = TICK.set(task);
}

fn tick() {
    if let Some(task) = TICK.get() {
        task();
    }
}

/// Runs a task on a thread of the crate's own and waits for it: tracing's caches may only be rebuilt where no scoped
/// subscriber is in force, which no thread of the application can promise.
pub(crate) fn on_own_thread(task: fn()) {
    let spawned = std::thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || {
        thread::mark_internal();
        task();
    });
    match spawned {
        // A panic of the task has been printed by the panic hook.
        Ok(thread) if os::fork_generation() == 0 => drop(thread.join()),
        // A fork that the C library did not see has not waited for the parent: its thread may have held locks of tracing's.
        Ok(thread) => {
            let since = Instant::now();
            while !thread.is_finished() && since.elapsed() < CHILD_PATIENCE {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        Err(_no_thread) => task(),
    }
}

/// Asks something on a thread of the crate's own; `None` where there is no thread to be had, or it panicked.
pub(crate) fn ask_own_thread<T: Send + 'static>(ask: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let spawned = std::thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || {
        thread::mark_internal();
        ask()
    });
    spawned.ok()?.join().ok()
}

/// The same, where the answer is left to code of the application: `None` also where it does not come in that time.
pub(crate) fn ask_own_thread_within<T: Send + 'static>(
    patience: Duration,
    ask: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (answer, wait) = std::sync::mpsc::channel();
    let spawned = std::thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || {
        thread::mark_internal();
        let _nobody_waits = answer.send(ask());
    });
    spawned.ok()?;
    wait.recv_timeout(patience).ok()
}

/// Runs a task on a thread of the crate's own, some time soon. It is not run where there is no thread to be had.
pub(crate) fn soon_on_own_thread(task: fn()) {
    let _spawned = std::thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || {
        thread::mark_internal();
        task();
    });
}

/// Runs a task on another thread, and waits for it, but no longer than this.
pub(crate) fn with_patience(task: impl FnOnce() + Send + 'static, patience: Duration) {
    let (done, wait) = std::sync::mpsc::channel();
    let spawned = std::thread::Builder::new().name("logbridge-closer".to_owned()).spawn(move || {
        task();
        let _nobody_waits = done.send(());
    });
    if spawned.is_ok() {
        let _done_or_late = wait.recv_timeout(patience);
    }
}

/// Says that the thread has ended, also when it ends by a panic.
struct Ended(Vec<Arc<Control>>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.iter().for_each(|control| control.update(|state| state.ended = true));
    }
}

fn run(controls: &[Arc<Control>], load: Load) {
    let ledger = Arc::clone(&load.ledger);
    let (mut workers, routes) = workers(controls, load);
    let mut was_closed = false;
    loop {
        let Some(runtime) = start_runtime(controls, was_closed) else {
            workers.iter_mut().for_each(|worker| worker.drop_all());
            return;
        };
        // Timers and sockets of the client belong to this runtime.
        let transports = {
            let _entered = runtime.enter();
            Transport::for_routes(&routes)
        };
        for (worker, transport) in workers.iter_mut().zip(transports) {
            // Descriptors that somebody closed may be somebody else's by now: what used them is not dropped.
            std::mem::forget(worker.transport.replace(transport));
        }
        let canary = os::DescriptorSentinel::new();
        let ran = catch_unwind(AssertUnwindSafe(|| runtime.block_on(run_all(&mut workers, &routes, &canary))));
        let failure = match ran {
            // A resolver call may hang: nobody waits for it.
            Ok(Ran::ToTheEnd) => return runtime.shutdown_background(),
            Ok(Ran::UntilClosed) => {
                was_closed = true;
                closed()
            }
            // The runtime itself has panicked, as it does where its descriptors are not its own any more.
            Err(ref panic) => panicked(&**panic),
        };
        std::mem::forget(runtime);
        ledger.stats.count_restart();
        notice::emit(&Notice::new(kind::WORKER_ENDED.code, "ship panic", failure.text.clone()).help(failure.help));
        if ran.is_err() && control::wait_in_vain(controls, &failure, PANIC_RETRY) {
            workers.iter_mut().for_each(|worker| worker.drop_all());
            return;
        }
    }
}

/// A worker for each signal, in the order of the controls, and where each of them sends.
fn workers(controls: &[Arc<Control>], load: Load) -> (Vec<Worker>, Vec<Route>) {
    let Load { ledger, logs, resource, spans } = load;
    let observed = Arc::clone(&ledger);
    let mut feeds: Vec<(Signal, Box<dyn Feed>, Route)> = Vec::new();
    let recovery = logs.as_ref().and_then(|(outbox, delivery)| {
        let spool = Arc::clone(outbox.spool()?);
        // The last one is its own.
        let control = Arc::clone(controls.last()?);
        let feed = RecoveryFeed::new(Arc::clone(&ledger), Arc::clone(outbox), spool, delivery, control);
        Some((Signal::Logs, Box::new(feed) as Box<dyn Feed>, delivery.route.clone()))
    });
    if let Some((outbox, delivery)) = logs {
        let feed = LogFeed::new(Arc::clone(&ledger), outbox, encode_resource(&resource), &delivery);
        feeds.push((Signal::Logs, Box::new(feed), delivery.route));
    }
    if let Some((queue, delivery)) = spans {
        let feed = SpanFeed::new(ledger, queue, &resource, delivery.schedule_delay, delivery.max_request);
        feeds.push((Signal::Traces, Box::new(feed), delivery.route));
    }
    feeds.extend(recovery);
    feeds
        .into_iter()
        .zip(controls)
        .map(|((signal, feed, route), control)| {
            let voice = Voice::new(signal, route.endpoint.clone(), Arc::clone(&observed));
            (Worker::new(Arc::clone(control), feed, voice, signal, route.export_timeout), route)
        })
        .unzip()
}

/// Runs all workers on this thread until the last one ends. A panic of one stops no other.
///
/// Constraint: a panic comes out of here only from where descriptors that somebody closed make tokio panic: as the thread
/// goes to sleep, or as a timer wakes it.
async fn run_all(workers: &mut [Worker], routes: &[Route], canary: &os::DescriptorSentinel) -> Ran {
    let run = |(worker, route)| Box::pin(run_again_and_again(worker, route)) as Pin<Box<dyn Future<Output = ()> + '_>>;
    let mut running: Vec<_> = workers.iter_mut().zip(routes).map(run).collect();
    std::future::poll_fn(|context| {
        // Before any other descriptor is used: a debug build of std aborts where an owned one was closed by somebody else.
        if canary.was_closed() {
            // What they hold may be open connections.
            running.drain(..).for_each(std::mem::forget);
            return Poll::Ready(Ran::UntilClosed);
        }
        running.retain_mut(|worker| worker.as_mut().poll(context).is_pending());
        if running.is_empty() { Poll::Ready(Ran::ToTheEnd) } else { Poll::Pending }
    })
    .await
}

/// How the workers ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ran {
    ToTheEnd,
    /// Somebody has closed the descriptors of the runtime. Nothing of it may be used or dropped any more.
    UntilClosed,
}

fn closed() -> Failure {
    let text = "the program has closed descriptors of logbridge, which opens new ones";
    Failure { text: text.to_owned(), help: CLOSED_HELP }
}

async fn run_again_and_again(worker: &mut Worker, route: &Route) {
    while let Err(panic) = caught(worker.run()).await {
        let failure = panicked(&*panic);
        worker.restarted();
        notice::emit(&Notice::new(kind::WORKER_ENDED.code, "ship panic", failure.text.clone()).help(failure.help));
        if !worker.rest(failure, PANIC_RETRY).await {
            return worker.drop_all();
        }
        // The runtime has slept and woken since: its descriptors are its own, so that what used them may be closed.
        worker.transport = Transport::for_routes(std::slice::from_ref(route)).pop();
    }
}

/// What comes of a future, or the panic that ended it.
async fn caught<F: Future<Output = ()>>(future: F) -> Result<(), Box<dyn Any + Send>> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// A bug of ours, or descriptors that somebody has closed; the records that wait must not pay for either.
fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let what = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let what = what.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    // tokio's words where epoll or kqueue is closed, or the number is that of another file by now.
    if what.starts_with("unexpected error when polling the I/O driver") {
        return closed();
    }
    Failure {
        text: format!("the ship thread panicked and starts again: {what}"),
        help: "if nothing closes descriptors that it did not open, please report this as a bug of logbridge",
    }
}

/// The runtime, as soon as it can be had: without descriptors, say, it cannot. `None` where the pipeline is stopped first.
///
/// Where tokio has its feature `signal`, it cannot either once somebody has closed what tokio keeps for signals.
fn start_runtime(controls: &[Arc<Control>], was_closed: bool) -> Option<Runtime> {
    loop {
        let built = Builder::new_current_thread()
            .enable_all()
            .thread_name(THREAD_NAME)
            .on_thread_start(thread::mark_internal)
            .build();
        controls.iter().for_each(|control| control.update(|state| state.started = true));
        let error = match built {
            Ok(runtime) => return Some(runtime),
            Err(error) => error,
        };
        let (text, help) = match was_closed {
            true => (
                format!("nothing can be sent any more: the program has closed descriptors of tokio: {error}"),
                CLOSED_HELP,
            ),
            false => (
                format!("nothing can be sent yet: the ship thread cannot start its runtime: {error}"),
                "check the limits of the process (ulimit -n)",
            ),
        };
        notice::emit(&Notice::new(kind::WORKER_ENDED.code, "runtime", text.clone()).help(help));
        if control::wait_in_vain(controls, &Failure { text, help }, RUNTIME_RETRY) {
            return None;
        }
    }
}

impl From<Undelivered> for Error {
    fn from(numbers: Undelivered) -> Self {
        Self::new(Kind::NotDelivered(numbers))
    }
}
