//! How severe a finding of what happens is: one answer for each situation, whoever meets it.

use super::Severity;

/// So few records say little of a program.
const FEW: u64 = 10;

/// What a finding means for records, in a program that runs or in what arrived from it. The report, notices and
/// `logbridge run` take their severities from here, so that the same is not a warning to one and an error to another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Situation {
    /// Records are lost for good, or what was set cannot be used.
    Lost,
    /// Records are filtered, wait, or will be hard to find.
    AtRisk,
    /// Nothing is lost, or as far as one knows what was asked for.
    Fine,
}

impl Situation {
    pub const fn severity(self) -> Severity {
        match self {
            Self::Lost => Severity::Error,
            Self::AtRisk => Severity::Warning,
            Self::Fine => Severity::Note,
        }
    }

    /// The same, unless so many records are too few to conclude it from.
    pub const fn seen_in(self, records: u64) -> Self {
        if records < FEW { Self::Fine } else { self }
    }
}
