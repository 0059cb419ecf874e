//! What arrived, as far as the account and the findings need it: bounded, however much it is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use crate::command::inlet::{Levels, Passed, Tally, bounded, names_nothing};
use logbridge::internals::finding::Kind;
use logbridge_receiver::internals::{Message, ReceivedLog, points, records, spans};

/// So many ids, and so many records, are remembered to be compared; beyond that, nothing is concluded from them.
const REMEMBERED: usize = 200_000;

/// What HTTP clients log about themselves.
const CLIENTS: [&str; 7] = ["h2", "hyper", "hyper_util", "opentelemetry", "reqwest", "rustls", "tonic"];

/// Where something came from.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// What the endpoint (or, where nothing is passed on, `logbridge run`) took.
    pub(super) taken: Levels,
    /// What it did not take in the end, however often a client has tried.
    pub(super) refused: Levels,
    /// What came in requests of which it rejected some, and nobody knows which.
    pub(super) partly: Levels,
    /// All of them, whatever became of them.
    pub(super) spans: u64,
    pub(super) points: u64,
}

impl Scope {
    /// All log records, whatever became of them.
    pub(super) fn logs(&self) -> Levels {
        let mut sums = self.taken;
        for other in [self.refused, self.partly] {
            sums.0.iter_mut().zip(other.0).for_each(|(sum, number)| *sum += number);
        }
        sums
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ItemOutcome {
    Taken,
    Partly,
    Refused,
}

impl ItemOutcome {
    fn levels(self, scope: &mut Scope) -> &mut Levels {
        match self {
            Self::Taken => &mut scope.taken,
            Self::Partly => &mut scope.partly,
            Self::Refused => &mut scope.refused,
        }
    }
}

/// What deserves a look, in numbers of log records.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Odd {
    /// Of how many of them the rest was counted.
    pub(super) logs: u64,
    pub(super) with_trace: u64,
    /// Neither of the event nor of its observation.
    pub(super) without_time: u64,
    /// With the time of observation only.
    pub(super) only_observed: u64,
    pub(super) without_message: u64,
    pub(super) key_twice: u64,
    /// The same message and time as another one, of the same service.
    pub(super) twice: u64,
    /// With the target `log`, and the real one in an attribute.
    pub(super) by_log_tracer: u64,
    pub(super) of_clients: u64,
    /// With a trace id that no span had, known at the end only.
    pub(super) without_span: u64,
    /// Of anything, not of log records alone.
    pub(super) without_service: u64,
}

/// Requests that the endpoint did not take, or not whole, for one reason.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble {
    /// How often it answered so; a request that is sent again counts again.
    pub(super) tries: u64,
    /// How many of those held nothing.
    pub(super) empty: u64,
    /// Log records, spans and data points that it did not take in the end, and said so last.
    pub(super) items: [u64; 3],
    pub(super) kind: Option<&'static Kind>,
    pub(super) help: String,
}

#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) tally: Tally,
    /// By service, then by the name of the scope.
    pub(super) services: BTreeMap<String, BTreeMap<String, Scope>>,
    pub(super) odd: Odd,
    pub(super) timeline: Timeline,
    /// What the endpoint answered to requests that it did not take whole, in words.
    pub(super) troubles: BTreeMap<String, Trouble>,
    /// Some log record is of a program in Rust.
    pub(super) is_rust: bool,
    hasher: RandomState,
    seen: HashSet<u64>,
    /// Requests that were not taken, with what was said of them last: the same bytes may come again.
    open: HashMap<u64, String>,
    traces_of_spans: HashSet<String>,
    /// How many log records name it.
    traces_of_logs: HashMap<String, u64>,
    is_full: bool,
}

impl Evidence {
    pub(super) fn new() -> Self {
        Self {
            tally: Tally::new(),
            services: BTreeMap::new(),
            odd: Odd::default(),
            timeline: Timeline::new(),
            troubles: BTreeMap::new(),
            is_rust: false,
            hasher: RandomState::new(),
            seen: HashSet::new(),
            open: HashMap::new(),
            traces_of_spans: HashSet::new(),
            traces_of_logs: HashMap::new(),
            is_full: false,
        }
    }

