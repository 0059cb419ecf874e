//! Takes the lock of a run whose process has ended.
//!
//! Constraint: a process that holds the lock of a run's file, and finds that file still under its name, owns the run's
//! segments. A mapping holds the lock. Nothing is read through the mapping, because another process that shortens the
//! file would end this one with SIGBUS.

use std::io;

use super::directory::Directory;
use super::run_file::{self, Ending, RunProcess};
use crate::os::{self, Mapping};

/// The result of an attempt to lock a run.
pub(super) enum LockAttempt {
    Ours(LockedRun),
    /// The process is alive, or another process holds the lock.
    Theirs,
    /// The run does not count, because it belongs to another user.
    Foreign,
}

/// The lock of a run, and the process that wrote it.
pub(super) struct LockedRun {
    pub(super) lock: Mapping,
    pub(super) pid: u32,
    pub(super) ending: Ending,
    /// Whether the process now runs another program, because it called `exec`.
    pub(super) is_replaced: bool,
}

/// Tries to lock the run whose file has this name.
pub(super) fn lock_run(directory: &Directory, opened: &os::Directory, name: &str) -> LockAttempt {
    let lock = || -> io::Result<LockAttempt> {
        let (file, facts) = directory.open_file(opened, name, true)?;
        if !os::lock(&file)? {
            return Ok(LockAttempt::Theirs);
        }
        // Another process may have held the lock before and removed the file. This is then the lock of a deleted file.
        if opened.look_at(name)?.id != facts.id {
            return Ok(LockAttempt::Theirs);
        }
        let RunProcess { pid, process_started, ending } = RunProcess::read(&file)?;
        let lock = Mapping::new(file, run_file::LENGTH)?;
        // A run ends with its program, even if the process continues.
        let is_replaced =
            ending == Ending::Sudden && process_started != 0 && os::process_started(pid) == Some(process_started);
        Ok(LockAttempt::Ours(LockedRun { lock, pid, ending, is_replaced }))
    };
    match lock() {
        Ok(attempt) => attempt,
        // The file does not count, or must not be opened.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied) => {
            LockAttempt::Foreign
        }
        Err(_) => LockAttempt::Theirs,
    }
}

/// Creates the run file for segments that have none. Returns `false` if another process was faster.
pub(super) fn create_run_file(opened: &os::Directory, name: &str) -> bool {
    opened.create(name).and_then(|file| os::reserve(&file, run_file::LENGTH)).is_ok()
}
