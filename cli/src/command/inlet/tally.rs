//! What has come in, as numbers: bounded, however long it goes on.

use std::collections::BTreeMap;
use std::time::Instant;

use logbridge_receiver::internals::{Content, ReceivedLog, ReceivedPoint, ReceivedSpan};

/// So many services, and reasons, are kept apart; the others are counted together.
const KEPT: usize = 200;

/// And of each so many characters.
const LONGEST: usize = 500;

/// Stands for those.
const OTHERS: &str = "(others)";

/// Log records by level: those without a severity, TRACE, DEBUG, INFO, WARN, ERROR, FATAL.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::command) struct Levels(pub(in crate::command) [u64; 7]);

impl Levels {
    pub(in crate::command) const NAMES: [&'static str; 7] =
        ["no level", "trace", "debug", "info", "warn", "error", "fatal"];

    /// The place of a severity number among the levels.
    pub(in crate::command) fn of(severity: i32) -> usize {
        match severity {
            1..=24 => (severity as usize - 1) / 4 + 1,
            _ => 0,
        }
    }

    pub(in crate::command) fn add(&mut self, severity: i32) {
        if let Some(number) = self.0.get_mut(Self::of(severity)) {
            *number += 1;
        }
    }

    pub(in crate::command) fn remove(&mut self, severity: i32) {
        if let Some(number) = self.0.get_mut(Self::of(severity)) {
            *number = number.saturating_sub(1);
        }
    }

    pub(in crate::command) fn all(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// What one service has sent.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::command) struct OfService {
    pub(in crate::command) levels: Levels,
    pub(in crate::command) spans: u64,
    pub(in crate::command) points: u64,
}

/// What deserves a look, as numbers of records.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::command) struct Oddities {
    pub(in crate::command) without_trace: u64,
    pub(in crate::command) without_message: u64,
    /// Neither of the event nor of its observation.
    pub(in crate::command) without_time: u64,
    /// With the time of observation only.
    pub(in crate::command) only_observed: u64,
    /// Of anything: it has no `service.name`.
    pub(in crate::command) without_service: u64,
    /// Of anything: its `service.name` is the one that SDKs make up.
    pub(in crate::command) unknown_service: u64,
}

#[derive(Clone, Debug)]
pub(in crate::command) struct Tally {
    pub(in crate::command) since: Instant,
    /// Those that could be read, by what they held.
    pub(in crate::command) requests: BTreeMap<Content, u64>,
    pub(in crate::command) services: BTreeMap<String, OfService>,
    /// Requests that could not be read, by reason.
    pub(in crate::command) malformed: BTreeMap<String, u64>,
    /// Requests that could be read, and held nothing, or something without a meaning.
    pub(in crate::command) remarks: BTreeMap<String, u64>,
    /// Answers of the endpoint behind, in words.
    pub(in crate::command) answers: BTreeMap<String, u64>,
    pub(in crate::command) oddities: Oddities,
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
            oddities: Oddities::default(),
        }
    }

    pub(in crate::command) fn request(&mut self, content: Content) {
        *self.requests.entry(content).or_default() += 1;
    }

    pub(in crate::command) fn malformed(&mut self, why: &str) {
        *bounded(&mut self.malformed, why) += 1;
    }

    pub(in crate::command) fn remark(&mut self, what: &str) {
        *bounded(&mut self.remarks, what) += 1;
    }

    pub(in crate::command) fn answer(&mut self, said: &str) {
        *bounded(&mut self.answers, said) += 1;
    }

    pub(in crate::command) fn log(&mut self, log: &ReceivedLog) {
        self.service(log.service_name()).levels.add(log.severity_number);
        let odd = &mut self.oddities;
        odd.without_trace += u64::from(names_nothing(&log.trace_id));
        odd.without_message += u64::from(log.message().is_empty());
        let is_observed = log.observed_time_unix_nano != 0;
        odd.without_time += u64::from(log.time_unix_nano == 0 && !is_observed);
        odd.only_observed += u64::from(log.time_unix_nano == 0 && is_observed);
    }

    pub(in crate::command) fn span(&mut self, span: &ReceivedSpan) {
        self.service(span.service_name()).spans += 1;
    }

    pub(in crate::command) fn point(&mut self, point: &ReceivedPoint) {
        self.service(point.service_name()).points += 1;
    }

    fn service(&mut self, name: &str) -> &mut OfService {
        self.oddities.without_service += u64::from(name.is_empty());
        // `unknown_service:` and the name of the program.
        self.oddities.unknown_service += u64::from(name.starts_with("unknown_service"));
        bounded(&mut self.services, name)
    }

    /// All log records, spans and data points.
    pub(in crate::command) fn items(&self) -> [u64; 3] {
        let sum = |of: fn(&OfService) -> u64| self.services.values().map(of).sum();
        [sum(|service| service.levels.all()), sum(|service| service.spans), sum(|service| service.points)]
    }
}

/// The value of this key, which is cut where it is long, unless there are too many already.
pub(in crate::command) fn bounded<'a, V: Default>(all: &'a mut BTreeMap<String, V>, key: &str) -> &'a mut V {
    let key = match key.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", key.get(..at).unwrap_or_default()),
        None => key.to_owned(),
    };
    let key = if all.contains_key(&key) || all.len() < KEPT { key } else { OTHERS.to_owned() };
    all.entry(key).or_default()
}

/// Whether a trace or span id stands for no trace or span.
pub(in crate::command) fn names_nothing(id: &str) -> bool {
    id.bytes().all(|digit| digit == b'0')
}
