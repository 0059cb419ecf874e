//! An embedded OTLP receiver, for examples and for tests that check which records arrive. Feature `testing`.
//!
//! This is the package `logbridge-receiver`. Its threads count as logbridge's own ([`is_own_thread`](crate::is_own_thread)), so
//! that a program that contains both does not export what the receiver logs about the export.

pub use logbridge_receiver::{
    Answer, Attributes, ReceivedLog, ReceivedRequest, ReceivedScope, ReceivedSpan, ReceivedSpanEvent, ReceivedSpanLink,
    Receiver, ReceiverBuilder, TraceTree, Value,
};

/// Marks the threads of each receiver in this process, also of one that runs already.
pub(crate) fn mark_receiver_threads() {
    logbridge_receiver::on_thread_start(crate::thread::mark_internal);
}
