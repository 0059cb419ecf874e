//! Findings as the subcommands print them.

use super::terminal::{Style, paint, sanitize};
use logbridge::internals::escape::Lines;
use logbridge::internals::finding::{Finding, Severity};

/// Formats a finding in a few lines, with its severity painted. Quoted text cannot add lines.
pub(super) fn render(finding: &Finding) -> String {
    let mut finding = finding.clone();
    finding.place = sanitize(&finding.place);
    finding.text = sanitize(&finding.text);
    finding.help = finding.help.as_deref().map(sanitize);
    finding.corrected = finding.corrected.as_deref().map(sanitize);
    let word = finding.severity.to_string();
    let style = match finding.severity {
        Severity::Error => Style::Error,
        Severity::Warning => Style::Warning,
        _ => Style::Bold,
    };
    // `sanitize` would move the quoted evidence away from the marks below it, so its lines are only escaped.
    let lines = Lines(&finding.to_string()).to_string();
    format!("{}{}\n", paint(style, &word), lines.strip_prefix(&word).unwrap_or_default())
}
