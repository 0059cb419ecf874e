//! Findings: problems of a configuration, a program or an endpoint as data, with their place, evidence and fix.

mod catalog;
mod edit_distance;
mod severity;

use std::fmt;
use std::ops::Range;

pub use catalog::kind;
pub use catalog::{Kind, RecordOutcome};
pub(crate) use edit_distance::edit_distance;
pub use severity::{Impact, Severity};

use crate::escape::OneLine;
use crate::notice::Notice;

/// A problem of a configuration, a program or an endpoint.
///
/// `Display` prints a few lines without colors:
///
/// ```text
/// error[LB001]: RUST_LOG: `wran` is not a level: `hyper=wran` is ignored
///   info,hyper=wran
///              ^^^^
///   help: the levels are off, error, warn, info, debug, trace and notset: `info,hyper=warn`
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// The code of its kind, such as `LB001`, which is stable across versions. `logbridge explain LB001` prints its
    /// page.
    pub code: &'static str,
    /// The name of its kind, such as `unknown-level`.
    pub name: &'static str,
    /// The outcome of a record that is missing because of it.
    pub outcome: RecordOutcome,
    /// The severity.
    pub severity: Severity,
    /// The place of the problem: a variable, `code`, or a file with a line.
    pub place: String,
    /// The complete text that contains it. Empty if the text is secret, or if there is no single text.
    pub evidence: String,
    /// The byte range of the problem in the evidence. Empty if all of it is concerned.
    pub position: Range<usize>,
    /// A description, as one lower-case sentence.
    pub text: String,
    /// The fix, if known.
    pub help: Option<String>,
    /// The evidence as it was probably meant, if known.
    pub corrected: Option<String>,
}

impl Finding {
    pub(crate) fn new(
        kind: &'static Kind,
        severity: Severity,
        place: impl Into<String>,
        text: impl Into<String>,
    ) -> Self {
        Self {
            code: kind.code,
            name: kind.name,
            outcome: kind.outcome,
            severity,
            place: place.into(),
            evidence: String::new(),
            position: 0..0,
            text: text.into(),
            help: None,
            corrected: None,
        }
    }

    /// Sets the text that contains the problem, and its byte range.
    pub(crate) fn at(mut self, evidence: impl Into<String>, position: Range<usize>) -> Self {
        self.evidence = evidence.into();
        self.position = position;
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "code": self.code,
            "name": self.name,
            "severity": self.severity.to_string(),
            "verdict": self.outcome.to_string(),
            "place": self.place,
            "text": self.text,
            "evidence": self.evidence,
            "help": self.help,
            "corrected": self.corrected,
        })
    }

    /// Combines the help and the corrected text.
    fn advice(&self) -> Option<String> {
        match (&self.help, &self.corrected) {
            (Some(help), Some(corrected)) => Some(format!("{help}: `{corrected}`")),
            (Some(help), None) => Some(help.clone()),
            (None, Some(corrected)) => Some(format!("write `{corrected}`")),
            (None, None) => None,
        }
    }

    /// Returns the notice for this finding; `None` for a note, which only reports show.
    pub(crate) fn notice(&self) -> Option<Notice> {
        if self.severity == Severity::Note {
            return None;
        }
        let text = format!("{}: {}", self.place, self.text);
        let notice = Notice::new(self.code, format!("{} {text}", self.code), text);
        let notice = if self.severity == Severity::Error { notice.error() } else { notice };
        Some(match self.advice() {
            Some(advice) => notice.help(advice),
            None => notice,
        })
    }
}

/// Escapes line breaks and control characters. Quotes and backslashes stay as written.
pub(crate) fn visible(text: &str) -> String {
    OneLine(text).to_string()
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]: {}: {}", self.severity, self.code, OneLine(&self.place), OneLine(&self.text))?;
        if !self.evidence.is_empty() {
            write!(f, "\n  {}", visible(&self.evidence))?;
        }
        let before = visible(self.evidence.get(..self.position.start).unwrap_or_default()).chars().count();
        let marked = visible(self.evidence.get(self.position.clone()).unwrap_or_default()).chars().count();
        if marked > 0 {
            write!(f, "\n  {}{}", " ".repeat(before), "^".repeat(marked))?;
        }
        match self.advice() {
            Some(advice) => write!(f, "\n  help: {}", OneLine(&advice)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_points_at_a_place_behind_very_many_others() {
        let evidence = format!("{}=debug,b=inof", "a".repeat(70_000));
        let position = evidence.len() - 4..evidence.len();
        let shown = Finding::new(&kind::UNKNOWN_LEVEL, Severity::Error, "RUST_LOG", "x").at(evidence, position);
        assert!(shown.to_string().ends_with(&format!("{}^^^^", " ".repeat(70_010))), "std pads to 65,535 at most");
    }

    #[test]
    fn a_finding_points_at_its_place() {
        let finding = Finding::new(&kind::UNKNOWN_LEVEL, Severity::Error, "RUST_LOG", "`inof` is no level")
            .at("app=inof,db=debug", 4..8);
        let finding = Finding { corrected: Some("app=info,db=debug".to_owned()), ..finding };
        assert_eq!(
            finding.to_string(),
            "error[LB001]: RUST_LOG: `inof` is no level\n  app=inof,db=debug\n      ^^^^\n  \
             help: write `app=info,db=debug`"
        );
        assert!(
            finding.notice().is_some_and(|notice| notice.is_error && notice.text == "RUST_LOG: `inof` is no level")
        );
        assert!(Finding::new(&kind::LONE_DIRECTIVE, Severity::Note, "RUST_LOG", "…").notice().is_none());
    }
}
