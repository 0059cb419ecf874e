//! The writer of a spool directory: creates files for segments within the bound.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::directory::{Directory, PinnedDirectory, list_some, segments_of};
use super::file::{SpoolFile, next_salt};
use super::format::{self, Creator};
use super::names::{SEGMENT, run_file_name, run_of, segment_file_name};
use super::run_file;
use super::scanner::RunScanner;
use super::trim::make_room;
use crate::clock::nanos;
use crate::config::SpoolConfig;
use crate::os::{self, FileId, Mapping};

/// How long to wait before an unusable directory is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// The maximum number of files of this process. Each is a mapping, and a process may have 65530.
const MAX_FILES: usize = 16384;
/// The maximum number of remembered runs whose files were moved or removed.
const MAX_FORMER_RUNS: usize = 16;
/// The maximum number of directory entries to read before the first record is accepted. The exporter thread reads the
/// others.
pub(super) const MAX_FIRST_LOOK: usize = 512;

/// Why no file could be created.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::outbox) enum CreateError {
    /// The directory has reached its bound.
    Full,
    /// The directory is unusable now.
    Unavailable,
}

/// The run of this process.
#[derive(Debug)]
struct OwnRun {
    name: Arc<str>,
    directory: Arc<PinnedDirectory>,
    /// The run's file.
    id: FileId,
    /// Holds the lock.
    lock: Mapping,
}

/// The writer of a spool directory.
#[derive(Debug)]
pub(crate) struct Spool {
    config: SpoolConfig,
    directory: Directory,
    resource: Vec<u8>,
    run: Mutex<Option<OwnRun>>,
    /// Runs whose files were moved or removed. If they come back, their records are still ours, so their locks are
    /// kept.
    former: Mutex<Vec<OwnRun>>,
    sequence: AtomicU32,
    /// Bytes of this process's files.
    own_bytes: AtomicUsize,
    files: AtomicUsize,
    /// Bytes of all other files, when the directory was last measured.
    other_bytes: AtomicUsize,
    /// Whether the directory is usable, as far as is known.
    usable: AtomicBool,
    error: Mutex<Option<DirectoryError>>,
    /// Whether files were created since the directory was last synced.
    unsynced: AtomicBool,
    /// When the process was about to end.
    ending: Mutex<Option<Instant>>,
    /// Whether the next scan was requested before its scheduled time.
    scan_requested: AtomicBool,
}

/// Why the directory is unusable.
#[derive(Debug)]
struct DirectoryError {
    text: String,
    retry_at: Instant,
    is_reported: bool,
}

impl Spool {
    pub(crate) fn new(config: SpoolConfig, resource: Vec<u8>) -> Self {
        Self {
            directory: Directory::at(config.directory.clone()),
            config,
            resource,
            run: Mutex::default(),
            former: Mutex::default(),
            sequence: AtomicU32::new(0),
            own_bytes: AtomicUsize::new(0),
            files: AtomicUsize::new(0),
            other_bytes: AtomicUsize::new(0),
            usable: AtomicBool::new(true),
            error: Mutex::default(),
            unsynced: AtomicBool::new(false),
            ending: Mutex::default(),
            scan_requested: AtomicBool::new(false),
        }
    }

    /// Also accepts files of other users.
    pub(crate) fn of_any_owner(self, any_owner: bool) -> Self {
        Self { directory: self.directory.of_any_owner(any_owner), ..self }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.config.directory
    }

    pub(crate) fn config(&self) -> &SpoolConfig {
        &self.config
    }

    /// Creates a scanner for runs of ended processes.
    pub(crate) fn scanner(&self) -> RunScanner {
        RunScanner::new(self.directory.clone())
    }

    /// The bound in bytes.
    pub(crate) fn max_bytes(&self) -> usize {
        self.config.max_bytes
    }

    /// Returns how many bytes of the bound are in use. At the maximum number of files, this is the bound.
    pub(in crate::outbox) fn in_use(&self) -> usize {
        if self.has_max_files() {
            return self.config.max_bytes;
        }
        self.own_bytes.load(Ordering::Relaxed).saturating_add(self.other_bytes.load(Ordering::Relaxed))
    }

