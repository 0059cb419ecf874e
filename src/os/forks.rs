//! Detects forks and numbers the generations of processes.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::fork_gate;
use super::imp::page_size;

static GENERATION: AtomicU64 = AtomicU64::new(0);
/// A word in a page that the kernel wipes in a forked child. Null if there is no such page.
///
/// The page also reveals forks by raw system calls, for which the C library runs no handlers.
static WIPED: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());
static SALT: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// The values of the word.
mod word {
    /// The page was wiped, and the fork is not counted yet.
    pub(super) const WIPED: u64 = 0;
    pub(super) const COUNTED: u64 = 1;
    /// A thread of this process is counting the fork.
    pub(super) const BEING_COUNTED: u64 = 2;
}

#[inline]
pub(super) fn fork_generation() -> u64 {
    let page = WIPED.load(Ordering::Acquire);
    if !page.is_null() {
        // SAFETY: not null, so it is the aligned word that `watch_wiped_page` mapped and never unmaps.
        let word = unsafe { &*page };
        if word.load(Ordering::Acquire) != word::COUNTED {
            note_missed_fork(word);
        }
    }
    GENERATION.load(Ordering::Relaxed)
}

/// Counts a fork in the child, on the first thread that notices it.
///
/// Other threads wait for the few instructions this takes. With the parent's number, they would write into the parent's
/// outbox.
#[cold]
fn note_missed_fork(word: &AtomicU64) {
    loop {
        // If this process forks meanwhile, the page of the grandchild is wiped again.
        match word.compare_exchange(word::WIPED, word::BEING_COUNTED, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => {
                count_fork();
                // Stored last, so a thread that reads COUNTED also reads the new number.
                return word.store(word::COUNTED, Ordering::Release);
            }
            Err(word::COUNTED) => return,
            Err(_) => std::thread::yield_now(),
        }
    }
}

fn count_fork() {
    renew_salt();
    fork_gate::begin_child();
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

#[cfg(target_os = "linux")]
fn watch_wiped_page() {
    if !WIPED.load(Ordering::Acquire).is_null() {
        return;
    }
    let length = page_size();
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at an address that the kernel chooses touches no existing memory.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), length, access, kind, -1, 0) };
    if page == libc::MAP_FAILED {
        return;
    }
    // SAFETY: the range was just mapped and is not shared.
    let is_wiped = unsafe { libc::madvise(page, length, libc::MADV_WIPEONFORK) } == 0;
    if is_wiped {
        // SAFETY: as above. A page is aligned for a word and large enough.
        unsafe { (*page.cast::<AtomicU64>()).store(word::COUNTED, Ordering::Relaxed) };
    }
    let null = std::ptr::null_mut();
    if !is_wiped || WIPED.compare_exchange(null, page.cast(), Ordering::AcqRel, Ordering::Relaxed).is_err() {
        // SAFETY: the range was mapped above and was not published.
        unsafe { libc::munmap(page, length) };
    }
}

#[cfg(not(target_os = "linux"))]
fn watch_wiped_page() {}

pub(super) fn watch_forks() {
    // Not a `Once`: a forked child would wait forever for a thread of its parent inside it. If two threads get here at
    // the same time, the handlers are registered twice, and without a wiped page a fork counts twice. That is harmless.
    static WATCHED: AtomicBool = AtomicBool::new(false);
    watch_wiped_page();
    if !WATCHED.load(Ordering::Acquire) {
        // SAFETY: the handlers are static `extern "C"` functions that do not unwind. The child handler reads the clock
        // and the process id and stores to atomics, which is allowed in the child of a multithreaded process. The other
        // handlers store to atomics and yield.
        unsafe {
            libc::pthread_atfork(
                Some(fork_gate::before_fork),
                Some(fork_gate::after_in_parent),
                Some(after_fork_in_child),
            );
        }
        WATCHED.store(true, Ordering::Release);
    }
}

/// Mixes the process id, which differs between concurrent processes, and the clock, which differs between later ones.
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
    // With a wiped page, `fork_generation` counts the fork.
    if WIPED.load(Ordering::Acquire).is_null() {
        count_fork();
    } else {
        fork_generation();
    }
}

pub(super) fn without_forks<T>(run: impl FnOnce() -> T) -> T {
    // Counts a fork that was not noticed yet. Until then, the gate holds the number of the parent's threads.
    fork_generation();
    fork_gate::run(run)
}
