//! The picture: bands from targets to levels to fates, each as wide as its number of records.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::super::account::{Flow, ItemOutcome, UNKNOWN};
use super::super::text::many;
use super::{Escaped, count};
use crate::command::inlet::Levels;

/// So many targets have a band of their own.
const TARGETS: usize = 14;

/// The picture in its own units, which the page scales.
const WIDTH: f64 = 1000.0;
const COLUMNS: [f64; 3] = [280.0, 505.0, 735.0];
const NODE: f64 = 12.0;
/// All bands of a column together, about, for each node of the fullest one, and within these bounds.
const HEIGHT: f64 = 70.0;
const HEIGHTS: [f64; 2] = [120.0, 300.0];
/// A label needs so much room.
const LINE: f64 = 24.0;
/// The least that can be seen.
const THIN: f64 = 1.5;
/// A label has room for so many characters.
const LABEL: usize = 28;

struct Node {
    name: String,
    class: String,
    records: u64,
    top: f64,
    height: f64,
    /// How much of its left and right side has bands already.
    filled: [f64; 2],
}

struct Band {
    from: usize,
    to: usize,
    records: u64,
    class: String,
}

impl Band {
    fn height(&self, scale: f64) -> f64 {
        (self.records as f64 * scale).max(THIN)
    }
}

/// Draws the picture, and the same as a table behind it.
pub(super) fn draw(page: &mut String, flows: &[Flow]) -> fmt::Result {
    let (mut columns, bands) = arrange(flows);
    let total: u64 = flows.iter().map(|flow| flow.records).sum();
    let most = columns.iter().map(|nodes| nodes.iter().filter(|node| node.records > 0).count()).max().unwrap_or(0);
    let [least, greatest] = HEIGHTS;
    let scale = (most as f64 * HEIGHT).clamp(least, greatest) / total.max(1) as f64;
    let height =
        columns.iter_mut().enumerate().map(|(column, nodes)| stack(nodes, column, &bands, scale)).fold(0.0, f64::max);
    writeln!(
        page,
        "<div class=\"wide\"><svg class=\"flow\" viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" aria-label=\"Bands from targets over levels to what became of {}\">",
        height + 36.0,
        many(total, "log record"),
    )?;
    for (x, (words, anchor)) in
        COLUMNS.into_iter().zip([("target", "end"), ("level", "start"), ("what became of them", "start")])
    {
        let x = if anchor == "end" { x - 8.0 } else { x + NODE + 8.0 };
        writeln!(page, "<text class=\"head\" x=\"{x}\" y=\"14\" text-anchor=\"{anchor}\">{words}</text>")?;
    }
    page.push_str("<g transform=\"translate(0 28)\">\n");
    for (column, bands) in bands.iter().enumerate() {
        for band in bands {
            draw_band(page, band, column, &mut columns, scale)?;
        }
    }
    for (column, nodes) in columns.iter().enumerate() {
        for node in nodes {
            draw_node(page, node, column)?;
        }
    }
    page.push_str("</g>\n</svg></div>\n");
    table(page, flows)
}

