//! Signals on Unix: a handler wakes a watcher thread, and then the signal has the effect it would have without
//! logbridge.
//!
//! * The handler may interrupt any thread at any instruction. It uses no lock, allocation or thread-local, only atomics
//!   and async-signal-safe calls. It wakes the watcher by a semaphore, which needs no descriptor that a program may
//!   close.
//! * A handler of the application runs at once, on the same thread.
//! * The disposition of the process shows who handles a signal. Handlers installed before ours are in [`EARLIER`]. A
//!   handler installed later replaces ours and may call it.
//! * A forked child inherits the handler but not the watcher. Without a watcher of its own, the default action follows
//!   at once.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering};

use libc::{c_int, c_void, siginfo_t};

use super::types::{CaughtSignals, SignalRequest, TERMINATION_SIGNALS};

/// The termination signals that are caught.
const CAUGHT: [c_int; TERMINATION_SIGNALS] = [libc::SIGTERM, libc::SIGINT];
/// Signals within this time in milliseconds count as one. timeout(1) sends two, and a terminal reaches both a program
/// and the wrapper that passes Ctrl-C on to it. Nobody presses a key twice that fast.
const TOGETHER_MS: u64 = 100;

/// The process in which a watcher waits, or 0.
static WATCHED_IN: AtomicI32 = AtomicI32::new(0);
/// The process in which a watcher was started or is being started, or 0.
static BEGUN_IN: AtomicI32 = AtomicI32::new(0);
static SEMAPHORE: AtomicPtr<libc::sem_t> = AtomicPtr::new(ptr::null_mut());
/// A flush was requested.
static FLUSH: AtomicBool = AtomicBool::new(false);
/// A report was requested.
static REPORT: AtomicBool = AtomicBool::new(false);
/// The signal that ends the process after the flush, or 0.
static ENDING: AtomicI32 = AtomicI32::new(0);
/// When `ENDING` was set, in milliseconds of the monotonic clock.
static ENDING_SINCE: AtomicU64 = AtomicU64::new(0);
/// The dispositions before ours. Written before the handler is installed, and never freed.
static EARLIER: [AtomicPtr<libc::sigaction>; TERMINATION_SIGNALS] =
    [const { AtomicPtr::new(ptr::null_mut()) }; TERMINATION_SIGNALS];

pub(super) fn begin_signal_watch() -> io::Result<bool> {
    let pid = own_pid();
    if BEGUN_IN.swap(pid, Ordering::SeqCst) == pid {
        return Ok(false);
    }
    // Clears requests that a forked child inherited from its parent.
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

pub(super) fn abort_signal_watch() {
    BEGUN_IN.store(0, Ordering::SeqCst);
}

pub(super) fn catch_signals(caught: CaughtSignals) -> io::Result<()> {
    // Not a `Once`: a forked child would wait forever for a thread of its parent inside it.
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

/// Catches SIGUSR1 unless the application uses it.
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
    // SAFETY: `ours` is a complete sigaction, copied from the kernel. Its handler is a static function with the
    // signature that the flags require, and does not unwind.
    match unsafe { libc::sigaction(libc::SIGUSR1, &raw const ours, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Requests a report. Does nothing in a forked child without a watcher.
extern "C" fn on_report(_signal: c_int) {
    let errno = errno();
    if WATCHED_IN.load(Ordering::SeqCst) == own_pid() && !REPORT.swap(true, Ordering::SeqCst) {
        wake();
    }
    set_errno(errno);
}

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
        // SAFETY: the semaphore was initialized before it was published, and is never destroyed. If a signal interrupts
        // the wait, the loop checks the requests again.
        unsafe { libc::sem_wait(semaphore) };
    }
}

/// Returns only if the default action does not end the process, or if a handler was installed at the same moment.
pub(super) fn die_by_signal(signal: i32) {
    default_action(signal);
    // The process did not end, so later signals are handled like the first one.
    ENDING.store(0, Ordering::SeqCst);
}

fn own_pid() -> i32 {
    // SAFETY: getpid(2) has no arguments and cannot fail.
    unsafe { libc::getpid() }
}

fn catch(signal: c_int, earlier: &AtomicPtr<libc::sigaction>) {
    let Some(before) = disposition(signal) else { return };
    // `nohup`, or a background job of a shell.
    if before.sa_sigaction == libc::SIG_IGN {
        return;
    }
    let mut ours = before;
    ours.sa_sigaction = on_signal as *const () as usize;
    if before.sa_sigaction == libc::SIG_DFL {
        // As far as the kernel can, system calls continue as if there were no handler.
        ours.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    }
    ours.sa_flags |= libc::SA_SIGINFO;
    // A one-shot handler is treated as such in `take_handler`; ours stays installed.
    ours.sa_flags &= !libc::SA_RESETHAND;
    // Leaked: from here on, a handler on another thread may read it at any time.
    earlier.store(Box::into_raw(Box::new(before)), Ordering::SeqCst);
    // SAFETY: `ours` is a complete sigaction, copied from the kernel. Its handler is a static function with the
    // signature that SA_SIGINFO requires, and does not unwind.
    unsafe { libc::sigaction(signal, &raw const ours, ptr::null_mut()) };
}

fn disposition(signal: c_int) -> Option<libc::sigaction> {
    let mut found = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null pointer queries without a change. `found` has room for one sigaction, which sigaction(2) fills
    // before it returns 0.
    let result = unsafe { libc::sigaction(signal, ptr::null(), found.as_mut_ptr()) };
    // SAFETY: the struct is valid even if all its bytes are zero: it has integers and a pointer that may be null.
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
        // A handler installed before ours.
        Some(handler) => {
            if is_watched {
                ask_for_flush();
            }
            call(&handler, signal, info, context);
        }
        // A handler installed after ours.
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
            // 0 while another thread is handling the first signal.
            if since != 0 && now.saturating_sub(since) > TOGETHER_MS {
                default_action(signal);
            }
        }
    }
}

