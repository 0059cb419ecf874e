//! Unix: libc calls, each with its argument for being sound.
#![allow(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{IntoRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) use super::forks::without_forks;
use super::{Stream, forks};

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
    let is_file = || status(descriptor(stream)).is_some_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFREG);
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
    // SAFETY: fstat returned 0, so the struct is initialised.
    Some(unsafe { stat.assume_init() })
}

pub(super) fn stream_of(file: &fs::Metadata) -> Option<Stream> {
    use std::os::unix::fs::MetadataExt as _;
    #[allow(clippy::unnecessary_cast)] // The widths of both numbers differ between systems.
    let is_same = |stat: libc::stat| (stat.st_dev as u64, stat.st_ino as u64) == (file.dev(), file.ino());
    [Stream::Stderr, Stream::Stdout].into_iter().find(|stream| status(descriptor(*stream)).is_some_and(is_same))
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

/// A socket, which is like no other: that of a file that somebody else opens is another one.
#[derive(Debug)]
pub(super) struct OwnDescriptor(Option<(RawFd, (libc::dev_t, libc::ino_t))>);

impl OwnDescriptor {
    pub(super) fn new() -> Self {
        // Not kept as std's own type, which aborts a debug build where it is closed by somebody else.
        let socket = UnixDatagram::unbound().ok().map(IntoRawFd::into_raw_fd);
        Self(socket.and_then(|socket| Some((socket, identity(socket)?))))
    }

    pub(super) fn is_gone(&self) -> bool {
        self.0.is_some_and(|(socket, made)| identity(socket) != Some(made))
    }
}

impl Drop for OwnDescriptor {
    fn drop(&mut self) {
        if let Some((socket, _)) = self.0.filter(|_| !self.is_gone()) {
            // SAFETY: closes a descriptor that was opened here, and is still the same.
            unsafe { libc::close(socket) };
        }
    }
}

pub(super) fn at_exit(handler: extern "C" fn()) -> bool {
    // SAFETY: `handler` is a function of the signature atexit asks for, lives for ever, and does not unwind
    // (an `extern "C"` function aborts instead).
    unsafe { libc::atexit(handler) == 0 }
}

static GENERATION: AtomicU64 = AtomicU64::new(0);
/// A word in a page that the kernel wipes in a forked child: this tells also of forks that the C library does not know
/// of, in whose children no handler runs. Null where there is no such page.
static WIPED: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());
static SALT: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// What the word says. It is 0 where the page was wiped, and nobody has counted the fork yet.
mod word {
    pub(super) const WIPED: u64 = 0;
    pub(super) const COUNTED: u64 = 1;
    /// A thread of this process counts the fork right now.
    pub(super) const BEING_COUNTED: u64 = 2;
}

#[inline]
pub(super) fn fork_generation() -> u64 {
    let page = WIPED.load(Ordering::Acquire);
    if !page.is_null() {
        // SAFETY: not null, so it is the word that `watch_wiped_page` has mapped, aligned, and never unmaps.
        let word = unsafe { &*page };
        if word.load(Ordering::Acquire) != word::COUNTED {
            note_missed_fork(word);
        }
    }
    GENERATION.load(Ordering::Relaxed)
}

/// Counts the fork in the child, whose first thread to come here does it. The others wait for the few instructions that
/// takes: who went on with the number of the parent would write into the parent's outbox.
#[cold]
fn note_missed_fork(word: &AtomicU64) {
    loop {
        // Of this process: where it forks meanwhile, the grandchild's page is wiped again.
        match word.compare_exchange(word::WIPED, word::BEING_COUNTED, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => {
                count_fork();
                // Last: who sees it must see the number too.
                return word.store(word::COUNTED, Ordering::Release);
            }
            Err(word::COUNTED) => return,
            Err(_) => std::thread::yield_now(),
        }
    }
}

fn count_fork() {
    renew_salt();
    forks::begin_child();
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

#[cfg(target_os = "linux")]
fn watch_wiped_page() {
    if !WIPED.load(Ordering::Acquire).is_null() {
        return;
    }
    let length = super::page_size();
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at an address that the kernel chooses touches no existing memory.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), length, access, kind, -1, 0) };
    if page == libc::MAP_FAILED {
        return;
    }
    // SAFETY: the range was mapped just now and is nobody else's.
    let is_wiped = unsafe { libc::madvise(page, length, libc::MADV_WIPEONFORK) } == 0;
    if is_wiped {
        // SAFETY: as above; a page is aligned for a word, and large enough.
        unsafe { (*page.cast::<AtomicU64>()).store(word::COUNTED, Ordering::Relaxed) };
    }
    let null = std::ptr::null_mut();
    if !is_wiped || WIPED.compare_exchange(null, page.cast(), Ordering::AcqRel, Ordering::Relaxed).is_err() {
        // SAFETY: the range was mapped above and nobody else has heard of it.
        unsafe { libc::munmap(page, length) };
    }
}

#[cfg(not(target_os = "linux"))]
fn watch_wiped_page() {}

pub(super) fn watch_forks() {
    // No `Once`: a forked child would wait for ever for a thread of its parent that is in it. What two threads do at the
    // same time is harmless: a fork is then counted twice, where there is no page.
    static WATCHED: AtomicBool = AtomicBool::new(false);
    watch_wiped_page();
    if !WATCHED.load(Ordering::Acquire) {
        // SAFETY: the handlers are `extern "C"` functions that live for ever and do not unwind. That of the child reads
        // the clock and the process id and stores to atomics, which is allowed in the child of a process with several
        // threads. The others store to atomics and give way to other threads.
        unsafe {
            libc::pthread_atfork(Some(forks::before), Some(forks::after_in_parent), Some(after_fork_in_child));
        }
        WATCHED.store(true, Ordering::Release);
    }
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
    if WIPED.load(Ordering::Acquire).is_null() {
        count_fork();
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

pub(super) fn is_running(pid: u32) -> bool {
    let Some(pid) = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 0) else { return false };
    // SAFETY: signal 0 is none: the call only says whether it could be sent, and touches no memory.
    let sent = unsafe { libc::kill(pid, 0) };
    sent == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

pub(super) fn pass_signal(pid: u32, signal: i32) -> bool {
    let Some(pid) = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 0) else { return false };
    // SAFETY: the call sends a signal to another process and touches no memory; a number that is no signal is refused.
    unsafe { libc::kill(pid, signal) == 0 }
}

pub(super) fn is_in_foreground() -> bool {
    // SAFETY: both calls take numbers only; a descriptor that is closed, or no terminal, makes the first one fail.
    [0, 1, 2].into_iter().any(|descriptor| unsafe { libc::tcgetpgrp(descriptor) == libc::getpgrp() })
}

/// The 22nd field of `stat`. The second one is the program's name in parentheses, and may have spaces and parentheses in it.
#[cfg(target_os = "linux")]
pub(super) fn process_started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Not known here.
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
    fn a_process_has_started_once() {
        let own = process_started(std::process::id());
        assert!(own.is_some_and(|own| own > 0) && own == process_started(std::process::id()));
        assert!(process_started(1).is_none_or(|first| Some(first) <= own), "the first process is older");
        assert_eq!(process_started(u32::MAX), None);
    }
}
