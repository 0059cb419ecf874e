//! Types shared by all platforms.

use std::time::SystemTime;

/// One of the standard output streams.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stream {
    Stderr,
    Stdout,
}

/// The identity of a file, independent of its names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct FileId {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// The metadata of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct FileFacts {
    pub(crate) id: FileId,
    /// The kind of file in words, such as `a named pipe`.
    pub(crate) kind: &'static str,
    /// The user id of the owner.
    pub(crate) owner: u32,
    /// The number of hard links.
    pub(crate) links: u64,
    pub(crate) length: u64,
    /// The permission bits.
    pub(crate) mode: u32,
    /// The time of the last modification, in whole seconds.
    pub(crate) modified: SystemTime,
}

impl FileFacts {
    pub(super) const REGULAR: &str = "a regular file";

    pub(crate) fn is_regular(&self) -> bool {
        self.kind == Self::REGULAR
    }
}

/// The number of signals in [`CaughtSignals::Termination`].
#[cfg(unix)]
pub(super) const TERMINATION_SIGNALS: usize = 2;

/// The signals to catch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CaughtSignals {
    /// SIGTERM and SIGINT.
    Termination,
    /// SIGUSR1.
    Report,
}

/// What a caught signal requires of the thread that waits for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SignalRequest {
    /// Flush. A handler of the application decides whether the process ends.
    Flush,
    /// Write a report.
    #[cfg_attr(not(unix), allow(dead_code))]
    Report,
    /// Flush, then end the process by this signal. The application does not handle it.
    #[cfg_attr(not(unix), allow(dead_code))]
    End(i32),
}