    /// A request was answered, here (`None`) or by the endpoint. One that was not taken and comes again, byte by byte, is
    /// the same one: it is counted once, and says nothing about duplicates.
    pub(super) fn add(&mut self, message: &Message, body: &[u8], passed: Option<&Passed>) {
        let content = message.content();
        self.tally.request(content);
        let identity = self.hasher.hash_one((content.path(), body));
        let earlier = self.open.remove(&identity);
        let items = count(message);
        let all: u64 = items.iter().sum();
        if let Some(said) = &earlier {
            let trouble: &mut Trouble = bounded(&mut self.troubles, said);
            trouble.items.iter_mut().zip(items).for_each(|(left, number)| *left = left.saturating_sub(number));
        }
        let rejected = passed.map_or(0, |passed| passed.rejected).min(all);
        let fate = match passed {
            Some(passed) if !passed.is_final => ItemOutcome::Refused,
            // Nothing of it was taken.
            _ if rejected > 0 && rejected == all => ItemOutcome::Refused,
            _ if rejected > 0 => ItemOutcome::Partly,
            _ => ItemOutcome::Taken,
        };
        self.place(message, earlier.is_some().then_some(ItemOutcome::Refused), fate);
        let Some(passed) = passed else { return };
        self.tally.answer(&passed.said);
        if passed.is_taken {
            return;
        }
        let trouble: &mut Trouble = bounded(&mut self.troubles, &passed.said);
        trouble.tries += 1;
        trouble.empty += u64::from(all == 0);
        (trouble.kind, trouble.help) = (passed.kind, passed.help.clone());
        let lost = if fate == ItemOutcome::Refused { items } else { items.map(|number| number.min(rejected)) };
        trouble.items.iter_mut().zip(lost).for_each(|(sum, number)| *sum += number);
        if !passed.is_final && self.open.len() < REMEMBERED {
            self.open.insert(identity, passed.said.clone());
        }
    }

    /// Counts what a request holds as having had this fate, and no more as having had an earlier one.
    fn place(&mut self, message: &Message, earlier: Option<ItemOutcome>, fate: ItemOutcome) {
        let at = self.tally.since.elapsed();
        let is_new = earlier.is_none();
        match message {
            Message::Logs(request) => {
                for log in records(request) {
                    if is_new {
                        self.tally.log(&log);
                        self.timeline.add(at, Levels::of(log.severity_number));
                    }
                    let language = log.resource.get("telemetry.sdk.language").and_then(|language| language.as_str());
                    self.is_rust |= language == Some("rust");
                    let scope = self.scope(log.service_name(), log.target());
                    if let Some(earlier) = earlier {
                        earlier.levels(scope).remove(log.severity_number);
                    }
                    fate.levels(scope).add(log.severity_number);
                    if fate != ItemOutcome::Refused {
                        self.look(&log);
                    }
                }
            }
            Message::Traces(request) => {
                for span in spans(request).into_iter().filter(|_| is_new) {
                    self.tally.span(&span);
                    self.scope(span.service_name(), &span.scope.name).spans += 1;
                    self.timeline.add(at, Timeline::SPANS);
                    if self.traces_of_spans.len() < REMEMBERED {
                        self.traces_of_spans.insert(span.trace_id);
                    } else {
                        self.is_full = true;
                    }
                }
            }
            Message::Metrics(request) => {
                for point in points(request).into_iter().filter(|_| is_new) {
                    self.tally.point(&point);
                    self.scope(point.service_name(), &point.scope.name).points += 1;
                }
            }
        }
    }

    /// Log records, spans and data points that came, and how many of them were not taken in the end.
    pub(super) fn sent_and_lost(&self) -> [[u64; 2]; 3] {
        let sent = self.tally.items();
        std::array::from_fn(|kind| {
            let lost = self.troubles.values().filter_map(|trouble| trouble.items.get(kind)).sum();
            [sent.get(kind).copied().unwrap_or_default(), lost]
        })
    }

    fn scope(&mut self, service: &str, name: &str) -> &mut Scope {
        bounded(bounded(&mut self.services, service), name)
    }

