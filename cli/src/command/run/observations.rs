//! What arrived from the program, in the detail that the report and the findings need. Its size is bounded.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use super::timeline::Timeline;
use crate::command::intake::{LevelCounts, Tally, UpstreamReply, bounded_entry, is_unset_id};
use logbridge::internals::finding::Kind;
use logbridge_receiver::internals::{Message, ReceivedLog, points, records, spans};

/// Limits how many ids and records are remembered for comparison. No conclusions are drawn beyond this limit.
const MAX_REMEMBERED: usize = 200_000;

/// Targets of HTTP clients and exporters.
const CLIENT_TARGETS: [&str; 7] = ["h2", "hyper", "hyper_util", "opentelemetry", "reqwest", "rustls", "tonic"];

/// Counts of the items of one scope of a service.
#[derive(Clone, Debug, Default)]
pub(super) struct ScopeCounts {
    /// Log records that the endpoint accepted, or this command if nothing is forwarded.
    pub(super) accepted: LevelCounts,
    /// Log records that the endpoint did not accept, even after retries.
    pub(super) refused: LevelCounts,
    /// Log records from requests of which the endpoint rejected some. It does not say which.
    pub(super) partly: LevelCounts,
    /// All spans.
    pub(super) spans: u64,
    /// All data points.
    pub(super) points: u64,
}

impl ScopeCounts {
    /// Returns the counts of all log records.
    pub(super) fn logs(&self) -> LevelCounts {
        let mut sums = self.accepted;
        for other in [self.refused, self.partly] {
            sums.0.iter_mut().zip(other.0).for_each(|(sum, number)| *sum += number);
        }
        sums
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum RequestOutcome {
    Accepted,
    Partly,
    Refused,
}

impl RequestOutcome {
    fn counts(self, scope: &mut ScopeCounts) -> &mut LevelCounts {
        match self {
            Self::Accepted => &mut scope.accepted,
            Self::Partly => &mut scope.partly,
            Self::Refused => &mut scope.refused,
        }
    }
}

/// Numbers of log records that are probably not as their sender intended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RecordAnomalies {
    /// All log records that were examined.
    pub(super) logs: u64,
    pub(super) with_trace: u64,
    /// Records with neither a time nor an observed time.
    pub(super) without_time: u64,
    /// Records with an observed time only.
    pub(super) only_observed: u64,
    pub(super) without_message: u64,
    pub(super) duplicate_key: u64,
    /// Records with the message, time and service of an earlier record.
    pub(super) duplicates: u64,
    /// Records with the target `log` and the real target in an attribute.
    pub(super) by_log_tracer: u64,
    pub(super) from_clients: u64,
    /// Records whose trace id no span has. Set by [`Observations::finish`].
    pub(super) without_span: u64,
    /// Log records, spans and data points without a useful `service.name`. Set by [`Observations::finish`].
    pub(super) without_service: u64,
}

/// Requests that the endpoint did not accept in full, for one reason.
#[derive(Clone, Debug, Default)]
pub(super) struct UpstreamFailure {
    /// The number of such responses, including those to retries.
    pub(super) attempts: u64,
    /// The attempts whose request was empty.
    pub(super) empty: u64,
    /// The log records, spans and data points that were never accepted and for which this was the last response.
    pub(super) items: [u64; 3],
    pub(super) kind: Option<&'static Kind>,
    pub(super) help: String,
}

/// What arrived from the program.
#[derive(Debug)]
pub(super) struct Observations {
    pub(super) tally: Tally,
    /// Counts by service and scope name.
    pub(super) services: BTreeMap<String, BTreeMap<String, ScopeCounts>>,
    pub(super) anomalies: RecordAnomalies,
    pub(super) timeline: Timeline,
    /// Failures by the text of the response.
    pub(super) upstream_failures: BTreeMap<String, UpstreamFailure>,
    /// Some log record came from a program in Rust.
    pub(super) is_rust: bool,
    hasher: RandomState,
    record_hashes: HashSet<u64>,
    /// Hashes of requests that were not accepted, with the last response. A client may retry the same bytes.
    retryable: HashMap<u64, String>,
    traces_of_spans: HashSet<String>,
    /// The number of log records by trace id.
    traces_of_logs: HashMap<String, u64>,
    /// A limit on trace ids was reached.
    is_full: bool,
}

impl Observations {
    pub(super) fn new() -> Self {
        Self {
            tally: Tally::new(),
            services: BTreeMap::new(),
            anomalies: RecordAnomalies::default(),
            timeline: Timeline::new(),
            upstream_failures: BTreeMap::new(),
            is_rust: false,
            hasher: RandomState::new(),
            record_hashes: HashSet::new(),
            retryable: HashMap::new(),
            traces_of_spans: HashSet::new(),
            traces_of_logs: HashMap::new(),
            is_full: false,
        }
    }

