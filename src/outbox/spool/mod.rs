//! The spool: segments in files of a directory, so that what was accepted outlives the process.
//!
//! Constraints:
//! * A run is one process between its first record and its end. Its file `RUN.run` is locked as long as it lives, by a
//!   mapping that no child inherits: however it ends, the lock ends with it, and a process id that comes again is no trap.
//!   `RUN` begins with the time, so that names sort oldest first.
//! * Files of a run are `RUN-NUMBER.seg`. They are made before they are used, with all blocks reserved.
//! * Whoever locks the run of a dead process has its files, and is the only one (`adopt`).
//! * What cannot be done in the directory is said once, and records go into memory as long as that lasts.
//! * The bound is that of the directory: what others have there is looked up from time to time.
//! * What a log call does here is bounded, however much lies in the directory: dead processes are none of its business.

mod directory;
mod file;
mod file_bytes;
mod format;
mod recovery;
pub mod survey;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

pub(crate) use directory::Directory;
use directory::{PinnedDirectory, list_some, run_file_of, segments_of};
pub(crate) use file::SpoolFile;
use format::Origin;
pub use recovery::Ending;
pub(crate) use recovery::{RecoveredRun, RecoveredSegment, RunScanner, ScanResult, SkippedFile};

use crate::clock::nanos;
use crate::config::SpoolConfig;
use crate::os::{self, FileId, Mapping};

/// How long to wait before the directory is tried again that could not be used.
const RETRY: Duration = Duration::from_secs(1);

/// The file of a run: what stands in it.
mod run_file {
    pub(super) const LENGTH: usize = 4096;
    pub(super) const MAGIC: &[u8; 8] = b"\x89lgs-run";
    pub(super) const PID: usize = 16;
    pub(super) const STARTED: usize = 24;
    /// How it ended.
    pub(super) const ENDING: usize = 32;
    /// When the process started; 0 where that is not known.
    pub(super) const PROCESS: usize = 40;
    /// Where the last word ends.
    pub(super) const WORDS: usize = 48;
}

/// Why no file could be had.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum CreateError {
    /// The directory holds as much as it may.
    Full,
    /// The directory cannot be used now.
    Unavailable,
}

#[derive(Debug)]
struct OwnRun {
    name: Arc<str>,
    place: Arc<PinnedDirectory>,
    /// Its file.
    id: FileId,
    /// Keeps the lock.
    lock: Mapping,
}

/// No more files than this: each is a mapping, of which a process may have 65530.
const MOST_FILES: usize = 16384;
/// So many runs are remembered whose files are gone from where they were.
const MOST_FORMER: usize = 16;
/// So many files at most are looked at before the first record is accepted. The others are looked at by the ship thread.
const MOST_LOOKED_AT: usize = 512;