/// The nodes of each column in their order, and the bands between each two columns.
fn arrange(flows: &[Flow]) -> ([Vec<Node>; 3], [Vec<Band>; 2]) {
    let mut by_target: BTreeMap<&str, u64> = BTreeMap::new();
    flows.iter().for_each(|flow| *by_target.entry(&flow.target).or_default() += flow.records);
    let mut targets: Vec<(&str, u64)> = by_target.into_iter().collect();
    targets.sort_by_key(|(name, records)| (*name == UNKNOWN, std::cmp::Reverse(*records)));
    let others = targets.len().saturating_sub(TARGETS);
    let mut names: Vec<String> = targets.iter().take(TARGETS).map(|(name, _)| (*name).to_owned()).collect();
    if others > 0 {
        names.push(format!("({} others)", others));
    }
    // The most severe on top, and what nobody knows at the bottom.
    let levels: Vec<&str> = Levels::NAMES.into_iter().rev().chain([UNKNOWN]).collect();
    let mut fates: Vec<ItemOutcome> = flows.iter().map(|flow| flow.fate.clone()).collect();
    fates.sort();
    fates.dedup();
    let place = |flow: &Flow| {
        let target = names.iter().position(|name| *name == flow.target).unwrap_or(names.len() - 1);
        let level = levels.iter().position(|name| *name == flow.level).unwrap_or(levels.len() - 1);
        let fate = fates.iter().position(|fate| *fate == flow.fate).unwrap_or(0);
        [target, level, fate]
    };
    let node = |name: String, class: String| Node { name, class, records: 0, top: 0.0, height: 0.0, filled: [0.0; 2] };
    let mut columns = [
        names.iter().map(|name| node(name.clone(), "target".to_owned())).collect::<Vec<_>>(),
        levels.iter().map(|level| node((*level).to_owned(), level_class(level))).collect(),
        fates.iter().map(|fate| node(fate.words(), fate.class().to_owned())).collect(),
    ];
    let mut sums: [BTreeMap<(usize, usize), u64>; 2] = Default::default();
    for flow in flows {
        let places = place(flow);
        for (nodes, place) in columns.iter_mut().zip(places) {
            if let Some(node) = nodes.get_mut(place) {
                node.records += flow.records;
            }
        }
        let [target, level, fate] = places;
        for (sums, ends) in sums.iter_mut().zip([(target, level), (level, fate)]) {
            *sums.entry(ends).or_default() += flow.records;
        }
    }
    let class = |column: usize, from: usize, to: usize| match column {
        0 => levels.get(to).map(|level| level_class(level)),
        _ => fates.get(to).map(|fate| fate.class().to_owned()).or(Some(from.to_string())),
    };
    let bands = [0, 1].map(|column| {
        let sums = sums.get(column).into_iter().flatten();
        sums.map(|((from, to), records)| Band {
            from: *from,
            to: *to,
            records: *records,
            class: class(column, *from, *to).unwrap_or_default(),
        })
        .collect()
    });
    (columns, bands)
}

pub(super) fn level_class(level: &str) -> String {
    match level {
        UNKNOWN | "no level" => "level-none".to_owned(),
        level => format!("level-{level}"),
    }
}

/// Gives each node of a column its place; returns how high the column is.
fn stack(nodes: &mut [Node], column: usize, bands: &[Vec<Band>; 2], scale: f64) -> f64 {
    let mut top = 0.0;
    for (index, node) in nodes.iter_mut().enumerate() {
        let side = |bands: Option<&Vec<Band>>, is_end: fn(&Band, usize) -> bool| -> f64 {
            bands.into_iter().flatten().filter(|band| is_end(band, index)).map(|band| band.height(scale)).sum()
        };
        let left = side(column.checked_sub(1).and_then(|column| bands.get(column)), |band, index| band.to == index);
        let right = side(bands.get(column), |band, index| band.from == index);
        node.height = left.max(right);
        if node.records > 0 {
            node.top = top;
            top += node.height.max(LINE - 8.0) + 8.0;
        }
    }
    top
}

fn draw_band(page: &mut String, band: &Band, column: usize, columns: &mut [Vec<Node>; 3], scale: f64) -> fmt::Result {
    let height = band.height(scale);
    let (Some(left), Some(right)) = (COLUMNS.get(column), COLUMNS.get(column + 1)) else { return Ok(()) };
    let (left, right) = (left + NODE, *right);
    let mut end = |column: usize, node: usize, side: usize| -> Option<(f64, String)> {
        let node = columns.get_mut(column)?.get_mut(node)?;
        let filled = node.filled.get_mut(side)?;
        let at = node.top + *filled;
        *filled += height;
        Some((at, node.name.clone()))
    };
    let (Some((y0, from)), Some((y1, to))) = (end(column, band.from, 1), end(column + 1, band.to, 0)) else {
        return Ok(());
    };
    let middle = f64::midpoint(left, right);
    writeln!(
        page,
        "<path class=\"band {class}\" d=\"M{left} {y0:.1}C{middle} {y0:.1} {middle} {y1:.1} {right} {y1:.1}V{y3:.1}C{middle} {y3:.1} \
         {middle} {y2:.1} {left} {y2:.1}Z\"><title>{from} → {to}: {number}</title></path>",
        class = band.class,
        y2 = y0 + height,
        y3 = y1 + height,
        from = Escaped(&from),
        to = Escaped(&to),
        number = many(band.records, "record"),
    )
}

