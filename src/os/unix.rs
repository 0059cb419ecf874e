//! Unix: libc calls, each with its argument for being sound.
#![allow(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Stream;

fn descriptor(stream: Stream) -> libc::c_int {
    match stream {
        Stream::Stderr => libc::STDERR_FILENO,
        Stream::Stdout => libc::STDOUT_FILENO,
    }
}

/// One write(2), which blocks where the stream does.
pub(super) fn write(stream: Stream, bytes: &[u8]) -> io::Result<usize> {
    loop {
        // SAFETY: the pointer and length describe a live, initialised slice; write(2) only reads from it.
        let written = unsafe { libc::write(descriptor(stream), bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(written).map_err(|_| io::Error::last_os_error()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

pub(super) fn write_at_once(stream: Stream, bytes: &[u8]) -> io::Result<usize> {
    // A disk may be slow, but nobody has to read from it.
    let is_file = || status(stream).is_some_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFREG);
    match write_no_wait(stream, bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock && is_file() => write(stream, bytes),
        result => result,
    }
}

/// Pipes, sockets and `/dev/null` can be asked for that; terminals and named pipes cannot.
#[cfg(target_os = "linux")]
fn write_no_wait(stream: Stream, bytes: &[u8]) -> io::Result<usize> {
    /// At the current position, where there is one.
    const HERE: libc::c_long = -1;
    /// `RWF_NOWAIT` of linux/fs.h.
    const NO_WAIT: libc::c_long = 8;
    let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: `part` is one live iovec of a live, initialised slice, which pwritev2(2) only reads from. The C library's
    // function of this name is younger than the system call.
    let written = unsafe {
        let (descriptor, parts) = (libc::c_long::from(descriptor(stream)), 1 as libc::c_long);
        libc::syscall(libc::SYS_pwritev2, descriptor, &raw const part, parts, HERE, HERE, NO_WAIT)
    };
    usize::try_from(written).map_err(|_| {
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            // The stream is gone, as it would be without the flag.
            Some(libc::EBADF | libc::EPIPE | libc::EIO | libc::ENOSPC | libc::ECONNRESET) => error,
            _ => io::ErrorKind::WouldBlock.into(),
        }
    })
}

/// Nothing of the kind here.
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
    match (identity(Stream::Stdout), identity(Stream::Stderr)) {
        (Some(out), Some(err)) => out == err,
        _ => false,
    }
}

fn identity(stream: Stream) -> Option<(libc::dev_t, libc::ino_t)> {
    status(stream).map(|stat| (stat.st_dev, stat.st_ino))
}

fn status(stream: Stream) -> Option<libc::stat> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `stat` has room for one struct stat, which fstat fills before it returns 0.
    let result = unsafe { libc::fstat(descriptor(stream), stat.as_mut_ptr()) };
    if result != 0 {
        return None;
    }
    // SAFETY: fstat returned 0, so the struct is initialised.
    Some(unsafe { stat.assume_init() })
}

pub(super) fn stream_of(file: &fs::Metadata) -> Option<Stream> {
    use std::os::unix::fs::MetadataExt as _;
    #[allow(clippy::unnecessary_cast)] // The widths of both numbers differ between systems.
    let is_same = |stat: libc::stat| (stat.st_dev as u64, stat.st_ino as u64) == (file.dev(), file.ino());
    [Stream::Stderr, Stream::Stdout].into_iter().find(|stream| status(*stream).is_some_and(is_same))
}

pub(super) fn open_to_write(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let opened = OpenOptions::new().write(true).truncate(true).custom_flags(flags).open(path);
    opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ENXIO) => io::Error::other("it is a pipe or a socket that nobody reads"),
        _ => error,
    })
}

pub(super) fn at_exit(handler: extern "C" fn()) -> bool {
    // SAFETY: `handler` is a function of the signature atexit asks for, lives for ever, and does not unwind
    // (an `extern "C"` function aborts instead).
    unsafe { libc::atexit(handler) == 0 }
}

static GENERATION: AtomicU64 = AtomicU64::new(0);
/// A word that is 1, in a page that the kernel wipes in a forked child: this tells also of forks that the C library does
/// not know of, in whose children no handler runs. Null where there is no such page.
static WIPED: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());
static SALT: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

