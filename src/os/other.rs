//! Platforms without Unix calls: the streams of std, and no `atexit`.

use std::fs::{File, Metadata};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use super::types::Stream;

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

/// Always fails, because std cannot tell whether a write would wait.
pub(super) fn write_nonblocking(_stream: Stream, _bytes: &[u8]) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// Returns `true`, although a write may still wait.
pub(super) fn wait_writable(_stream: Stream, _timeout: Duration) -> bool {
    true
}

/// Always returns `None`: the platform provides no file identity.
pub(super) fn stream_of(_file: &Metadata) -> Option<Stream> {
    None
}

pub(super) fn open_nonblocking(path: &Path) -> io::Result<File> {
    File::options().write(true).truncate(true).open(path)
}

pub(super) fn stdout_is_stderr() -> bool {
    use std::io::IsTerminal as _;
    io::stdout().is_terminal() && io::stderr().is_terminal()
}

/// Always fails: programs have to call `Bridge::flush` before they end.
pub(super) fn at_exit(_handler: extern "C" fn()) -> bool {
    false
}

/// Detects nothing on this platform.
#[derive(Debug)]
pub(super) struct DescriptorSentinel;

impl DescriptorSentinel {
    pub(super) fn new() -> Self {
        Self
    }

    pub(super) fn was_closed(&self) -> bool {
        false
    }
}

pub(super) fn page_size() -> usize {
    4096
}

/// Always returns `None`.
pub(super) fn process_started(_pid: u32) -> Option<u64> {
    None
}

pub(super) fn host_name() -> Option<String> {
    None
}

/// Always returns `true`, so no process is mistaken for one that has ended.
pub(super) fn is_running(_pid: u32) -> bool {
    true
}

pub(super) fn populate(_memory: &mut [std::mem::MaybeUninit<u8>]) {}

/// Always returns `false`: there are no signals.
pub(super) fn send_signal(_pid: u32, _signal: i32) -> bool {
    false
}

/// Always returns `true`: ^C reaches all processes of a console.
pub(super) fn is_in_foreground() -> bool {
    true
}
