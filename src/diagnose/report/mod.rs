//! The report: what became of every record and every span, and what in that deserves a look.
//!
//! Constraints:
//! * It is put together when it is asked for, from counters that calls move anyway: nothing is kept for it on their way.
//! * No secret is in it, in whatever form.

mod images;
mod json;
mod text;
mod write;

use std::fmt;
use std::time::Duration;

pub use images::Images;
pub use images::prepare as prepare_images;
pub use images::read as read_images;
pub(crate) use images::{begin as begin_image, replaces_another};
pub(crate) use write::give;
pub use write::put as put_report;
pub use write::replace as replace_report;

use super::findings::findings;
use crate::config::{Setting, settings_table};
use crate::finding::Finding;
use crate::ledger::{Counters, DropReason, Requests, ScopeCounts};
use crate::levels::{FilterCause, Stage};
use crate::notice;
use crate::otlp::ScopeView;
use crate::outbox::Loss;
use crate::output;
use crate::signal::Signal;
use crate::source::Pipeline;
use crate::telemetry::tracer_is_given;

/// What was decided at the start. Made by [`Bridge::configuration`](crate::Bridge::configuration); no secret is in it.
///
/// `Display` is a table of all settings, each with its value and who decided it (code, a variable, built-in), and behind it
/// the findings.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Configuration {
    settings: Vec<Setting>,
    /// What cannot be used, and what probably means something else than was meant.
    pub findings: Vec<Finding>,
}

impl Configuration {
    pub(crate) fn of(pipeline: &Pipeline) -> Self {
        Self {
            settings: pipeline.setup.settings.clone(),
            findings: pipeline.levels.not_refuted(&pipeline.setup.findings),
        }
    }
}

impl Configuration {
    /// Whether that setting has such a value.
    pub(in crate::diagnose) fn decides(&self, name: &str, value: &str) -> bool {
        self.settings.iter().any(|setting| setting.name == name && setting.value.contains(value))
    }
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&settings_table(&self.settings))?;
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))
    }
}

/// Records that a stage has cut.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Cut {
    /// Where.
    pub stage: Stage,
    /// The target; empty for all that are more than are told apart.
    pub target: String,
    /// The level.
    pub level: log::Level,
    /// How many.
    pub records: u64,
    /// The directive that decided, and where it was set.
    pub by: String,
}

/// Records that were dropped because the outbox was full.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Dropped {
    /// Why, or in whose favour.
    pub reason: DropReason,
    /// The target; empty for all that are more than are told apart.
    pub target: String,
    /// The level; `None` for records of an SDK that have no severity.
    pub level: Option<log::Level>,
    /// How many.
    pub records: u64,
}

/// How many records of a target were sent, and how many of them in a trace.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Traced {
    /// The target; empty for all that are more than are told apart.
    pub target: String,
    /// How many have met their fates, whatever that was.
    pub records: u64,
    /// How many of these have a trace id.
    pub with_trace: u64,
}

/// What became of every record and every span, as numbers, as text (`Display`), and as JSON
/// ([`to_json`](Self::to_json)). Made by [`Bridge::report`](crate::Bridge::report).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The ledger.
    pub counters: Counters,
    /// Down to this level, every record was counted. Those below may be more than the counters say: `log` and tracing keep
    /// back what no level needs, unless [`Builder::count_below`](crate::Builder::count_below) asks for it.
    pub complete_to: log::LevelFilter,
    /// Where records are sent, without secrets; `None` while the destination is off.
    pub endpoint: Option<String>,
    /// Why the otlp destination is off, where it is.
    pub off_because: Option<&'static str>,
    /// The directory in which records wait, where that is a [spool](crate::Spool).
    pub spool: Option<String>,
    /// Where spans are sent, without secrets; `None` while they are not.
    pub span_endpoint: Option<String>,
    /// Why logbridge does not export spans, where it does not.
    pub spans_off_because: Option<&'static str>,
    /// What the levels have cut, by stage, target and level; most often cut first.
    ///
    /// Complete down to the level to which `log` and tracing are open: what they cut themselves never reaches logbridge;
    /// [`Builder::count_below`](crate::Builder::count_below) opens them further.
    pub cuts: Vec<Cut>,
    /// What was dropped because the outbox was full, by reason, target and level; the largest number first.
    pub dropped: Vec<Dropped>,
    /// How many records of each target were sent with a trace id; the largest number first.
    pub traced: Vec<Traced>,
    /// What the endpoint said to requests with records; `None` while the destination is off.
    pub requests: Option<Requests>,
    /// What the endpoint said to requests with spans; `None` while none are sent.
    pub span_requests: Option<Requests>,
    /// How often the thread that sends was started anew.
    pub restarts: u64,
    /// The time since logbridge was built in this process.
    pub elapsed: Duration,
    /// What was decided at the start, and by whom.
    pub configuration: Configuration,
    /// What deserves a look: in the configuration, in the levels, and in what became of the records.
    pub findings: Vec<Finding>,
    /// How many lines of notices, reports and the debug mirror were not written: stderr or stdout is closed, broken, or read
    /// by nobody. Those are included that wait for a stream that takes nothing.
    pub lines_not_written: u64,
    /// What logbridge said about itself so far, oldest first, each as `warning[LB081]: …` or `note: …`.
    pub notices: Vec<String>,
}

impl Report {
    pub(crate) fn of(pipeline: &Pipeline) -> Self {
        let counters = pipeline.counters();
        let engine = pipeline.processes().existing();
        let requests = |signal, endpoint: &Option<String>| {
            endpoint.as_ref().map(|_| engine.map(|engine| engine.ledger.stats.requests(signal)).unwrap_or_default())
        };
        let mut report = Self {
            complete_to: pipeline.complete_to(),
            endpoint: pipeline.setup.endpoint.clone(),
            off_because: pipeline.setup.off_because,
            spool: pipeline.setup.spool.clone(),
            span_endpoint: pipeline.setup.span_endpoint.clone(),
            spans_off_because: match tracer_is_given() && counters.spans.ended + counters.spans.open == 0 {
                true => Some("a tracer provider of your own makes the spans; `Bridge::span_processor` exports them"),
                false => pipeline.setup.spans_off_because,
            },
            cuts: pipeline
                .cuts()
                .into_iter()
                .map(|(FilterCause { stage, target, by }, level, records)| Cut { stage, target, level, records, by })
                .collect(),
            dropped: pipeline
                .losses()
                .into_iter()
                .map(|Loss { reason, target, level, records }| Dropped { reason, target, level, records })
                .collect(),
            traced: engine.map(|engine| traced(engine.ledger.stats.sent_by_scope())).unwrap_or_default(),
            requests: requests(Signal::Logs, &pipeline.setup.endpoint),
            span_requests: requests(Signal::Traces, &pipeline.setup.span_endpoint),
            restarts: engine.map_or(0, |engine| engine.ledger.stats.restarts()),
            elapsed: pipeline.setup.started.elapsed(),
            configuration: Configuration::of(pipeline),
            findings: Vec::new(),
            counters,
            lines_not_written: output::lines_not_written(),
            notices: notice::history(),
        };
        report.findings = findings(pipeline, &report);
        report
    }
}

fn traced(shares: Vec<(Box<[u8]>, ScopeCounts)>) -> Vec<Traced> {
    let name = |scope: &[u8]| ScopeView::read(scope).name.into_owned();
    let row = |(scope, share): (Box<[u8]>, ScopeCounts)| Traced {
        target: name(&scope),
        records: share.records,
        with_trace: share.traced,
    };
    shares.into_iter().map(row).collect()
}
