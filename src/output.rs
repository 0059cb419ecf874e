//! Bounded writes to stdout and stderr, for notices, reports and the debug mirror.
//!
//! No write blocks its caller for long, even if no process reads the stream. The console does not use this module.
//!
//! Constraints:
//!
//! * `O_NONBLOCK` is never set, because other processes share that flag. A write after `poll` can still block. So text
//!   is written at once if the system promises not to block, and by a writer thread otherwise.
//! * The writer thread starts with the first text that needs it, and ends after an idle time.
//! * The caller waits a short time for the writer thread, so that lines stay in order and a notice before a crash is
//!   written. After a stream has stalled, callers do not wait for it again until its queue is empty.
//! * No lock is held during an allocation, a deallocation or user code, because a global allocator may log.
//! * Each process in a chain of forks has its own queues and threads. In a child, the parent's locks may be held by a
//!   thread that does not exist there.

use std::io::{self, ErrorKind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::os::{self, Stream};
use crate::thread::{catch_expected_panic, mark_internal};

/// The time that a caller waits for its text to be written. After that, the stream counts as stalled.
const WRITE_TIMEOUT: Duration = Duration::from_millis(200);
/// The time that a process waits at exit for a stream that takes no bytes.
const STALL_TIMEOUT: Duration = Duration::from_secs(1);
/// The capacity of a queue in bytes. Further lines are dropped and counted.
const MAX_BYTES: usize = 1 << 20;
/// The time after which an idle writer thread ends.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Whole lines that one caller wrote together.
#[derive(Debug)]
struct QueuedText {
    bytes: Vec<u8>,
    /// The number of bytes that were written.
    written: usize,
    /// The text that was queued before this one.
    next: Option<Box<Self>>,
}

impl QueuedText {
    fn lines(&self) -> u64 {
        self.bytes.iter().filter(|byte| **byte == b'\n').count().max(1) as u64
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }
}

#[derive(Debug)]
struct QueueState {
    /// The fork generation of the process that owns the state.
    generation: u64,
    /// The texts that the thread has not taken, newest first. A linked list needs no allocation under the lock.
    waiting: Option<Box<QueuedText>>,
    /// Bytes and lines that are queued and not written.
    bytes: usize,
    lines: u64,
    /// The number of texts that were queued, and of those that were written or failed.
    queued: u64,
    done: u64,
    /// The first and the last text of the last run of failures, and the error.
    failed: Option<(u64, u64, ErrorKind)>,
    /// Lines that were dropped.
    lost: u64,
    /// Whether a caller has waited in vain.
    is_stalled: bool,
    /// The last time at which the stream took bytes or the first text was queued.
    last_progress: Option<Instant>,
    has_thread: bool,
}

impl QueueState {
    const NEW: Self = Self {
        generation: 0,
        waiting: None,
        bytes: 0,
        lines: 0,
        queued: 0,
        done: 0,
        failed: None,
        lost: 0,
        is_stalled: false,
        last_progress: None,
        has_thread: false,
    };

    fn is_idle(&self) -> bool {
        self.queued == self.done
    }

    /// Returns whether the stream made progress within this time.
    fn has_progress(&self, now: Instant, within: Duration) -> bool {
        self.last_progress.is_some_and(|last| now.saturating_duration_since(last) < within)
    }

    /// Queues a text. Returns its number.
    fn push(&mut self, mut text: Box<QueuedText>, now: Instant) -> u64 {
        if self.is_idle() {
            self.last_progress = Some(now);
        }
        self.bytes += text.bytes.len();
        self.lines += text.lines();
        self.queued += 1;
        text.next = self.waiting.take();
        self.waiting = Some(text);
        self.queued
    }

    /// Records the result of the oldest text that was not done.
    fn finish(&mut self, text: &QueuedText, result: Result<(), ErrorKind>) {
        self.done += 1;
        self.bytes = self.bytes.saturating_sub(text.bytes.len());
        self.lines = self.lines.saturating_sub(text.lines());
        if let Err(why) = result {
            self.lost += text.lines();
            let first = match self.failed {
                Some((first, last, _)) if last + 1 == self.done => first,
                _ => self.done,
            };
            self.failed = Some((first, self.done, why));
        }
        self.last_progress = Some(Instant::now());
        self.is_stalled &= !self.is_idle();
    }

    fn result_of(&self, number: u64) -> io::Result<()> {
        match self.failed {
            Some((first, last, why)) if (first..=last).contains(&number) => Err(why.into()),
            _ => Ok(()),
        }
    }
}

#[derive(Debug)]
struct OutputQueue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

static QUEUES: [[OutputQueue; 2]; 64] =
    [const { [const { OutputQueue { state: Mutex::new(QueueState::NEW), changed: Condvar::new() } }; 2] }; 64];

/// Writes whole lines, or queues them for the writer thread.
///
/// Returns an error if the lines were dropped, because the stream failed or its queue is full. Dropped lines are
/// counted.
pub(crate) fn write(stream: Stream, text: String) -> io::Result<()> {
    match OutputQueue::of(stream) {
        Some(output) if !text.is_empty() => output.write(stream, text.into_bytes()),
        _ => Ok(()),
    }
}

/// Waits until the queues are empty, as long as the streams make progress. It waits until the given time, and at least
/// for a moment.
pub(crate) fn drain(until: Instant) {
    let until = until.max(Instant::now() + WRITE_TIMEOUT);
    [Stream::Stderr, Stream::Stdout].into_iter().filter_map(OutputQueue::of).for_each(|output| output.drain(until));
}

/// Returns the number of lines that were not written to stdout and stderr. It includes the queue of a stalled stream.
pub(crate) fn lines_not_written() -> u64 {
    let lines = |output: &OutputQueue| {
        let state = output.lock();
        state.lost + if state.is_stalled { state.lines } else { 0 }
    };
    [Stream::Stderr, Stream::Stdout].into_iter().filter_map(OutputQueue::of).map(lines).sum()
}

impl OutputQueue {
    fn of(stream: Stream) -> Option<&'static Self> {
        QUEUES.get(os::fork_generation() as usize % QUEUES.len())?.get(stream as usize)
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = os::fork_generation();
        if state.generation != generation {
            // The state belongs to an ancestor process. It is leaked, because nothing is freed under the lock.
            std::mem::forget(std::mem::replace(&mut *state, QueueState { generation, ..QueueState::NEW }));
        }
        state
    }

    fn wait<'a>(&self, state: MutexGuard<'a, QueueState>, timeout: Duration) -> MutexGuard<'a, QueueState> {
        self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
    }

    fn write(&'static self, stream: Stream, bytes: Vec<u8>) -> io::Result<()> {
        let mut text = Box::new(QueuedText { bytes, written: 0, next: None });
        // Declared after the text, so that the lock is released before the text is freed.
        let mut state = self.lock();
        if state.is_idle() {
            match os::write_nonblocking(stream, text.rest()) {
                Ok(written) => text.written = written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => {
                    state.lost += text.lines();
                    return Err(error);
                }
            }
            if text.rest().is_empty() {
                return Ok(());
            }
        }
        let until = Instant::now() + WRITE_TIMEOUT;
        while !state.is_idle() && state.bytes.saturating_add(text.bytes.len()) > MAX_BYTES {
            let now = Instant::now();
            if now >= until || !state.has_progress(now, WRITE_TIMEOUT) {
                state.lost += text.lines();
                return Err(ErrorKind::WouldBlock.into());
            }
            state = self.wait(state, until.saturating_duration_since(now));
        }
        let number = state.push(text, Instant::now());
        let needs_thread = !std::mem::replace(&mut state.has_thread, true);
        drop(state);
        self.changed.notify_all();
        if needs_thread {
            self.start(stream);
        }
        self.wait_for(number, until)
    }

    /// Waits until a text is written, unless the stream has stalled.
    fn wait_for(&self, number: u64, until: Instant) -> io::Result<()> {
        let mut state = self.lock();
        while state.done < number && !state.is_stalled {
            let rest = until.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                state.is_stalled = true;
                break;
            }
            state = self.wait(state, rest);
        }
        state.result_of(number)
    }

    fn drain(&self, until: Instant) {
        let mut state = self.lock();
        while !state.is_idle() {
            let now = Instant::now();
            if now >= until || !state.has_progress(now, STALL_TIMEOUT) {
                return;
            }
            state = self.wait(state, (until - now).min(WRITE_TIMEOUT));
        }
    }

    /// Starts the writer thread. If that fails, the caller writes what the stream takes, and the rest is dropped.
    fn start(&'static self, stream: Stream) {
        // At the end of a process, spawning a thread may panic.
        let spawned = catch_expected_panic(|| {
            std::thread::Builder::new().name("logbridge-output".to_owned()).spawn(move || {
                mark_internal();
                while let Some(texts) = self.take(IDLE_TIMEOUT) {
                    self.finish_each(texts, |text| write_all(stream, text, None));
                }
            })
        });
        if !matches!(spawned, Some(Ok(_))) {
            let until = Instant::now() + WRITE_TIMEOUT;
            while let Some(texts) = self.take(Duration::ZERO) {
                self.finish_each(texts, |text| write_all(stream, text, Some(until)));
            }
        }
    }

    /// Takes the queued texts, newest first. Returns `None` if none came within the timeout; the writer then ends.
    fn take(&self, timeout: Duration) -> Option<Box<QueuedText>> {
        let mut state = self.lock();
        if state.waiting.is_none() {
            state = self
                .changed
                .wait_timeout_while(state, timeout, |state| state.waiting.is_none())
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.has_thread = state.waiting.is_some();
        state.waiting.take()
    }

    /// Writes each text, oldest first, and records the results.
    fn finish_each(&self, texts: Box<QueuedText>, write: impl Fn(&mut QueuedText) -> Result<(), ErrorKind>) {
        let (mut newest_first, mut oldest_first) = (Some(texts), None);
        while let Some(mut text) = newest_first {
            newest_first = text.next.take();
            text.next = oldest_first;
            oldest_first = Some(text);
        }
        while let Some(mut text) = oldest_first {
            oldest_first = text.next.take();
            let result = write(&mut text);
            self.lock().finish(&text, result);
            self.changed.notify_all();
        }
    }
}

/// Writes a whole text. With a deadline, it writes only while the stream accepts bytes.
fn write_all(stream: Stream, text: &mut QueuedText, until: Option<Instant>) -> Result<(), ErrorKind> {
    /// A pipe that polls as writable accepts at least this many bytes at once.
    const AT_ONCE: usize = 512;
    while !text.rest().is_empty() {
        if let Some(until) = until
            && !os::wait_writable(stream, until.saturating_duration_since(Instant::now()))
        {
            return Err(ErrorKind::WouldBlock);
        }
        let rest = text.rest();
        let part = until.and_then(|_| rest.get(..AT_ONCE)).unwrap_or(rest);
        match os::write(stream, part) {
            Ok(0) => return Err(ErrorKind::WriteZero),
            Ok(written) => text.written += written,
            // Another process made the stream non-blocking.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                os::wait_writable(stream, STALL_TIMEOUT);
            }
            Err(error) => return Err(error.kind()),
        }
    }
    Ok(())
}
