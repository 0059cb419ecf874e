//! Groups received spans and log records by trace until the trace is complete.
//!
//! A trace is considered complete after a quiet time, because services send their spans independently when they end.
//!
//! Constraint: the number of waiting items is limited. Beyond the limit, the trace with the longest quiet time is
//! completed early.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use logbridge_receiver::internals::{LineStyle, ReceivedLog, ReceivedSpan, TraceTree};

/// Limits the waiting items to some tens of megabytes.
const MAX_ITEMS: usize = 20_000;

#[derive(Debug)]
pub(super) struct TraceGroups {
    waiting: HashMap<String, Trace>,
    items: usize,
    max_items: usize,
    quiet: Duration,
}

#[derive(Debug)]
struct Trace {
    spans: Vec<ReceivedSpan>,
    logs: Vec<ReceivedLog>,
    first_at: Instant,
    last_at: Instant,
}

impl TraceGroups {
    pub(super) fn new(quiet: Duration) -> Self {
        Self { waiting: HashMap::new(), items: 0, max_items: MAX_ITEMS, quiet }
    }

    pub(super) fn add_log(&mut self, log: ReceivedLog, now: Instant) {
        self.trace(log.trace_id.clone(), now).logs.push(log);
    }

    pub(super) fn add_span(&mut self, span: ReceivedSpan, now: Instant) {
        self.trace(span.trace_id.clone(), now).spans.push(span);
    }

    fn trace(&mut self, id: String, now: Instant) -> &mut Trace {
        self.items += 1;
        let trace = self.waiting.entry(id).or_insert_with(|| Trace {
            spans: Vec::new(),
            logs: Vec::new(),
            first_at: now,
            last_at: now,
        });
        trace.last_at = now;
        trace
    }

    /// Removes the complete traces, and those beyond the limit, and draws them as trees.
    pub(super) fn take_complete(&mut self, now: Instant, line_style: LineStyle) -> String {
        let quiet = self.quiet;
        let mut complete = self.take(|trace| now.saturating_duration_since(trace.last_at) >= quiet);
        while self.items > self.max_items {
            let Some(oldest) = self.waiting.values().map(|trace| trace.last_at).min() else { break };
            complete.extend(self.take(|trace| trace.last_at == oldest));
        }
        draw(complete, line_style)
    }

    /// Removes all traces and draws them as trees.
    pub(super) fn take_all(&mut self, line_style: LineStyle) -> String {
        draw(self.take(|_| true), line_style)
    }

    fn take(&mut self, which: impl Fn(&Trace) -> bool) -> Vec<Trace> {
        let taken: Vec<Trace> = self.waiting.extract_if(|_, trace| which(trace)).map(|(_, trace)| trace).collect();
        self.items -= taken.iter().map(|trace| trace.spans.len() + trace.logs.len()).sum::<usize>();
        taken
    }
}

/// Draws traces as trees, ordered by their first item.
fn draw(mut traces: Vec<Trace>, line_style: LineStyle) -> String {
    traces.sort_by_key(|trace| trace.first_at);
    traces.iter().map(|trace| format!("{}\n", TraceTree::with_style(&trace.spans, &trace.logs, line_style))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(trace: u32) -> ReceivedLog {
        let mut log = ReceivedLog::default();
        log.trace_id = format!("{trace:032x}");
        log.severity_text = "INFO".to_owned();
        log
    }

    #[test]
    fn a_trace_is_drawn_after_the_quiet_time_and_not_before() {
        let (mut traces, start) = (TraceGroups::new(Duration::from_secs(2)), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        traces.add_log(log(1), at(0));
        traces.add_log(log(2), at(1));
        assert_eq!(traces.take_complete(at(1), LineStyle::default()), "");
        traces.add_log(log(1), at(2));
        let drawn = traces.take_complete(at(3), LineStyle::default());
        assert!(drawn.starts_with(&format!("trace {:032x}\n", 2)), "{drawn}");
        assert_eq!(traces.items, 2);
        assert_eq!(traces.take_complete(at(4), LineStyle::default()).matches("INFO").count(), 2);
        assert_eq!((traces.items, traces.take_all(LineStyle::default())), (0, String::new()));
    }

    #[test]
    fn beyond_the_limit_the_quietest_trace_is_completed_first() {
        let (mut traces, start) = (TraceGroups::new(Duration::from_secs(60)), Instant::now());
        traces.max_items = 3;
        for number in 1..=4 {
            traces.add_log(log(number), start + Duration::from_millis(u64::from(number)));
        }
        let drawn = traces.take_complete(start + Duration::from_millis(9), LineStyle::default());
        assert!(drawn.contains(&format!("trace {:032x}", 1)), "{drawn}");
        assert_eq!((drawn.matches("trace").count(), traces.items), (1, 3));
    }
}