    /// Adds a request with the reply of the endpoint, or `None` if it was not forwarded.
    ///
    /// A request that was not accepted and arrives again with the same bytes is a retry. Its items are counted once.
    pub(super) fn add(&mut self, message: &Message, body: &[u8], reply: Option<&UpstreamReply>) {
        let content = message.content();
        self.tally.request(content);
        let hash = self.hasher.hash_one((content.path(), body));
        let earlier = self.retryable.remove(&hash);
        let items = count_items(message);
        let total: u64 = items.iter().sum();
        if let Some(text) = &earlier {
            let failure: &mut UpstreamFailure = bounded_entry(&mut self.upstream_failures, text);
            failure.items.iter_mut().zip(items).for_each(|(left, number)| *left = left.saturating_sub(number));
        }
        let rejected = reply.map_or(0, |reply| reply.rejected).min(total);
        let outcome = match reply {
            Some(reply) if !reply.is_final => RequestOutcome::Refused,
            _ if rejected > 0 && rejected == total => RequestOutcome::Refused,
            _ if rejected > 0 => RequestOutcome::Partly,
            _ => RequestOutcome::Accepted,
        };
        self.count(message, earlier.is_some().then_some(RequestOutcome::Refused), outcome);
        let Some(reply) = reply else { return };
        self.tally.answer(&reply.text);
        if reply.is_accepted {
            return;
        }
        let failure: &mut UpstreamFailure = bounded_entry(&mut self.upstream_failures, &reply.text);
        failure.attempts += 1;
        failure.empty += u64::from(total == 0);
        (failure.kind, failure.help) = (reply.kind, reply.help.clone());
        let lost = match outcome {
            RequestOutcome::Refused => items,
            _ => items.map(|number| number.min(rejected)),
        };
        failure.items.iter_mut().zip(lost).for_each(|(sum, number)| *sum += number);
        if !reply.is_final && self.retryable.len() < MAX_REMEMBERED {
            self.retryable.insert(hash, reply.text.clone());
        }
    }

    /// Counts the items of a request under `outcome`. Log records of a retry are removed from their earlier outcome.
    fn count(&mut self, message: &Message, earlier: Option<RequestOutcome>, outcome: RequestOutcome) {
        let at = self.tally.since.elapsed();
        let is_new = earlier.is_none();
        match message {
            Message::Logs(request) => {
                for log in records(request) {
                    if is_new {
                        self.tally.log(&log);
                        self.timeline.add(at, LevelCounts::index_of(log.severity_number));
                    }
                    let language = log.resource.get("telemetry.sdk.language").and_then(|language| language.as_str());
                    self.is_rust |= language == Some("rust");
                    let scope = self.scope(log.service_name(), log.target());
                    if let Some(earlier) = earlier {
                        earlier.counts(scope).remove(log.severity_number);
                    }
                    outcome.counts(scope).add(log.severity_number);
                    if outcome != RequestOutcome::Refused {
                        self.examine(&log);
                    }
                }
            }
            Message::Traces(request) => {
                for span in spans(request).into_iter().filter(|_| is_new) {
                    self.tally.span(&span);
                    self.scope(span.service_name(), &span.scope.name).spans += 1;
                    self.timeline.add(at, Timeline::SPANS);
                    if self.traces_of_spans.len() < MAX_REMEMBERED {
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

    /// Returns, for log records, spans and data points, how many arrived and how many were never accepted.
    pub(super) fn sent_and_lost(&self) -> [[u64; 2]; 3] {
        let sent = self.tally.items();
        std::array::from_fn(|kind| {
            let lost = self.upstream_failures.values().filter_map(|failure| failure.items.get(kind)).sum();
            [sent.get(kind).copied().unwrap_or_default(), lost]
        })
    }

    fn scope(&mut self, service: &str, name: &str) -> &mut ScopeCounts {
        bounded_entry(bounded_entry(&mut self.services, service), name)
    }

    /// Looks for anomalies in a log record.
    fn examine(&mut self, log: &ReceivedLog) {
        let message = log.message();
        let hash =
            self.hasher.hash_one((log.service_name(), &message, log.time_unix_nano, log.observed_time_unix_nano));
        let anomalies = &mut self.anomalies;
        anomalies.logs += 1;
        anomalies.without_message += u64::from(message.is_empty());
        let is_observed = log.observed_time_unix_nano != 0;
        anomalies.without_time += u64::from(log.time_unix_nano == 0 && !is_observed);
        anomalies.only_observed += u64::from(log.time_unix_nano == 0 && is_observed);
        let mut keys = HashSet::new();
        anomalies.duplicate_key += u64::from(!log.attributes.keys().all(|key| keys.insert(key)));
        anomalies.by_log_tracer += u64::from(log.target() == "log" && log.attribute("log.target").is_some());
        let target = log.attribute("log.target").and_then(|value| value.as_str()).unwrap_or(log.target());
        let is_within =
            |client: &&str| target.strip_prefix(*client).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
        anomalies.from_clients += u64::from(CLIENT_TARGETS.iter().any(is_within));
        if !is_unset_id(&log.trace_id) {
            anomalies.with_trace += 1;
            if self.traces_of_logs.len() < MAX_REMEMBERED {
                *self.traces_of_logs.entry(log.trace_id.clone()).or_default() += 1;
            } else {
                self.is_full = true;
            }
        }
        // Without a time, a duplicate cannot be distinguished from a message that was logged twice.
        let has_time = log.time_unix_nano != 0 || log.observed_time_unix_nano != 0;
        if has_time && self.record_hashes.len() < MAX_REMEMBERED {
            anomalies.duplicates += u64::from(!self.record_hashes.insert(hash));
        }
    }

    /// Completes the anomalies that depend on all requests.
    pub(super) fn finish(&mut self) {
        self.anomalies.without_service = self.tally.anomalies.without_service + self.tally.anomalies.unknown_service;
        if self.is_full || self.traces_of_spans.is_empty() {
            return;
        }
        let orphans = self.traces_of_logs.iter().filter(|(trace, _)| !self.traces_of_spans.contains(*trace));
        self.anomalies.without_span = orphans.map(|(_, number)| number).sum();
    }
}

/// Returns the numbers of log records, spans and data points in a request.
fn count_items(message: &Message) -> [u64; 3] {
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