fn draw_node(page: &mut String, node: &Node, column: usize) -> fmt::Result {
    let Some(x) = COLUMNS.get(column).filter(|_| node.records > 0) else { return Ok(()) };
    let Node { name, class, records, top, height, .. } = node;
    let number = count(*records);
    let (label, anchor) = if column == 0 { (x - 8.0, "end") } else { (x + NODE + 8.0, "start") };
    let middle = top + height / 2.0;
    // Beside a thin node the label must not leave the picture.
    let middle = middle.max(top + 6.0);
    writeln!(
        page,
        "<rect class=\"node {class}\" x=\"{x}\" y=\"{top:.1}\" width=\"{NODE}\" height=\"{height:.1}\" rx=\"2\"/>\
         <text class=\"label\" x=\"{label}\" y=\"{middle:.1}\" dy=\".35em\" text-anchor=\"{anchor}\"><title>{full}</title>{short} \
         <tspan class=\"number\">{number}</tspan></text>",
        full = Escaped(name),
        short = Escaped(&shortened(name)),
    )
}

/// The beginning and the end of what is too long: the ends of paths tell more than their middles.
fn shortened(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    if characters.len() <= LABEL {
        return name.to_owned();
    }
    let (head, tail) = (LABEL / 3, LABEL - LABEL / 3 - 1);
    let head: String = characters.iter().take(head).collect();
    let tail: String = characters.iter().skip(characters.len() - tail).collect();
    format!("{head}…{tail}")
}

/// The same for those who do not see the picture.
fn table(page: &mut String, flows: &[Flow]) -> fmt::Result {
    let mut flows: Vec<&Flow> = flows.iter().collect();
    flows.sort_by_key(|flow| std::cmp::Reverse(flow.records));
    page.push_str("<details><summary>The same as a table</summary><div class=\"wide\"><table>\n<thead><tr><th class=\"n\">Records</th><th>Target</th><th>Level</th><th>What became of them</th></tr></thead>\n<tbody>\n");
    for Flow { target, level, fate, records } in flows.into_iter().take(super::ROWS * 4) {
        writeln!(
            page,
            "<tr><td class=\"n\">{}</td><td class=\"text\"><code>{}</code></td><td>{}</td><td>{}</td></tr>",
            count(*records),
            Escaped(target),
            Escaped(level),
            Escaped(&fate.words()),
        )?;
    }
    page.push_str("</tbody></table></div></details>\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(target: &str, level: &'static str, fate: ItemOutcome, records: u64) -> Flow {
        Flow { target: target.to_owned(), level, fate, records }
    }

    #[test]
    fn every_record_is_in_the_picture_once() {
        let mut flows: Vec<Flow> =
            (0..20).map(|number| flow(&format!("target{number}"), "info", ItemOutcome::Arrived, number + 1)).collect();
        flows.push(flow(UNKNOWN, UNKNOWN, ItemOutcome::Pending, 3));
        let (columns, bands) = arrange(&flows);
        let all: u64 = flows.iter().map(|flow| flow.records).sum();
        for nodes in &columns {
            assert_eq!(nodes.iter().map(|node| node.records).sum::<u64>(), all);
        }
        for bands in &bands {
            assert_eq!(bands.iter().map(|band| band.records).sum::<u64>(), all);
        }
        assert_eq!(columns[0].len(), TARGETS + 1);
    }

    #[test]
    fn nodes_do_not_overlap_however_unequal_they_are() {
        let flows = [
            flow("loud", "trace", ItemOutcome::Below, 10_000_000),
            flow("<b>", "error", ItemOutcome::Arrived, 1),
            flow("c", "info", ItemOutcome::Arrived, 2),
        ];
        let (mut columns, bands) = arrange(&flows);
        for (column, nodes) in columns.iter_mut().enumerate() {
            stack(nodes, column, &bands, HEIGHTS[1] / 10_000_003.0);
            let shown: Vec<&Node> = nodes.iter().filter(|node| node.records > 0).collect();
            assert!(shown.windows(2).all(|pair| pair[1].top >= pair[0].top + pair[0].height.max(16.0)));
            assert!(shown.iter().all(|node| node.height >= THIN));
        }
        let mut page = String::new();
        draw(&mut page, &flows).expect("drawn");
        assert!(!page.contains("<b>") && page.contains("&lt;b&gt;") && !page.contains("NaN"), "{page}");
    }
}