/// This process's side of a spool directory.
#[derive(Debug)]
pub(crate) struct Spool {
    config: SpoolConfig,
    directory: Directory,
    resource: Vec<u8>,
    run: Mutex<Option<OwnRun>>,
    /// Runs that are not found any more. Where they come back, what is in them is still ours.
    former: Mutex<Vec<OwnRun>>,
    sequence: AtomicU32,
    /// Bytes of our own files.
    own: AtomicUsize,
    files: AtomicUsize,
    /// Bytes of what others have in the directory, when somebody looked last.
    others: AtomicUsize,
    /// The directory can be used, as far as is known.
    usable: AtomicBool,
    trouble: Mutex<Option<DirectoryError>>,
    /// Files were made since the directory was synced last.
    unsynced: AtomicBool,
    /// When the process was about to end.
    ending: Mutex<Option<Instant>>,
    /// Somebody wants to know what is left behind, without waiting for the next look.
    request_scan: AtomicBool,
}

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
            own: AtomicUsize::new(0),
            files: AtomicUsize::new(0),
            others: AtomicUsize::new(0),
            usable: AtomicBool::new(true),
            trouble: Mutex::default(),
            unsynced: AtomicBool::new(false),
            ending: Mutex::default(),
            request_scan: AtomicBool::new(false),
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.config.directory
    }

    /// Looks for what dead processes have left there.
    pub(crate) fn scanner(&self) -> RunScanner {
        RunScanner::new(self.directory.clone())
    }

    /// Takes what other users have written too.
    pub(crate) fn of_any_owner(self, any_owner: bool) -> Self {
        Self { directory: self.directory.of_any_owner(any_owner), ..self }
    }

    pub(crate) fn config(&self) -> &SpoolConfig {
        &self.config
    }

    /// The bound in bytes.
    pub(crate) fn max_bytes(&self) -> usize {
        self.config.max_bytes
    }

    /// How many bytes of the bound are in use; all of them, where there are as many files as there may be.
    pub(super) fn in_use(&self) -> usize {
        if self.has_most_files() {
            return self.config.max_bytes;
        }
        self.own.load(Ordering::Relaxed).saturating_add(self.others.load(Ordering::Relaxed))
    }

    fn has_most_files(&self) -> bool {
        self.files.load(Ordering::Relaxed) >= MOST_FILES
    }

    /// Others need much of the directory, so that nothing is to be kept there that holds no records.
    pub(super) fn is_scarce(&self) -> bool {
        self.others.load(Ordering::Relaxed) > self.config.max_bytes / 2
    }

    /// Where frames start in a file.
    pub(super) fn start(&self) -> usize {
        format::frames_start(self.resource.len())
    }

    /// Whether the directory can be used, as far as is known.
    #[inline]
    pub(crate) fn is_usable(&self) -> bool {
        self.usable.load(Ordering::Relaxed)
    }

    /// Makes an empty file.
    pub(super) fn create(&self, length: usize) -> Result<SpoolFile, CreateError> {
        if !self.is_usable() {
            return Err(CreateError::Unavailable);
        }
        // First, since only then it is known what others have.
        let trouble = |error: io::Error| {
            self.note_error(&error);
            CreateError::Unavailable
        };
        drop(self.run_name().map_err(trouble)?);
        if self.has_most_files() {
            return Err(CreateError::Full);
        }
        let bound = self.config.max_bytes.saturating_sub(self.others.load(Ordering::Relaxed));
        let reserved = self.own.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |own| {
            own.checked_add(length).filter(|own| *own <= bound)
        });
        reserved.map_err(|_| CreateError::Full)?;
        self.files.fetch_add(1, Ordering::Relaxed);
        self.create_file(length).map_err(|error| {
            self.files.fetch_sub(1, Ordering::Relaxed);
            self.own.fetch_sub(length, Ordering::Relaxed);
            trouble(error)
        })
    }

    /// The name of the run, which begins now unless it has, and where it is.
    fn run_name(&self) -> io::Result<(Arc<str>, Arc<PinnedDirectory>)> {
        let named = |run: &OwnRun| (Arc::clone(&run.name), Arc::clone(&run.place));
        if let Some(run) = &*self.lock_run() {
            return Ok(named(run));
        }
        // Without the lock: an allocator that logs would wait for it.
        let started = self.start_run()?;
        let mut run = self.lock_run();
        let late = if run.is_none() { run.replace(started) } else { Some(started) };
        let found = run.as_ref().map(named);
        drop(run);
        if let Some(late) = late {
            // Another thread was faster.
            let _gone_already = late.place.remove(&run_file_of(&late.name));
        }
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create_file(&self, length: usize) -> io::Result<SpoolFile> {
        let number = self.sequence.fetch_add(1, Ordering::Relaxed);
        let made = nanos(SystemTime::now());
        let (run, place) = self.run_name()?;
        let name = format!("{run}-{number:08}.{SEGMENT}");
        let salt = file::next_salt((made as u32) ^ number.rotate_left(16) ^ std::process::id());
        let origin = Origin { pid: std::process::id(), made };
        let file = SpoolFile::create(place, name, length, origin, &self.resource, salt)?;
        self.unsynced.store(true, Ordering::Relaxed);
        Ok(file)
    }

    fn lock_run(&self) -> std::sync::MutexGuard<'_, Option<OwnRun>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the file of this run, locked before anybody can see it under its name.
    fn start_run(&self) -> io::Result<OwnRun> {
        self.directory.make()?;
        let (opened, place) = self.directory.enter()?;
        self.measure(&opened);
        let started = nanos(SystemTime::now());
        let name = format!("{started:016x}-{}", std::process::id());
        let hidden = run_file_of(&format!(".{name}"));
        let file = opened.create(&hidden)?;
        let locked = || -> io::Result<(FileId, Mapping)> {
            let id = os::facts_of(&file)?.id;
            if !os::lock(&file)? {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            os::reserve(&file, run_file::LENGTH)?;
            let mut lock = Mapping::new(file, run_file::LENGTH)?;
            lock.publish(run_file::PID, u64::from(std::process::id()));
            lock.publish(run_file::STARTED, started);
            lock.publish(run_file::PROCESS, os::process_started(std::process::id()).unwrap_or_default());
            lock.publish(0, u64::from_le_bytes(*run_file::MAGIC));
            opened.rename(&hidden, &run_file_of(&name))?;
            Ok((id, lock))
        };
        let (id, lock) = locked().inspect_err(|_| drop(opened.remove(&hidden)))?;
        Ok(OwnRun { name: name.into(), place: Arc::new(place), id, lock })
    }

    /// Looks what others have, which bounds this process from its first file on: where a service is started again and
    /// again, each time is the first. What dead processes do not need is note_freed, where that matters.
    ///
    /// Constraint: this is a log call. Where there is too much to look at, half of the bound counts as used until the ship
    /// thread has looked.
    fn measure(&self, opened: &os::Directory) {
        let Ok(listing) = list_some(opened, MOST_LOOKED_AT) else { return };
        let half = self.config.max_bytes / 2 + 1;
        let mut bytes = listing.bytes(opened);
        if bytes >= half {
            bytes = bytes.saturating_sub(recovery::make_room(&self.directory, opened, &listing, half));
        }
        self.set_other_bytes(if listing.is_whole { bytes } else { bytes.max(half) });
    }

    /// A file whose records have met their fates is not wanted any more.
    pub(super) fn delete(&self, file: SpoolFile) {
        self.own.fetch_sub(file.length(), Ordering::Relaxed);
        self.files.fetch_sub(1, Ordering::Relaxed);
        file.delete();
    }

    /// Gives back the blocks that a file does not use.
    pub(super) fn shrink(&self, file: &mut SpoolFile) {
        let before = file.length();
        file.shrink();
        self.own.fetch_sub(before - file.length(), Ordering::Relaxed);
    }

    fn note_error(&self, error: &io::Error) {
        // Nothing is allocated or note_freed under the lock: an allocator that logs would wait for it.
        let text = error.to_string();
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        self.usable.store(false, Ordering::Relaxed);
        let is_reported = trouble.as_ref().is_some_and(|trouble| trouble.is_reported && trouble.text == text);
        let before = trouble.replace(DirectoryError { text, retry_at: Instant::now() + RETRY, is_reported });
        drop(trouble);
        drop(before);
    }

    /// What keeps the directory from being used, where nobody has is_reported it yet.
    pub(crate) fn take_unreported_error(&self) -> Option<String> {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let trouble = trouble.as_mut().filter(|trouble| !trouble.is_reported)?;
        trouble.is_reported = true;
        Some(trouble.text.clone())
    }

    /// Looks whether the directory is as it was, and tries one again that could not be used. Says whether it can be used
    /// again since, for files of that length. What was made in a directory that is gone is to be `forgotten`.
    pub(crate) fn check_directory(&self, length: usize, forget: impl FnOnce()) -> bool {
        let was_usable = self.is_usable();
        if self.is_gone() {
            if was_usable {
                self.note_error(&io::Error::new(io::ErrorKind::NotFound, "its files were removed"));
            }
            // Also where a file could not be made for that very reason: only a new run makes the directory again. Where
            // the files have been moved, and come back, they have their lock.
            let gone = self.lock_run().take();
            let mut former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
            let has_room = former.len() < MOST_FORMER;
            former.extend(gone.filter(|_| has_room));
            drop(former);
            forget();
        }
        if was_usable {
            return false;
        }
        let is_due = {
            let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            trouble.as_ref().is_none_or(|trouble| trouble.retry_at <= Instant::now())
        };
        if !is_due {
            return false;
        }
        self.usable.store(true, Ordering::Relaxed);
        // One file, as a proof: it needs everything that the others need.
        match self.create(length) {
            Ok(file) => {
                self.delete(file);
                *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
                true
            }
            Err(CreateError::Full) => true,
            Err(CreateError::Unavailable) => false,
        }
    }

    /// Whether the run's file is not there any more. Where nobody can tell, it is: the run stays locked.
    fn is_gone(&self) -> bool {
        let Some((name, place, id)) = self.lock_run().as_ref().map(|run| (run.name.clone(), run.place.clone(), run.id))
        else {
            return false;
        };
        match place.open().and_then(|opened| opened.look_at(&run_file_of(&name))) {
            Ok(facts) => facts.id != id,
            // Also where a link stands in the place of the directory.
            Err(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        }
    }

    /// Whether a file is of the run that goes on, and not of one whose directory was removed: what is written to that is
    /// found by nobody.
    pub(super) fn has(&self, file: &SpoolFile) -> bool {
        let stem = file.name().strip_suffix(SEGMENT).and_then(|stem| stem.strip_suffix('.')).unwrap_or_default();
        self.lock_run().as_ref().is_some_and(|run| *run.name == *run_of(stem))
    }

    /// So many bytes in the directory are not ours.
    pub(crate) fn set_other_bytes(&self, all: usize) {
        self.others.store(all.saturating_sub(self.own.load(Ordering::Relaxed)), Ordering::Relaxed);
    }

    /// So many bytes that were not ours are gone.
    pub(crate) fn note_freed(&self, bytes: usize) {
        let _saturates =
            self.others.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |others| Some(others.saturating_sub(bytes)));
    }

    /// The process ends in an orderly way; what it could not deliver stays for another one.
    pub(crate) fn note_end(&self) {
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if let Some(run) = self.lock_run().as_mut() {
            run.lock.publish(run_file::ENDING, Ending::Orderly as u64);
        }
    }

    /// Whether the process is about to end: nothing is begun any more. It may be that it does not end after all.
    pub(crate) fn is_ending(&self) -> bool {
        const AT_LATEST: Duration = Duration::from_secs(10);
        let ending = *self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        ending.is_some_and(|since| since.elapsed() < AT_LATEST)
    }

    /// Nothing is left of this run: another one begins with the next file.
    pub(crate) fn end_run(&self) {
        let mut run = self.lock_run();
        let ended = if self.own.load(Ordering::Relaxed) == 0 { run.take() } else { None };
        drop(run);
        if let Some(run) = ended {
            let _gone_already = run.place.remove(&run_file_of(&run.name));
        }
    }

    /// What is left of this run is for others from now on, also while this process lives.
    pub(crate) fn release_run(&self) {
        let left = self.lock_run().take();
        drop(left);
    }

    /// The next look at the directory is not to wait for its time.
    pub(crate) fn request_scan(&self) {
        self.request_scan.store(true, Ordering::Relaxed);
    }

    /// Whether somebody has asked for that since the last time.
    pub(crate) fn take_scan_request(&self) -> bool {
        self.request_scan.swap(false, Ordering::Relaxed)
    }

    /// Writes what the kernel holds of our files to the disk.
    pub(crate) fn sync(&self) {
        let run = self.lock_run().as_ref().map(|run| (Arc::clone(&run.name), Arc::clone(&run.place)));
        let Some((name, place)) = run else { return };
        let Ok(opened) = place.open() else { return };
        let segments = segments_of(&opened, [name.to_string()]).ok().and_then(|mut all| all.remove(&*name));
        for segment in segments.unwrap_or_default() {
            if let Ok((file, _)) = place.directory().open_file(&opened, &segment, false) {
                let _the_next_one_tries_again = file.sync_data();
            }
        }
        if self.unsynced.swap(false, Ordering::Relaxed) {
            let _not_everywhere = opened.sync();
        }
    }
}

/// What names end in.
const RUN: &str = "run";
const SEGMENT: &str = "seg";

/// The run that a segment belongs to, by its name without the ending.
fn run_of(stem: &str) -> &str {
    stem.rsplit_once('-').map_or(stem, |(run, _)| run)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

#[cfg(test)]
#[path = "sharing_tests.rs"]
mod sharing_tests;

#[cfg(test)]
#[cfg(unix)]
#[path = "attack_tests.rs"]
mod attack_tests;
