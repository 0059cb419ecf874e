//! The picture of arrivals over time: a bar for each interval, divided by level.

use std::time::Duration;

use maud::{Markup, html};

use super::markup::{count, level_class};
use crate::command::intake::LevelCounts;
use crate::command::run::timeline::Timeline;
use crate::command::wording::plural;

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 150.0;
/// The space for numbers on the left.
const LEFT: f64 = 70.0;
/// The space for times below.
const BELOW: f64 = 26.0;

/// Returns the names and classes of the levels and spans.
fn kinds() -> impl Iterator<Item = (&'static str, String)> {
    let levels = LevelCounts::NAMES.into_iter().map(|name| (name, level_class(name)));
    levels.chain([("spans", "level-spans".to_owned())])
}

pub(super) fn render(timeline: &Timeline) -> Markup {
    let max = timeline.bars.iter().map(|bar| bar.iter().sum::<u64>()).max().unwrap_or(0);
    if max == 0 {
        return html! { p.empty { "Nothing arrived." } };
    }
    let bars = timeline.bars.len().max(10);
    let step = (WIDTH - LEFT) / bars as f64;
    let height = HEIGHT + BELOW + 12.0;
    html! {
        (legend(timeline)) "\n"
        div.wide {
            svg.timeline viewBox=(format!("0 0 {WIDTH} {height:.0}")) role="img"
                aria-label="Log records and spans over time" { "\n"
                g transform="translate(0 10)" { "\n"
                    (grid(max))
                    @for (index, bar) in timeline.bars.iter().enumerate() {
                        (render_bar(bar, LEFT + index as f64 * step, step, max, timeline.width * index as u32))
                    }
                    (times(timeline.width * bars as u32))
                } "\n"
            }
        }
    }
}

/// Renders horizontal lines with their numbers.
fn grid(max: u64) -> Markup {
    // The middle line is at half of the maximum, rounded down. A maximum of one has no middle line.
    let half = max / 2;
    let middle = (half > 0).then_some((HEIGHT * (1.0 - half as f64 / max as f64), half));
    html! {
        @for (y, number) in [(0.0, max), (HEIGHT, 0)].into_iter().chain(middle) {
            @let y = format!("{y:.1}");
            line.grid x1=(LEFT) x2=(WIDTH) y1=(y) y2=(y) {}
            text.axis x=(LEFT - 8.0) y=(y) dy=".35em" text-anchor="end" { (count(number)) } "\n"
        }
    }
}

/// Renders the times below the bars.
fn times(total: Duration) -> Markup {
    html! {
        @for part in 0..=4_u32 {
            @let x = LEFT + (WIDTH - LEFT) * f64::from(part) / 4.0;
            @let y = HEIGHT + BELOW - 6.0;
            @let anchor = match part { 0 => "start", 4 => "end", _ => "middle" };
            text.axis x=(format!("{x:.0}")) y=(format!("{y:.0}")) text-anchor=(anchor) {
                (seconds(total * part / 4))
            } "\n"
        }
    }
}

fn render_bar(bar: &[u64], x: f64, step: f64, max: u64, at: Duration) -> Markup {
    let width = (step * 0.82).max(1.0);
    let mut top = HEIGHT;
    let parts = bar.iter().zip(kinds()).filter(|(number, _)| **number > 0).map(|(number, (name, class))| {
        let height = (*number as f64 / max as f64 * HEIGHT).max(1.0);
        top -= height;
        (*number, name, class, top, height)
    });
    html! {
        @for (number, name, class, y, height) in parts {
            rect class={ "node " (class) } x=(format!("{x:.1}")) y=(format!("{y:.1}")) width=(format!("{width:.1}"))
                height=(format!("{height:.1}")) {
                title { "at " (seconds(at)) ": " (count(number)) " " (name) }
            } "\n"
        }
    }
}

fn legend(timeline: &Timeline) -> Markup {
    let number = |index: usize| -> u64 { timeline.bars.iter().filter_map(|bar| bar.get(index)).sum() };
    let shown = kinds().enumerate().map(|(index, kind)| (kind, number(index))).filter(|(_, number)| *number > 0);
    html! {
        p.legend {
            @for ((name, class), number) in shown { span { i class=(class) {} (name) " " b { (count(number)) } } }
            span.hint { "one bar is " (seconds(timeline.width)) }
        }
    }
}

fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        1..=119 => format!("{:.1} s", time.as_secs_f64()),
        seconds => plural(seconds / 60, "minute"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_grid_line_has_its_number_once_and_at_its_place() {
        let axis = |max: u64| {
            let mut bar = [0; Timeline::KINDS];
            bar[3] = max;
            let page = render(&Timeline { width: Duration::from_millis(50), bars: vec![bar] }).into_string();
            let sides =
                page.lines().filter(|line| line.contains("text-anchor=\"end\"") && line.contains("class=\"grid\""));
            let place = |line: &str| {
                let y = line.split("y1=\"").nth(1).and_then(|rest| rest.split('"').next());
                let number = line.trim_end_matches("</text>").rsplit('>').next();
                (y.unwrap_or_default().to_owned(), number.unwrap_or_default().to_owned())
            };
            let mut places: Vec<_> = sides.map(place).collect();
            places.sort();
            places
        };
        let places =
            |all: &[(&str, &str)]| all.iter().map(|(y, n)| ((*y).to_owned(), (*n).to_owned())).collect::<Vec<_>>();
        assert_eq!(axis(1), places(&[("0.0", "1"), ("150.0", "0")]));
        assert_eq!(axis(2), places(&[("0.0", "2"), ("150.0", "0"), ("75.0", "1")]));
        assert_eq!(axis(3), places(&[("0.0", "3"), ("100.0", "1"), ("150.0", "0")]));
    }
}
