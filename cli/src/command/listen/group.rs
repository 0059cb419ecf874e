//! Traces that wait until they are complete, as far as anybody can know: a span comes when it has ended, and each service
//! sends its own at its own pace.
//!
//! Constraint: so many items wait at most. Where there are more, the trace that has been quiet longest is not waited for.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use logbridge_receiver::internals::{Paint, ReceivedLog, ReceivedSpan, TraceTree};

/// Some tens of megabytes.
const MOST_ITEMS: usize = 20_000;

#[derive(Debug)]
pub(super) struct Traces {
    waiting: HashMap<String, Trace>,
    items: usize,
    most: usize,
    quiet: Duration,
}

#[derive(Debug)]
struct Trace {
    spans: Vec<ReceivedSpan>,
    logs: Vec<ReceivedLog>,
    begun: Instant,
    last: Instant,
}

impl Traces {
    pub(super) fn new(quiet: Duration) -> Self {
        Self { waiting: HashMap::new(), items: 0, most: MOST_ITEMS, quiet }
    }

    pub(super) fn log(&mut self, log: ReceivedLog, now: Instant) {
        self.trace(log.trace_id.clone(), now).logs.push(log);
    }

    pub(super) fn span(&mut self, span: ReceivedSpan, now: Instant) {
        self.trace(span.trace_id.clone(), now).spans.push(span);
    }

    fn trace(&mut self, id: String, now: Instant) -> &mut Trace {
        self.items += 1;
        let trace = self.waiting.entry(id).or_insert_with(|| Trace {
            spans: Vec::new(),
            logs: Vec::new(),
            begun: now,
            last: now,
        });
        trace.last = now;
        trace
    }

    /// Drawings of those that are complete, and of those for which there is no room.
    pub(super) fn due(&mut self, now: Instant, look: Paint) -> String {
        let quiet = self.quiet;
        let mut due = self.take(|trace| now.saturating_duration_since(trace.last) >= quiet);
        while self.items > self.most {
            let Some(oldest) = self.waiting.values().map(|trace| trace.last).min() else { break };
            due.extend(self.take(|trace| trace.last == oldest));
        }
        draw(due, look)
    }

    /// Drawings of all that wait.
    pub(super) fn rest(&mut self, look: Paint) -> String {
        draw(self.take(|_| true), look)
    }

    fn take(&mut self, which: impl Fn(&Trace) -> bool) -> Vec<Trace> {
        let taken: Vec<Trace> = self.waiting.extract_if(|_, trace| which(trace)).map(|(_, trace)| trace).collect();
        self.items -= taken.iter().map(|trace| trace.spans.len() + trace.logs.len()).sum::<usize>();
        taken
    }
}

/// In the order in which they began.
fn draw(mut traces: Vec<Trace>, look: Paint) -> String {
    traces.sort_by_key(|trace| trace.begun);
    traces.iter().map(|trace| format!("{}\n", TraceTree::with_look(&trace.spans, &trace.logs, look))).collect()
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
    fn a_trace_is_drawn_when_it_is_quiet_and_not_before() {
        let (mut traces, start) = (Traces::new(Duration::from_secs(2)), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        traces.log(log(1), at(0));
        traces.log(log(2), at(1));
        assert_eq!(traces.due(at(1), Paint::default()), "");
        traces.log(log(1), at(2));
        let drawn = traces.due(at(3), Paint::default());
        assert!(drawn.starts_with(&format!("trace {:032x}\n", 2)), "{drawn}");
        assert_eq!(traces.items, 2);
        assert_eq!(traces.due(at(4), Paint::default()).matches("INFO").count(), 2);
        assert_eq!((traces.items, traces.rest(Paint::default())), (0, String::new()));
    }

    #[test]
    fn where_there_is_no_room_the_quietest_goes_first() {
        let (mut traces, start) = (Traces::new(Duration::from_secs(60)), Instant::now());
        traces.most = 3;
        for number in 1..=4 {
            traces.log(log(number), start + Duration::from_millis(u64::from(number)));
        }
        let drawn = traces.due(start + Duration::from_millis(9), Paint::default());
        assert!(drawn.contains(&format!("trace {:032x}", 1)), "{drawn}");
        assert_eq!((drawn.matches("trace").count(), traces.items), (1, 3));
    }
}
