//! Which records and spans stand under which span, for a drawing of them.
//!
//! Nothing here walks a trace by recursion, nor trusts that the parents of spans lead anywhere: traces come from outside
//! and may be deep, cut or circular.

use std::collections::HashMap;

use super::common::names_nothing;
use super::{ReceivedLog, ReceivedSpan};

/// A record or a span.
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

    /// The trace and span id of what it stands under, if it names that.
    fn parent(self) -> Option<(&'a str, &'a str)> {
        let id = match self {
            Self::Log(log) => &log.span_id,
            Self::Span(span) => &span.parent_span_id,
        };
        (!names_nothing(id)).then_some((self.trace(), id))
    }

    /// By what it is put in order; what has no time comes last.
    fn time(self) -> u64 {
        let times = match self {
            Self::Log(log) => [log.time_unix_nano, log.observed_time_unix_nano],
            Self::Span(span) => [span.start_time_unix_nano, 0],
        };
        times.into_iter().find(|time| *time != 0).unwrap_or(u64::MAX)
    }
}

/// Whether a node stands where it says it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It does.
    Proper,
    /// It stands at the root of its trace, as the span that it names is not there.
    Orphan,
    /// It stands at the root of its trace, as it would be its own ancestor.
    Circular,
}

#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) item: Item<'a>,
    pub(super) standing: Standing,
    /// The indexes of the nodes below, in order of time.
    pub(super) children: Vec<usize>,
}

/// What has one trace id.
#[derive(Debug)]
pub(super) struct Trace<'a> {
    /// The trace id; `None` for what is in no trace.
    pub(super) id: Option<&'a str>,
    /// The indexes of the topmost nodes, in order of time.
    pub(super) roots: Vec<usize>,
}

#[derive(Debug)]
pub(super) struct Forest<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    /// In order of their earliest times; what is in no trace comes last.
    pub(super) traces: Vec<Trace<'a>>,
}

impl<'a> Forest<'a> {
    pub(super) fn new(spans: &'a [ReceivedSpan], logs: &'a [ReceivedLog]) -> Self {
        let items: Vec<Item<'a>> = spans.iter().map(Item::Span).chain(logs.iter().map(Item::Log)).collect();
        let mut by_ids = HashMap::new();
        for (index, span) in spans.iter().enumerate() {
            // Of several spans with the same ids the first one has the children.
            by_ids.entry((span.trace_id.as_str(), span.span_id.as_str())).or_insert(index);
        }
        let mut parents: Vec<Option<usize>> =
            items.iter().map(|item| item.parent().and_then(|ids| by_ids.get(&ids).copied())).collect();
        cut_circles(&mut parents, |index| items[index].time());

        let mut nodes: Vec<Node<'a>> = items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                let standing = match (parents[index], item.parent()) {
                    (Some(_), _) | (None, None) => Standing::Proper,
                    (None, Some(ids)) if by_ids.contains_key(&ids) => Standing::Circular,
                    (None, Some(_)) => Standing::Orphan,
                };
                Node { item: *item, standing, children: Vec::new() }
            })
            .collect();
        let mut order: Vec<usize> = (0..items.len()).collect();
        // Stable: what happened at the same time stays in order of arrival, spans before records.
        order.sort_by_key(|index| items[*index].time());
        let mut traces: Vec<Trace<'a>> = Vec::new();
        let mut by_id = HashMap::new();
        for index in order {
            let id = Some(items[index].trace()).filter(|id| !names_nothing(id));
            // Children count here too: a trace has its place by the earliest of all its times.
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

/// Takes the parent from one node of each circle, the earliest one.
fn cut_circles(parents: &mut [Option<usize>], time: impl Fn(usize) -> u64) {
    // By which walk a node was reached first; each node is walked over once.
    let mut reached: Vec<Option<usize>> = vec![None; parents.len()];
    for start in 0..parents.len() {
        let mut at = Some(start);
        while let Some(node) = at.filter(|node| reached[*node].is_none()) {
            reached[node] = Some(start);
            at = parents[node];
        }
        // Back on its own way, not merely on that of an earlier walk: from here the way leads around.
        if let Some(entry) = at.filter(|node| reached[*node] == Some(start)) {
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
