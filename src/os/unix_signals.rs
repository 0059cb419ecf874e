//! Signals on Unix: a handler that wakes a thread, and what would have happened without it.
//!
//! Constraints of the handler:
//! * It may interrupt any thread at any instruction: no lock, no allocation, no thread-local; atomics and calls that
//!   POSIX lists as async-signal-safe. A semaphore wakes the watcher: it needs no descriptor, which a program may
//!   close.
//! * What the application's own handler does, it does at once and in the same thread, as without us.
//! * Whether somebody else handles the signal is seen in the process's disposition: who came before us is in
//!   [`EARLIER`], who came later is in force instead of us and calls us, if at all, out of courtesy.
//! * A forked child has the handler and not the watcher: where none was started in it, the default follows at once.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering};

use libc::{c_int, c_void, siginfo_t};

use super::types::{CaughtSignals, SignalRequest, TERMINATION_SIGNALS};

/// What asks a process to end, and can be caught.
const CAUGHT: [c_int; TERMINATION_SIGNALS] = [libc::SIGTERM, libc::SIGINT];
/// Signals within this time are one: `timeout(1)` sends two, and a terminal reaches a program beside the wrapper that
/// passes Ctrl-C on to it. Nobody presses a key twice that fast.
const TOGETHER_MS: u64 = 100;

/// The process in which a watcher waits; 0 while there is none.
static WATCHED_IN: AtomicI32 = AtomicI32::new(0);
/// The process in which a watcher was, or is about to be, started.
static BEGUN_IN: AtomicI32 = AtomicI32::new(0);
static SEMAPHORE: AtomicPtr<libc::sem_t> = AtomicPtr::new(ptr::null_mut());
/// A flush is asked for.
static FLUSH: AtomicBool = AtomicBool::new(false);
/// A report is asked for.
static REPORT: AtomicBool = AtomicBool::new(false);
/// The signal that ends the process when its flush is over; 0 for none.
static ENDING: AtomicI32 = AtomicI32::new(0);
/// When that came, in milliseconds of the monotonic clock.
static ENDING_SINCE: AtomicU64 = AtomicU64::new(0);
/// The dispositions that were in force before ours. Written before the handler is installed, and never freed.
static EARLIER: [AtomicPtr<libc::sigaction>; TERMINATION_SIGNALS] =
    [const { AtomicPtr::new(ptr::null_mut()) }; TERMINATION_SIGNALS];

/// Prepares the wait of a watcher in this process. `false` where one waits already, or is about to.
pub(super) fn begin_signal_watch() -> io::Result<bool> {
    let pid = own_pid();
    if BEGUN_IN.swap(pid, Ordering::SeqCst) == pid {
        return Ok(false);
    }
    // Those of the parent, if this is a forked child.
    FLUSH.store(false, Ordering::SeqCst);
    REPORT.store(false, Ordering::SeqCst);
    ENDING.store(0, Ordering::SeqCst);
    match new_semaphore() {
        Ok(semaphore) => SEMAPHORE.store(semaphore, Ordering::SeqCst),
        Err(error) => {
            BEGUN_IN.store(0, Ordering::SeqCst);
            return Err(error);
        }
    }
    Ok(true)
}

/// There was no thread to be had: what was begun counts as not begun.
pub(super) fn abort_signal_watch() {
    BEGUN_IN.store(0, Ordering::SeqCst);
}

/// From here on a watcher waits; installs the handlers, unless that was done before.
pub(super) fn catch_signals(caught: CaughtSignals) -> io::Result<()> {
    // No `Once`: a forked child would wait for ever for a thread of its parent that is in it.
    static DONE: AtomicBool = AtomicBool::new(false);
    WATCHED_IN.store(own_pid(), Ordering::SeqCst);
    match caught {
        // A forked child inherits the handler.
        CaughtSignals::Termination if !DONE.swap(true, Ordering::SeqCst) => {
            CAUGHT.iter().zip(&EARLIER).for_each(|(signal, earlier)| catch(*signal, earlier));
            Ok(())
        }
        CaughtSignals::Termination => Ok(()),
        CaughtSignals::Report => catch_report(),
    }
}

