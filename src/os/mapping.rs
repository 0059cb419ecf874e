//! Files mapped into memory. What is written there survives the process, because the page cache belongs to the kernel.
//!
//! * Only files that this crate has created, locked or reserved are mapped. No cooperating process resizes them. If
//!   another program truncates one, or the device fails, the kernel sends SIGBUS, and no handler hides that.
//! * A forked child does not inherit a mapping (`MADV_DONTFORK`), so it can neither write to its parent's file nor keep
//!   the lock of a parent that has ended. It must not access the mapping. Dropping the mapping there does nothing.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::forks::fork_generation;
use super::imp::page_size;

/// The first bytes of a file, shared with the kernel.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
    /// The fork generation of the process that owns the mapping.
    generation: u64,
    /// Keeps the lock of the file, which the mapping does only on Linux.
    #[cfg(not(target_os = "linux"))]
    _file: File,
}

// SAFETY: the memory belongs to the process, not to a thread, and access follows the borrow of `Mapping`.
unsafe impl Send for Mapping {}
// SAFETY: a shared reference only reads.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `length` bytes of a file, which must be at least that long.
    ///
    /// A lock on the file is held as long as the mapping exists. On Linux, this holds even after the descriptor is
    /// closed.
    pub(crate) fn new(file: File, length: usize) -> io::Result<Self> {
        if length == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the kernel chooses the address, so the new mapping touches no existing memory. The descriptor is open.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        let Some(start) = NonNull::new(start.cast::<u8>()).filter(|_| start != libc::MAP_FAILED) else {
            return Err(io::Error::last_os_error());
        };
        let mapping = Self {
            start,
            length,
            generation: fork_generation(),
            #[cfg(not(target_os = "linux"))]
            _file: file,
        };
        mapping.advise_no_fork()?;
        Ok(mapping)
    }

    #[cfg(target_os = "linux")]
    fn advise_no_fork(&self) -> io::Result<()> {
        // SAFETY: the range belongs to this mapping, and the advice only changes what a fork copies.
        match unsafe { libc::madvise(self.start.as_ptr().cast(), self.length, libc::MADV_DONTFORK) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn advise_no_fork(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the range is mapped for reading as long as `self` lives, and it changes only through `&mut self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above. It is also mapped for writing, and borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }

    /// Writes a little-endian `u64` atomically, with release ordering.
    ///
    /// A reader of the file that sees the value also sees everything written before it. Does nothing unless `at` is a
    /// multiple of eight inside the mapping.
    #[inline]
    pub(crate) fn publish(&mut self, at: usize, value: u64) {
        if !at.is_multiple_of(8) || at.checked_add(8).is_none_or(|end| end > self.length) {
            return;
        }
        // SAFETY: the word is in bounds and aligned, because a mapping starts at a page boundary. The exclusive borrow
        // rules out other references to it while it is written atomically.
        let word = unsafe { AtomicU64::from_ptr(self.start.as_ptr().add(at).cast()) };
        word.store(value.to_le(), Ordering::Release);
    }

    /// Allocates all pages with a single system call, if possible.
    pub(crate) fn populate(&mut self) {
        #[cfg(target_os = "linux")]
        // SAFETY: the range belongs to this mapping. The call allocates memory without changing its contents.
        unsafe {
            libc::madvise(self.start.as_ptr().cast(), self.length, libc::MADV_POPULATE_WRITE);
        }
    }

    /// Releases the memory. The contents stay in the file and are read back on access.
    pub(crate) fn release_pages(&self) {
        // SAFETY: for a shared file mapping, this only drops the process's view of the page cache, not its contents.
        unsafe {
            libc::madvise(self.start.as_ptr().cast(), self.length, libc::MADV_DONTNEED);
        }
    }

    /// Unmaps everything after `length` bytes, rounded up to whole pages. Returns the new length.
    pub(crate) fn shrink(&mut self, length: usize) -> usize {
        let keep = length.max(1).next_multiple_of(page_size());
        if keep < self.length {
            // SAFETY: the range is the end of this mapping. `&mut self` rules out borrows, and `length` excludes the
            // range from here on.
            let unmapped = unsafe { libc::munmap(self.start.as_ptr().add(keep).cast(), self.length - keep) };
            if unmapped == 0 {
                self.length = keep;
            }
        }
        self.length
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // A forked child does not have the mapping; its address range may be in use by other code.
        if self.generation == fork_generation() {
            // SAFETY: the range belongs to this mapping, and nothing borrows from it any more.
            unsafe {
                libc::munmap(self.start.as_ptr().cast(), self.length);
            }
        }
    }
}

/// Locks the file. Returns `false` if another process holds the lock.
///
/// The lock is released when the last descriptor of this opening is closed and, on Linux, its last mapping is gone. It
/// therefore ends with the process, however that ends.
pub(crate) fn lock(file: &File) -> io::Result<bool> {
    flock(file, libc::LOCK_EX)
}

/// Calls flock(2) without waiting. Returns `false` if another process holds a conflicting lock.
fn flock(file: &File, operation: libc::c_int) -> io::Result<bool> {
    loop {
        // SAFETY: the descriptor is open, and flock touches no memory.
        if unsafe { libc::flock(file.as_raw_fd(), operation | libc::LOCK_NB) } == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock => return Ok(false),
            io::ErrorKind::Interrupted => {}
            _ => return Err(error),
        }
    }
}

/// Returns whether another process holds the file's lock.
///
/// To find out, the lock is shared for a moment, in which [`lock`] fails for other processes.
pub(crate) fn is_locked(file: &File) -> io::Result<bool> {
    let is_shared = flock(file, libc::LOCK_SH)?;
    if is_shared {
        // If this fails, the lock ends with the descriptor.
        let _ends_anyway = flock(file, libc::LOCK_UN);
    }
    Ok(!is_shared)
}

/// Extends the file to `length` with all its blocks, so that a full disk is an error now instead of a SIGBUS later.
pub(crate) fn reserve(file: &File, length: usize) -> io::Result<()> {
    let end = libc::off_t::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
    if length as u64 > max_file_size() {
        // The call would raise SIGXFSZ, which by default ends the process.
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    loop {
        #[cfg(any(target_os = "linux", target_os = "freebsd", target_os = "netbsd"))]
        // SAFETY: the descriptor is open, and the call only changes the file. It returns the error instead of setting
        // errno.
        let error = unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, end) };
        #[cfg(not(any(target_os = "linux", target_os = "freebsd", target_os = "netbsd")))]
        let error = write_zeros(file, end as u64);
        match error {
            0 => return Ok(()),
            libc::EINTR => {}
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Returns the maximum file size, as set by `ulimit -f`.
fn max_file_size() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a live struct that getrlimit writes.
    match unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) } {
        // The width of the limit differs between systems.
        #[allow(clippy::unnecessary_cast)]
        0 if limit.rlim_cur != libc::RLIM_INFINITY => limit.rlim_cur as u64,
        _ => u64::MAX,
    }
}

/// Reserves blocks on systems without posix_fallocate(3).
#[cfg(not(any(target_os = "linux", target_os = "freebsd", target_os = "netbsd")))]
fn write_zeros(file: &File, end: u64) -> libc::c_int {
    use std::os::unix::fs::FileExt as _;
    let zeros = [0_u8; 4096];
    let mut at = 0;
    while at < end {
        let piece = usize::try_from(end - at).map_or(zeros.len(), |rest| rest.min(zeros.len()));
        match zeros.get(..piece).map(|zeros| file.write_all_at(zeros, at)) {
            Some(Err(error)) => return error.raw_os_error().unwrap_or(libc::EIO),
            _ => at += piece as u64,
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, length: usize) -> (std::path::PathBuf, File) {
        let path = std::env::temp_dir().join(format!("logbridge-mapping-{}-{name}", std::process::id()));
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true).open(&path).expect("a file");
        reserve(&file, length).expect("room");
        (path, file)
    }

    #[test]
    fn written_bytes_are_in_the_file_and_survive_a_release_of_pages() {
        let (path, handle) = file("write", 3 * page_size());
        let mut mapping = Mapping::new(handle, 3 * page_size()).expect("a mapping");
        mapping.populate();
        mapping.bytes_mut()[100..105].copy_from_slice(b"hello");
        mapping.publish(8, 0x0102_0304_0506_0708);
        mapping.release_pages();
        assert_eq!(&mapping.bytes()[100..105], b"hello");
        // Not aligned, and out of bounds: nothing happens.
        mapping.publish(9, 1);
        mapping.publish(3 * page_size(), 1);
        mapping.publish(usize::MAX - 7, 1);
        assert_eq!(mapping.shrink(1), page_size());
        assert_eq!(mapping.bytes().len(), page_size());
        let bytes = std::fs::read(&path).expect("the file");
        assert_eq!((&bytes[8..16], &bytes[100..105]), (&[8, 7, 6, 5, 4, 3, 2, 1][..], &b"hello"[..]));
        std::fs::remove_file(path).expect("it is there");
    }

    #[test]
    fn a_mapping_holds_the_lock_of_its_file() {
        let (path, handle) = file("lock", page_size());
        assert!(lock(&handle).expect("locks work here"));
        let mapping = Mapping::new(handle, page_size()).expect("a mapping");
        let other = File::options().read(true).write(true).open(&path).expect("the file");
        assert!(!lock(&other).expect("an answer"), "it is held by the mapping");
        assert!(is_locked(&other).expect("an answer"));
        drop(mapping);
        assert!(!is_locked(&other).expect("an answer"), "and asking takes nothing");
        assert!(lock(&other).expect("an answer"), "nobody holds it");
        std::fs::remove_file(path).expect("it is there");
    }
}
