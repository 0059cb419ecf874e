//! Findings as the command prints them.

use super::terminal::{Look, paint, plain};
use logbridge::internals::escape::Lines;
use logbridge::internals::finding::{Finding, Severity};

/// A few lines, the word of its severity painted. What it quotes cannot forge a line.
pub(super) fn shown(finding: &Finding) -> String {
    let mut finding = finding.clone();
    finding.place = plain(&finding.place);
    finding.text = plain(&finding.text);
    finding.help = finding.help.as_deref().map(plain);
    finding.corrected = finding.corrected.as_deref().map(plain);
    let word = finding.severity.to_string();
    let look = match finding.severity {
        Severity::Error => Look::Bad,
        Severity::Warning => Look::Warning,
        _ => Look::Bold,
    };
    // The evidence has a mark below it, which is where it belongs only if nothing in between is moved.
    let said = Lines(&finding.to_string()).to_string();
    format!("{}{}\n", paint(look, &word), said.strip_prefix(&word).unwrap_or_default())
}
