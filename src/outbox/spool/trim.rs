//! Frees the disk space that ended runs reserved but did not use.

use std::io;

use super::directory::{Directory, Listing};
use super::file_bytes::head_of;
use super::names::run_file_name;
use super::run_lock::{LockAttempt, lock_run};
use crate::os;

/// The maximum number of runs to trim when a new run needs space.
const MAX_TRIMMED_RUNS: usize = 32;

/// A segment's file after its unused space was freed.
pub(super) struct TrimmedFile {
    /// Whether the file still exists, because it holds records.
    pub(super) exists: bool,
    /// Bytes freed.
    pub(super) freed: usize,
    /// Approximate number of records in the file.
    pub(super) records: u64,
    /// The id of the process that created the file.
    pub(super) creator_pid: u32,
    /// The number of the group that the frames belong to.
    pub(super) group: u64,
}

/// Frees the unused space of a file, because its records may wait long for an endpoint. An ended process used most of
/// its files only in part, and some not at all.
///
/// Nothing is changed unless `may_change`. A run without a run file must not be changed. Its process may still write
/// there, and shortening a mapped file kills the writer with SIGBUS.
pub(super) fn trim_file(
    directory: &Directory,
    opened: &os::Directory,
    name: &str,
    may_change: bool,
) -> io::Result<TrimmedFile> {
    let (file, facts) = directory.open_file(opened, name, false)?;
    let head = head_of(&file)?;
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let mut trimmed = TrimmedFile {
        exists: true,
        freed: 0,
        records: head.estimate(),
        creator_pid: head.creator_pid(),
        group: head.group(),
    };
    if !may_change {
        return Ok(trimmed);
    }
    if head.is_empty() {
        opened.remove(name)?;
        return Ok(TrimmedFile { exists: false, freed: size(facts.length), ..trimmed });
    }
    let used = head.used().map_or(facts.length, |used| used.min(facts.length));
    if used < facts.length
        && let Ok((file, again)) = directory.open_file(opened, name, true)
        && again.id == facts.id
        && file.set_len(used).is_ok()
    {
        trimmed.freed = size(facts.length - used);
    }
    Ok(trimmed)
}

/// Frees unused space of ended runs until `wanted` bytes are free, and releases the runs again. Returns the bytes
/// freed.
///
/// Starts with the newest runs, because older ones were usually trimmed before.
pub(super) fn make_room(directory: &Directory, opened: &os::Directory, listing: &Listing, wanted: usize) -> usize {
    let mut freed = 0;
    let runs = listing.runs.iter().rev().filter(|(_, files)| files.has_file);
    for (run, files) in runs.take(MAX_TRIMMED_RUNS) {
        if freed >= wanted {
            break;
        }
        if matches!(lock_run(directory, opened, &run_file_name(run)), LockAttempt::Ours(..)) {
            let trimmed = files.segments.iter().filter_map(|name| trim_file(directory, opened, name, true).ok());
            freed += trimmed.map(|trimmed| trimmed.freed).sum::<usize>();
        }
    }
    freed
}
