//! Records and spans drawn as the trees that they make up.

use std::fmt;

use super::forest::{Forest, Item, Node, Standing};
use super::line::Paint;
use super::{ReceivedLog, ReceivedSpan};
use crate::escape::OneLine;

/// Down to this level each level is drawn further to the right than the one above. A chain of 10,000 spans would make
/// lines of 30,000 columns.
const DRAWN_LEVELS: usize = 64;

/// Spans and the records written in them, drawn as trees, for a reader.
///
/// `Display` is the drawing, without colours and without a line break at the end:
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
/// A span has its name, its duration, its status if that is an error, and its attributes but for `code.*` and
/// `thread.*`. A record has its severity, its target, its message, and its attributes but for these and
/// `exception.stacktrace`. What stands under a span is in order of time, that is of the start for a span; so are the
/// traces. What has no time comes last. Control characters are escaped.
///
/// What cannot stand where it belongs is a root of its trace and says why: the parent or the span of the record did not
/// arrive, or the span is its own ancestor. Of spans with the same ids each is drawn, and the first one has all the
/// children. From the 65th level on, lines do not move further to the right: they begin with the number of their level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceTree {
    text: String,
}

impl TraceTree {
    /// Draws these spans and records, such as those of [`Receiver::spans`](super::Receiver::spans) and
    /// [`Receiver::logs`](super::Receiver::logs).
    pub fn new(spans: &[ReceivedSpan], logs: &[ReceivedLog]) -> Self {
        Self::with_look(spans, logs, Paint::default())
    }

    /// The same with this look.
    pub fn with_look(spans: &[ReceivedSpan], logs: &[ReceivedLog], paint: Paint) -> Self {
        Self { text: Drawing(&Forest::new(spans, logs), paint).to_string() }
    }
}

impl fmt::Display for TraceTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A forest with its look.
struct Drawing<'a>(&'a Forest<'a>, Paint);

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

/// A node to be drawn.
struct Step {
    node: usize,
    /// How many nodes are above it.
    depth: usize,
    /// Whether nothing stands below it on its level.
    last: bool,
}

impl Drawing<'_> {
    fn draw(&self, f: &mut fmt::Formatter<'_>, roots: &[usize]) -> fmt::Result {
        let mut steps = Vec::new();
        plan(&mut steps, roots, 0);
        // For each level above the current node: whether a line goes on down to a later node of that level.
        let mut lines: Vec<bool> = Vec::new();
        while let Some(Step { node, depth, last }) = steps.pop() {
            let node = &self.0.nodes[node];
            lines.truncate(depth);
            f.write_str("\n")?;
            for goes_on in lines.iter().take(DRAWN_LEVELS) {
                f.write_str(if *goes_on { "│  " } else { "   " })?;
            }
            match (depth < DRAWN_LEVELS, last) {
                (true, false) => f.write_str("├─ ")?,
                (true, true) => f.write_str("└─ ")?,
                (false, _) => write!(f, "… {}: ", depth + 1)?,
            }
            write_node(f, node, self.1)?;
            lines.push(!last);
            plan(&mut steps, &node.children, depth + 1);
        }
        Ok(())
    }
}

/// Puts siblings on the stack so that the first one is taken next.
fn plan(steps: &mut Vec<Step>, siblings: &[usize], depth: usize) {
    let mut last = true;
    for node in siblings.iter().rev() {
        steps.push(Step { node: *node, depth, last });
        last = false;
    }
}

fn write_node(f: &mut fmt::Formatter<'_>, node: &Node<'_>, paint: Paint) -> fmt::Result {
    match node.item {
        Item::Log(log) => write_log(f, log, paint)?,
        Item::Span(span) => write_span(f, span, paint)?,
    }
    match (node.standing, node.item) {
        (Standing::Proper, _) => Ok(()),
        (Standing::Circular, _) => f.write_str(" (is its own ancestor)"),
        (Standing::Orphan, Item::Log(_)) => f.write_str(" (its span did not arrive)"),
        (Standing::Orphan, Item::Span(span)) => {
            f.write_str(" (parent ")?;
            write!(f, "{}", OneLine(&span.parent_span_id))?;
            f.write_str(" did not arrive)")
        }
    }
}

fn write_span(f: &mut fmt::Formatter<'_>, span: &ReceivedSpan, paint: Paint) -> fmt::Result {
    paint.service(f, span.service_name())?;
    span.write_head(f, paint)?;
    if span.is_error() {
        span.write_status(f, paint)?;
    }
    paint.attributes_in_tree(f, &span.attributes, |_| true)
}

fn write_log(f: &mut fmt::Formatter<'_>, log: &ReceivedLog, paint: Paint) -> fmt::Result {
    paint.severity_first(f, log.severity_number, log.severity())?;
    if !log.target().is_empty() {
        f.write_str(" ")?;
        paint.name(f, log.target())?;
    }
    let message = log.message();
    if !message.is_empty() {
        f.write_str(" ")?;
        write!(f, "{}", OneLine(&message))?;
    }
    paint.attributes_in_tree(f, &log.attributes, |key| key != "exception.stacktrace")
}
