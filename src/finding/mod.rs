//! Something about a configuration that deserves a look, as data: what it is, where it stands, what to change.

mod catalog;
mod situation;

use std::fmt;
use std::ops::Range;

pub use catalog::kind;
pub use catalog::{Kind, Verdict};
pub use situation::Situation;

use crate::escape::OneLine;
use crate::notice::Notice;

/// How much a [`Finding`] matters.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Severity {
    /// Good to know. Only in the report.
    Note,
    /// Probably not what was meant, though it has a meaning.
    Warning,
    /// It cannot be used, and is ignored.
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

/// Something about a configuration that deserves a look.
///
/// `Display` is a few lines, without colours:
///
/// ```text
/// error[LB001]: RUST_LOG: `wran` is no level: `hyper=wran` is ignored
///   info,hyper=wran
///              ^^^^
///   help: the levels are off, error, warn, info, debug, trace and notset: `info,hyper=warn`
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// What kind it is, such as `LB001`; it stays the same from version to version. `logbridge explain LB001` tells more.
    pub code: &'static str,
    /// The kind in words, such as `unknown-level`.
    pub name: &'static str,
    /// What it means for a record that is missing.
    pub verdict: Verdict,
    /// How much it matters.
    pub severity: Severity,
    /// Where it was found: a variable, `code`, a file with its line.
    pub place: String,
    /// The whole text it was found in; empty where that is a secret or not one text.
    pub evidence: String,
    /// Which bytes of the evidence it is about; empty where it is about all of it.
    pub position: Range<usize>,
    /// What was found, in one lower-case sentence.
    pub text: String,
    /// What to change, where that is known.
    pub help: Option<String>,
    /// The evidence as it was probably meant, where that is known.
    pub corrected: Option<String>,
}

impl Finding {
    pub fn new(kind: &'static Kind, severity: Severity, place: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            code: kind.code,
            name: kind.name,
            verdict: kind.verdict,
            severity,
            place: place.into(),
            evidence: String::new(),
            position: 0..0,
            text: text.into(),
            help: None,
            corrected: None,
        }
    }

    /// The text it stands in, and which bytes of that it is about.
    pub fn at(mut self, evidence: impl Into<String>, position: Range<usize>) -> Self {
        self.evidence = evidence.into();
        self.position = position;
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// For programs.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "code": self.code,
            "name": self.name,
            "severity": self.severity.to_string(),
            "verdict": self.verdict.to_string(),
            "place": self.place,
            "text": self.text,
            "evidence": self.evidence,
            "help": self.help,
            "corrected": self.corrected,
        })
    }

    /// The help, else the corrected text.
    fn advice(&self) -> Option<String> {
        match (&self.help, &self.corrected) {
            (Some(help), Some(corrected)) => Some(format!("{help}: `{corrected}`")),
            (Some(help), None) => Some(help.clone()),
            (None, Some(corrected)) => Some(format!("write `{corrected}`")),
            (None, None) => None,
        }
    }

    /// The same as a line on stderr, for what matters enough.
    pub fn notice(&self) -> Option<Notice> {
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

/// On one line, and unable to move the cursor; quotes and backslashes stay as they were written.
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
