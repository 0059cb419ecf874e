//! How a subcommand ends: its exit status, and the error that stops it.

use super::terminal;

/// The exit status of a subcommand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ExitStatus {
    Success,
    /// The subcommand found a problem or could not do its work.
    Failure,
    /// The command line or the environment is invalid.
    Usage,
}

impl ExitStatus {
    #[must_use]
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
        }
    }

    pub(super) fn success_if(is_success: bool) -> Self {
        if is_success { Self::Success } else { Self::Failure }
    }
}

/// An error that stops a subcommand, with a suggestion for the user.
#[derive(Debug)]
pub(super) struct CommandError {
    text: String,
    help: String,
    status: ExitStatus,
}

impl CommandError {
    /// Creates an error that exits with [`ExitStatus::Failure`]. An empty `help` is not shown.
    pub(super) fn new(text: impl Into<String>, help: impl Into<String>) -> Self {
        Self { text: text.into(), help: help.into(), status: ExitStatus::Failure }
    }

    /// Creates an error that exits with [`ExitStatus::Usage`].
    pub(super) fn usage(text: impl Into<String>, help: impl Into<String>) -> Self {
        Self { status: ExitStatus::Usage, ..Self::new(text, help) }
    }

    /// Prints the error on stderr and returns its exit status.
    pub(super) fn report(self) -> ExitStatus {
        terminal::error(&self.text, &self.help);
        self.status
    }
}
