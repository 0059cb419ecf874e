//! `logbridge explain`: what a filter does to a record.

use clap::Args;
use log::Level;

use super::terminal::{Look, paint, plain, print};
use super::{Problem, Verdict, findings, level};
use logbridge::internals::diagnose::explain_filter;
use logbridge::internals::escape::Lines;
use logbridge::internals::finding::Kind;

/// Says whether a filter lets a record through, and which directive decides; or what the code of a finding means.
///
/// With the code of a finding, such as LB001: prints its page. With three words, a filter, a target and a level:
///
/// The filter is read as RUST_LOG is, and nothing else is asked: neither the environment, nor what code says, nor the
/// levels of a destination, which may be stricter. What in the filter cannot be used, or was probably meant otherwise, is
/// told with its place. Exits with 0 where the record passes, with 1 where it is cut.
///
/// A running program says more: `bridge.explain(target, level)`.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// Directives, as in RUST_LOG: 'info,shop::db=debug,hyper=warn'; or a code, such as LB001
    #[arg(allow_hyphen_values = true, required_unless_present_any = ["list", "markdown"])]
    filter: Option<String>,
    /// The target of the record, which is the module that logs unless it says otherwise: shop::db::pool
    #[arg(requires = "level")]
    target: Option<String>,
    /// The level of the record: error, warn, info, debug or trace
    #[arg(value_parser = level)]
    level: Option<Level>,
    /// Lists all codes, a line each
    #[arg(long, conflicts_with = "filter")]
    list: bool,
    /// Prints all pages as Markdown
    #[arg(long, conflicts_with_all = ["filter", "list"])]
    markdown: bool,
}

impl Explain {
    /// Prints what the filter does, or what the code means.
    #[must_use]
    pub(crate) fn run(self) -> Verdict {
        match (self.filter, self.target, self.level) {
            (Some(filter), Some(target), Some(level)) => explain_record(&filter, &target, level),
            (Some(code), ..) => explain_code(&code),
            _ if self.markdown => {
                print(&Kind::markdown());
                Verdict::good_if(true)
            }
            _ => {
                let line =
                    |kind: &Kind| format!("{}  {:<24}  {}\n", paint(Look::Bold, kind.code), kind.name, kind.title);
                print(&Kind::all().map(line).collect::<String>());
                Verdict::good_if(true)
            }
        }
    }
}

fn explain_code(code: &str) -> Verdict {
    let Some(kind) = Kind::of(code) else {
        let help = "a code is LB001 to LB099, or its name: `logbridge explain --list` lists them. A filter needs a target and \
                    a level behind it: logbridge explain 'info,shop=debug' shop::db debug";
        return Problem::usage(format!("`{}` is no code of a finding", plain(code)), help).tell();
    };
    let head = format!("{} {}", kind.code, kind.name);
    print(&kind.to_string().replacen(&head, &paint(Look::Bold, &head), 1));
    Verdict::good_if(true)
}

fn explain_record(filter: &str, target: &str, level: Level) -> Verdict {
    let explanation = explain_filter(filter, target, level);
    let passes = explanation.passes();
    let mut shown = String::new();
    for line in Lines(&explanation.to_string()).to_string().lines() {
        let line = line.replacen("  pass  ", &format!("  {}  ", paint(Look::Good, "pass")), 1);
        shown.push_str(&line.replacen("  STOP  ", &format!("  {}  ", paint(Look::Bad, "STOP")), 1));
        shown.push('\n');
    }
    for finding in explanation.findings {
        shown.push_str(&format!("\n{}", findings::shown(&finding)));
    }
    print(&shown);
    Verdict::good_if(passes)
}
