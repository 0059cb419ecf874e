//! Scans of the spool directory for runs of ended processes.
//!
//! Constraint: a scan of a large directory takes long, so it runs on its own thread. No thread waits for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::time::Instant;

use crate::outbox::{RecoveredRun, RunScanner, ScanResult, Spool};
use crate::ship::control::Control;
use crate::thread;

/// After a scan, the next one waits this many times its duration, unless it is requested,
const PAUSE_FACTOR: u32 = 5;
/// but no longer than this.
const MAX_PAUSE: Duration = Duration::from_secs(20);

/// The scanner of a spool directory, and its schedule.
pub(super) struct SpoolScans {
    spool: Arc<Spool>,
    /// Wakes the worker after a scan.
    control: Arc<Control>,
    /// `None` while a scan runs.
    scanner: Option<RunScanner>,
    running: Option<RunningScan>,
    /// Whether the last scan left runs for the next one.
    has_more: bool,
    /// Runs that the next scan releases, and that no scan takes again.
    ignored: Vec<RecoveredRun>,
    in_background: bool,
    next_at: Instant,
}

/// A scanner and its result, unless the directory was unreadable.
type Scanned = (RunScanner, Option<ScanResult>);

/// A scan on its thread.
struct RunningScan {
    thread: JoinHandle<()>,
    since: Instant,
    result: Arc<Mutex<Option<Scanned>>>,
}

impl SpoolScans {
    pub(super) fn new(spool: Arc<Spool>, control: Arc<Control>) -> Self {
        Self {
            scanner: Some(spool.scanner()),
            spool,
            control,
            running: None,
            has_more: false,
            ignored: Vec::new(),
            in_background: true,
            next_at: Instant::now(),
        }
    }

    /// Runs scans on the calling thread.
    pub(super) fn in_foreground(self) -> Self {
        Self { in_background: false, ..self }
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether the last scan has left runs for the next one.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }

    /// When the next scan is due.
    pub(super) fn next_at(&self) -> Instant {
        self.next_at
    }

    pub(super) fn schedule(&mut self, at: Instant) {
        self.next_at = at;
    }

    /// Releases a run at the next scan, and does not take it again.
    pub(super) fn ignore(&mut self, run: RecoveredRun) {
        self.ignored.push(run);
    }

    /// Starts a scan for at most `max_runs` runs: of the whole directory if `anew`, otherwise of the runs that the last
    /// scan left. Returns the result if scans do not run in the background.
    pub(super) fn start(&mut self, anew: bool, max_runs: usize) -> Option<ScanResult> {
        let mut scanner = self.scanner.take()?;
        self.ignored.drain(..).for_each(|run| scanner.ignore(&run));
        let scan = move || {
            // An unreadable directory is reported when a file is to be created.
            let found = scanner.scan(anew, max_runs).ok();
            (scanner, found)
        };
        if !self.in_background {
            let scanned = scan();
            return self.finish(scanned);
        }
        let result = Arc::<Mutex<_>>::default();
        let (slot, control) = (Arc::clone(&result), Arc::clone(&self.control));
        let run = move || {
            thread::mark_internal();
            let scanned = scan();
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(scanned);
            control.wake();
        };
        match std::thread::Builder::new().name("logbridge-spool".to_owned()).spawn(run) {
            Ok(thread) => self.running = Some(RunningScan { thread, since: Instant::now(), result }),
            // The next scan tries again.
            Err(_no_thread) => self.reset(),
        }
        None
    }

    /// Returns the result of a scan that has finished in the background.
    pub(super) fn take_finished(&mut self) -> Option<ScanResult> {
        let running = self.running.take()?;
        let has_ended = running.thread.is_finished();
        let scanned = running.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        match scanned {
            Some(scanned) => {
                // Keeps scans of a large directory from taking most of the process's time.
                let pause = running.since.elapsed().saturating_mul(PAUSE_FACTOR).min(MAX_PAUSE);
                self.next_at = self.next_at.max(Instant::now() + pause);
                self.finish(scanned)
            }
            // The scan has panicked.
            None if has_ended => {
                self.reset();
                None
            }
            None => {
                self.running = Some(running);
                None
            }
        }
    }

    /// Abandons a running scan, which releases the runs that it finds when it ends.
    pub(super) fn cancel(&mut self) {
        self.running = None;
    }

    fn reset(&mut self) {
        self.scanner = Some(self.spool.scanner());
        self.has_more = false;
    }

    fn finish(&mut self, (scanner, found): Scanned) -> Option<ScanResult> {
        self.scanner = Some(scanner);
        self.has_more = found.as_ref().is_some_and(|found| found.has_more);
        found
    }
}
