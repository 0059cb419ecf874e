//! The severity of a finding, and one rule that derives it from the impact on records.

use std::fmt;

/// How much a [`Finding`](crate::Finding) matters.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Severity {
    /// Information. Shown in reports only, not printed as a notice.
    Note,
    /// A setting or situation that has a meaning, but probably not the intended one.
    Warning,
    /// An invalid setting that is ignored, or a loss of records.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// The impact of a finding on records.
///
/// The report, notices and `logbridge run` derive their severities from it, so that the same situation has the same
/// severity everywhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Impact {
    /// Records are lost, or a setting is invalid.
    Lost,
    /// Records are filtered, delayed or hard to find.
    AtRisk,
    /// Nothing is lost, or it is probably intended.
    Fine,
}

impl Impact {
    /// Fewer records than this prove little about a program.
    const FEW: u64 = 10;

    pub const fn severity(self) -> Severity {
        match self {
            Self::Lost => Severity::Error,
            Self::AtRisk => Severity::Warning,
            Self::Fine => Severity::Note,
        }
    }

    /// Returns [`Fine`](Self::Fine) if it was seen in too few records to be certain.
    pub const fn seen_in(self, records: u64) -> Self {
        if records < Self::FEW { Self::Fine } else { self }
    }
}
