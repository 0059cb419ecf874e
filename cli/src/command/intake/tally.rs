//! Counts of received items. Their size is bounded, however long the command runs.

use std::collections::BTreeMap;
use std::time::Instant;

use logbridge_receiver::internals::{Content, ReceivedLog, ReceivedPoint, ReceivedSpan};

/// Limits the entries of a map. Later keys are counted together as [`OTHERS`].
const MAX_KEYS: usize = 200;

/// Limits the length of a key in characters.
const MAX_KEY_LENGTH: usize = 500;

/// The key for everything beyond [`MAX_KEYS`].
const OTHERS: &str = "(others)";

/// Counts of log records by level: no level, TRACE, DEBUG, INFO, WARN, ERROR, FATAL.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::command) struct LevelCounts(pub(in crate::command) [u64; 7]);

impl LevelCounts {
    pub(in crate::command) const NAMES: [&'static str; 7] =
        ["no level", "trace", "debug", "info", "warn", "error", "fatal"];

    /// Returns the index of the level of a severity number.
    pub(in crate::command) fn index_of(severity: i32) -> usize {
        match severity {
            1..=24 => (severity as usize - 1) / 4 + 1,
            _ => 0,
        }
    }

    pub(in crate::command) fn get(&self, index: usize) -> u64 {
        self.0.get(index).copied().unwrap_or_default()
    }

    pub(in crate::command) fn add(&mut self, severity: i32) {
        if let Some(number) = self.0.get_mut(Self::index_of(severity)) {
            *number += 1;
        }
    }

    pub(in crate::command) fn remove(&mut self, severity: i32) {
        if let Some(number) = self.0.get_mut(Self::index_of(severity)) {
            *number = number.saturating_sub(1);
        }
    }

    pub(in crate::command) fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// Counts of the items of one service.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::command) struct ServiceCounts {
    pub(in crate::command) levels: LevelCounts,
    pub(in crate::command) spans: u64,
    pub(in crate::command) points: u64,
}

/// Counts of records that are probably not as their sender intended.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::command) struct Anomalies {
    pub(in crate::command) without_trace: u64,
    pub(in crate::command) without_message: u64,
    /// Records with neither a time nor an observed time.
    pub(in crate::command) without_time: u64,
    /// Records with an observed time only.
    pub(in crate::command) only_observed: u64,
    /// Log records, spans and data points without `service.name`.
    pub(in crate::command) without_service: u64,
    /// Log records, spans and data points with the default `service.name` of SDKs.
    pub(in crate::command) unknown_service: u64,
}

/// Counts of received items.
#[derive(Clone, Debug)]
pub(in crate::command) struct Tally {
    pub(in crate::command) since: Instant,
    /// Decoded requests.
    pub(in crate::command) requests: BTreeMap<Content, u64>,
    pub(in crate::command) services: BTreeMap<String, ServiceCounts>,
    /// Requests that could not be decoded, by reason.
    pub(in crate::command) malformed: BTreeMap<String, u64>,
    /// Decoded requests that were empty or had unknown keys.
    pub(in crate::command) remarks: BTreeMap<String, u64>,
    /// Responses of the upstream endpoint, by text.
    pub(in crate::command) answers: BTreeMap<String, u64>,
    pub(in crate::command) anomalies: Anomalies,
}

impl Tally {
    pub(in crate::command) fn new() -> Self {
        Self {
            since: Instant::now(),
            requests: BTreeMap::new(),
            services: BTreeMap::new(),
            malformed: BTreeMap::new(),
            remarks: BTreeMap::new(),
            answers: BTreeMap::new(),
            anomalies: Anomalies::default(),
        }
    }

    pub(in crate::command) fn request(&mut self, content: Content) {
        *self.requests.entry(content).or_default() += 1;
    }

    pub(in crate::command) fn malformed(&mut self, reason: &str) {
        *bounded_entry(&mut self.malformed, reason) += 1;
    }

    pub(in crate::command) fn remark(&mut self, remark: &str) {
        *bounded_entry(&mut self.remarks, remark) += 1;
    }

    pub(in crate::command) fn answer(&mut self, text: &str) {
        *bounded_entry(&mut self.answers, text) += 1;
    }

    pub(in crate::command) fn log(&mut self, log: &ReceivedLog) {
        self.service(log.service_name()).levels.add(log.severity_number);
        let anomalies = &mut self.anomalies;
        anomalies.without_trace += u64::from(is_unset_id(&log.trace_id));
        anomalies.without_message += u64::from(log.message().is_empty());
        let is_observed = log.observed_time_unix_nano != 0;
        anomalies.without_time += u64::from(log.time_unix_nano == 0 && !is_observed);
        anomalies.only_observed += u64::from(log.time_unix_nano == 0 && is_observed);
    }

    pub(in crate::command) fn span(&mut self, span: &ReceivedSpan) {
        self.service(span.service_name()).spans += 1;
    }

    pub(in crate::command) fn point(&mut self, point: &ReceivedPoint) {
        self.service(point.service_name()).points += 1;
    }

    fn service(&mut self, name: &str) -> &mut ServiceCounts {
        self.anomalies.without_service += u64::from(name.is_empty());
        // SDKs append the name of the executable: `unknown_service:shop`.
        self.anomalies.unknown_service += u64::from(name.starts_with("unknown_service"));
        bounded_entry(&mut self.services, name)
    }

    /// Returns the numbers of log records, spans and data points.
    pub(in crate::command) fn items(&self) -> [u64; 3] {
        let sum = |of: fn(&ServiceCounts) -> u64| self.services.values().map(of).sum();
        [sum(|service| service.levels.total()), sum(|service| service.spans), sum(|service| service.points)]
    }
}

/// Returns the value of a key, which is shortened if it is long. Returns the value of [`OTHERS`] if the map is full.
pub(in crate::command) fn bounded_entry<'a, V: Default>(map: &'a mut BTreeMap<String, V>, key: &str) -> &'a mut V {
    let key = match key.char_indices().nth(MAX_KEY_LENGTH) {
        Some((at, _)) => format!("{}…", key.get(..at).unwrap_or_default()),
        None => key.to_owned(),
    };
    let key = if map.contains_key(&key) || map.len() < MAX_KEYS { key } else { OTHERS.to_owned() };
    map.entry(key).or_default()
}

/// Returns whether a trace or span id is empty or all zeros, which means that there is none.
pub(in crate::command) fn is_unset_id(id: &str) -> bool {
    id.bytes().all(|digit| digit == b'0')
}
