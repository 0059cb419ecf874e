//! Why the last request, or the exporter thread itself, failed.

use std::any::Any;

/// For programs that close descriptors they did not open.
pub(super) const CLOSED_HELP: &str =
    "close only descriptors that the program opened, or call `close_range` and the like before `init`";

/// The description of a failure, kept for reports and for errors of a flush.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// One sentence, with the URL if it is about a request.
    pub text: String,
    pub help: &'static str,
}

impl Failure {
    /// The program has closed descriptors of the runtime.
    pub(super) fn descriptors_closed() -> Self {
        let text = "the program has closed descriptors of logbridge, which opens new ones";
        Self { text: text.to_owned(), help: CLOSED_HELP }
    }

    /// The exporter thread panicked: because of a bug, or because the program has closed descriptors.
    pub(super) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let message = panic.downcast_ref::<&str>().copied().map(str::to_owned);
        let message = message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        // tokio's message if its epoll or kqueue descriptor is closed, or is another file by now.
        if message.starts_with("unexpected error when polling the I/O driver") {
            return Self::descriptors_closed();
        }
        Self {
            text: format!("the exporter thread panicked and is restarted: {message}"),
            help: "if the program does not close descriptors it did not open, please report this as a bug of logbridge",
        }
    }
}