/// Only where nobody else wants the signal.
fn catch_report() -> io::Result<()> {
    let Some(mut ours) = disposition(libc::SIGUSR1) else { return Err(io::Error::last_os_error()) };
    let handler = on_report as extern "C" fn(c_int) as *const () as usize;
    if ours.sa_sigaction == handler {
        return Ok(());
    }
    if ours.sa_sigaction != libc::SIG_DFL {
        return Err(io::Error::other("the application handles SIGUSR1 itself, or ignores it"));
    }
    ours.sa_sigaction = handler;
    ours.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: `ours` is a whole sigaction: a copy of one that the kernel gave, with a handler of the signature that the
    // flags ask for, which lives for ever and does not unwind.
    match unsafe { libc::sigaction(libc::SIGUSR1, &raw const ours, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A forked child without a watcher does nothing.
extern "C" fn on_report(_signal: c_int) {
    let errno = errno();
    if WATCHED_IN.load(Ordering::SeqCst) == own_pid() && !REPORT.swap(true, Ordering::SeqCst) {
        wake();
    }
    set_errno(errno);
}

/// Waits for a signal, on the watcher's thread.
pub(super) fn wait_for_signal() -> SignalRequest {
    let semaphore = SEMAPHORE.load(Ordering::SeqCst);
    loop {
        let signal = ENDING.load(Ordering::SeqCst);
        if signal != 0 {
            return SignalRequest::End(signal);
        }
        if FLUSH.swap(false, Ordering::SeqCst) {
            return SignalRequest::Flush;
        }
        if REPORT.swap(false, Ordering::SeqCst) {
            return SignalRequest::Report;
        }
        // SAFETY: the semaphore was initialised before it was published, and is never destroyed. A wait that a signal
        // interrupts looks again like any other.
        unsafe { libc::sem_wait(semaphore) };
    }
}

/// The default action of the signal. Comes back only where that is none, or where somebody installed a handler in this
/// very moment.
pub(super) fn die_by_signal(signal: i32) {
    default_action(signal);
    // Still here: later signals are told like the first one.
    ENDING.store(0, Ordering::SeqCst);
}

fn own_pid() -> i32 {
    // SAFETY: getpid(2) takes nothing and cannot fail.
    unsafe { libc::getpid() }
}

fn catch(signal: c_int, earlier: &AtomicPtr<libc::sigaction>) {
    let Some(before) = disposition(signal) else { return };
    // `nohup`, and a job that a shell started in the background.
    if before.sa_sigaction == libc::SIG_IGN {
        return;
    }
    let mut ours = before;
    ours.sa_sigaction = on_signal as *const () as usize;
    if before.sa_sigaction == libc::SIG_DFL {
        // System calls go on as if there were no handler, as far as the kernel can do that.
        ours.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    }
    ours.sa_flags |= libc::SA_SIGINFO;
    // A handler for one time only is kept as such in `call`; ours stays.
    ours.sa_flags &= !libc::SA_RESETHAND;
    // Leaked: a handler on another thread may read it at any time from here on.
    earlier.store(Box::into_raw(Box::new(before)), Ordering::SeqCst);
    // SAFETY: `ours` is a whole sigaction: a copy of one that the kernel gave, with a handler of the signature that
    // SA_SIGINFO asks for, which lives for ever and does not unwind.
    unsafe { libc::sigaction(signal, &raw const ours, ptr::null_mut()) };
}

fn disposition(signal: c_int) -> Option<libc::sigaction> {
    let mut found = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null pointer asks without changing anything; `found` has room for one sigaction, which sigaction(2)
    // fills before it returns 0.
    let result = unsafe { libc::sigaction(signal, ptr::null(), found.as_mut_ptr()) };
    // SAFETY: all zeros is a sigaction too: integers, and a pointer that may be null.
    (result == 0).then(|| unsafe { found.assume_init() })
}

extern "C" fn on_signal(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let errno = errno();
    react(signal, info, context);
    set_errno(errno);
}

fn react(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let in_force = disposition(signal).is_some_and(|now| now.sa_sigaction == on_signal as *const () as usize);
    let earlier = CAUGHT.iter().position(|caught| *caught == signal).and_then(|index| EARLIER.get(index));
    let handler = earlier.and_then(take_handler);
    let is_watched = WATCHED_IN.load(Ordering::SeqCst) == own_pid();
    match handler {
        // Somebody who came before us handles it.
        Some(handler) => {
            if is_watched {
                ask_for_flush();
            }
            call(&handler, signal, info, context);
        }
        // Somebody who came after us handles it.
        None if !in_force => {
            if is_watched {
                ask_for_flush();
            }
        }
        None if !is_watched => default_action(signal),
        // The kernel takes no default action for the first process of a system or container.
        None if own_pid() == 1 => ask_for_flush(),
        None => ask_for_end(signal),
    }
}

fn ask_for_flush() {
    if !FLUSH.swap(true, Ordering::SeqCst) {
        wake();
    }
}

fn ask_for_end(signal: c_int) {
    let now = milliseconds();
    match ENDING.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => {
            ENDING_SINCE.store(now, Ordering::SeqCst);
            wake();
        }
        Err(_) => {
            let since = ENDING_SINCE.load(Ordering::SeqCst);
            // 0 where the first one is being handled in this very moment, on another thread.
            if since != 0 && now.saturating_sub(since) > TOGETHER_MS {
                default_action(signal);
            }
        }
    }
}

fn wake() {
    let semaphore = SEMAPHORE.load(Ordering::SeqCst);
    if !semaphore.is_null() {
        // SAFETY: the semaphore was initialised before it was published, and is never destroyed. sem_post(3) is
        // async-signal-safe.
        unsafe { libc::sem_post(semaphore) };
    }
}

/// Never 0.
fn milliseconds() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is one live timespec, which clock_gettime(2), async-signal-safe, writes.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    (now.tv_sec as u64).saturating_mul(1_000).saturating_add(now.tv_nsec as u64 / 1_000_000).max(1)
}

/// What the process does with the signal where nobody handles it: for those we catch, it dies by it.
fn default_action(signal: c_int) {
    let mut default = MaybeUninit::<libc::sigaction>::zeroed();
    let mut only = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: all zeros is a sigaction with the default disposition, no flags, and an empty set once sigemptyset has
    // written it; `only` is a set after sigemptyset. All five calls are async-signal-safe and get pointers to live
    // values.
    unsafe {
        (*default.as_mut_ptr()).sa_sigaction = libc::SIG_DFL;
        libc::sigemptyset(&raw mut (*default.as_mut_ptr()).sa_mask);
        libc::sigaction(signal, default.as_ptr(), ptr::null_mut());
        // It is blocked in its own handler, and may be blocked on the watcher's thread.
        libc::sigemptyset(only.as_mut_ptr());
        libc::sigaddset(only.as_mut_ptr(), signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, only.as_ptr(), ptr::null_mut());
        libc::raise(signal);
    }
}

/// The handler that was in force before ours, if there was one.
fn take_handler(earlier: &AtomicPtr<libc::sigaction>) -> Option<libc::sigaction> {
    let before = earlier.load(Ordering::SeqCst);
    // SAFETY: null, or a leaked box that nobody writes any more.
    let handler = unsafe { before.as_ref() }.copied()?;
    if handler.sa_sigaction == libc::SIG_DFL {
        return None;
    }
    // One for one time only leaves the default behind. Two signals at the same moment: the first one has it.
    if handler.sa_flags & libc::SA_RESETHAND != 0
        && earlier.compare_exchange(before, ptr::null_mut(), Ordering::SeqCst, Ordering::SeqCst).is_err()
    {
        return None;
    }
    Some(handler)
}

fn call(handler: &libc::sigaction, signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let address = handler.sa_sigaction as *const ();
    if handler.sa_flags & libc::SA_SIGINFO == 0 {
        // SAFETY: the kernel had it as a handler without SA_SIGINFO, so it is a function of this signature.
        let handler = unsafe { std::mem::transmute::<*const (), extern "C" fn(c_int)>(address) };
        handler(signal);
    } else {
        type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
        // SAFETY: the kernel had it as a handler with SA_SIGINFO, so it is a function of this signature.
        let handler = unsafe { std::mem::transmute::<*const (), Handler>(address) };
        handler(signal, info, context);
    }
}

/// A semaphore of this process, which is never destroyed.
#[cfg(not(target_vendor = "apple"))]
fn new_semaphore() -> io::Result<*mut libc::sem_t> {
    let semaphore = Box::into_raw(Box::new(MaybeUninit::<libc::sem_t>::zeroed())).cast();
    // SAFETY: the pointer is to room for one semaphore, which nobody else has; it is not shared between processes.
    match unsafe { libc::sem_init(semaphore, 0, 0) } {
        0 => Ok(semaphore),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The same where only named ones work. The name is gone before anybody else can use it.
#[cfg(target_vendor = "apple")]
fn new_semaphore() -> io::Result<*mut libc::sem_t> {
    let name = std::ffi::CString::new(format!("/logbridge-{}", own_pid()))?;
    // SAFETY: the name is a string that ends with NUL; with O_CREAT, two arguments follow: the mode and the value.
    let semaphore = unsafe { libc::sem_open(name.as_ptr(), libc::O_CREAT | libc::O_EXCL, 0o600, 0) };
    if semaphore == libc::SEM_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the same name.
    unsafe { libc::sem_unlink(name.as_ptr()) };
    Ok(semaphore)
}

#[cfg(target_os = "linux")]
fn errno_place() -> *mut c_int {
    // SAFETY: it takes nothing and gives the place of this thread's errno.
    unsafe { libc::__errno_location() }
}

#[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
fn errno_place() -> *mut c_int {
    // SAFETY: as on Linux.
    unsafe { libc::__error() }
}

#[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
fn errno_place() -> *mut c_int {
    // SAFETY: as on Linux.
    unsafe { libc::__errno() }
}

/// Elsewhere it is not kept: none of the calls above changes it unless it fails.
#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_vendor = "apple"
)))]
fn errno_place() -> *mut c_int {
    ptr::null_mut()
}

fn errno() -> c_int {
    let place = errno_place();
    // SAFETY: null, or this thread's errno.
    if place.is_null() { 0 } else { unsafe { *place } }
}

fn set_errno(errno: c_int) {
    let place = errno_place();
    if !place.is_null() {
        // SAFETY: this thread's errno, which nobody else writes.
        unsafe { *place = errno };
    }
}
