//! The type of a finding kind, and the macro that defines kinds.

use std::fmt;

/// The outcome of a record that is missing because of a finding.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum RecordOutcome {
    /// No record was created: the call is compiled out, discarded by the facade, or has no listener.
    NeverCreated,
    /// A level or a filter rejected it.
    Filtered,
    /// It was left out on purpose: telemetry is suppressed, its trace is not sampled, or it repeats others.
    Suppressed,
    /// It waits to be sent.
    Queued,
    /// It was given up before an endpoint answered.
    Dropped,
    /// An endpoint rejected it, or did not confirm it.
    Refused,
    /// It arrived, but not where or in the form in which it is searched for.
    HardToFind,
}

impl fmt::Display for RecordOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NeverCreated => "never created",
            Self::Filtered => "filtered",
            Self::Suppressed => "suppressed",
            Self::Queued => "queued",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
            Self::HardToFind => "accepted but hard to find",
        })
    }
}

/// A kind of finding, with its page. `Display` prints the page, as `logbridge explain LB001` does.
#[derive(Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Kind {
    /// The code, such as `LB001`. Its meaning never changes.
    pub code: &'static str,
    /// The name, such as `unknown-level`.
    pub name: &'static str,
    /// The outcome of a record that is missing because of it.
    pub outcome: RecordOutcome,
    /// A one-line summary, in lower case and without a period.
    pub title: &'static str,
    /// What happens: the effect on records.
    pub effect: &'static str,
    /// Why it happens.
    pub cause: &'static str,
    /// How to fix it.
    pub fix: &'static str,
    /// An example of the fault or of the fix.
    pub example: &'static str,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, name, outcome, title, effect, cause, fix, example } = self;
        writeln!(f, "{code} {name}: {title}\nEffect on a record: {outcome}\n")?;
        writeln!(f, "What happens: {effect}\n\nWhy: {cause}\n\nHow to fix: {fix}\n\nExample: {example}")
    }
}

/// Defines kinds as constants, and `ALL`, the list of them.
macro_rules! kinds {
    ($($constant:ident = $code:literal $name:literal $outcome:ident {
        title: $title:literal,
        effect: $effect:literal,
        cause: $cause:literal,
        fix: $fix:literal,
        example: $example:literal,
    })*) => {
        $(
            #[allow(dead_code, reason = "only the command uses the kinds of the tools")]
            pub static $constant: super::definition::Kind = super::definition::Kind {
                code: $code,
                name: $name,
                outcome: super::definition::RecordOutcome::$outcome,
                title: $title,
                effect: $effect,
                cause: $cause,
                fix: $fix,
                example: $example,
            };
        )*
        /// The kinds of this file, by code.
        pub(super) static ALL: &[&super::definition::Kind] = &[$(&$constant),*];
    };
}
pub(super) use kinds;
