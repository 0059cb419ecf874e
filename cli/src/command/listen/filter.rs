//! The filter that decides which received items are shown.

use log::Level;

use logbridge_receiver::internals::{Message, ReceivedLog, ReceivedPoint, ReceivedSpan};

/// Conditions for showing an item. By default, every item is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) service: Option<String>,
    /// A prefix of the target.
    pub(super) target: Option<String>,
    /// The lowest level.
    pub(super) level: Option<Level>,
    /// A prefix of the trace id, in lower case.
    pub(super) trace: Option<String>,
    /// A substring of the line.
    pub(super) text: Option<String>,
}

impl Filter {
    pub(super) fn log(&self, log: &ReceivedLog) -> bool {
        // A record without a severity may be severe, so it is shown.
        let is_severe_enough =
            |level: &Level| log.severity_number == 0 || log.severity_number >= lowest_severity(*level);
        self.level.as_ref().is_none_or(is_severe_enough)
            && self.matches(log.service_name(), log.target(), Some(&log.trace_id))
            && self.line_contains(log)
    }

    pub(super) fn span(&self, span: &ReceivedSpan) -> bool {
        self.matches(span.service_name(), &span.scope.name, Some(&span.trace_id)) && self.line_contains(span)
    }

    pub(super) fn point(&self, point: &ReceivedPoint) -> bool {
        self.matches(point.service_name(), &point.scope.name, None)
            && self.text.as_ref().is_none_or(|text| {
                point.name.contains(text) || point.value.contains(text) || point.attributes.to_string().contains(text)
            })
    }

    fn matches(&self, service: &str, target: &str, trace: Option<&String>) -> bool {
        self.service.as_ref().is_none_or(|wanted| wanted == service)
            && self.target.as_ref().is_none_or(|wanted| target.starts_with(wanted))
            && self.trace.as_ref().is_none_or(|wanted| trace.is_some_and(|trace| trace.starts_with(wanted)))
    }

    fn line_contains(&self, item: &impl std::fmt::Display) -> bool {
        self.text.as_ref().is_none_or(|text| item.to_string().contains(text))
    }
}

/// Returns the lowest OTLP severity number of a level.
fn lowest_severity(level: Level) -> i32 {
    match level {
        Level::Trace => 1,
        Level::Debug => 5,
        Level::Info => 9,
        Level::Warn => 13,
        Level::Error => 17,
    }
}

/// Removes the items that are not shown, given for each item in order. Returns whether any item is left.
pub(super) fn retain(message: &mut Message, shown: &[bool]) -> bool {
    let mut each = shown.iter().copied();
    let mut next = move || each.next().unwrap_or(false);
    match message {
        Message::Logs(request) => {
            for group in &mut request.resource_logs {
                for scope in &mut group.scope_logs {
                    scope.log_records.retain(|_| next());
                }
                group.scope_logs.retain(|scope| !scope.log_records.is_empty());
            }
            request.resource_logs.retain(|group| !group.scope_logs.is_empty());
            !request.resource_logs.is_empty()
        }
        Message::Traces(request) => {
            for group in &mut request.resource_spans {
                for scope in &mut group.scope_spans {
                    scope.spans.retain(|_| next());
                }
                group.scope_spans.retain(|scope| !scope.spans.is_empty());
            }
            request.resource_spans.retain(|group| !group.scope_spans.is_empty());
            !request.resource_spans.is_empty()
        }
        // Metrics are not split: a request is shown whole if any of its points is.
        Message::Metrics(_) => shown.contains(&true),
    }
}
