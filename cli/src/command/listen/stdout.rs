//! Output of received items, which stops when stdout is closed.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::{Receiver, Sender, channel};

/// A writer to stdout that reports when stdout is closed.
#[derive(Debug)]
pub(super) struct Stdout {
    closed: Sender<()>,
    is_closed: AtomicBool,
}

impl Stdout {
    /// Creates a writer and a channel that receives a message when stdout is closed.
    pub(super) fn new() -> (Self, Receiver<()>) {
        let (closed, receiver) = channel(1);
        (Self { closed, is_closed: AtomicBool::new(false) }, receiver)
    }

    /// Writes whole lines at once.
    pub(super) fn write(&self, lines: &str) {
        if lines.is_empty() || self.is_closed.load(Ordering::Relaxed) {
            return;
        }
        let mut stdout = anstream::stdout().lock();
        if stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush()).is_err() {
            self.is_closed.store(true, Ordering::Relaxed);
            // The channel is full if another thread has reported this.
            let _already_reported = self.closed.try_send(());
        }
    }
}
