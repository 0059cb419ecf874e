//! When how much arrived: a bar for each moment, its parts by level.

use std::fmt::{self, Write as _};
use std::time::Duration;

use super::super::evidence::Timeline;
use super::flow::level_class;
use super::{count, many};
use crate::command::inlet::Levels;

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 150.0;
/// Room for the numbers at the side, and for the times below.
const SIDE: f64 = 70.0;
const BELOW: f64 = 26.0;

/// The names of the parts: the levels, and spans.
fn kinds() -> impl Iterator<Item = (&'static str, String)> {
    let levels = Levels::NAMES.into_iter().map(|name| (name, level_class(name)));
    levels.chain([("spans", "level-spans".to_owned())])
}

pub(super) fn draw(page: &mut String, timeline: &Timeline) -> fmt::Result {
    let most = timeline.bars.iter().map(|bar| bar.iter().sum::<u64>()).max().unwrap_or(0);
    if most == 0 {
        page.push_str("<p class=\"empty\">Nothing came in.</p>\n");
        return Ok(());
    }
    legend(page, timeline)?;
    let bars = timeline.bars.len().max(10);
    let step = (WIDTH - SIDE) / bars as f64;
    writeln!(
        page,
        "<div class=\"wide\"><svg class=\"timeline\" viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" aria-label=\"Log records and spans over time\">",
        HEIGHT + BELOW + 12.0,
    )?;
    page.push_str("<g transform=\"translate(0 10)\">\n");
    // Half of one is none; where there is no half, it is not in the middle.
    let half = most / 2;
    let middle = (half > 0).then_some((HEIGHT * (1.0 - half as f64 / most as f64), half));
    for (y, number) in [(0.0, most), (HEIGHT, 0)].into_iter().chain(middle) {
        writeln!(
            page,
            "<line class=\"grid\" x1=\"{SIDE}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"axis\" x=\"{}\" y=\"{y:.1}\" dy=\".35em\" \
             text-anchor=\"end\">{}</text>",
            SIDE - 8.0,
            count(number),
        )?;
    }
    for (index, bar) in timeline.bars.iter().enumerate() {
        draw_bar(page, bar, SIDE + index as f64 * step, step, most, seconds(timeline.width * index as u32))?;
    }
    for part in 0..=4_u32 {
        let x = SIDE + (WIDTH - SIDE) * f64::from(part) / 4.0;
        let anchor = match part {
            0 => "start",
            4 => "end",
            _ => "middle",
        };
        let at = seconds(timeline.width * bars as u32 * part / 4);
        writeln!(
            page,
            "<text class=\"axis\" x=\"{x:.0}\" y=\"{:.0}\" text-anchor=\"{anchor}\">{at}</text>",
            HEIGHT + BELOW - 6.0
        )?;
    }
    page.push_str("</g>\n</svg></div>\n");
    Ok(())
}

fn draw_bar(page: &mut String, bar: &[u64], x: f64, step: f64, most: u64, at: String) -> fmt::Result {
    let mut y = HEIGHT;
    let width = (step * 0.82).max(1.0);
    for (number, (name, class)) in bar.iter().zip(kinds()).filter(|(number, _)| **number > 0) {
        let height = (*number as f64 / most as f64 * HEIGHT).max(1.0);
        y -= height;
        writeln!(
            page,
            "<rect class=\"node {class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"><title>at {at}: {} \
             {name}</title></rect>",
            count(*number),
        )?;
    }
    Ok(())
}

fn legend(page: &mut String, timeline: &Timeline) -> fmt::Result {
    page.push_str("<p class=\"legend\">");
    for (index, (name, class)) in kinds().enumerate() {
        let number: u64 = timeline.bars.iter().filter_map(|bar| bar.get(index)).sum();
        if number > 0 {
            write!(page, "<span><i class=\"{class}\"></i>{name} <b>{}</b></span>", count(number))?;
        }
    }
    writeln!(page, "<span class=\"hint\">one bar is {}</span></p>", seconds(timeline.width))?;
    Ok(())
}

fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        1..=119 => format!("{:.1} s", time.as_secs_f64()),
        seconds => many(seconds / 60, "minute"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_at_the_side_is_there_once_and_where_it_belongs() {
        let axis = |most: u64| {
            let mut bar = [0; Timeline::KINDS];
            bar[3] = most;
            let mut page = String::new();
            draw(&mut page, &Timeline { width: Duration::from_millis(50), bars: vec![bar] }).expect("a picture");
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
