//! An embedded OTLP receiver, for examples and for tests that check which records arrive. Feature `testing`.
//!
//! This is the package `logbridge-receiver`. Its threads count as logbridge's own
//! ([`is_own_thread`](crate::is_own_thread)). Otherwise, a program that contains both would export records about its
//! own export.

pub use logbridge_receiver::{
    Answer, Attributes, ReceivedLog, ReceivedRequest, ReceivedScope, ReceivedSpan, ReceivedSpanEvent, ReceivedSpanLink,
    Receiver, ReceiverBuilder, TraceTree, Value,
};

/// Marks the threads of each receiver in this process, even of one that is already running.
pub(crate) fn mark_receiver_threads() {
    logbridge_receiver::on_thread_start(crate::thread::mark_internal);
}
