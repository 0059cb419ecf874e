//! The verbs of the command `logbridge`. Not part of the API: what it prints and how it is called is documented by
//! `logbridge help`, and the rest may change in any version.
//!
//! Constraints:
//! * What was asked for is on stdout, what is said beside it on stderr; a closed pipe stops nothing.
//! * Each verb says how it ended by a [`Verdict`].

mod doctor;
mod explain;
mod findings;
mod listing;
mod replay;
mod summary;
mod terminal;

pub use doctor::Doctor;
pub use explain::Explain;
pub use replay::Replay;

/// How a verb ended, as an exit code says it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// Good.
    Good,
    /// Something is wrong with what was asked about.
    Wrong,
    /// It was asked in the wrong way.
    Usage,
}

impl Verdict {
    /// The exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Wrong => 1,
            Self::Usage => 2,
        }
    }

    /// Good only where this holds.
    fn good_if(is_good: bool) -> Self {
        if is_good { Self::Good } else { Self::Wrong }
    }
}

/// Why a verb could not even begin.
#[derive(Debug)]
struct Problem {
    text: String,
    help: String,
    verdict: Verdict,
}

impl Problem {
    /// With what was asked about.
    fn new(text: impl Into<String>, help: impl Into<String>) -> Self {
        Self { text: text.into(), help: help.into(), verdict: Verdict::Wrong }
    }

    /// With how it was asked.
    fn usage(text: impl Into<String>, help: impl Into<String>) -> Self {
        Self { verdict: Verdict::Usage, ..Self::new(text, help) }
    }

    fn tell(self) -> Verdict {
        terminal::error(&self.text, &self.help);
        self.verdict
    }
}
