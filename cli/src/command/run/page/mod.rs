//! The report as one self-contained HTML page.
//!
//! Constraints:
//! * All text is untrusted: targets, messages of servers, arguments. Each goes through [`markup::Escaped`].
//! * The page runs no scripts and loads nothing. Its content security policy forbids both.

mod flow;
mod markup;
mod sections;
mod timeline;

use maud::{Markup, PreEscaped, html};

use self::markup::Escaped;
use super::outcomes::flows;
use super::report::RunReport;
use super::wording::totals;
use crate::command::terminal::format_duration;

const STYLE: &str = include_str!("style.css");

/// Renders the page.
pub(super) fn render(report: &RunReport) -> String {
    let flows = flows(report);
    let tally = &report.observations.tally;
    let page = html! {
        (PreEscaped("<!doctype html>")) "\n"
        html lang="en" { "\n"
            (head(&report.command)) "\n"
            body { "\n"
                main { "\n"
                    (heading(report)) "\n"
                    (sections::tiles(report, &flows)) "\n"
                    (sections::findings(&report.findings)) "\n"
                    section { "\n"
                        h2 { "Where log records went" } "\n"
                        p.hint { "By target, level and outcome." } "\n"
                        @if flows.is_empty() {
                            p.empty { "No log records are known." }
                        } @else {
                            (flow::render(&flows))
                        }
                        "\n"
                    } "\n"
                    section { "\n"
                        h2 { "Arrival over time" } "\n"
                        (timeline::render(&report.observations.timeline)) "\n"
                    } "\n"
                    (sections::arrived(&report.observations))
                    @for program in &report.programs { (sections::program(program)) "\n" }
                    (sections::counted_list("Responses of the endpoint", &tally.answers))
                    (sections::counted_list("Invalid requests", &tally.malformed))
                } "\n"
            } "\n"
        } "\n"
    };
    page.into_string()
}

fn head(command: &str) -> Markup {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
    html! {
        head { "\n"
            meta charset="utf-8"; "\n"
            meta http-equiv="Content-Security-Policy" content=(policy); "\n"
            meta name="viewport" content="width=device-width, initial-scale=1"; "\n"
            meta name="color-scheme" content="light dark"; "\n"
            link rel="icon" href="data:,"; "\n"
            title { "Report of " (Escaped(command)) } "\n"
            style { "\n" (PreEscaped(STYLE)) } "\n"
        }
    }
}

fn heading(report: &RunReport) -> Markup {
    let ended = &report.ended;
    let class = if ended.code == Some(0) { "badge good" } else { "badge bad" };
    html! {
        header { "\n"
            p.eyebrow { "logbridge run" } "\n"
            h1 { code { (Escaped(&report.command)) } } "\n"
            p {
                span class=(class) { (Escaped(&ended.words())) }
                " after " (Escaped(&format_duration(ended.took))) ": " (Escaped(&totals(report))) "."
                @if let Some(upstream) = &report.upstream { " Forwarded to " code { (Escaped(upstream)) } "." }
            } "\n"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::run::child::Ended;
    use crate::command::run::observations::Observations;

    #[test]
    fn an_empty_report_is_a_page() {
        let ended = Ended { code: Some(0), ..Ended::default() };
        let page = render(&RunReport::new("true <x>".to_owned(), ended, None, Observations::new()));
        assert!(page.contains("<h1><code>true &lt;x&gt;</code></h1>"), "{page}");
        assert!(page.contains("No log records are known.") && page.ends_with("</html>\n"), "{page}");
        assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"), "{page}");
    }
}
