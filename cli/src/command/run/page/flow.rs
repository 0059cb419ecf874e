//! The picture of the flow of records: bands from targets to levels to outcomes, as wide as their number of records.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::markup::{Escaped, count, level_class};
use crate::command::intake::LevelCounts;
use crate::command::run::outcomes::{Flow, RecordOutcome, UNKNOWN};
use crate::command::wording::plural;

/// Limits the number of targets with their own node.
const MAX_TARGETS: usize = 14;

/// Limits the rows of the table.
const MAX_ROWS: usize = 240;

/// The width of the picture in its own units, which the page scales.
const WIDTH: f64 = 1000.0;
/// The left edges of the columns.
const COLUMNS: [f64; 3] = [280.0, 505.0, 735.0];
const NODE_WIDTH: f64 = 12.0;
/// The height of all bands of a column, for each node of the column with the most nodes.
const HEIGHT_PER_NODE: f64 = 70.0;
const MIN_HEIGHT: f64 = 120.0;
const MAX_HEIGHT: f64 = 300.0;
/// The height that a label needs.
const LINE: f64 = 24.0;
/// The minimum height of a band, so that it stays visible.
const MIN_BAND: f64 = 1.5;
/// Limits the length of a label in characters.
const MAX_LABEL: usize = 28;

struct Node {
    name: String,
    class: String,
    records: u64,
    top: f64,
    height: f64,
    /// The heights that bands occupy on the left and right side.
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
        (self.records as f64 * scale).max(MIN_BAND)
    }
}

/// Renders the picture, and a table with the same numbers.
pub(super) fn render(flows: &[Flow]) -> Markup {
    let (mut columns, bands) = arrange(flows);
    let total: u64 = flows.iter().map(|flow| flow.records).sum();
    let most = columns.iter().map(|nodes| nodes.iter().filter(|node| node.records > 0).count()).max().unwrap_or(0);
    let scale = (most as f64 * HEIGHT_PER_NODE).clamp(MIN_HEIGHT, MAX_HEIGHT) / total.max(1) as f64;
    let height =
        columns.iter_mut().enumerate().map(|(column, nodes)| stack(nodes, column, &bands, scale)).fold(0.0, f64::max);
    let headings = [("target", "end"), ("level", "start"), ("outcome", "start")];
    html! {
        div.wide {
            svg.flow viewBox=(format!("0 0 {WIDTH} {:.0}", height + 36.0)) role="img"
                aria-label={ "Flow of " (plural(total, "log record")) " from targets to levels to outcomes" } { "\n"
                @for (x, (heading, anchor)) in COLUMNS.into_iter().zip(headings) {
                    text.head x=(label_position(x, anchor)) y="14" text-anchor=(anchor) { (heading) } "\n"
                }
                g transform="translate(0 28)" { "\n"
                    @for (column, bands) in bands.iter().enumerate() {
                        @for band in bands { (render_band(band, column, &mut columns, scale)) }
                    }
                    @for (x, nodes) in COLUMNS.into_iter().zip(&columns) {
                        @for node in nodes { (render_node(node, x)) }
                    }
                } "\n"
            }
        } "\n"
        (table(flows))
    }
}

/// Returns where a label starts or ends beside the node at `x`.
fn label_position(x: f64, anchor: &str) -> f64 {
    if anchor == "end" { x - 8.0 } else { x + NODE_WIDTH + 8.0 }
}

