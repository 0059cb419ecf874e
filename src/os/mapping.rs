//! Files as memory: what is written there outlives the process, since the page cache belongs to the kernel.
//!
//! Constraints:
//! * A mapping is of a file that this crate has created, locked or reserved; nobody else of good faith changes its length.
//!   Where somebody truncates it all the same, or the device fails, the kernel sends SIGBUS: no handler of ours hides that.
//! * A forked child does not inherit it (`MADV_DONTFORK`), so that it can neither write into its parent's file nor keep a
//!   lock that its parent has lost by dying. It must not touch it, and dropping it there does nothing.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fork_generation;

/// A file's first bytes, shared with the kernel.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
    /// The process it belongs to.
    generation: u64,
    /// Where a mapping alone does not keep the lock of its file.
    #[cfg(not(target_os = "linux"))]
    _file: File,
}

// SAFETY: the memory belongs to the process and not to a thread, and access follows the borrow of `Mapping`.
unsafe impl Send for Mapping {}
// SAFETY: a shared reference only reads.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `length` bytes of a file that is at least as long.
    ///
    /// A lock on the file stays while the mapping does, on Linux also when the descriptor is closed.
    pub(crate) fn new(file: File, length: usize) -> io::Result<Self> {
        if length == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses touches no existing memory; the descriptor is open.
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
        // SAFETY: the range is the mapping's own; the advice changes only what a fork copies.
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
        // SAFETY: the range is mapped for reading as long as `self` lives, and changes only through `&mut self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, mapped for writing too, and borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }

    /// Writes eight bytes in one piece, little endian, after everything that was written before: whoever finds the value in
    /// the file finds that too. Does nothing where `at` is not a multiple of eight inside the mapping.
    #[inline]
    pub(crate) fn publish(&mut self, at: usize, value: u64) {
        if !at.is_multiple_of(8) || at.checked_add(8).is_none_or(|end| end > self.length) {
            return;
        }
        // SAFETY: in bounds and aligned (a mapping starts at a page), and borrowed exclusively, so that no other reference
        // to the word exists while it is written atomically.
        let word = unsafe { AtomicU64::from_ptr(self.start.as_ptr().add(at).cast()) };
        word.store(value.to_le(), Ordering::Release);
    }

    /// Has the kernel give all pages now, where it can.
    pub(crate) fn populate(&mut self) {
        #[cfg(target_os = "linux")]
        // SAFETY: the range is the mapping's own; the call gives it memory without changing what is in it.
        unsafe {
            libc::madvise(self.start.as_ptr().cast(), self.length, libc::MADV_POPULATE_WRITE);
        }
    }

    /// Lets go of the memory; what was written stays in the file, and is read back where it is asked for.
    pub(crate) fn let_go_of_pages(&self) {
        // SAFETY: of a shared mapping of a file this drops only the process's view of the page cache, not what is in it.
        unsafe {
            libc::madvise(self.start.as_ptr().cast(), self.length, libc::MADV_DONTNEED);
        }
    }

    /// Unmaps what is behind `length` bytes, rounded up to whole pages. Returns how long it is now.
    pub(crate) fn shrink(&mut self, length: usize) -> usize {
        let keep = length.max(1).next_multiple_of(page_size());
        if keep < self.length {
            // SAFETY: the range is the end of the mapping's own; `&mut self` says that nothing borrows from it, and from
            // here on `length` excludes it.
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
        // A child never had it: what is there now is somebody else's.
        if self.generation == fork_generation() {
            // SAFETY: the range is the mapping's own, and nothing can borrow from it any more.
            unsafe {
                libc::munmap(self.start.as_ptr().cast(), self.length);
            }
        }
    }
}

pub(crate) fn page_size() -> usize {
    // SAFETY: sysconf only answers.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })
        .ok()
        .filter(|size| size.is_power_of_two())
        .unwrap_or(4096)
}

/// Takes the file's lock, unless somebody else has it: then `false`. It is held until the last descriptor of this opening
/// of the file, and on Linux its last mapping, is gone; so it ends with the process, however that ends.
pub(crate) fn lock(file: &File) -> io::Result<bool> {
    flock(file, libc::LOCK_EX)
}

/// `false` where somebody else has a lock that does not go with it.
fn flock(file: &File, operation: libc::c_int) -> io::Result<bool> {
    loop {
        // SAFETY: the descriptor is open; flock touches no memory.
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

/// Whether somebody has the file's lock. To find out, it is shared for a moment, in which [`lock`] fails for others.
pub(crate) fn is_locked(file: &File) -> io::Result<bool> {
    let is_shared = flock(file, libc::LOCK_SH)?;
    if is_shared {
        // Where it fails, the lock ends with the descriptor.
        let _ends_anyway = flock(file, libc::LOCK_UN);
    }
    Ok(!is_shared)
}

/// Makes the file that long, with all its blocks, so that a full disk is an error now and not a SIGBUS later.
pub(crate) fn reserve(file: &File, length: usize) -> io::Result<()> {
    let end = libc::off_t::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
    if length as u64 > most_bytes_of_a_file() {
        // The call would raise SIGXFSZ, which ends a process that does not expect it.
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    loop {
        #[cfg(any(target_os = "linux", target_os = "freebsd", target_os = "netbsd"))]
        // SAFETY: the descriptor is open; the call changes the file only. It returns the error instead of setting errno.
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

/// What `ulimit -f` allows.
fn most_bytes_of_a_file() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a live struct that getrlimit writes.
    match unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) } {
        // Not 64 bits everywhere.
        #[allow(clippy::unnecessary_cast)]
        0 if limit.rlim_cur != libc::RLIM_INFINITY => limit.rlim_cur as u64,
        _ => u64::MAX,
    }
}

/// For systems without such a call.
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
    fn what_is_written_is_in_the_file_and_what_is_let_go_of_comes_back() {
        let (path, handle) = file("write", 3 * page_size());
        let mut mapping = Mapping::new(handle, 3 * page_size()).expect("a mapping");
        mapping.populate();
        mapping.bytes_mut()[100..105].copy_from_slice(b"hello");
        mapping.publish(8, 0x0102_0304_0506_0708);
        mapping.let_go_of_pages();
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
