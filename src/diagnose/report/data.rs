//! The types of a report: its counters, rows and settings.

use std::fmt;
use std::time::Duration;

use crate::config::{Setting, settings_table};
use crate::escape::OneLine;
use crate::finding::Finding;
use crate::ledger::{Counters, DropReason, Requests};
use crate::levels::{SpansBelow, Stage};
use crate::source::Pipeline;

/// The settings that were resolved at startup, without secrets. Returned by
/// [`Bridge::configuration`](crate::Bridge::configuration).
///
/// `Display` prints a table of all settings, each with its value and its source (code, a variable or built-in),
/// followed by the findings.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Configuration {
    pub(super) settings: Vec<Setting>,
    /// Findings about settings that are invalid or probably not what was intended.
    pub findings: Vec<Finding>,
}

impl Configuration {
    /// Returns whether the value of the setting contains `value`.
    pub(super) fn setting_contains(&self, name: &str, value: &str) -> bool {
        self.settings.iter().any(|setting| setting.name == name && setting.value.contains(value))
    }
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&settings_table(&self.settings))?;
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))
    }
}

/// A row of the report: records that the levels of a stage filtered.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Cut {
    /// The stage that filtered them.
    pub stage: Stage,
    /// The target. Empty in the row that sums up all targets beyond the limit on rows.
    pub target: String,
    /// The level of the records.
    pub level: log::Level,
    /// The number of records.
    pub records: u64,
    /// The deciding directive, and where it was set.
    pub by: String,
}

/// A row of the report: records that were dropped because the outbox was full.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Dropped {
    /// Why they were dropped, or which records were preferred.
    pub reason: DropReason,
    /// The target. Empty in the row that sums up all targets beyond the limit on rows.
    pub target: String,
    /// The level; `None` for SDK records without a severity.
    pub level: Option<log::Level>,
    /// The number of records.
    pub records: u64,
}

/// A row of the report: how many records of a target are part of a trace.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Traced {
    /// The target. Empty in the row that sums up all targets beyond the limit on rows.
    pub target: String,
    /// The number of records with a final outcome of any kind.
    pub records: u64,
    /// The number of these records that have a trace id.
    pub with_trace: u64,
}

/// A row of the report: how many records of the threads with one name are part of a trace.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TracedThread {
    /// The name. `None` for threads without a name, such as those of `std::thread::spawn`.
    pub name: Option<String>,
    /// The number of records accepted for export.
    pub records: u64,
    /// The number of these records that have a trace id.
    pub with_trace: u64,
}

/// A row of the report: spans below the span threshold, which are neither created nor exported. Records inside them do
/// not have their ids.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FilteredSpan {
    /// The target.
    pub target: String,
    /// The name.
    pub name: String,
    /// The level.
    pub level: log::Level,
    /// The deciding directive, and where it was set.
    pub by: String,
    /// The number of calls. They are counted only if [`Builder::count_below`](crate::Builder::count_below) includes
    /// their level, and are 0 otherwise.
    pub calls: u64,
}

impl FilteredSpan {
    pub(crate) fn all(pipeline: &Pipeline) -> Vec<Self> {
        let rows = pipeline.filtered_spans().into_iter();
        rows.map(|SpansBelow { target, name, level, by, calls }| Self {
            target: target.to_owned(),
            name: name.to_owned(),
            level,
            by,
            calls,
        })
        .collect()
    }
}

impl fmt::Display for FilteredSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, name, level, .. } = self;
        write!(f, "`{}` (`{}` at {level})", OneLine(target), OneLine(name))
    }
}

/// The outcome of every record and every span, as numbers, as text (`Display`) and as JSON
/// ([`to_json`](Self::to_json)). Returned by [`Bridge::report`](crate::Bridge::report).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The counters of all records and spans.
    pub counters: Counters,
    /// The lowest level at which every record is counted. Below it there may be more records than the counters show:
    /// `log` and tracing discard records that no level needs, unless
    /// [`Builder::count_below`](crate::Builder::count_below) keeps them.
    pub complete_to: log::LevelFilter,
    /// The endpoint for records, without secrets; `None` while the otlp destination is off.
    pub endpoint: Option<String>,
    /// Why the otlp destination is off; `None` if it is on.
    pub off_because: Option<&'static str>,
    /// The directory of the [spool](crate::Spool), if records wait in one.
    pub spool: Option<String>,
    /// The endpoint for spans, without secrets; `None` while spans are not exported.
    pub span_endpoint: Option<String>,
    /// Why logbridge does not export spans; `None` if it does.
    pub spans_off_because: Option<&'static str>,
    /// Records that the levels filtered, by stage, target and level; the largest number first.
    ///
    /// Complete down to [`complete_to`](Self::complete_to): records that `log` and tracing discard never reach
    /// logbridge.
    pub cuts: Vec<Cut>,
    /// Records that were dropped because the outbox was full, by reason, target and level; the largest number first.
    pub dropped: Vec<Dropped>,
    /// The share of records with a trace id, by target; the largest number first.
    pub traced: Vec<Traced>,
    /// The share of accepted records with a trace id, by the name of their thread; the largest number first.
    pub traced_threads: Vec<TracedThread>,
    /// The spans below the span threshold that the program has reached, down to DEBUG; at most 128 callsites. Spans at
    /// TRACE are listed only if a level includes TRACE. A layer in your own registry filters no spans.
    pub filtered_spans: Vec<FilteredSpan>,
    /// How the endpoint answered requests with records; `None` while the otlp destination is off.
    pub requests: Option<Requests>,
    /// How the endpoint answered requests with spans; `None` while spans are not exported.
    pub span_requests: Option<Requests>,
    /// How often the exporter thread was restarted.
    pub restarts: u64,
    /// The time since logbridge was built in this process.
    pub elapsed: Duration,
    /// The settings that were resolved at startup, with their sources.
    pub configuration: Configuration,
    /// The findings about the configuration, the levels and the outcome of records.
    pub findings: Vec<Finding>,
    /// The number of lines of notices, reports and the debug mirror that were not written because stderr or stdout is
    /// closed, broken or not read. Includes lines that still wait for a blocked stream.
    pub lines_not_written: u64,
    /// The notices so far, oldest first, each as `warning[LB081]: …` or `note: …`.
    pub notices: Vec<String>,
}