/// Returns the nodes of each column in their order, and the bands between adjacent columns.
fn arrange(flows: &[Flow]) -> ([Vec<Node>; 3], [Vec<Band>; 2]) {
    let mut by_target: BTreeMap<&str, u64> = BTreeMap::new();
    flows.iter().for_each(|flow| *by_target.entry(&flow.target).or_default() += flow.records);
    let mut targets: Vec<(&str, u64)> = by_target.into_iter().collect();
    targets.sort_by_key(|(name, records)| (*name == UNKNOWN, std::cmp::Reverse(*records)));
    let others = targets.len().saturating_sub(MAX_TARGETS);
    let mut names: Vec<String> = targets.iter().take(MAX_TARGETS).map(|(name, _)| (*name).to_owned()).collect();
    if others > 0 {
        names.push(format!("({} others)", others));
    }
    // The most severe level is on top, and the unknown level at the bottom.
    let levels: Vec<&str> = LevelCounts::NAMES.into_iter().rev().chain([UNKNOWN]).collect();
    let mut outcomes: Vec<RecordOutcome> = flows.iter().map(|flow| flow.outcome.clone()).collect();
    outcomes.sort();
    outcomes.dedup();
    let place = |flow: &Flow| {
        let target = names.iter().position(|name| *name == flow.target).unwrap_or(names.len() - 1);
        let level = levels.iter().position(|name| *name == flow.level).unwrap_or(levels.len() - 1);
        let outcome = outcomes.iter().position(|outcome| *outcome == flow.outcome).unwrap_or(0);
        [target, level, outcome]
    };
    let node = |name: String, class: String| Node { name, class, records: 0, top: 0.0, height: 0.0, filled: [0.0; 2] };
    let mut columns = [
        names.iter().map(|name| node(name.clone(), "target".to_owned())).collect::<Vec<_>>(),
        levels.iter().map(|level| node((*level).to_owned(), level_class(level))).collect(),
        outcomes.iter().map(|outcome| node(outcome.words(), outcome_class(outcome).to_owned())).collect(),
    ];
    let mut sums: [BTreeMap<(usize, usize), u64>; 2] = Default::default();
    for flow in flows {
        let places = place(flow);
        for (nodes, place) in columns.iter_mut().zip(places) {
            if let Some(node) = nodes.get_mut(place) {
                node.records += flow.records;
            }
        }
        let [target, level, outcome] = places;
        for (sums, ends) in sums.iter_mut().zip([(target, level), (level, outcome)]) {
            *sums.entry(ends).or_default() += flow.records;
        }
    }
    let class = |column: usize, from: usize, to: usize| match column {
        0 => levels.get(to).map(|level| level_class(level)),
        _ => outcomes.get(to).map(|outcome| outcome_class(outcome).to_owned()).or(Some(from.to_string())),
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

/// Returns the CSS class of an outcome.
fn outcome_class(outcome: &RecordOutcome) -> &'static str {
    match outcome {
        RecordOutcome::Arrived => "arrived",
        RecordOutcome::Refused(_) => "refused",
        RecordOutcome::Dropped(_) => "dropped",
        RecordOutcome::Partly | RecordOutcome::Pending => "pending",
        RecordOutcome::LeftOut(_) => "leftout",
        RecordOutcome::Below => "below",
    }
}

/// Sets the position and height of the nodes of a column. Returns the height of the column.
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

fn render_band(band: &Band, column: usize, columns: &mut [Vec<Node>; 3], scale: f64) -> Markup {
    let height = band.height(scale);
    let (Some(left), Some(right)) = (COLUMNS.get(column), COLUMNS.get(column + 1)) else { return html! {} };
    let (left, right) = (left + NODE_WIDTH, *right);
    let mut end = |column: usize, node: usize, side: usize| -> Option<(f64, String)> {
        let node = columns.get_mut(column)?.get_mut(node)?;
        let filled = node.filled.get_mut(side)?;
        let at = node.top + *filled;
        *filled += height;
        Some((at, node.name.clone()))
    };
    let (Some((y0, from)), Some((y1, to))) = (end(column, band.from, 1), end(column + 1, band.to, 0)) else {
        return html! {};
    };
    let (y2, y3) = (y0 + height, y1 + height);
    let middle = f64::midpoint(left, right);
    let path = format!(
        "M{left} {y0:.1}C{middle} {y0:.1} {middle} {y1:.1} {right} {y1:.1}V{y3:.1}C{middle} {y3:.1} {middle} {y2:.1} \
         {left} {y2:.1}Z"
    );
    html! {
        path class={ "band " (band.class) } d=(path) {
            title { (Escaped(&from)) " → " (Escaped(&to)) ": " (plural(band.records, "record")) }
        } "\n"
    }
}

fn render_node(node: &Node, x: f64) -> Markup {
    let Node { name, class, records, top, height, .. } = node;
    if *records == 0 {
        return html! {};
    }
    let anchor = if x == COLUMNS[0] { "end" } else { "start" };
    // The label of a thin node must not leave the picture.
    let middle = (top + height / 2.0).max(top + 6.0);
    html! {
        rect class={ "node " (class) } x=(x) y=(format!("{top:.1}")) width=(NODE_WIDTH) height=(format!("{height:.1}"))
            rx="2" {}
        text.label x=(label_position(x, anchor)) y=(format!("{middle:.1}")) dy=".35em" text-anchor=(anchor) {
            title { (Escaped(name)) }
            (Escaped(&shortened(name))) " "
            tspan.number { (count(*records)) }
        } "\n"
    }
}

/// Removes the middle of a long name, because the ends of a path tell more.
fn shortened(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    if characters.len() <= MAX_LABEL {
        return name.to_owned();
    }
    let (head, tail) = (MAX_LABEL / 3, MAX_LABEL - MAX_LABEL / 3 - 1);
    let head: String = characters.iter().take(head).collect();
    let tail: String = characters.iter().skip(characters.len() - tail).collect();
    format!("{head}…{tail}")
}

/// Renders the same numbers as a table, for readers who do not see the picture.
fn table(flows: &[Flow]) -> Markup {
    let mut flows: Vec<&Flow> = flows.iter().collect();
    flows.sort_by_key(|flow| std::cmp::Reverse(flow.records));
    html! {
        details {
            summary { "Show as a table" }
            div.wide { table { "\n"
                thead { tr { th.n { "Records" } th { "Target" } th { "Level" } th { "Outcome" } } } "\n"
                tbody { "\n"
                    @for Flow { target, level, outcome, records } in flows.into_iter().take(MAX_ROWS) {
                        tr {
                            td.n { (count(*records)) }
                            td.text { code { (Escaped(target)) } }
                            td { (Escaped(level)) }
                            td { (Escaped(&outcome.words())) }
                        } "\n"
                    }
                }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(target: &str, level: &'static str, outcome: RecordOutcome, records: u64) -> Flow {
        Flow { target: target.to_owned(), level, outcome, records }
    }

    #[test]
    fn every_record_is_in_the_picture_once() {
        let mut flows: Vec<Flow> = (0..20)
            .map(|number| flow(&format!("target{number}"), "info", RecordOutcome::Arrived, number + 1))
            .collect();
        flows.push(flow(UNKNOWN, UNKNOWN, RecordOutcome::Pending, 3));
        let (columns, bands) = arrange(&flows);
        let all: u64 = flows.iter().map(|flow| flow.records).sum();
        for nodes in &columns {
            assert_eq!(nodes.iter().map(|node| node.records).sum::<u64>(), all);
        }
        for bands in &bands {
            assert_eq!(bands.iter().map(|band| band.records).sum::<u64>(), all);
        }
        assert_eq!(columns[0].len(), MAX_TARGETS + 1);
    }

    #[test]
    fn nodes_do_not_overlap_however_unequal_they_are() {
        let flows = [
            flow("loud", "trace", RecordOutcome::Below, 10_000_000),
            flow("<b>", "error", RecordOutcome::Arrived, 1),
            flow("c", "info", RecordOutcome::Arrived, 2),
        ];
        let (mut columns, bands) = arrange(&flows);
        for (column, nodes) in columns.iter_mut().enumerate() {
            stack(nodes, column, &bands, MAX_HEIGHT / 10_000_003.0);
            let shown: Vec<&Node> = nodes.iter().filter(|node| node.records > 0).collect();
            assert!(shown.windows(2).all(|pair| pair[1].top >= pair[0].top + pair[0].height.max(16.0)));
            assert!(shown.iter().all(|node| node.height >= MIN_BAND));
        }
        let page = render(&flows).into_string();
        assert!(!page.contains("<b>") && page.contains("&lt;b&gt;") && !page.contains("NaN"), "{page}");
    }
}
