//! Arranges records and spans in trees, by the spans to which they belong.
//!
//! Traces are untrusted input: they may be deep, incomplete or circular. So nothing here is recursive or relies on a
//! span's ancestors to end at a root.

use std::collections::HashMap;

use super::common::is_unset_id;
use super::{ReceivedLog, ReceivedSpan};

#[derive(Clone, Copy, Debug)]
pub(super) enum Item<'a> {
    Log(&'a ReceivedLog),
    Span(&'a ReceivedSpan),
}

impl<'a> Item<'a> {
    fn trace(self) -> &'a str {
        match self {
            Self::Log(log) => &log.trace_id,
            Self::Span(span) => &span.trace_id,
        }
    }

    /// Returns the trace id and span id of the parent span, if they are set.
    fn parent(self) -> Option<(&'a str, &'a str)> {
        let id = match self {
            Self::Log(log) => &log.span_id,
            Self::Span(span) => &span.parent_span_id,
        };
        (!is_unset_id(id)).then_some((self.trace(), id))
    }

    /// Returns the time by which items are ordered. Items without a time come last.
    fn time(self) -> u64 {
        let times = match self {
            Self::Log(log) => [log.time_unix_nano, log.observed_time_unix_nano],
            Self::Span(span) => [span.start_time_unix_nano, 0],
        };
        times.into_iter().find(|time| *time != 0).unwrap_or(u64::MAX)
    }
}

/// Whether a node is where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// It is under its parent, or has none.
    InPlace,
    /// It is a root because its parent is missing.
    Orphan,
    /// It is a root because it would be its own ancestor.
    Circular,
}

#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) item: Item<'a>,
    pub(super) placement: Placement,
    /// The indexes of the children, in order of time.
    pub(super) children: Vec<usize>,
}

/// The nodes with one trace id.
#[derive(Debug)]
pub(super) struct Trace<'a> {
    /// `None` for nodes that belong to no trace.
    pub(super) id: Option<&'a str>,
    /// The indexes of the roots, in order of time.
    pub(super) roots: Vec<usize>,
}

#[derive(Debug)]
pub(super) struct Forest<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    /// In order of their earliest times. Nodes that belong to no trace come last.
    pub(super) traces: Vec<Trace<'a>>,
}

impl<'a> Forest<'a> {
    pub(super) fn new(spans: &'a [ReceivedSpan], logs: &'a [ReceivedLog]) -> Self {
        let items: Vec<Item<'a>> = spans.iter().map(Item::Span).chain(logs.iter().map(Item::Log)).collect();
        let mut by_ids = HashMap::new();
        for (index, span) in spans.iter().enumerate() {
            // If several spans have the same ids, the first one gets the children.
            by_ids.entry((span.trace_id.as_str(), span.span_id.as_str())).or_insert(index);
        }
        let mut parents: Vec<Option<usize>> =
            items.iter().map(|item| item.parent().and_then(|ids| by_ids.get(&ids).copied())).collect();
        break_cycles(&mut parents, |index| items[index].time());

        let mut nodes: Vec<Node<'a>> = items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                let placement = match (parents[index], item.parent()) {
                    (Some(_), _) | (None, None) => Placement::InPlace,
                    (None, Some(ids)) if by_ids.contains_key(&ids) => Placement::Circular,
                    (None, Some(_)) => Placement::Orphan,
                };
                Node { item: *item, placement, children: Vec::new() }
            })
            .collect();
        let mut order: Vec<usize> = (0..items.len()).collect();
        // The sort is stable: items with the same time stay in order of arrival, spans before records.
        order.sort_by_key(|index| items[*index].time());
        let mut traces: Vec<Trace<'a>> = Vec::new();
        let mut by_id = HashMap::new();
        for index in order {
            let id = Some(items[index].trace()).filter(|id| !is_unset_id(id));
            // Children count here too: traces are ordered by the earliest time of all their items.
            let trace = *by_id.entry(id).or_insert_with(|| {
                traces.push(Trace { id, roots: Vec::new() });
                traces.len() - 1
            });
            match parents[index] {
                Some(parent) => nodes[parent].children.push(index),
                None => traces[trace].roots.push(index),
            }
        }
        traces.sort_by_key(|trace| trace.id.is_none());
        Self { nodes, traces }
    }
}

/// Removes the parent of the earliest node of each cycle.
fn break_cycles(parents: &mut [Option<usize>], time: impl Fn(usize) -> u64) {
    // The start of the walk that first visited each node. Each node is visited once.
    let mut visited_by: Vec<Option<usize>> = vec![None; parents.len()];
    for start in 0..parents.len() {
        let mut at = Some(start);
        while let Some(node) = at.filter(|node| visited_by[*node].is_none()) {
            visited_by[node] = Some(start);
            at = parents[node];
        }
        // The walk has met itself, not only an earlier walk: the node is part of a cycle.
        if let Some(entry) = at.filter(|node| visited_by[*node] == Some(start)) {
            let mut earliest = entry;
            let mut at = parents[entry];
            while let Some(node) = at.filter(|node| *node != entry) {
                if (time(node), node) < (time(earliest), earliest) {
                    earliest = node;
                }
                at = parents[node];
            }
            parents[earliest] = None;
        }
    }
}
