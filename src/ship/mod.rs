//! The exporter thread and everything that runs on it: it turns queued records and spans into requests, sends them,
//! retries and splits them, and reports each outcome to the ledger.
//!
//! The module starts the crate's other threads too: for signals, for scheduled work, and for tasks that must not run on
//! a thread of the application.

mod bad_item_search;
mod batch;
mod byte_size;
mod control;
mod exporter_thread;
mod failure;
mod failure_notices;
mod handle;
mod health;
mod logs;
mod overload_notices;
mod own_thread;
mod recovery;
mod replay;
mod request_source;
mod retry;
mod scheduler;
mod signals;
mod size_limit;
mod spans;
mod worker;

pub(crate) use exporter_thread::ShipConfig;
pub(crate) use failure_notices::clock_finding;
pub(crate) use handle::{Flushed, Ship};
pub(crate) use own_thread::{
    ask_own_thread, ask_own_thread_within, on_own_thread, run_with_timeout, soon_on_own_thread,
};
pub use replay::{End, Replay, Replayed};
pub(crate) use scheduler::{HasScheduler, Scheduled, Scheduler};
pub(crate) use signals::{AfterSignal, SignalActions, watch_signals};