#[inline]
pub(super) fn fork_generation() -> u64 {
    let page = WIPED.load(Ordering::Relaxed);
    if !page.is_null() {
        // SAFETY: not null, so it is the word that `watch_wiped_page` has mapped, aligned, and never unmaps.
        let word = unsafe { &*page };
        if word.load(Ordering::Relaxed) == 0 {
            note_missed_fork(word);
        }
    }
    GENERATION.load(Ordering::Relaxed)
}

/// In a child whose first thread to come here counts the fork.
#[cold]
fn note_missed_fork(word: &AtomicU64) {
    if word.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        renew_salt();
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(target_os = "linux")]
fn watch_wiped_page() {
    let length = super::page_size();
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at an address that the kernel chooses touches no existing memory.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), length, access, kind, -1, 0) };
    if page == libc::MAP_FAILED {
        return;
    }
    // SAFETY: the range was mapped just now and is nobody else's; where the advice is not known, it is unmapped again.
    unsafe {
        if libc::madvise(page, length, libc::MADV_WIPEONFORK) != 0 {
            libc::munmap(page, length);
            return;
        }
        (*page.cast::<AtomicU64>()).store(1, Ordering::Relaxed);
    }
    WIPED.store(page.cast(), Ordering::Relaxed);
}

#[cfg(not(target_os = "linux"))]
fn watch_wiped_page() {}

pub(super) fn watch_forks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        watch_wiped_page();
        // SAFETY: the handler is an `extern "C"` function that lives for ever and does not unwind. It reads the clock and
        // the process id and stores to atomics, which is allowed in the child of a process with several threads.
        unsafe {
            libc::pthread_atfork(None, None, Some(after_fork_in_child));
        }
    });
}

/// The process id differs between children that live at the same time, the clock between those that do not.
fn renew_salt() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    let mut state = now ^ u64::from(std::process::id()).rotate_left(40);
    for word in &SALT {
        // One step of SplitMix64, which spreads every bit over the whole word.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word.store(mixed ^ mixed >> 31, Ordering::Relaxed);
    }
}

pub(super) fn fork_salt() -> [u8; 16] {
    let words = [0, 1].map(|word: usize| SALT.get(word).map_or(0, |word| word.load(Ordering::Relaxed)));
    let [low, high] = words.map(u128::from);
    (high << 64 | low).to_le_bytes()
}

extern "C" fn after_fork_in_child() {
    // Counted here, unless there is a page that tells of it.
    if WIPED.load(Ordering::Relaxed).is_null() {
        renew_salt();
        GENERATION.fetch_add(1, Ordering::Relaxed);
    } else {
        fork_generation();
    }
}

#[cfg(target_os = "linux")]
pub(super) fn populate(memory: &mut [std::mem::MaybeUninit<u8>]) {
    const PAGE: usize = 4096;
    // Whole pages only; where pages are larger, or the kernel is older than 5.14, nothing happens.
    let start = memory.as_mut_ptr().align_offset(PAGE);
    let Some(pages) = memory.get_mut(start..) else { return };
    let length = pages.len() / PAGE * PAGE;
    // SAFETY: the range lies within `pages`, which is borrowed mutably; the call gives it memory without changing what is
    // in it.
    unsafe {
        libc::madvise(pages.as_mut_ptr().cast(), length, libc::MADV_POPULATE_WRITE);
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn populate(_memory: &mut [std::mem::MaybeUninit<u8>]) {}

#[cfg(feature = "cli")]
pub(super) fn is_running(pid: u32) -> bool {
    let Some(pid) = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 0) else { return false };
    // SAFETY: signal 0 is none: the call only says whether it could be sent, and touches no memory.
    let sent = unsafe { libc::kill(pid, 0) };
    sent == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

#[cfg(feature = "cli")]
pub(super) fn pass_signal(pid: u32, signal: i32) -> bool {
    let Some(pid) = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 0) else { return false };
    // SAFETY: the call sends a signal to another process and touches no memory; a number that is no signal is refused.
    unsafe { libc::kill(pid, signal) == 0 }
}

#[cfg(feature = "cli")]
pub(super) fn is_in_foreground() -> bool {
    // SAFETY: both calls take numbers only; a descriptor that is closed, or no terminal, makes the first one fail.
    [0, 1, 2].into_iter().any(|descriptor| unsafe { libc::tcgetpgrp(descriptor) == libc::getpgrp() })
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
}
