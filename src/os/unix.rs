//! System calls on Unix.
#![allow(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{IntoRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use super::types::Stream;

fn descriptor(stream: Stream) -> libc::c_int {
    match stream {
        Stream::Stderr => libc::STDERR_FILENO,
        Stream::Stdout => libc::STDOUT_FILENO,
    }
}

/// Calls write(2) once, which waits if the stream is blocking.
pub(super) fn write(stream: Stream, bytes: &[u8]) -> io::Result<usize> {
    loop {
        // SAFETY: the pointer and length describe a live, initialized slice; write(2) only reads from it.
        let written = unsafe { libc::write(descriptor(stream), bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(written).map_err(|_| io::Error::last_os_error()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

pub(super) fn write_nonblocking(stream: Stream, bytes: &[u8]) -> io::Result<usize> {
    // A write to a regular file may be slow, but it does not wait for a reader.
    let is_file = || status(descriptor(stream)).is_some_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFREG);
    match write_no_wait(stream, bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock && is_file() => write(stream, bytes),
        result => result,
    }
}

/// Writes with `RWF_NOWAIT`, which pipes, sockets and `/dev/null` support. Terminals and named pipes do not.
#[cfg(target_os = "linux")]
fn write_no_wait(stream: Stream, bytes: &[u8]) -> io::Result<usize> {
    /// The current file position.
    const HERE: libc::c_long = -1;
    /// `RWF_NOWAIT` from linux/fs.h.
    const NO_WAIT: libc::c_long = 8;
    let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: `part` is one live iovec of a live, initialized slice, which pwritev2(2) only reads from. Older C
    // libraries have no function for this system call.
    let written = unsafe {
        let (descriptor, parts) = (libc::c_long::from(descriptor(stream)), 1 as libc::c_long);
        libc::syscall(libc::SYS_pwritev2, descriptor, &raw const part, parts, HERE, HERE, NO_WAIT)
    };
    usize::try_from(written).map_err(|_| {
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            // These errors would also occur without the flag.
            Some(libc::EBADF | libc::EPIPE | libc::EIO | libc::ENOSPC | libc::ECONNRESET) => error,
            _ => io::ErrorKind::WouldBlock.into(),
        }
    })
}

/// Always fails: the system has no such call.
#[cfg(not(target_os = "linux"))]
fn write_no_wait(_stream: Stream, _bytes: &[u8]) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

pub(super) fn wait_writable(stream: Stream, timeout: Duration) -> bool {
    let mut poll = libc::pollfd { fd: descriptor(stream), events: libc::POLLOUT, revents: 0 };
    let timeout = libc::c_int::try_from(timeout.as_millis()).unwrap_or(libc::c_int::MAX);
    // SAFETY: `poll` is one valid pollfd that lives across the call; the count says one.
    unsafe { libc::poll(&raw mut poll, 1, timeout) > 0 }
}

pub(super) fn stdout_is_stderr() -> bool {
    match (identity(descriptor(Stream::Stdout)), identity(descriptor(Stream::Stderr))) {
        (Some(out), Some(err)) => out == err,
        _ => false,
    }
}

fn identity(descriptor: libc::c_int) -> Option<(libc::dev_t, libc::ino_t)> {
    status(descriptor).map(|stat| (stat.st_dev, stat.st_ino))
}

fn status(descriptor: libc::c_int) -> Option<libc::stat> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `stat` has room for one struct stat, which fstat fills before it returns 0.
    let result = unsafe { libc::fstat(descriptor, stat.as_mut_ptr()) };
    if result != 0 {
        return None;
    }
    // SAFETY: fstat returned 0, so the struct is initialized.
    Some(unsafe { stat.assume_init() })
}

pub(super) fn stream_of(file: &fs::Metadata) -> Option<Stream> {
    use std::os::unix::fs::MetadataExt as _;
    #[allow(clippy::unnecessary_cast)] // The widths of both numbers differ between systems.
    let is_same = |stat: libc::stat| (stat.st_dev as u64, stat.st_ino as u64) == (file.dev(), file.ino());
    [Stream::Stderr, Stream::Stdout].into_iter().find(|stream| status(descriptor(*stream)).is_some_and(is_same))
}

pub(super) fn open_nonblocking(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let opened = OpenOptions::new().write(true).truncate(true).custom_flags(flags).open(path);
    opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ENXIO) => io::Error::other("it is a pipe or a socket without a reader"),
        _ => error,
    })
}

/// An unconnected socket. Its device and inode numbers identify it even if its descriptor number is reused.
#[derive(Debug)]
pub(super) struct DescriptorSentinel(Option<(RawFd, (libc::dev_t, libc::ino_t))>);

impl DescriptorSentinel {
    pub(super) fn new() -> Self {
        // Not stored as an `OwnedFd`: std aborts a debug build if other code has closed it.
        let socket = UnixDatagram::unbound().ok().map(IntoRawFd::into_raw_fd);
        Self(socket.and_then(|socket| Some((socket, identity(socket)?))))
    }