fn wake() {
    let semaphore = SEMAPHORE.load(Ordering::SeqCst);
    if !semaphore.is_null() {
        // SAFETY: the semaphore was initialized before it was published, and is never destroyed. sem_post(3) is
        // async-signal-safe.
        unsafe { libc::sem_post(semaphore) };
    }
}

/// Returns the time of the monotonic clock, never 0.
fn milliseconds() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a live timespec, which clock_gettime(2) writes. The call is async-signal-safe.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    (now.tv_sec as u64).saturating_mul(1_000).saturating_add(now.tv_nsec as u64 / 1_000_000).max(1)
}

/// Takes the default action of the signal. For the signals caught here, this ends the process.
fn default_action(signal: c_int) {
    let mut default = MaybeUninit::<libc::sigaction>::zeroed();
    let mut only = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: a zeroed sigaction has the default disposition and no flags, and sigemptyset initializes its set. `only`
    // is initialized by sigemptyset as well. All five calls are async-signal-safe and get pointers to live values.
    unsafe {
        (*default.as_mut_ptr()).sa_sigaction = libc::SIG_DFL;
        libc::sigemptyset(&raw mut (*default.as_mut_ptr()).sa_mask);
        libc::sigaction(signal, default.as_ptr(), ptr::null_mut());
        // The signal is blocked in its own handler, and may be blocked on the watcher thread.
        libc::sigemptyset(only.as_mut_ptr());
        libc::sigaddset(only.as_mut_ptr(), signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, only.as_ptr(), ptr::null_mut());
        libc::raise(signal);
    }
}

/// Returns the handler that was installed before ours, if any.
fn take_handler(earlier: &AtomicPtr<libc::sigaction>) -> Option<libc::sigaction> {
    let before = earlier.load(Ordering::SeqCst);
    // SAFETY: null, or a leaked box that is no longer written.
    let handler = unsafe { before.as_ref() }.copied()?;
    if handler.sa_sigaction == libc::SIG_DFL {
        return None;
    }
    // A one-shot handler leaves the default disposition. If two signals arrive at once, only the first one runs it.
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
        // SAFETY: the kernel had it as a handler without SA_SIGINFO, so it has this signature.
        let handler = unsafe { std::mem::transmute::<*const (), extern "C" fn(c_int)>(address) };
        handler(signal);
    } else {
        type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
        // SAFETY: the kernel had it as a handler with SA_SIGINFO, so it has this signature.
        let handler = unsafe { std::mem::transmute::<*const (), Handler>(address) };
        handler(signal, info, context);
    }
}

/// Creates a semaphore, which is never destroyed.
#[cfg(not(target_vendor = "apple"))]
fn new_semaphore() -> io::Result<*mut libc::sem_t> {
    let semaphore = Box::into_raw(Box::new(MaybeUninit::<libc::sem_t>::zeroed())).cast();
    // SAFETY: the pointer refers to new memory for one semaphore, which is not shared between processes.
    match unsafe { libc::sem_init(semaphore, 0, 0) } {
        0 => Ok(semaphore),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Creates a named semaphore, because unnamed ones do not work here, and removes its name at once.
#[cfg(target_vendor = "apple")]
fn new_semaphore() -> io::Result<*mut libc::sem_t> {
    let name = std::ffi::CString::new(format!("/logbridge-{}", own_pid()))?;
    // SAFETY: the name ends with NUL. With O_CREAT, two arguments follow: the mode and the value.
    let semaphore = unsafe { libc::sem_open(name.as_ptr(), libc::O_CREAT | libc::O_EXCL, 0o600, 0) };
    if semaphore == libc::SEM_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the same name.
    unsafe { libc::sem_unlink(name.as_ptr()) };
    Ok(semaphore)
}

#[cfg(target_os = "linux")]
fn errno_location() -> *mut c_int {
    // SAFETY: the call has no arguments and returns the address of this thread's errno.
    unsafe { libc::__errno_location() }
}

#[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
fn errno_location() -> *mut c_int {
    // SAFETY: as on Linux.
    unsafe { libc::__error() }
}

#[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
fn errno_location() -> *mut c_int {
    // SAFETY: as on Linux.
    unsafe { libc::__errno() }
}

/// On other systems, errno is not preserved. The calls above change it only if they fail.
#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_vendor = "apple"
)))]
fn errno_location() -> *mut c_int {
    ptr::null_mut()
}

fn errno() -> c_int {
    let place = errno_location();
    // SAFETY: null, or this thread's errno.
    if place.is_null() { 0 } else { unsafe { *place } }
}

fn set_errno(errno: c_int) {
    let place = errno_location();
    if !place.is_null() {
        // SAFETY: this thread's errno, which no other thread writes.
        unsafe { *place = errno };
    }
}
