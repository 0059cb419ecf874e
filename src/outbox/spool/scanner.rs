//! Finds the runs of processes that ended, and locks them.
//!
//! Constraints:
//! * One scan takes a bounded number of runs and lists the directory a bounded number of times. Its cost does not
//!   depend on how many runs it leaves for later scans.
//! * Segments without a run file were copied there, or their run file was lost. The scan creates one.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::directory::{Directory, RunFiles, list, segments_of};
use super::names::run_file_name;
use super::recovered::RecoveredRun;
use super::run_lock::{LockAttempt, create_run_file, lock_run};
use crate::os::{self, FileFacts};

/// While a run begins, its file has no final name. After this time, the process that began it must have been killed.
const BEGINNING: Duration = Duration::from_secs(60);
/// The maximum number of runs that one scan locks. Each is a mapping, and a process may have 65530.
const MAX_RUNS: usize = 256;

/// Scans a spool directory repeatedly for runs of processes that ended.
#[derive(Debug)]
pub(crate) struct RunScanner {
    directory: Directory,
    /// Runs that the last listing found and that no scan has tried since, oldest first.
    candidates: VecDeque<(String, RunFiles)>,
    /// Runs that are not locked again.
    ignored: HashSet<String>,
}

/// What one scan found.
#[derive(Debug, Default)]
pub(crate) struct ScanResult {
    /// The runs that this process owns now, oldest first.
    pub(crate) runs: Vec<RecoveredRun>,
    /// Whether more runs are left for the next scan.
    pub(crate) has_more: bool,
    /// Runs of processes that are alive.
    pub(crate) alive: usize,
    /// Runs of other users, which do not count.
    pub(crate) foreign: usize,
    /// Bytes of all files, if the scan listed the directory again.
    pub(crate) bytes: Option<usize>,
    /// Bytes that the scan freed.
    pub(crate) freed: usize,
    /// A description of who else can write to the directory.
    pub(crate) exposure: Option<String>,
}

impl RunScanner {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory, candidates: VecDeque::new(), ignored: HashSet::new() }
    }

    /// Ignores this run in later scans.
    pub(crate) fn ignore(&mut self, run: &RecoveredRun) {
        self.ignored.insert(run.name().to_owned());
    }

    /// Locks at most `max_runs` runs of ended processes: from the remaining runs of the last listing, or from a new
    /// listing if `anew`.
    pub(crate) fn scan(&mut self, anew: bool, max_runs: usize) -> io::Result<ScanResult> {
        let (opened, pinned) = self.directory.enter()?;
        let mut found = ScanResult::default();
        if anew || self.candidates.is_empty() {
            let listing = list(&opened)?;
            found.bytes = Some(listing.bytes(&opened));
            found.exposure = self.directory.exposure(&opened);
            listing.begun.iter().for_each(|name| remove_if_abandoned(&self.directory, &opened, name));
            self.candidates = listing.runs.into_iter().filter(|(run, _)| !self.ignored.contains(run)).collect();
        }
        let mut locked = Vec::new();
        while locked.len() < max_runs.min(MAX_RUNS)
            && let Some((run, files)) = self.candidates.pop_front()
        {
            match self.try_to_lock(&opened, &run, &files) {
                Some(LockAttempt::Ours(lock)) => locked.push((run, files.has_file, lock)),
                Some(LockAttempt::Theirs) => found.alive += 1,
                Some(LockAttempt::Foreign) => found.foreign += 1,
                None => {}
            }
        }
        found.has_more = !self.candidates.is_empty();
        if !locked.is_empty() {
            // Listed only now, because the processes created files until they ended.
            let mut segments = segments_of(&opened, locked.iter().map(|(run, ..)| run.clone()))?;
            let pinned = Arc::new(pinned);
            for (run, has_file, lock) in locked {
                let files = segments.remove(&run).unwrap_or_default();
                found.runs.extend(RecoveredRun::new(run, has_file, lock, files, (&opened, &pinned), &mut found.freed));
            }
        }
        found.bytes = found.bytes.map(|bytes| bytes.saturating_sub(found.freed));
        Ok(found)
    }

    fn try_to_lock(&self, opened: &os::Directory, run: &str, files: &RunFiles) -> Option<LockAttempt> {
        let name = run_file_name(run);
        if !files.has_file {
            let segments: Vec<FileFacts> = files.segments.iter().filter_map(|name| opened.look_at(name).ok()).collect();
            if segments.iter().all(|facts| self.directory.refusal(facts).is_some()) {
                return (!segments.is_empty()).then_some(LockAttempt::Foreign);
            }
            if segments.iter().any(is_recent) || !create_run_file(opened, &name) {
                return None;
            }
        }
        Some(lock_run(&self.directory, opened, &name))
    }
}

/// Returns whether a run may still be starting. A time far in the future counts as old, because the clock was set back
/// since.
pub(super) fn is_recent(facts: &FileFacts) -> bool {
    facts.modified.elapsed().unwrap_or_else(|future| future.duration()) < BEGINNING
}

/// Removes the file of a run whose process was killed while it began the run.
fn remove_if_abandoned(directory: &Directory, opened: &os::Directory, name: &str) {
    if opened.look_at(name).is_ok_and(|facts| !is_recent(&facts))
        && matches!(lock_run(directory, opened, name), LockAttempt::Ours(..))
    {
        let _gone_already = opened.remove(name);
    }
}

#[cfg(test)]
impl Directory {
    /// Locks all runs of processes that ended.
    pub(in crate::outbox) fn recover_all(&self) -> io::Result<ScanResult> {
        let mut scanner = RunScanner::new(self.clone());
        let mut all = scanner.scan(true, MAX_RUNS)?;
        while all.has_more {
            let more = scanner.scan(false, MAX_RUNS)?;
            all.runs.extend(more.runs);
            all.alive += more.alive;
            all.bytes = all.bytes.map(|bytes| bytes - more.freed);
            all.has_more = more.has_more;
        }
        Ok(all)
    }
}
