//! Records that are logged after the shutdown.

use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::finding::kind;
use crate::notice::{self, Notice};
use crate::os::OnceBox;

/// Counts records that are logged after the shutdown, and reports the first one.
#[derive(Debug, Default)]
pub(super) struct LateRecords {
    records: AtomicU64,
    /// Where `Bridge::shutdown` was called; unset if a provider was shut down.
    shut_down_at: OnceBox<&'static Location<'static>>,
}

impl LateRecords {
    /// Remembers the first call of `Bridge::shutdown`.
    pub(super) fn note_shutdown(&self, at: &'static Location<'static>) {
        let _only_the_first = self.shut_down_at.set(at);
    }

    /// Returns where `Bridge::shutdown` was called first.
    pub(super) fn shut_down_at(&self) -> Option<&'static Location<'static>> {
        self.shut_down_at.get().copied()
    }

    pub(super) fn number(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Counts a record, and emits a notice about the first one.
    #[cold]
    pub(super) fn count(&self) {
        if self.records.fetch_add(1, Ordering::Relaxed) > 0 {
            return;
        }
        let (cause, help) = match self.shut_down_at() {
            Some(at) => (
                format!("`Bridge::shutdown` was called at {at}"),
                "remove that call: logbridge flushes at the end of the process; to wait for delivery, call `Bridge::flush`",
            ),
            None => (
                "its provider was shut down".to_owned(),
                "shut the provider down after the last record; to wait for delivery, call its `force_flush`",
            ),
        };
        notice::emit(
            &Notice::new(
                kind::AFTER_SHUTDOWN.code,
                "after shutdown",
                format!("a record was written after the shutdown and is not sent: {cause}"),
            )
            .error()
            .help(help),
        );
    }
}