    fn has_max_files(&self) -> bool {
        self.files.load(Ordering::Relaxed) >= MAX_FILES
    }

    /// Returns whether other processes use more than half of the bound. If so, this process keeps no empty files.
    pub(in crate::outbox) fn is_scarce(&self) -> bool {
        self.other_bytes.load(Ordering::Relaxed) > self.config.max_bytes / 2
    }

    /// Returns where the frames start in a file.
    pub(in crate::outbox) fn frames_start(&self) -> usize {
        format::frames_start(self.resource.len())
    }

    /// Whether the directory is usable, as far as is known.
    #[inline]
    pub(crate) fn is_usable(&self) -> bool {
        self.usable.load(Ordering::Relaxed)
    }

    /// Creates an empty file.
    pub(in crate::outbox) fn create(&self, length: usize) -> Result<SpoolFile, CreateError> {
        if !self.is_usable() {
            return Err(CreateError::Unavailable);
        }
        let unavailable = |error: io::Error| {
            self.note_error(&error);
            CreateError::Unavailable
        };
        // Begins the run first, because that measures the bytes of other processes.
        drop(self.run_name().map_err(unavailable)?);
        if self.has_max_files() {
            return Err(CreateError::Full);
        }
        let bound = self.config.max_bytes.saturating_sub(self.other_bytes.load(Ordering::Relaxed));
        let reserved = self.own_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |own| {
            own.checked_add(length).filter(|own| *own <= bound)
        });
        reserved.map_err(|_| CreateError::Full)?;
        self.files.fetch_add(1, Ordering::Relaxed);
        self.create_file(length).map_err(|error| {
            self.files.fetch_sub(1, Ordering::Relaxed);
            self.own_bytes.fetch_sub(length, Ordering::Relaxed);
            unavailable(error)
        })
    }

    /// Returns the name of the run and its directory. Begins the run if it has not begun.
    fn run_name(&self) -> io::Result<(Arc<str>, Arc<PinnedDirectory>)> {
        let named = |run: &OwnRun| (Arc::clone(&run.name), Arc::clone(&run.directory));
        if let Some(run) = &*self.lock_run() {
            return Ok(named(run));
        }
        // Without the lock, because a log call of the allocator would wait for it.
        let started = self.start_run()?;
        let mut run = self.lock_run();
        let late = if run.is_none() { run.replace(started) } else { Some(started) };
        let found = run.as_ref().map(named);
        drop(run);
        if let Some(late) = late {
            // Another thread was faster.
            let _gone_already = late.directory.remove(&run_file_name(&late.name));
        }
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create_file(&self, length: usize) -> io::Result<SpoolFile> {
        let number = self.sequence.fetch_add(1, Ordering::Relaxed);
        let created = nanos(SystemTime::now());
        let (run, directory) = self.run_name()?;
        let salt = next_salt((created as u32) ^ number.rotate_left(16) ^ std::process::id());
        let creator = Creator { pid: std::process::id(), created };
        let name = segment_file_name(&run, number);
        let file = SpoolFile::create(directory, name, length, creator, &self.resource, salt)?;
        self.unsynced.store(true, Ordering::Relaxed);
        Ok(file)
    }

    fn lock_run(&self) -> MutexGuard<'_, Option<OwnRun>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_error(&self) -> MutexGuard<'_, Option<DirectoryError>> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates the file of this run, and locks it before it gets its final name.
    fn start_run(&self) -> io::Result<OwnRun> {
        self.directory.make()?;
        let (opened, directory) = self.directory.enter()?;
        self.measure(&opened);
        let started = unique_time();
        let name = format!("{started:016x}-{}", std::process::id());
        let hidden = run_file_name(&format!(".{name}"));
        let file = opened.create(&hidden)?;
        let locked = || -> io::Result<(FileId, Mapping)> {
            let id = os::facts_of(&file)?.id;
            if !os::lock(&file)? {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            os::reserve(&file, run_file::LENGTH)?;
            let mut lock = Mapping::new(file, run_file::LENGTH)?;
            let pid = std::process::id();
            run_file::write(&mut lock, pid, started, os::process_started(pid).unwrap_or_default());
            opened.rename(&hidden, &run_file_name(&name))?;
            Ok((id, lock))
        };
        let (id, lock) = locked().inspect_err(|_| drop(opened.remove(&hidden)))?;
        Ok(OwnRun { name: name.into(), directory: Arc::new(directory), id, lock })
    }

    /// Measures the bytes of other processes, which bound this one from its first file on. If they are many, frees the
    /// unused space that ended runs reserved.
    ///
    /// Constraint: a log call runs this. If the directory has too many entries, half of the bound counts as used until
    /// the exporter thread has measured the rest.
    fn measure(&self, opened: &os::Directory) {
        let Ok(listing) = list_some(opened, MAX_FIRST_LOOK) else { return };
        let half = self.config.max_bytes / 2 + 1;
        let mut bytes = listing.bytes(opened);
        if bytes >= half {
            bytes = bytes.saturating_sub(make_room(&self.directory, opened, &listing, half));
        }
        self.set_total_bytes(if listing.is_whole { bytes } else { bytes.max(half) });
    }

    /// Deletes a file whose records all have an outcome.
    pub(in crate::outbox) fn delete(&self, file: SpoolFile) {
        self.own_bytes.fetch_sub(file.length(), Ordering::Relaxed);
        self.files.fetch_sub(1, Ordering::Relaxed);
        file.delete();
    }

    /// Frees the disk blocks that a file does not use.
    pub(in crate::outbox) fn shrink(&self, file: &mut SpoolFile) {
        let before = file.length();
        file.shrink();
        self.own_bytes.fetch_sub(before - file.length(), Ordering::Relaxed);
    }

    fn note_error(&self, error: &io::Error) {
        // Nothing is allocated or freed under the lock: a log call of the allocator would wait for it.
        let text = error.to_string();
        let mut known = self.lock_error();
        self.usable.store(false, Ordering::Relaxed);
        let is_reported = known.as_ref().is_some_and(|known| known.is_reported && known.text == text);
        let before = known.replace(DirectoryError { text, retry_at: Instant::now() + RETRY, is_reported });
        drop(known);
        drop(before);
    }

    /// Returns why the directory is unusable, and marks that as reported. Returns `None` if it was reported before.
    pub(crate) fn take_unreported_error(&self) -> Option<String> {
        let mut error = self.lock_error();
        let error = error.as_mut().filter(|error| !error.is_reported)?;
        error.is_reported = true;
        Some(error.text.clone())
    }

    /// Checks that the directory still exists, and tries an unusable one again with a file of that length. Calls
    /// `forget` if the directory is gone, because files created in it must not be reused.
    ///
    /// Returns `true` if the directory has become usable.
    pub(crate) fn check_directory(&self, length: usize, forget: impl FnOnce()) -> bool {
        let was_usable = self.is_usable();
        if self.is_gone() {
            if was_usable {
                self.note_error(&io::Error::new(io::ErrorKind::NotFound, "its files were removed"));
            }
            // Ends the run even if a file could not be created for that very reason: only a new run creates the
            // directory again. If the files were only moved and come back, their lock is still held.
            let gone = self.lock_run().take();
            let mut former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
            let has_room = former.len() < MAX_FORMER_RUNS;
            former.extend(gone.filter(|_| has_room));
            drop(former);
            forget();
        }
        if was_usable {
            return false;
        }
        let is_due = self.lock_error().as_ref().is_none_or(|error| error.retry_at <= Instant::now());
        if !is_due {
            return false;
        }
        self.usable.store(true, Ordering::Relaxed);
        // One file proves it, because it needs everything that other files need.
        match self.create(length) {
            Ok(file) => {
                self.delete(file);
                *self.lock_error() = None;
                true
            }
            Err(CreateError::Full) => true,
            Err(CreateError::Unavailable) => false,
        }
    }

    /// Returns whether the run's file is gone. Returns `false` if that cannot be determined, so that the run stays
    /// locked.
    fn is_gone(&self) -> bool {
        let Some((name, directory, id)) =
            self.lock_run().as_ref().map(|run| (run.name.clone(), run.directory.clone(), run.id))
        else {
            return false;
        };
        match directory.open().and_then(|opened| opened.look_at(&run_file_name(&name))) {
            Ok(facts) => facts.id != id,
            // Even if a link has replaced the directory.
            Err(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        }
    }

    /// Returns whether a file belongs to the current run. Records in a file of a run whose directory was removed would
    /// never be found.
    pub(in crate::outbox) fn has(&self, file: &SpoolFile) -> bool {
        let stem = file.name().strip_suffix(SEGMENT).and_then(|stem| stem.strip_suffix('.')).unwrap_or_default();
        self.lock_run().as_ref().is_some_and(|run| *run.name == *run_of(stem))
    }

    /// Sets how many bytes the directory holds in total.
    pub(crate) fn set_total_bytes(&self, all: usize) {
        self.other_bytes.store(all.saturating_sub(self.own_bytes.load(Ordering::Relaxed)), Ordering::Relaxed);
    }

    /// Subtracts bytes of other processes that were freed.
    pub(crate) fn note_freed(&self, bytes: usize) {
        let subtract = |others: usize| Some(others.saturating_sub(bytes));
        let _saturates = self.other_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, subtract);
    }

    /// Notes that the process ends normally. Undelivered records stay for another process.
    pub(crate) fn note_end(&self) {
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if let Some(run) = self.lock_run().as_mut() {
            run_file::write_orderly_ending(&mut run.lock);
        }
    }

    /// Returns whether the process is about to end, so that no new run is begun. Returns `false` again after some time,
    /// because the process has evidently not ended.
    pub(crate) fn is_ending(&self) -> bool {
        const AT_LATEST: Duration = Duration::from_secs(10);
        let ending = *self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        ending.is_some_and(|since| since.elapsed() < AT_LATEST)
    }

    /// Ends the run and removes its file if the run has no other files. The next file begins another run.
    pub(crate) fn end_run(&self) {
        let mut run = self.lock_run();
        let ended = if self.own_bytes.load(Ordering::Relaxed) == 0 { run.take() } else { None };
        drop(run);
        if let Some(run) = ended {
            let _gone_already = run.directory.remove(&run_file_name(&run.name));
        }
    }

    /// Releases the lock of the run, so that other processes may send its remaining records, even while this process is
    /// running.
    pub(crate) fn release_run(&self) {
        let released = self.lock_run().take();
        drop(released);
    }

    /// Requests a scan of the directory before its scheduled time.
    pub(crate) fn request_scan(&self) {
        self.scan_requested.store(true, Ordering::Relaxed);
    }

    /// Returns whether a scan was requested since the last call.
    pub(crate) fn take_scan_request(&self) -> bool {
        self.scan_requested.swap(false, Ordering::Relaxed)
    }

    /// Writes this process's files from the page cache to the disk.
    pub(crate) fn sync(&self) {
        let run = self.lock_run().as_ref().map(|run| (Arc::clone(&run.name), Arc::clone(&run.directory)));
        let Some((name, directory)) = run else { return };
        let Ok(opened) = directory.open() else { return };
        let segments = segments_of(&opened, [name.to_string()]).ok().and_then(|mut all| all.remove(&*name));
        for segment in segments.unwrap_or_default() {
            if let Ok((file, _)) = directory.directory().open_file(&opened, &segment, false) {
                let _the_next_one_tries_again = file.sync_data();
            }
        }
        if self.unsynced.swap(false, Ordering::Relaxed) {
            let _not_everywhere = opened.sync();
        }
    }
}

/// Returns the time in nanoseconds since the Unix epoch, and never the same time twice: two threads that create a run at
/// the same moment would give its file the same name.
pub(super) fn unique_time() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = nanos(SystemTime::now());
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)));
    now.max(last.unwrap_or_default() + 1)
}

#[cfg(test)]
impl Spool {
    /// Pretends that this process has the maximum number of files.
    pub(in crate::outbox) fn fill_files(&self) {
        self.files.store(MAX_FILES, Ordering::Relaxed);
    }

    /// Ends the pause before an unusable directory is tried again.
    pub(in crate::outbox) fn try_again_now(&self) {
        if let Some(error) = self.lock_error().as_mut() {
            error.retry_at = Instant::now();
        }
    }
}
