//! The exporter thread: it owns the runtime and runs one worker for each signal.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use opentelemetry_sdk::Resource;
use tokio::runtime::{Builder, Runtime};

use super::control::{Control, wait_while_unable};
use super::failure::{CLOSED_HELP, Failure};
use super::failure_notices::FailureNotices;
use super::logs::LogSource;
use super::own_thread::THREAD_NAME;
use super::recovery::RecoverySource;
use super::request_source::RequestSource;
use super::spans::SpanSource;
use super::worker::Worker;
use crate::config::{LogDelivery, Route, SpanDelivery};
use crate::finding::kind;
use crate::ledger::Ledger;
use crate::notice::{self, Notice};
use crate::os;
use crate::otlp::encode_resource;
use crate::outbox::{Outbox, SpanQueue};
use crate::signal::Signal;
use crate::thread;
use crate::transport::Transport;

/// How long to wait before another attempt to build a runtime.
const RUNTIME_RETRY: Duration = Duration::from_millis(500);
/// How long to wait after a panic of the exporter thread.
const PANIC_RETRY: Duration = Duration::from_secs(1);

/// What the exporter thread sends, and where.
#[derive(Debug)]
pub(crate) struct ShipConfig {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) logs: Option<(Arc<Outbox>, LogDelivery)>,
    pub(crate) resource: Resource,
    pub(crate) spans: Option<(Arc<SpanQueue>, SpanDelivery)>,
    /// Called about once a second on the exporter thread, while records are sent.
    pub(crate) each_second: fn(),
}

/// Marks all controls as ended when it is dropped, even by a panic.
struct EndGuard<'a>(&'a [Arc<Control>]);

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|control| control.update(|state| state.ended = true));
    }
}

/// Runs until the pipeline is stopped.
pub(super) fn run(controls: &[Arc<Control>], config: ShipConfig) {
    let _ended = EndGuard(controls);
    let ledger = Arc::clone(&config.ledger);
    let (mut workers, routes) = workers(controls, config);
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
            // Closed descriptors may be other files by now, so the old transport must not close them again.
            std::mem::forget(worker.transport.replace(transport));
        }
        let canary = os::DescriptorSentinel::new();
        let ran = catch_unwind(AssertUnwindSafe(|| runtime.block_on(run_all(&mut workers, &routes, &canary))));
        let failure = match ran {
            // Does not wait, because a resolver call may hang.
            Ok(RunEnd::Stopped) => return runtime.shutdown_background(),
            Ok(RunEnd::DescriptorsClosed) => {
                was_closed = true;
                Failure::descriptors_closed()
            }
            // The runtime itself panics if its descriptors are other files now.
            Err(ref panic) => Failure::panicked(&**panic),
        };
        std::mem::forget(runtime);
        ledger.stats.count_restart();
        notify_restart(&failure);
        if ran.is_err() && wait_while_unable(controls, &failure, PANIC_RETRY) {
            workers.iter_mut().for_each(|worker| worker.drop_all());
            return;
        }
    }
}

fn notify_restart(failure: &Failure) {
    notice::emit(&Notice::new(kind::WORKER_ENDED.code, "ship panic", failure.text.clone()).help(failure.help));
}

/// Creates a worker for each control, and the route of each.
fn workers(controls: &[Arc<Control>], config: ShipConfig) -> (Vec<Worker>, Vec<Route>) {
    let ShipConfig { ledger, logs, resource, spans, each_second } = config;
    let stats = Arc::clone(&ledger);
    let mut sources: Vec<(Signal, Box<dyn RequestSource>, Route)> = Vec::new();
    let recovery = logs.as_ref().and_then(|(outbox, delivery)| {
        let spool = Arc::clone(outbox.spool()?);
        // The last control is that of the recovery.
        let control = Arc::clone(controls.last()?);
        let source = RecoverySource::new(Arc::clone(&ledger), Arc::clone(outbox), spool, delivery, control);
        Some((Signal::Logs, Box::new(source) as Box<dyn RequestSource>, delivery.route.clone()))
    });
    if let Some((outbox, delivery)) = logs {
        let source = LogSource::new(Arc::clone(&ledger), outbox, encode_resource(&resource), &delivery, each_second);
        sources.push((Signal::Logs, Box::new(source), delivery.route));
    }
    if let Some((queue, delivery)) = spans {
        let source = SpanSource::new(ledger, queue, &resource, delivery.schedule_delay, delivery.max_request);
        sources.push((Signal::Traces, Box::new(source), delivery.route));
    }
    sources.extend(recovery);
    sources
        .into_iter()
        .zip(controls)
        .map(|((signal, source, route), control)| {
            let notices = FailureNotices::new(signal, route.endpoint.clone(), Arc::clone(&stats));
            (Worker::new(Arc::clone(control), source, notices, signal, route.export_timeout), route)
        })
        .unzip()
}

/// How the workers ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RunEnd {
    Stopped,
    /// The program has closed descriptors of the runtime. No part of the runtime may be used or dropped any more.
    DescriptorsClosed,
}

/// Runs all workers on this thread until the last one ends. A panic of one worker stops no other.
///
/// Constraint: this function panics only if the program closes descriptors, because tokio then panics when the thread
/// goes to sleep or a timer wakes it.
pub(super) async fn run_all(workers: &mut [Worker], routes: &[Route], canary: &os::DescriptorSentinel) -> RunEnd {
    let run = |(worker, route)| Box::pin(run_restarting(worker, route)) as Pin<Box<dyn Future<Output = ()> + '_>>;
    let mut running: Vec<_> = workers.iter_mut().zip(routes).map(run).collect();
    std::future::poll_fn(|context| {
        // Checked before any other descriptor is used: a debug build of std aborts if another thread closed an owned
        // one.
        if canary.was_closed() {
            // The futures may hold open connections.
            running.drain(..).for_each(std::mem::forget);
            return Poll::Ready(RunEnd::DescriptorsClosed);
        }
        running.retain_mut(|worker| worker.as_mut().poll(context).is_pending());
        if running.is_empty() { Poll::Ready(RunEnd::Stopped) } else { Poll::Pending }
    })
    .await
}

/// Runs a worker, and restarts it after each panic.
async fn run_restarting(worker: &mut Worker, route: &Route) {
    while let Err(panic) = catch_panic(worker.run()).await {
        let failure = Failure::panicked(&*panic);
        worker.note_restart();
        notify_restart(&failure);
        if !worker.pause(failure, PANIC_RETRY).await {
            return worker.drop_all();
        }
        // The runtime has slept and woken since, so its descriptors are intact, and the old transport may close its
        // own.
        worker.transport = Transport::for_routes(std::slice::from_ref(route)).pop();
    }
}

async fn catch_panic<F: Future<Output = ()>>(future: F) -> Result<(), Box<dyn Any + Send>> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// Builds a runtime, and retries while that fails, for example because there are no descriptors left. Returns `None` if
/// the pipeline is stopped first.
///
/// If tokio's feature `signal` is on, a runtime can never be built again once the program has closed the descriptors
/// that tokio keeps for signals.
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
                format!("nothing can be sent yet: the exporter thread cannot start its runtime: {error}"),
                "check the limits of the process (ulimit -n)",
            ),
        };
        notice::emit(&Notice::new(kind::WORKER_ENDED.code, "runtime", text.clone()).help(help));
        if wait_while_unable(controls, &Failure { text, help }, RUNTIME_RETRY) {
            return None;
        }
    }
}
