//! What arrived, as a person wants to see it: each trace as a tree, with the records in the spans they belong to.
//!
//! What arrives may be anything: spans whose parents are missing or go in a circle, ids used twice, chains of any depth.
//! So nothing here recurses, and each item is shown once.

use std::collections::HashMap;
use std::fmt;

use super::value::write_escaped;
use super::{Attributes, ReceivedLog, ReceivedSpan};

/// Deeper items are not indented any further.
const MAX_INDENT: usize = 32;

/// Spans and records as trees; `Display` shows them.
///
/// ```text
/// trace 4bf92f3577b34da6a3ce929d0e0e4736
/// └─ checkout 1.234ms  order=1001
///    ├─ INFO shop::cart order received  item=tea
///    └─ reserve 0.120ms
///       └─ DEBUG shop::stock looking at the shelf
/// outside any trace
/// └─ INFO shop shop is open
/// ```
///
/// What a span holds is in order of time. The attributes `code.*` and `thread.*` are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TraceTree {
    traces: Vec<Trace>,
}

/// The items of one trace, or those outside any.
#[derive(Clone, Debug, PartialEq)]
struct Trace {
    id: String,
    nodes: Vec<Node>,
    /// The nodes that stand at the top, in order of time.
    roots: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq)]
struct Node {
    time: u64,
    item: Item,
    /// What is odd about its place.
    remark: Option<String>,
    /// In order of time.
    children: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq)]
enum Item {
    Log(Box<ReceivedLog>),
    Span(Box<ReceivedSpan>),
}

impl TraceTree {
    /// The trees of these spans and records.
    pub fn new(spans: &[ReceivedSpan], logs: &[ReceivedLog]) -> Self {
        let mut by_trace: HashMap<&str, (Vec<&ReceivedSpan>, Vec<&ReceivedLog>)> = HashMap::new();
        for span in spans {
            by_trace.entry(&span.trace_id).or_default().0.push(span);
        }
        for log in logs {
            by_trace.entry(&log.trace_id).or_default().1.push(log);
        }
        let mut traces: Vec<Trace> =
            by_trace.into_iter().map(|(id, (spans, logs))| Trace::new(id, &spans, &logs)).collect();
        // What is outside any trace comes last.
        traces.sort_by_key(|trace| {
            (trace.id.is_empty(), trace.nodes.iter().map(|node| node.time).min(), trace.id.clone())
        });
        Self { traces }
    }
}

impl Trace {
    fn new(id: &str, spans: &[&ReceivedSpan], logs: &[&ReceivedLog]) -> Self {
        let mut nodes: Vec<Node> = spans.iter().map(|span| Node::span(span)).collect();
        let mut by_id: HashMap<&str, usize> = HashMap::new();
        for (index, span) in spans.iter().enumerate() {
            by_id.entry(&span.span_id).or_insert(index);
        }
        let mut roots = Vec::new();
        for (index, span) in spans.iter().enumerate() {
            match by_id.get(span.parent_span_id.as_str()) {
                Some(parent) if *parent != index => nodes[*parent].children.push(index),
                _ => {
                    if !span.parent_span_id.is_empty() {
                        nodes[index].remark = Some(format!("its parent {} did not arrive", span.parent_span_id));
                    }
                    roots.push(index);
                }
            }
        }
        for log in logs {
            let index = nodes.len();
            nodes.push(Node::log(log));
            match by_id.get(log.span_id.as_str()) {
                Some(span) => nodes[*span].children.push(index),
                None => {
                    if !log.span_id.is_empty() {
                        nodes[index].remark = Some(format!("its span {} did not arrive", log.span_id));
                    }
                    roots.push(index);
                }
            }
        }
        let mut trace = Self { id: id.to_owned(), nodes, roots };
        trace.cut_circles();
        trace.sort();
        trace
    }

    /// Spans that no root leads to have parents that go in a circle: each circle is cut at its first span.
    fn cut_circles(&mut self) {
        let mut seen = vec![false; self.nodes.len()];
        let mut waiting = self.roots.clone();
        let mut next = 0;
        loop {
            while let Some(index) = waiting.pop() {
                if !std::mem::replace(&mut seen[index], true) {
                    waiting.extend(&self.nodes[index].children);
                }
            }
            let Some(index) = (next..seen.len()).find(|index| !seen[*index]) else { return };
            next = index;
            for node in &mut self.nodes {
                node.children.retain(|child| *child != index);
            }
            self.nodes[index].remark = Some("its parents go in a circle".to_owned());
            self.roots.push(index);
            waiting.push(index);
        }
    }

    fn sort(&mut self) {
        let times: Vec<u64> = self.nodes.iter().map(|node| node.time).collect();
        let by_time = |index: &usize| (times[*index], *index);
        self.roots.sort_by_key(by_time);
        for node in &mut self.nodes {
            node.children.sort_by_key(by_time);
        }
    }
}

impl Node {
    fn span(span: &ReceivedSpan) -> Self {
        let item = Item::Span(Box::new(span.clone()));
        Self { time: span.start_time_unix_nano, item, remark: None, children: Vec::new() }
    }

    fn log(log: &ReceivedLog) -> Self {
        let time = if log.time_unix_nano > 0 { log.time_unix_nano } else { log.observed_time_unix_nano };
        Self { time, item: Item::Log(Box::new(log.clone())), remark: None, children: Vec::new() }
    }
}

impl fmt::Display for TraceTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.traces.iter().try_for_each(|trace| trace.fmt(f))
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id.as_str() {
            "" => writeln!(f, "outside any trace")?,
            id => writeln!(f, "trace {id}")?,
        }
        // What is still to be shown, the next one last: the node, whether it is the last of its siblings, and for each
        // level above it whether that one was.
        let mut waiting: Vec<(usize, Vec<bool>)> = Vec::new();
        push(&mut waiting, &self.roots, &[]);
        while let Some((index, lasts)) = waiting.pop() {
            let Some(node) = self.nodes.get(index) else { continue };
            let (is_last, above) = lasts.split_last().map_or((true, &[][..]), |(is_last, above)| (*is_last, above));
            above.iter().try_for_each(|was_last| f.write_str(if *was_last { "   " } else { "│  " }))?;
            f.write_str(if is_last { "└─ " } else { "├─ " })?;
            writeln!(f, "{node}")?;
            push(&mut waiting, &node.children, &lasts);
        }
        Ok(())
    }
}

fn push(waiting: &mut Vec<(usize, Vec<bool>)>, nodes: &[usize], above: &[bool]) {
    let above = above.get(..above.len().min(MAX_INDENT)).unwrap_or_default();
    for (place, node) in nodes.iter().enumerate().rev() {
        let mut lasts = above.to_vec();
        lasts.push(place + 1 == nodes.len());
        waiting.push((*node, lasts));
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes = match &self.item {
            Item::Span(span) => {
                span.write_head(f)?;
                &span.attributes
            }
            Item::Log(log) => {
                for (text, separator) in [(log.severity(), " "), (log.target(), " "), (&log.message(), "")] {
                    write_escaped(f, text)?;
                    f.write_str(separator)?;
                }
                &log.attributes
            }
        };
        let shown: Attributes = attributes
            .iter()
            .filter(|(key, _)| {
                !key.starts_with("code.") && !key.starts_with("thread.") && *key != "exception.stacktrace"
            })
            .map(|(key, value)| (key.to_owned(), value.clone()))
            .collect();
        if !shown.is_empty() {
            write!(f, "  {shown}")?;
        }
        match &self.remark {
            Some(remark) => write!(f, "  ({remark})"),
            None => Ok(()),
        }
    }
}
