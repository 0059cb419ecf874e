//! Draws traces as trees of spans and records.

use std::fmt;

use super::forest::{Forest, Item, Node, Placement};
use super::line_style::LineStyle;
use super::{ReceivedLog, ReceivedSpan};
use crate::escape::OneLine;

/// The number of levels that are indented. A chain of 10,000 spans would otherwise need lines of 30,000 columns.
const INDENTED_LEVELS: usize = 64;

/// A drawing of traces: each span with its children and records below it.
///
/// `Display` writes the drawing without colors and without a trailing line break:
///
/// ```text
/// trace 101112131415161718191a1b1c1d1e1f
/// └─ checkout 1.23ms  error: card declined  order=1001
///    ├─ INFO  shop::cart order placed  user=42
///    └─ charge 900µs  amount=9.5
///       └─ WARN  shop::pay slow
/// outside any trace
/// └─ INFO  shop starting
/// ```
///
/// A span shows its name, its duration, its status if that is error, and its attributes except for `code.*` and
/// `thread.*`. A record shows its severity, target, message, and its attributes except for these and
/// `exception.stacktrace`. Control characters are escaped.
///
/// Traces and the items below a span are in order of time, which for a span is its start. Items without a time come
/// last.
///
/// An item is drawn as a root, with the reason, if its span or parent is missing or if a span is its own ancestor. If
/// several spans have the same ids, each is drawn, and the first one has all the children. Levels from the 65th on are
/// not indented further: their lines begin with the number of the level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceTree {
    text: String,
}

impl TraceTree {
    /// Draws spans and records, such as those of [`Receiver::spans`](super::Receiver::spans) and
    /// [`Receiver::logs`](super::Receiver::logs).
    pub fn new(spans: &[ReceivedSpan], logs: &[ReceivedLog]) -> Self {
        Self::with_style(spans, logs, LineStyle::default())
    }

    /// Draws spans and records with the name of the service before each span, and with colors.
    ///
    /// Colors are escape sequences, so write the drawing only to a terminal that shows them. The crate `anstream` removes
    /// them elsewhere, and if `NO_COLOR` is set.
    pub fn colored(spans: &[ReceivedSpan], logs: &[ReceivedLog]) -> Self {
        Self::with_style(spans, logs, LineStyle { colors: true, service: true, ..LineStyle::default() })
    }

    /// Draws spans and records in this style.
    ///
    /// Not part of the API: it may change in any version.
    #[doc(hidden)]
    pub fn with_style(spans: &[ReceivedSpan], logs: &[ReceivedLog], style: LineStyle) -> Self {
        Self { text: Drawing(&Forest::new(spans, logs), style).to_string() }
    }
}

impl fmt::Display for TraceTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

struct Drawing<'a>(&'a Forest<'a>, LineStyle);

impl fmt::Display for Drawing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, trace) in self.0.traces.iter().enumerate() {
            f.write_str(if position == 0 { "" } else { "\n" })?;
            match trace.id {
                Some(id) => self.1.heading(f, format_args!("trace {}", OneLine(id)))?,
                None => self.1.heading(f, format_args!("outside any trace"))?,
            }
            self.draw(f, &trace.roots)?;
        }
        Ok(())
    }
}

/// A node that is still to be drawn.
struct PendingNode {
    index: usize,
    depth: usize,
    is_last_sibling: bool,
}

impl Drawing<'_> {
    fn draw(&self, f: &mut fmt::Formatter<'_>, roots: &[usize]) -> fmt::Result {
        let mut pending = Vec::new();
        push_siblings(&mut pending, roots, 0);
        // For each level above the current node: whether more nodes follow on that level.
        let mut more_follow: Vec<bool> = Vec::new();
        while let Some(PendingNode { index, depth, is_last_sibling }) = pending.pop() {
            let node = &self.0.nodes[index];
            more_follow.truncate(depth);
            f.write_str("\n")?;
            for more_follow in more_follow.iter().take(INDENTED_LEVELS) {
                f.write_str(if *more_follow { "│  " } else { "   " })?;
            }
            match (depth < INDENTED_LEVELS, is_last_sibling) {
                (true, false) => f.write_str("├─ ")?,
                (true, true) => f.write_str("└─ ")?,
                (false, _) => write!(f, "… {}: ", depth + 1)?,
            }
            write_node(f, node, self.1)?;
            more_follow.push(!is_last_sibling);
            push_siblings(&mut pending, &node.children, depth + 1);
        }
        Ok(())
    }
}

/// Pushes siblings on the stack so that the first one is popped first.
fn push_siblings(pending: &mut Vec<PendingNode>, siblings: &[usize], depth: usize) {
    let mut is_last_sibling = true;
    for index in siblings.iter().rev() {
        pending.push(PendingNode { index: *index, depth, is_last_sibling });
        is_last_sibling = false;
    }
}

fn write_node(f: &mut fmt::Formatter<'_>, node: &Node<'_>, style: LineStyle) -> fmt::Result {
    match node.item {
        Item::Log(log) => write_log(f, log, style)?,
        Item::Span(span) => write_span(f, span, style)?,
    }
    match (node.placement, node.item) {
        (Placement::InPlace, _) => Ok(()),
        (Placement::Circular, _) => f.write_str(" (is its own ancestor)"),
        (Placement::Orphan, Item::Log(_)) => f.write_str(" (its span did not arrive)"),
        (Placement::Orphan, Item::Span(span)) => {
            f.write_str(" (parent ")?;
            write!(f, "{}", OneLine(&span.parent_span_id))?;
            f.write_str(" did not arrive)")
        }
    }
}

fn write_span(f: &mut fmt::Formatter<'_>, span: &ReceivedSpan, style: LineStyle) -> fmt::Result {
    style.service(f, span.service_name())?;
    span.write_head(f, style)?;
    if span.is_error() {
        span.write_status(f, style)?;
    }
    style.attributes_in_tree(f, &span.attributes, |_| true)
}

fn write_log(f: &mut fmt::Formatter<'_>, log: &ReceivedLog, style: LineStyle) -> fmt::Result {
    style.severity_first(f, log.severity_number, log.severity())?;
    if !log.target().is_empty() {
        f.write_str(" ")?;
        style.name(f, log.target())?;
    }
    let message = log.message();
    if !message.is_empty() {
        f.write_str(" ")?;
        write!(f, "{}", OneLine(&message))?;
    }
    style.attributes_in_tree(f, &log.attributes, |key| key != "exception.stacktrace")
}
