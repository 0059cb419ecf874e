//! How severe a finding of what happens is: one answer for each situation, whoever meets it.

use super::Severity;

/// So few records say little of a program.
const FEW: u64 = 10;

/// What a finding means for records, in a program that runs or in what arrived from it. The report, notices and
/// `logbridge run` take their severities from here, so that the same is not a warning to one and an error to another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Impact {
    /// Records are lost for good, or what was set cannot be used.
    Lost,
    /// Records are filtered, wait, or will be hard to find.
    AtRisk,
    /// Nothing is lost, or as far as one knows what was asked for.
    Fine,
}

impl Impact {
    pub(crate) const fn severity(self) -> Severity {
        match self {
            Self::Lost => Severity::Error,
            Self::AtRisk => Severity::Warning,
            Self::Fine => Severity::Note,
        }
    }

    /// The same, unless so many records are too few to conclude it from.
    pub(crate) const fn seen_in(self, records: u64) -> Self {
        if records < FEW { Self::Fine } else { self }
    }
}

#[cfg(test)]
mod tests {
    /// Those who judge what happens.
    const JUDGES: [(&str, &str); 2] = [
        ("diagnose/report/findings.rs", include_str!("../diagnose/report/findings.rs")),
        ("command/run/findings.rs", include_str!("../command/run/findings.rs")),
    ];

    #[test]
    fn severities_of_what_happens_are_made_in_one_place() {
        for (path, source) in JUDGES {
            let code = source.split("#[cfg(test)]").next().unwrap_or_default();
            for severity in ["Severity::Error", "Severity::Warning", "Severity::Note"] {
                assert!(!code.contains(severity), "{path} chooses {severity} by itself: name the situation");
            }
        }
    }
}
