//! stdout, as long as somebody reads it.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Writes to stdout.
#[derive(Debug)]
pub(super) struct Screen {
    nobody_reads: Sender<()>,
    is_closed: AtomicBool,
}

impl Screen {
    /// With what hears of it when nobody reads any more.
    pub(super) fn new() -> (Self, Receiver<()>) {
        let (nobody_reads, hears) = channel(1);
        (Self { nobody_reads, is_closed: AtomicBool::new(false) }, hears)
    }

    /// Writes lines, as one.
    pub(super) fn write(&self, lines: &str) {
        if lines.is_empty() || self.is_closed.load(Ordering::Relaxed) {
            return;
        }
        let mut stdout = anstream::stdout().lock();
        if stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush()).is_err() {
            self.is_closed.store(true, Ordering::Relaxed);
            // Full: it was said already.
            let _said = self.nobody_reads.try_send(());
        }
    }
}
