//! Findings as the command prints them.

use super::terminal::{Look, paint, plain};
use crate::escape::Lines;
use crate::finding::{Finding, Severity};

/// A few lines, the word of its severity painted. What it quotes cannot forge a line.
pub(super) fn shown(finding: &Finding) -> String {
    let finding = Finding {
        place: plain(&finding.place),
        text: plain(&finding.text),
        help: finding.help.as_deref().map(plain),
        corrected: finding.corrected.as_deref().map(plain),
        ..finding.clone()
    };
    let word = finding.severity.to_string();
    let look = match finding.severity {
        Severity::Error => Look::Bad,
        Severity::Warning => Look::Warning,
        Severity::Note => Look::Bold,
    };
    // The evidence has a mark below it, which is where it belongs only if nothing in between is moved.
    let said = Lines(&finding.to_string()).to_string();
    format!("{}{}\n", paint(look, &word), said.strip_prefix(&word).unwrap_or_default())
}
