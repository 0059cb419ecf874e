//! The spool: segments in files of a directory, so that accepted records outlive the process.
//!
//! Constraints:
//! * A run is one process between its first record and its end. The process keeps the run's file `RUN.run` locked for
//!   that time, through a mapping that no child inherits. However the process ends, the lock ends with it, even if its
//!   process id is reused. `RUN` begins with the time, so names sort oldest first.
//! * Files of a run are `RUN-NUMBER.seg`. All their disk blocks are reserved before they are used.
//! * The process that locks the run of an ended process owns its files (`run_lock`).
//! * Errors of the directory are reported once. Records go into memory while they last.
//! * The bound is that of the whole directory. The bytes of other processes are measured from time to time.
//! * What a log call does here is bounded, however much lies in the directory. It does not recover the runs of other
//!   processes.

mod directory;
mod file;
mod file_bytes;
mod format;
mod names;
mod recovered;
mod run_file;
mod run_lock;
mod scanner;
pub mod survey;
mod trim;
mod writer;

#[cfg(test)]
pub(super) use directory::Directory;
pub(super) use file::SpoolFile;
pub(crate) use recovered::{RecoveredRun, RecoveredSegment, SkippedFile};
pub use run_file::Ending;
pub(crate) use scanner::{RunScanner, ScanResult};
pub(super) use writer::CreateError;
pub(crate) use writer::Spool;

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
