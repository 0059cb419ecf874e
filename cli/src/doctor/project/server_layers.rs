//! The rule about routers with two layers that each make a span for a request. See docs/missing-logs.md#h14.
//!
//! Layers belong to one router if they are in one chain of calls, or in chains that a variable connects within a block.
//! Other connections (`merge`, `nest`, functions, branches) are not followed, because they prove nothing.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;

use super::Facts;
use super::source::File;
use super::strip::closing;
use logbridge::internals::finding::{Finding, FindingExt as _, Severity, kind, new_finding};

const CALLS: [&str; 2] = [".layer(", ".route_layer("];
/// Limits how many variables are followed from one to the next, and in a whole file.
const MAX_DEPTH: usize = 32;
const MAX_VARIABLES: usize = 1000;
/// Limits the findings, because each one has the same fix.
const MAX_FINDINGS: usize = 3;

/// A layer that makes a span for each request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum SpanLayer {
    /// Of axum-tracing-opentelemetry.
    OtelAxum,
    /// `TraceLayer` with the span of logbridge-http.
    RequestSpan,
    /// Of logbridge-http.
    Server,
    /// Of opentelemetry-instrumentation-tower.
    Tower,
    /// `TraceLayer` with its own span.
    Trace,
}

impl SpanLayer {
    fn name(self) -> &'static str {
        match self {
            Self::OtelAxum => "OtelAxumLayer",
            Self::RequestSpan => "TraceLayer with `request_span`",
            Self::Server => "ServerLayer",
            Self::Tower => "Layer of opentelemetry-instrumentation-tower",
            Self::Trace => "TraceLayer",
        }
    }
}

/// A layer with its offset.
type Layer = (usize, SpanLayer);
/// The layers of a router, from the innermost to the outermost.
type Layers = Vec<Layer>;

/// The packages in the build whose layers have names that other packages use, too.
#[derive(Clone, Copy)]
struct Packages {
    logbridge_http: bool,
    tower: bool,
}

pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let has = |package: &str| facts.graph.has(&facts.build, package);
    let packages =
        Packages { logbridge_http: has("logbridge-http"), tower: has("opentelemetry-instrumentation-tower") };
    let pairs =
        facts.sources.files.iter().flat_map(|file| pairs(packages, file).into_iter().map(move |pair| (file, pair)));
    pairs.take(MAX_FINDINGS).map(|(file, (inner, outer))| finding(facts, file, inner, outer)).collect()
}

/// Returns the pairs of layers of one router that each make a span, the inner layer first.
fn pairs(packages: Packages, file: &File) -> Vec<(Layer, Layer)> {
    let mut pairs = Vec::new();
    for layers in Routers::of(packages, file).all() {
        for (index, inner) in layers.iter().enumerate() {
            for outer in layers.iter().skip(index + 1) {
                // If one chain continues another, both contain the pair.
                if is_doubled(inner.1, outer.1) && !pairs.contains(&(*inner, *outer)) {
                    pairs.push((*inner, *outer));
                }
            }
        }
    }
    pairs
}

/// Returns whether both make a span. logbridge does not create the span of `TraceLayer` inside that of `ServerLayer`.
fn is_doubled(inner: SpanLayer, outer: SpanLayer) -> bool {
    inner != outer && !(inner == SpanLayer::Trace && matches!(outer, SpanLayer::Server | SpanLayer::RequestSpan))
}

fn finding(facts: &Facts<'_>, file: &File, inner: Layer, outer: Layer) -> Finding {
    let pair = [inner.1, outer.1];
    let other = |one: SpanLayer| if inner.1 == one { outer.1 } else { inner.1 };
    let has_level = facts.environment.get("LOGBRIDGE_SPAN_LEVEL").is_some()
        || facts.sources.has_any(&[".span_level(", ".span_module_level("]);
    // The level of the span of OtelAxumLayer depends on a feature, and other subscribers have other thresholds.
    let is_certain = facts.uses.logbridge && !has_level && !pair.contains(&SpanLayer::OtelAxum);
    let text = format!(
        "a request {} two spans: {} makes one, and `{}` inside it ({}) makes another",
        if is_certain { "has" } else { "may have" },
        quoted(outer.1),
        inner.1.name(),
        file.place(inner.0),
    );
    let help = if pair.contains(&SpanLayer::Server) {
        match other(SpanLayer::Server) {
            SpanLayer::Trace => {
                "put `ServerLayer` outside of `TraceLayer` (on a router, in the last call of `layer`): logbridge then \
                 creates only its span; or drop `TraceLayer`"
                    .to_owned()
            }
            SpanLayer::RequestSpan => "drop one of them: both make the same span".to_owned(),
            dropped => format!("drop {}: `ServerLayer` continues the caller's trace, too", quoted(dropped)),
        }
    } else if pair.contains(&SpanLayer::Trace) {
        format!(
            "drop `TraceLayer`: {} continues the caller's trace, and `TraceLayer` does not",
            quoted(other(SpanLayer::Trace))
        )
    } else {
        "drop one of them".to_owned()
    };
    let severity = if is_certain { Severity::Warning } else { Severity::Note };
    let place = file.place(outer.0);
    new_finding(&kind::TWO_SERVER_LAYERS, severity, place, text).at(file.line(outer.0), 0..0).help(help)
}