    fn look(&mut self, log: &ReceivedLog) {
        let message = log.message();
        let identity =
            self.hasher.hash_one((log.service_name(), &message, log.time_unix_nano, log.observed_time_unix_nano));
        let odd = &mut self.odd;
        odd.logs += 1;
        odd.without_message += u64::from(message.is_empty());
        let is_observed = log.observed_time_unix_nano != 0;
        odd.without_time += u64::from(log.time_unix_nano == 0 && !is_observed);
        odd.only_observed += u64::from(log.time_unix_nano == 0 && is_observed);
        let mut keys = HashSet::new();
        odd.key_twice += u64::from(!log.attributes.keys().all(|key| keys.insert(key)));
        odd.by_log_tracer += u64::from(log.target() == "log" && log.attribute("log.target").is_some());
        let target = log.attribute("log.target").and_then(|value| value.as_str()).unwrap_or(log.target());
        let of_client =
            |client: &&str| target.strip_prefix(*client).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
        odd.of_clients += u64::from(CLIENTS.iter().any(of_client));
        if !names_nothing(&log.trace_id) {
            odd.with_trace += 1;
            if self.traces_of_logs.len() < REMEMBERED {
                *self.traces_of_logs.entry(log.trace_id.clone()).or_default() += 1;
            } else {
                self.is_full = true;
            }
        }
        // Without any time nothing tells two from one that was said twice.
        let has_time = log.time_unix_nano != 0 || log.observed_time_unix_nano != 0;
        if has_time && self.seen.len() < REMEMBERED {
            odd.twice += u64::from(!self.seen.insert(identity));
        }
    }

    /// Everything is here.
    pub(super) fn close(&mut self) {
        self.odd.without_service = self.tally.oddities.without_service + self.tally.oddities.unknown_service;
        if self.is_full || self.traces_of_spans.is_empty() {
            return;
        }
        let orphans = self.traces_of_logs.iter().filter(|(trace, _)| !self.traces_of_spans.contains(*trace));
        self.odd.without_span = orphans.map(|(_, number)| number).sum();
    }
}

/// How many log records, spans and data points are in it.
fn count(message: &Message) -> [u64; 3] {
    match message {
        Message::Logs(request) => {
            let scopes = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
            [scopes.map(|scope| scope.log_records.len() as u64).sum(), 0, 0]
        }
        Message::Traces(request) => {
            let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
            [0, scopes.map(|scope| scope.spans.len() as u64).sum(), 0]
        }
        Message::Metrics(request) => [0, 0, points(request).len() as u64],
    }
}

/// When how much arrived. Bars become wider as time goes on, so that there are never more than so many.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    pub(super) width: Duration,
    /// By level, and spans last.
    pub(super) bars: Vec<[u64; Self::KINDS]>,
}

impl Timeline {
    pub(super) const KINDS: usize = 8;
    /// Behind the levels.
    pub(super) const SPANS: usize = 7;
    const MOST: usize = 120;

    fn new() -> Self {
        Self { width: Duration::from_millis(50), bars: Vec::new() }
    }

    fn add(&mut self, at: Duration, kind: usize) {
        let bar = loop {
            let bar = (at.as_nanos() / self.width.as_nanos().max(1)) as usize;
            if bar < Self::MOST {
                break bar;
            }
            self.width *= 2;
            let pairs = self.bars.chunks(2);
            self.bars = pairs
                .map(|pair| std::array::from_fn(|kind| pair.iter().filter_map(|bar| bar.get(kind)).sum()))
                .collect();
        };
        if self.bars.len() <= bar {
            self.bars.resize(bar + 1, [0; Self::KINDS]);
        }
        if let Some(number) = self.bars.get_mut(bar).and_then(|bar| bar.get_mut(kind)) {
            *number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_become_wider_and_nothing_is_lost() {
        let mut timeline = Timeline::new();
        for second in 0..600 {
            timeline.add(Duration::from_secs(second), 3);
        }
        assert!(timeline.bars.len() <= Timeline::MOST, "{}", timeline.bars.len());
        assert_eq!(timeline.bars.iter().map(|bar| bar[3]).sum::<u64>(), 600);
        assert!(timeline.bars.len() as u32 * timeline.width >= Duration::from_secs(599));
    }
}
