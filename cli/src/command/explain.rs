//! `logbridge explain`: what a filter does to a record, or what a finding code means.

use clap::Args;
use log::Level;

use super::arguments::level;
use super::exit_status::{CommandError, ExitStatus};
use super::findings;
use super::terminal::{Style, paint, print, sanitize};
use logbridge::internals::diagnose::explain_filter;
use logbridge::internals::escape::Lines;
use logbridge::internals::finding::Kind;

/// Explain what a filter does to a record, or what a finding code means
///
/// With a filter, a target and a level, prints whether the record passes, which directive decides and what is
/// suspicious in the filter. Exits with 0 if the record passes and with 1 if it is filtered.
///
/// With a finding code such as LB001, prints its page.
///
/// The filter is read like RUST_LOG. The environment, levels set in code and the levels of destinations are not
/// considered; in a running program, `bridge.explain(target, level)` considers all of them.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// Directives as in RUST_LOG: 'info,shop::db=debug,hyper=warn'; or a finding code: LB001
    #[arg(allow_hyphen_values = true, required_unless_present_any = ["list", "markdown"])]
    filter: Option<String>,
    /// Target of the record, by default the module that logs it: shop::db::pool
    #[arg(requires = "level")]
    target: Option<String>,
    /// Level of the record: error, warn, info, debug or trace
    #[arg(value_parser = level)]
    level: Option<Level>,
    /// List all finding codes
    #[arg(long, conflicts_with = "filter")]
    list: bool,
    /// Print the pages of all findings as Markdown
    #[arg(long, conflicts_with_all = ["filter", "list"])]
    markdown: bool,
}

impl Explain {
    #[must_use]
    pub(crate) fn run(self) -> ExitStatus {
        match (self.filter, self.target, self.level) {
            (Some(filter), Some(target), Some(level)) => explain_record(&filter, &target, level),
            (Some(code), ..) => explain_code(&code),
            _ if self.markdown => {
                print(&Kind::markdown());
                ExitStatus::Success
            }
            _ => {
                let line =
                    |kind: &Kind| format!("{}  {:<24}  {}\n", paint(Style::Bold, kind.code), kind.name, kind.title);
                print(&Kind::all().map(line).collect::<String>());
                ExitStatus::Success
            }
        }
    }
}

fn explain_code(code: &str) -> ExitStatus {
    let Some(kind) = Kind::of(code) else {
        let help = "`logbridge explain --list` lists the codes and their names; to explain a filter, add a target and \
                    a level: logbridge explain 'info,shop=debug' shop::db debug";
        return CommandError::usage(format!("unknown finding code `{}`", sanitize(code)), help).report();
    };
    let head = format!("{} {}", kind.code, kind.name);
    print(&kind.to_string().replacen(&head, &paint(Style::Bold, &head), 1));
    ExitStatus::Success
}

fn explain_record(filter: &str, target: &str, level: Level) -> ExitStatus {
    let explanation = explain_filter(filter, target, level);
    let passes = explanation.passes();
    let mut shown = String::new();
    for line in Lines(&explanation.to_string()).to_string().lines() {
        let line = line.replacen("  pass  ", &format!("  {}  ", paint(Style::Success, "pass")), 1);
        shown.push_str(&line.replacen("  STOP  ", &format!("  {}  ", paint(Style::Error, "STOP")), 1));
        shown.push('\n');
    }
    for finding in explanation.findings {
        shown.push_str(&format!("\n{}", findings::render(&finding)));
    }
    print(&shown);
    ExitStatus::success_if(passes)
}