fn quoted(layer: SpanLayer) -> String {
    match layer {
        SpanLayer::RequestSpan | SpanLayer::Tower => format!("the {}", layer.name()),
        _ => format!("`{}`", layer.name()),
    }
}

/// The routers of a file.
struct Routers<'a> {
    packages: Packages,
    file: &'a File,
    /// The calls of `layer` by the offset at which their chain begins, each with the range of its argument.
    chains: BTreeMap<usize, Vec<Range<usize>>>,
    variables_left: Cell<usize>,
}

impl<'a> Routers<'a> {
    fn of(packages: Packages, file: &'a File) -> Self {
        let mut calls: Vec<Range<usize>> = Vec::new();
        for call in CALLS {
            calls.extend(file.find(call).map(|at| at..at + call.len() - 1));
        }
        calls.sort_by_key(|call| call.start);
        let mut chains: BTreeMap<usize, Vec<Range<usize>>> = BTreeMap::new();
        for Range { start: at, end: open } in calls {
            // An attribute may remove the statement from the build.
            if !file.code(file.statement(at)).trim_start().starts_with("#[cfg") {
                let argument = open + 1..closing(&file.code, open).saturating_sub(1);
                chains.entry(chain_start(&file.code, at)).or_default().push(argument);
            }
        }
        Self { packages, file, chains, variables_left: Cell::new(MAX_VARIABLES) }
    }

    fn all(&self) -> impl Iterator<Item = Layers> + '_ {
        self.chains.keys().map(|start| self.layers_of_chain(*start, 0))
    }

    /// Returns the layers of the chain that begins there, and of the variable with which it begins.
    fn layers_of_chain(&self, start: usize, depth: usize) -> Layers {
        if depth > MAX_DEPTH {
            return Layers::new();
        }
        let mut layers = match self.file.code.get(start..).and_then(leading_variable) {
            Some(variable) => match self.value_of(variable, start) {
                Some(value) if value != start => self.layers_of_chain(value, depth + 1),
                _ => Layers::new(),
            },
            None => Layers::new(),
        };
        let arguments = self.chains.get(&start).map(Vec::as_slice).unwrap_or_default();
        let parts = arguments.iter().map(|argument| self.layers_of_argument(argument.clone(), depth));
        // A builder wraps the service in its first layer last.
        layers.extend(in_order(parts.collect(), is_builder(self.file.code.get(start..).unwrap_or_default())));
        layers
    }

    /// Returns the layers that an argument of `layer` stands for.
    fn layers_of_argument(&self, range: Range<usize>, depth: usize) -> Layers {
        let text = self.file.code(range.clone());
        let start = range.start + text.len() - text.trim_start().len();
        let text = text.trim();
        if depth > MAX_DEPTH {
            return Layers::new();
        }
        if text.starts_with('(') && closing(text, 0) == text.len() {
            let parts = top_level_parts(text, start).into_iter().map(|part| self.layers_of_argument(part, depth + 1));
            return in_order(parts.collect(), true);
        }
        if is_builder(text) {
            return self.layers_of_chain(start, depth + 1);
        }
        if !text.is_empty() && text.chars().all(is_word) {
            return match self.value_of(text, start) {
                Some(value) => self.layers_of_argument(value..self.end_of_statement(value), depth + 1),
                None => Layers::new(),
            };
        }
        self.span_layer(text).map(|layer| (start, layer)).into_iter().collect()
    }

    fn span_layer(&self, expression: &str) -> Option<SpanLayer> {
        let head = expression.split('(').next().unwrap_or_default().trim();
        let names: Vec<&str> = head.split("::").map(str::trim).collect();
        if names.contains(&"TraceLayer") {
            let Some((_, made)) = expression.split_once(".make_span_with(") else { return Some(SpanLayer::Trace) };
            // Any other function may return the span of another layer, or none.
            return match made.trim_start() {
                made if made.starts_with("logbridge_http::request_span") || made.starts_with("request_span") => {
                    Some(SpanLayer::RequestSpan)
                }
                made if made.contains("DefaultMakeSpan::") => Some(SpanLayer::Trace),
                _ => None,
            };
        }
        if names.contains(&"OtelAxumLayer") {
            return Some(SpanLayer::OtelAxum);
        }
        if names.contains(&"ServerLayer") && self.packages.logbridge_http {
            return Some(SpanLayer::Server);
        }
        let is_tower =
            ["Layer", "LayerBuilder", "HTTPLayer", "HTTPLayerBuilder"].iter().any(|name| names.contains(name));
        let makes_spans = !expression.contains(".with_tracing(false)");
        (is_tower && makes_spans && self.packages.tower).then_some(SpanLayer::Tower)
    }

    /// Returns the offset of the value that a variable has at a place, if the same block sets it before.
    fn value_of(&self, variable: &str, before: usize) -> Option<usize> {
        self.variables_left.set(self.variables_left.get().checked_sub(1)?);
        let code = &self.file.code;
        let function = self.file.function(before);
        let block = block_start(code, before);
        let assigned = self.file.find(variable).filter(|at| function.contains(at) && *at < before);
        let values = assigned.filter_map(|at| {
            let rest = code.get(at + variable.len()..before)?;
            let value = rest.trim_start().strip_prefix('=').filter(|value| !value.starts_with('='))?;
            let value = before - value.trim_start().len();
            (block_start(code, at) == block
                && !self.file.code(self.file.statement(at)).trim_start().starts_with("#[cfg"))
            .then_some(value)
        });
        // The statement at `before` may assign the variable itself: `app = app.layer(…)`.
        values.filter(|value| *value < before).last()
    }

    fn end_of_statement(&self, at: usize) -> usize {
        self.file.statement(at).end
    }
}

