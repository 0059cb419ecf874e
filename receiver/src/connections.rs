//! The connections of a server: how many there may be, how long one may be of no use, and which one ends where there is no
//! room for another.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How much a server takes upon itself at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// So many connections are open. Where one more comes, the one that has been of no use for the longest time ends; where
    /// all are being answered, the new one is told to come again.
    pub connections: usize,
    /// The head of a request has to be there so long after the connection was made, or the answer before it was given.
    /// Metrics are sent once a minute, on a connection that stays open.
    pub idle: Duration,
    /// And so long after its head, its body.
    pub body: Duration,
    /// So many bytes of bodies are in memory, not counting the first [`UNIT`] of each.
    pub bodies: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let second = Duration::from_secs;
        Self { connections: 256, idle: second(90), body: second(60), bodies: 256 << 20 }
    }
}

/// Room for bodies is given out in pieces.
const UNIT: usize = 64 << 10;

/// Everything that goes on at the moment.
#[derive(Debug)]
pub(super) struct Connections {
    pub(super) limits: Limits,
    open: Mutex<Vec<Arc<Connection>>>,
    answers: AtomicUsize,
    room: Arc<Semaphore>,
}

/// A connection, from its beginning to its end.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) number: usize,
    pub(super) door: usize,
    use_of_it: Mutex<Use>,
    /// Its place is needed.
    ends: Notify,
}

#[derive(Debug)]
struct Use {
    answers: usize,
    /// When it was last of use.
    since: Instant,
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Self {
        let room = Arc::new(Semaphore::new(limits.bodies / UNIT));
        Self { limits, open: Mutex::default(), answers: AtomicUsize::new(0), room }
    }

    fn open(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more, if there is one.
    pub(super) fn admit(self: &Arc<Self>, number: usize, door: usize) -> Option<Open> {
        let mut open = self.open();
        if open.len() >= self.limits.connections {
            let idle = open.iter().enumerate().filter_map(|(at, connection)| Some((connection.idle_since()?, at)));
            let (_, at) = idle.min()?;
            open.swap_remove(at).ends.notify_one();
        }
        let use_of_it = Mutex::new(Use { answers: 0, since: Instant::now() });
        let connection = Arc::new(Connection { number, door, use_of_it, ends: Notify::new() });
        open.push(Arc::clone(&connection));
        Some(Open { all: Arc::clone(self), connection })
    }

    pub(super) fn is_answering(&self) -> bool {
        self.answers.load(Ordering::SeqCst) > 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open().is_empty()
    }
}

/// The place of a connection, until it ends.
#[derive(Debug)]
pub(super) struct Open {
    all: Arc<Connections>,
    connection: Arc<Connection>,
}

impl Open {
    pub(super) fn caller(&self) -> Caller {
        Caller { all: Arc::clone(&self.all), connection: Arc::clone(&self.connection) }
    }

    /// Does the work of the connection, unless it ends before.
    pub(super) async fn serve(&self, work: impl Future<Output = ()>) {
        let (mut work, mut end) = (pin!(work), pin!(self.connection.end(self.all.limits.idle)));
        std::future::poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => end.as_mut().poll(context),
        })
        .await;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.all.open().retain(|other| !Arc::ptr_eq(other, &self.connection));
    }
}

impl Connection {
    fn use_of_it(&self) -> MutexGuard<'_, Use> {
        self.use_of_it.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when nothing is being answered on it; `None` while something is.
    fn idle_since(&self) -> Option<Instant> {
        let used = self.use_of_it();
        (used.answers == 0).then_some(used.since)
    }

    /// Waits until it has been of no use for so long, or its place is needed.
    async fn end(&self, idle: Duration) {
        loop {
            let left = match self.idle_since() {
                None => idle,
                Some(since) => idle.saturating_sub(since.elapsed()),
            };
            if left.is_zero() || tokio::time::timeout(left, self.ends.notified()).await.is_ok() {
                return;
            }
        }
    }
}

/// Who sends a request.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    all: Arc<Connections>,
    pub(super) connection: Arc<Connection>,
}

impl Caller {
    pub(super) fn limits(&self) -> &Limits {
        &self.all.limits
    }

    /// The head of a request is there.
    pub(super) fn has_head(&self) {
        self.connection.use_of_it().since = Instant::now();
    }

    /// From now on, until what this returns is dropped, a request is being answered.
    pub(super) fn answering(&self) -> Answering {
        self.all.answers.fetch_add(1, Ordering::SeqCst);
        Answering(Arc::clone(&self.all))
    }

    /// Somebody waits for an answer on it.
    pub(super) fn busy(&self) -> Busy {
        self.connection.use_of_it().answers += 1;
        Busy(Arc::clone(&self.connection))
    }

    /// Room for a body of this length, with what it has already; `false` where there is none.
    pub(super) fn makes_room(&self, room: &mut Room, length: usize) -> bool {
        let held = room.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Ok(more) = u32::try_from((length / UNIT).saturating_sub(held)) else { return false };
        if more == 0 {
            return true;
        }
        let Ok(more) = Arc::clone(&self.all.room).try_acquire_many_owned(more) else { return false };
        match &mut room.0 {
            Some(held) => held.merge(more),
            None => room.0 = Some(more),
        }
        true
    }
}

/// The room that a body takes, as long as it is there.
#[derive(Debug, Default)]
pub(crate) struct Room(Option<OwnedSemaphorePermit>);

/// A connection that nobody may end for want of room.
#[derive(Debug)]
pub(super) struct Busy(Arc<Connection>);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut used = self.0.use_of_it();
        used.answers -= 1;
        used.since = Instant::now();
    }
}

/// A request that is being answered, whether somebody waits for that or not.
#[derive(Debug)]
pub(super) struct Answering(Arc<Connections>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answers.fetch_sub(1, Ordering::SeqCst);
    }
}
