//! Explains the effect of a filter string on a record, without a running program.

use std::fmt;

use log::Level;

use super::gate::Gate;
use crate::escape::OneLine;
use crate::finding::{Finding, Severity, visible};
use crate::levels::{
    FilterVariable, LevelSet, LevelVariables, MessageFilter, Origin, Stage, Threshold, is_refuted, lint_parsed, parse,
};

/// The variable that the filter is assumed to come from.
const VARIABLE: &str = "RUST_LOG";

/// The effect of a filter string on a record of a target and level.
#[derive(Debug)]
pub struct FilterExplanation {
    target: String,
    level: Level,
    spec: String,
    gate: Gate,
    /// The byte range of the directive that decides; `None` if the unset root decides.
    decides: Option<std::ops::Range<usize>>,
    /// The pattern that the text of the record must match.
    message: Option<String>,
    pub findings: Vec<Finding>,
}

/// Explains what the module stage does with this filter in `RUST_LOG` and no other source of levels.
pub fn explain_filter(spec: &str, target: &str, level: Level) -> FilterExplanation {
    let parsed = parse(spec);
    let mut set = LevelSet::default();
    set.extend(parsed.directives(), Origin::Environment, VARIABLE);
    let table = set.compile(Stage::Module, Threshold::ROOT_NOT_SET);
    let row = table.decide(target);
    let (name, filter) = (VARIABLE.to_owned(), Some(spec.to_owned()));
    let variables = LevelVariables { module: Some(FilterVariable { name, filter, is_set: true }), others: true };
    // The last directive for a target wins. An unset directive decides nothing.
    let deciding = parsed.located.iter().rfind(|(directive, _)| row.by.is_some() && directive.target == row.target);
    let decides = deciding.map(|(_, bytes)| bytes.clone());
    let mut gate = Gate::of_row("module stage", row, Stage::Module, target, level, &variables);
    let mut findings = lint_parsed(VARIABLE, &parsed);
    findings.retain(|finding| !is_refuted(finding, std::iter::once(target)));
    if !gate.passes
        && let Some(cause) = findings.iter().find(|finding| lets_pass(finding, target, level))
        && let Some(corrected) = &cause.corrected
    {
        // The probably intended filter comes first.
        gate.changes.insert(0, format!("write {VARIABLE}={corrected} (see {} below)", cause.code));
    }
    FilterExplanation {
        target: target.to_owned(),
        level,
        spec: spec.to_owned(),
        gate,
        decides,
        message: parsed.message.filter(|message| MessageFilter::new(message).is_ok()).map(str::to_owned),
        findings,
    }
}

/// Returns whether the record passes the corrected filter of this finding.
fn lets_pass(finding: &Finding, target: &str, level: Level) -> bool {
    let Some(corrected) = finding.corrected.as_deref().filter(|_| finding.severity > Severity::Note) else {
        return false;
    };
    let mut set = LevelSet::default();
    set.extend(parse(corrected).directives(), Origin::Environment, VARIABLE);
    set.compile(Stage::Module, Threshold::ROOT_NOT_SET).allows(target, level)
}

impl FilterExplanation {
    /// Returns whether target and level of the record pass. A message filter is not considered.
    pub fn passes(&self) -> bool {
        self.gate.passes
    }
}

impl fmt::Display for FilterExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {}", OneLine(&self.target), self.level)?;
        let width = self.gate.name.len();
        self.gate.show_decision(f, width)?;
        if let Some(decides) = &self.decides {
            let text = visible;
            let before = text(self.spec.get(..decides.start).unwrap_or_default()).chars().count();
            let marked = text(self.spec.get(decides.clone()).unwrap_or_default()).chars().count();
            writeln!(f, "        {}", text(&self.spec))?;
            writeln!(f, "        {}{} decides", " ".repeat(before), "^".repeat(marked))?;
        }
        self.gate.show_changes(f, width)?;
        match (&self.message, self.gate.passes) {
            (Some(message), true) => writeln!(f, "  it passes if its text matches `{}`", OneLine(message)),
            (None, true) => writeln!(f, "  it passes"),
            (_, false) => writeln!(f, "  it is filtered"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(spec: &str, target: &str, level: Level) -> String {
        explain_filter(spec, target, level).to_string()
    }

    #[test]
    fn the_directive_that_decides_is_marked() {
        assert_eq!(
            shown("info, hyper=warn", "hyper::proto", Level::Warn),
            "hyper::proto at WARN\n  pass  module stage  RUST_LOG: hyper=WARN\n        info, hyper=warn\n        \
             \u{20}     ^^^^^^^^^^ decides\n  it passes\n"
        );
        let marked = |spec: &str, target: &str| {
            let explained = explain_filter(spec, target, Level::Info);
            explained.decides.map(|bytes| (explained.gate.passes, spec[bytes].to_owned()))
        };
        assert_eq!(
            marked("app=warn,app=info,app=notset", "app"),
            None,
            "the last one inherits, and the root is not set"
        );
        assert_eq!(
            marked("app=warn,info,app=info", "app::x"),
            Some((true, "app=info".to_owned())),
            "the last one counts"
        );
        assert_eq!(marked("app=debug", "other"), None);
        assert_eq!(marked("=error", "other"), Some((false, "=error".to_owned())));
    }

    #[test]
    fn nothing_that_was_set_means_warn_and_says_so() {
        let said = shown("app=debug", "other", Level::Info);
        assert!(said.contains("STOP  module stage  not set: at the root, NOTSET means WARN\n"), "{said}");
        assert!(
            said.contains("change:  add other=info to RUST_LOG\n") && said.ends_with("  it is filtered\n"),
            "{said}"
        );
        assert!(!explain_filter("debug/a/b", "x", Level::Info).passes(), "none of it has an effect");
    }

    #[cfg(feature = "regex")]
    #[test]
    fn a_text_may_be_asked_for_too() {
        assert!(shown("info/paid", "x", Level::Info).ends_with("  it passes if its text matches `paid`\n"));
    }
}
