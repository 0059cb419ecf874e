//! Limits the number, idle time and memory of a server's connections.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The resources that a server may use at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The number of open connections. A further connection evicts the one that has been idle longest. If all
    /// connections wait for answers, the new one is refused.
    pub connections: usize,
    /// The time within which the head of a request must arrive, since the connection opened or its last answer.
    // Exporters send metrics once a minute, on a connection that stays open.
    pub idle: Duration,
    /// The time within which the body of a request must arrive after its head.
    pub body: Duration,
    /// The memory for bodies in bytes, not counting the first 64 KiB of each body.
    pub body_memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let second = Duration::from_secs;
        Self { connections: 256, idle: second(90), body: second(60), body_memory: 256 << 20 }
    }
}

/// The memory of one permit, in bytes.
const PERMIT_BYTES: usize = 64 << 10;

/// The open connections of a server.
#[derive(Debug)]
pub(super) struct Connections {
    pub(super) limits: Limits,
    open: Mutex<Vec<Arc<Connection>>>,
    answers_in_progress: AtomicUsize,
    body_memory: Arc<Semaphore>,
}

#[derive(Debug)]
pub(super) struct Connection {
    /// Counts from 1, for each listen address.
    pub(super) number: usize,
    /// The index of the listen address.
    pub(super) listener: usize,
    activity: Mutex<Activity>,
    evicted: Notify,
}

#[derive(Debug)]
struct Activity {
    /// The number of requests whose answers the client waits for.
    waiting: usize,
    last_active: Instant,
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Self {
        let body_memory = Arc::new(Semaphore::new(limits.body_memory / PERMIT_BYTES));
        Self { limits, open: Mutex::default(), answers_in_progress: AtomicUsize::new(0), body_memory }
    }

    fn open(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a slot for a new connection, or `None` if all connections wait for answers.
    ///
    /// If the limit is reached, evicts the connection that has been idle longest.
    pub(super) fn admit(self: &Arc<Self>, number: usize, listener: usize) -> Option<ConnectionSlot> {
        let mut open = self.open();
        if open.len() >= self.limits.connections {
            let idle = open.iter().enumerate().filter_map(|(at, connection)| Some((connection.idle_since()?, at)));
            let (_, at) = idle.min()?;
            open.swap_remove(at).evicted.notify_one();
        }
        let activity = Mutex::new(Activity { waiting: 0, last_active: Instant::now() });
        let connection = Arc::new(Connection { number, listener, activity, evicted: Notify::new() });
        open.push(Arc::clone(&connection));
        Some(ConnectionSlot { all: Arc::clone(self), connection })
    }

    pub(super) fn is_answering(&self) -> bool {
        self.answers_in_progress.load(Ordering::SeqCst) > 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open().is_empty()
    }
}

/// One of the limited number of open connections. Dropping it makes room for another.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    all: Arc<Connections>,
    connection: Arc<Connection>,
}

impl ConnectionSlot {
    pub(super) fn client(&self) -> ClientConnection {
        ClientConnection { all: Arc::clone(&self.all), connection: Arc::clone(&self.connection) }
    }

    /// Runs `work` until it is done, or until the connection is idle for too long or evicted.
    pub(super) async fn serve(&self, work: impl Future<Output = ()>) {
        let (mut work, mut end) = (pin!(work), pin!(self.connection.expired(self.all.limits.idle)));
        std::future::poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => end.as_mut().poll(context),
        })
        .await;
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.all.open().retain(|other| !Arc::ptr_eq(other, &self.connection));
    }
}

impl Connection {
    fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns `None` while the client waits for an answer.
    fn idle_since(&self) -> Option<Instant> {
        let activity = self.activity();
        (activity.waiting == 0).then_some(activity.last_active)
    }

    /// Waits until the connection has been idle for this time, or is evicted.
    async fn expired(&self, idle: Duration) {
        loop {
            let left = match self.idle_since() {
                None => idle,
                Some(since) => idle.saturating_sub(since.elapsed()),
            };
            if left.is_zero() || tokio::time::timeout(left, self.evicted.notified()).await.is_ok() {
                return;
            }
        }
    }
}

/// A handle to the connection on which a request arrives, and to the server's limits.
#[derive(Clone, Debug)]
pub(super) struct ClientConnection {
    all: Arc<Connections>,
    pub(super) connection: Arc<Connection>,
}

impl ClientConnection {
    pub(super) fn limits(&self) -> &Limits {
        &self.all.limits
    }

    /// Restarts the idle time, because the head of a request has arrived.
    pub(super) fn mark_active(&self) {
        self.connection.activity().last_active = Instant::now();
    }

    /// Counts a request as being answered until the guard is dropped.
    pub(super) fn count_answer(&self) -> AnswerGuard {
        self.all.answers_in_progress.fetch_add(1, Ordering::SeqCst);
        AnswerGuard(Arc::clone(&self.all))
    }

    /// Protects the connection from eviction until the guard is dropped, because its client waits for an answer.
    pub(super) fn count_waiting(&self) -> WaitingGuard {
        self.connection.activity().waiting += 1;
        WaitingGuard(Arc::clone(&self.connection))
    }

    /// Extends `permit` to a body of `length` bytes. Returns whether there was enough memory.
    pub(super) fn reserve(&self, permit: &mut BodyPermit, length: usize) -> bool {
        let held = permit.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Ok(more) = u32::try_from((length / PERMIT_BYTES).saturating_sub(held)) else { return false };
        if more == 0 {
            return true;
        }
        let Ok(more) = Arc::clone(&self.all.body_memory).try_acquire_many_owned(more) else { return false };
        match &mut permit.0 {
            Some(held) => held.merge(more),
            None => permit.0 = Some(more),
        }
        true
    }
}

/// A share of the memory for bodies, held as long as the body.
#[derive(Debug, Default)]
pub(crate) struct BodyPermit(Option<OwnedSemaphorePermit>);

/// Protects a connection from eviction.
#[derive(Debug)]
pub(super) struct WaitingGuard(Arc<Connection>);

impl Drop for WaitingGuard {
    fn drop(&mut self) {
        let mut activity = self.0.activity();
        activity.waiting -= 1;
        activity.last_active = Instant::now();
    }
}

/// Counts a request that is being answered, even if its client has disconnected.
#[derive(Debug)]
pub(super) struct AnswerGuard(Arc<Connections>);

impl Drop for AnswerGuard {
    fn drop(&mut self) {
        self.0.answers_in_progress.fetch_sub(1, Ordering::SeqCst);
    }
}