    pub(super) fn was_closed(&self) -> bool {
        self.0.is_some_and(|(socket, made)| identity(socket) != Some(made))
    }
}

impl Drop for DescriptorSentinel {
    fn drop(&mut self) {
        if let Some((socket, _)) = self.0.filter(|_| !self.was_closed()) {
            // SAFETY: the descriptor was opened by `new` and still refers to the same socket.
            unsafe { libc::close(socket) };
        }
    }
}

pub(super) fn at_exit(handler: extern "C" fn()) -> bool {
    // SAFETY: `handler` has the signature that atexit requires and is never freed. It does not unwind, because an
    // `extern "C"` function aborts instead.
    unsafe { libc::atexit(handler) == 0 }
}

pub(super) fn page_size() -> usize {
    // SAFETY: sysconf only reads a value.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })
        .ok()
        .filter(|size| size.is_power_of_two())
        .unwrap_or(4096)
}

#[cfg(target_os = "linux")]
pub(super) fn populate(memory: &mut [std::mem::MaybeUninit<u8>]) {
    const PAGE: usize = 4096;
    // Only whole pages. With larger pages, or a kernel before 5.14, the call fails and nothing happens.
    let start = memory.as_mut_ptr().align_offset(PAGE);
    let Some(pages) = memory.get_mut(start..) else { return };
    let length = pages.len() / PAGE * PAGE;
    // SAFETY: the range lies within `pages`, which is borrowed mutably. The call allocates memory without changing its
    // contents.
    unsafe {
        libc::madvise(pages.as_mut_ptr().cast(), length, libc::MADV_POPULATE_WRITE);
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn populate(_memory: &mut [std::mem::MaybeUninit<u8>]) {}

pub(super) fn is_running(pid: u32) -> bool {
    let Some(pid) = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 0) else { return false };
    // SAFETY: signal 0 sends nothing; the call only checks for existence and permission, and touches no memory.
    let sent = unsafe { libc::kill(pid, 0) };
    sent == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

pub(super) fn send_signal(pid: u32, signal: i32) -> bool {
    let Some(pid) = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 0) else { return false };
    // SAFETY: the call sends a signal to another process and touches no memory. Invalid signal numbers are rejected.
    unsafe { libc::kill(pid, signal) == 0 }
}

pub(super) fn is_in_foreground() -> bool {
    // SAFETY: both calls take only numbers. The first one fails if the descriptor is closed or is not a terminal.
    [0, 1, 2].into_iter().any(|descriptor| unsafe { libc::tcgetpgrp(descriptor) == libc::getpgrp() })
}

/// Reads the fields `starttime` and `vsize` of `stat`. The second field, the program's name in parentheses, may itself
/// contain spaces and parentheses.
///
/// A process that is ending gives up its memory, and then its locks, before it disappears: without memory it runs no program.
#[cfg(target_os = "linux")]
pub(super) fn process_started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(19);
    let (started, memory) = (fields.next()?, fields.next()?);
    if memory == "0" { None } else { started.parse().ok() }
}

/// Always returns `None`.
#[cfg(not(target_os = "linux"))]
pub(super) fn process_started(_pid: u32) -> Option<u64> {
    None
}

pub(super) fn host_name() -> Option<String> {
    let mut buffer = [0_u8; 256];
    // SAFETY: the pointer and length describe `buffer`; one byte less than its length keeps it NUL-terminated.
    let result = unsafe { libc::gethostname(buffer.as_mut_ptr().cast(), buffer.len() - 1) };
    if result != 0 {
        return None;
    }
    let end = buffer.iter().position(|byte| *byte == 0).unwrap_or(buffer.len());
    let name = String::from_utf8_lossy(buffer.get(..end)?).into_owned();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_a_name() {
        assert!(host_name().is_some_and(|name| !name.contains('\0')));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_ended_runs_no_program() {
        let mut child =
            std::process::Command::new("/bin/cat").stdin(std::process::Stdio::piped()).spawn().expect("cat");
        assert!(process_started(child.id()).is_some());
        // It ends, and its entry stays until its parent waits for it.
        drop(child.stdin.take());
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while process_started(child.id()).is_some() {
            assert!(std::time::Instant::now() < end, "it does not end");
            std::thread::yield_now();
        }
        assert!(Path::new(&format!("/proc/{}/stat", child.id())).exists(), "it was not waited for");
        child.wait().expect("it ended");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_has_started_once() {
        let own = process_started(std::process::id());
        assert!(own.is_some_and(|own| own > 0) && own == process_started(std::process::id()));
        assert!(process_started(1).is_none_or(|first| Some(first) <= own), "the first process is older");
        assert_eq!(process_started(u32::MAX), None);
    }
}
