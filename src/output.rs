//! Text for stdout and stderr that never holds its caller for longer than a moment: notices, reports, and the debug
//! mirror. The console alone waits for whoever reads it.
//!
//! Constraints:
//! * `O_NONBLOCK` is never set, since other processes share that flag; and a write that follows a `poll` can still block.
//!   So text is written at once where the system promises not to block, and by a writer thread otherwise. That thread is
//!   started when the first text needs it, and ends when it has had nothing to do for a while.
//! * The caller waits a moment for the thread, so that order and a notice before a crash survive. Once a stream has
//!   stalled, nobody waits for it until everything handed over was written.
//! * No allocation, no deallocation and no user code under a lock: a global allocator may log.
//! * Each process of a chain of forks has queues and threads of its own: the parent's locks may be held, in the child's
//!   memory, by a thread that does not exist there.

use std::io::{self, ErrorKind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::os::{self, Stream};
use crate::thread::{catch_expected_panic, mark_internal};

/// How long a caller waits for its text to be written before the stream counts as stalled.
const WRITE_TIMEOUT: Duration = Duration::from_millis(200);
/// How long a process that ends waits for a stream that takes nothing.
const STALL_TIMEOUT: Duration = Duration::from_secs(1);
/// How many bytes wait for a stream; what comes when they do is dropped and counted.
const MAX_BYTES: usize = 1 << 20;
/// How long the thread waits for the next text before it ends.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Whole lines that were handed over together.
#[derive(Debug)]
struct QueuedText {
    bytes: Vec<u8>,
    /// How many bytes were written.
    written: usize,
    /// The text handed over before this one.
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
    generation: u64,
    /// What the thread has not taken yet, newest first: a list grows and shrinks without an allocation.
    waiting: Option<Box<QueuedText>>,
    /// Bytes and lines that were handed over and are not written.
    bytes: usize,
    lines: u64,
    /// How many texts were handed over, and how many of them were written or have failed.
    taken: u64,
    done: u64,
    /// The last run of texts that failed, first and last, and why.
    failed: Option<(u64, u64, ErrorKind)>,
    /// Lines that were not written.
    lost: u64,
    /// A caller has waited in vain.
    is_stalled: bool,
    /// When the stream last took something, or the first text began to wait.
    moved: Option<Instant>,
    has_thread: bool,
}

impl QueueState {
    const NEW: Self = Self {
        generation: 0,
        waiting: None,
        bytes: 0,
        lines: 0,
        taken: 0,
        done: 0,
        failed: None,
        lost: 0,
        is_stalled: false,
        moved: None,
        has_thread: false,
    };

    fn is_idle(&self) -> bool {
        self.taken == self.done
    }

    /// Whether the stream took something within this time.
    fn has_moved(&self, now: Instant, within: Duration) -> bool {
        self.moved.is_some_and(|moved| now.saturating_duration_since(moved) < within)
    }

    /// Takes a text over. Returns its number.
    fn push(&mut self, mut text: Box<QueuedText>, now: Instant) -> u64 {
        if self.is_idle() {
            self.moved = Some(now);
        }
        self.bytes += text.bytes.len();
        self.lines += text.lines();
        self.taken += 1;
        text.next = self.waiting.take();
        self.waiting = Some(text);
        self.taken
    }

    /// The oldest text that was not done is done.
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
        self.moved = Some(Instant::now());
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

/// Writes whole lines, or hands them over. Returns an error if they were not written for certain: the stream is closed or
/// broken, or too much waits for it already. Such lines are counted.
pub(crate) fn write(stream: Stream, text: String) -> io::Result<()> {
    match OutputQueue::of(stream) {
        Some(output) if !text.is_empty() => output.write(stream, text.into_bytes()),
        _ => Ok(()),
    }
}

/// Waits for what was handed over, as long as the streams take it, until this time but for a moment in any case.
pub(crate) fn drain(until: Instant) {
    let until = until.max(Instant::now() + WRITE_TIMEOUT);
    [Stream::Stderr, Stream::Stdout].into_iter().filter_map(OutputQueue::of).for_each(|output| output.drain(until));
}

/// How many lines were not written to stdout and stderr, those included that wait for a stream that has stalled.
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
            // What an ancestor left here is its own, and is not freed under the lock.
            std::mem::forget(std::mem::replace(&mut *state, QueueState { generation, ..QueueState::NEW }));
        }
        state
    }

    fn wait<'a>(&self, state: MutexGuard<'a, QueueState>, timeout: Duration) -> MutexGuard<'a, QueueState> {
        self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
    }

    fn write(&'static self, stream: Stream, bytes: Vec<u8>) -> io::Result<()> {
        let mut text = Box::new(QueuedText { bytes, written: 0, next: None });
        // Declared after the text, so that it is released before the text is freed.
        let mut state = self.lock();
        if state.is_idle() {
            match os::write_at_once(stream, text.rest()) {
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
            if now >= until || !state.has_moved(now, WRITE_TIMEOUT) {
                state.lost += text.lines();
                return Err(ErrorKind::WouldBlock.into());
            }
            state = self.wait(state, until.saturating_duration_since(now));
        }
        let number = state.push(text, Instant::now());
        let starts = !std::mem::replace(&mut state.has_thread, true);
        drop(state);
        self.changed.notify_all();
        if starts {
            self.start(stream);
        }
        self.wait_for(number, until)
    }

    /// Waits for one text to be written, unless the stream has stalled.
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
            if now >= until || !state.has_moved(now, STALL_TIMEOUT) {
                return;
            }
            state = self.wait(state, (until - now).min(WRITE_TIMEOUT));
        }
    }

    /// Starts the thread. Where there is none to be had, the caller writes what the stream takes, and the rest is lost.
    fn start(&'static self, stream: Stream) {
        // At the end of a process, what the standard library needs for a thread may be gone.
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

    /// What waits, newest first; `None` when nothing came in this time: whoever takes it is done then.
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

    /// Does this with each text, the oldest first.
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

/// Writes all of it: however long that takes, or, until a time, only while the stream says that it has room.
fn write_all(stream: Stream, text: &mut QueuedText, until: Option<Instant>) -> Result<(), ErrorKind> {
    /// What a pipe with room takes as a whole.
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
            // Somebody made the stream non-blocking.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                os::wait_writable(stream, STALL_TIMEOUT);
            }
            Err(error) => return Err(error.kind()),
        }
    }
    Ok(())
}
