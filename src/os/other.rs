//! Platforms without Unix calls: std's streams, no `atexit` and no fork.

use std::fs::{File, Metadata};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use super::Stream;

pub(super) fn write(stream: Stream, bytes: &[u8]) -> io::Result<usize> {
    match stream {
        Stream::Stderr => io::stderr().lock().write(bytes),
        Stream::Stdout => {
            let mut stdout = io::stdout().lock();
            let written = stdout.write(bytes)?;
            stdout.flush()?;
            Ok(written)
        }
    }
}

/// Nothing here says whether a write will wait.
pub(super) fn write_at_once(_stream: Stream, _bytes: &[u8]) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// Nor here: a write may wait all the same.
pub(super) fn wait_writable(_stream: Stream, _timeout: Duration) -> bool {
    true
}

/// Not known here.
pub(super) fn stream_of(_file: &Metadata) -> Option<Stream> {
    None
}

pub(super) fn open_to_write(path: &Path) -> io::Result<File> {
    File::options().write(true).truncate(true).open(path)
}

pub(super) fn stdout_is_stderr() -> bool {
    use std::io::IsTerminal as _;
    io::stdout().is_terminal() && io::stderr().is_terminal()
}

/// No such handler here: call `Bridge::flush` before the program ends.
pub(super) fn at_exit(_handler: extern "C" fn()) -> bool {
    false
}

pub(super) fn fork_generation() -> u64 {
    0
}

pub(super) fn fork_salt() -> [u8; 16] {
    [0; 16]
}

pub(super) fn watch_forks() {}

/// Not known here.
#[derive(Debug)]
pub(super) struct OwnDescriptor;

impl OwnDescriptor {
    pub(super) fn new() -> Self {
        Self
    }

    pub(super) fn is_gone(&self) -> bool {
        false
    }
}

pub(super) fn without_forks<T>(run: impl FnOnce() -> T) -> T {
    run()
}

/// Not known here.
pub(super) fn process_started(_pid: u32) -> Option<u64> {
    None
}

pub(super) fn host_name() -> Option<String> {
    None
}

/// Not known here.
pub(super) fn is_running(_pid: u32) -> bool {
    true
}

pub(super) fn populate(_memory: &mut [std::mem::MaybeUninit<u8>]) {}

/// There are none here.
pub(super) fn pass_signal(_pid: u32, _signal: i32) -> bool {
    false
}

/// Whoever presses ^C in a console reaches all processes in it.
pub(super) fn is_in_foreground() -> bool {
    true
}
