//! `logbridge explain`: what a filter does to a record.

use clap::Args;
use log::Level;

use super::terminal::{Look, paint, plain, print};
use super::{Verdict, level};
use crate::diagnose::explain_filter;
use crate::finding::{Finding, Severity};

/// Says whether a filter lets a record through, and which directive decides.
///
/// The filter is read as RUST_LOG is, and nothing else is asked: neither the environment, nor what code says, nor the
/// levels of a destination, which may be stricter. What in the filter cannot be used, or was probably meant otherwise, is
/// told with its place. Exits with 0 where the record passes, with 1 where it is cut.
///
/// A running program says more: `bridge.explain(target, level)`.
#[derive(Args, Debug)]
pub struct Explain {
    /// Directives, as in RUST_LOG: 'info,shop::db=debug,hyper=warn'
    #[arg(allow_hyphen_values = true)]
    filter: String,
    /// The target of the record, which is the module that logs unless it says otherwise: shop::db::pool
    target: String,
    /// The level of the record: error, warn, info, debug or trace
    #[arg(value_parser = level)]
    level: Level,
}

impl Explain {
    /// Prints what the filter does.
    #[must_use]
    pub fn run(self) -> Verdict {
        let explanation = explain_filter(&self.filter, &self.target, self.level);
        let passes = explanation.passes();
        let mut shown = String::new();
        for line in explanation.to_string().lines() {
            let line = line.replacen("  pass  ", &format!("  {}  ", paint(Look::Good, "pass")), 1);
            shown.push_str(&line.replacen("  STOP  ", &format!("  {}  ", paint(Look::Bad, "STOP")), 1));
            shown.push('\n');
        }
        for finding in explanation.findings {
            let finding = Finding {
                text: plain(&finding.text),
                help: finding.help.as_deref().map(plain),
                corrected: finding.corrected.as_deref().map(plain),
                ..finding
            };
            let word = finding.severity.to_string();
            let look = match finding.severity {
                Severity::Error => Look::Bad,
                Severity::Warning => Look::Warning,
                Severity::Note => Look::Bold,
            };
            let said = finding.to_string();
            shown.push_str(&format!("\n{}{}\n", paint(look, &word), said.strip_prefix(&word).unwrap_or_default()));
        }
        print(&shown);
        Verdict::good_if(passes)
    }
}