fn in_order(mut parts: Vec<Layers>, is_reversed: bool) -> Layers {
    if is_reversed {
        parts.reverse();
    }
    parts.concat()
}

/// Returns whether a chain begins with a builder, whose first layer is the outermost.
fn is_builder(chain: &str) -> bool {
    let head = chain.split('(').next().unwrap_or_default();
    head.ends_with("ServiceBuilder::new")
        || head.ends_with("ServiceBuilder::default")
        || head.ends_with("Server::builder")
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns the variable with which a chain of calls begins, as in `app.layer(…)`.
fn leading_variable(chain: &str) -> Option<&str> {
    let end = chain.find(|c| !is_word(c))?;
    let (variable, rest) = chain.split_at_checked(end)?;
    (!variable.is_empty() && rest.trim_start().starts_with('.')).then_some(variable)
}

/// Returns the offset at which the chain of calls around a place begins.
fn chain_start(code: &str, at: usize) -> usize {
    let bytes = code.as_bytes();
    let mut start = at;
    let mut depth = 0usize;
    while start > 0 {
        match bytes[start - 1] {
            b')' | b']' => depth += 1,
            b'(' | b'[' if depth > 0 => depth -= 1,
            b'(' | b'[' | b';' | b'{' | b'}' | b',' | b'=' | b'|' | b'&' if depth == 0 => break,
            b'>' if depth == 0 && start > 1 && bytes[start - 2] == b'=' => break,
            _ => {}
        }
        start -= 1;
    }
    let before = code.get(start..at).unwrap_or_default();
    let trimmed = before.trim_start();
    let trimmed = trimmed.strip_prefix("return ").map_or(trimmed, str::trim_start);
    at - trimmed.len()
}

/// Returns the offset of the brace that opens the block around a place.
fn block_start(code: &str, at: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (position, byte) in code.as_bytes().get(..at)?.iter().enumerate().rev() {
        match byte {
            b'}' => depth += 1,
            b'{' if depth == 0 => return Some(position),
            b'{' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Returns the ranges of the elements of a tuple that begins at an offset.
fn top_level_parts(tuple: &str, offset: usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0usize, 1);
    for (at, byte) in tuple.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 1 => {
                parts.push(offset + start..offset + at);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(offset + start..offset + tuple.len().saturating_sub(1));
    parts
}

#[cfg(test)]
#[path = "server_layers_tests.rs"]
mod tests;
