//! Keeps the times of a thread's records from decreasing.

use std::cell::Cell;
use std::time::Duration;

use crate::otlp::set_time;
use crate::outbox::FrameBuffer;

/// If the clock is set back by more than this, it was wrong before and is right now.
const CORRECTION: Duration = Duration::from_secs(60);

thread_local! {
    /// The time of the last record that this thread delivered.
    static LAST_TIME: Cell<u64> = const { Cell::new(0) };
}

/// Raises the record's time to that of the thread's last record, if it is earlier.
///
/// The clock may be set back. Also, a record that is logged while another one is formatted is delivered first. A time
/// set by the application is kept.
#[inline]
pub(super) fn keep_in_order(frame: &mut FrameBuffer) {
    let last = LAST_TIME.get();
    let time = frame.scratch().assigned_time;
    if time >= last {
        LAST_TIME.set(time);
    } else {
        correct(frame, time, last);
    }
}

#[cold]
fn correct(frame: &mut FrameBuffer, time: u64, last: u64) {
    match time {
        0 => {}
        time if last - time > CORRECTION.as_nanos() as u64 => LAST_TIME.set(time),
        _ => set_time(frame.record_mut(), last),
    }
}
