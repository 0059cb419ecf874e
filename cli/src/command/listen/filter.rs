//! What is shown of what comes in.

use log::Level;

use logbridge_receiver::internals::{Message, ReceivedLog, ReceivedPoint, ReceivedSpan};

/// What is shown; everything by default.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) service: Option<String>,
    /// How the target begins.
    pub(super) target: Option<String>,
    /// The lowest level.
    pub(super) level: Option<Level>,
    /// How the trace id begins, in lower case.
    pub(super) trace: Option<String>,
    /// What stands in the line.
    pub(super) text: Option<String>,
}

impl Filter {
    pub(super) fn log(&self, log: &ReceivedLog) -> bool {
        // One that does not say how severe it is may be severe.
        let is_severe = |level: &Level| log.severity_number == 0 || log.severity_number >= lowest(*level);
        self.level.as_ref().is_none_or(is_severe)
            && self.of(log.service_name(), log.target(), Some(&log.trace_id))
            && self.line(log)
    }

    pub(super) fn span(&self, span: &ReceivedSpan) -> bool {
        self.of(span.service_name(), &span.scope.name, Some(&span.trace_id)) && self.line(span)
    }

    pub(super) fn point(&self, point: &ReceivedPoint) -> bool {
        self.of(point.service_name(), &point.scope.name, None)
            && self.text.as_ref().is_none_or(|text| {
                point.name.contains(text) || point.value.contains(text) || point.attributes.to_string().contains(text)
            })
    }

    fn of(&self, service: &str, target: &str, trace: Option<&String>) -> bool {
        self.service.as_ref().is_none_or(|wanted| wanted == service)
            && self.target.as_ref().is_none_or(|wanted| target.starts_with(wanted))
            && self.trace.as_ref().is_none_or(|wanted| trace.is_some_and(|trace| trace.starts_with(wanted)))
    }

    fn line(&self, item: &impl std::fmt::Display) -> bool {
        self.text.as_ref().is_none_or(|text| item.to_string().contains(text))
    }
}

/// The lowest severity number of a level.
fn lowest(level: Level) -> i32 {
    match level {
        Level::Trace => 1,
        Level::Debug => 5,
        Level::Info => 9,
        Level::Warn => 13,
        Level::Error => 17,
    }
}

/// Leaves of a request what is to be shown, given for each item in order; says whether anything is left.
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
        // Points are not taken apart: a request is shown whole where any of it is.
        Message::Metrics(_) => shown.contains(&true),
    }
}
