//! The handle of what is installed, and the report.

mod levels;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tracing_core::Subscriber;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

pub use levels::Levels;

use crate::config::settings_table;
use crate::diagnose::{Explanation, explain};
use crate::error::Error;
use crate::finding::Finding;
use crate::ledger::{Counters, DropReason};
use crate::levels::{CutName, Stage};
use crate::notice;
use crate::outbox::Loss;
use crate::source::{EventLayer, LogProcessor, Pipeline, SpanProcessor, take_log};
use crate::telemetry::tracer_is_given;

/// A handle of logbridge: flush it, shut it down, ask it what became of the records.
///
/// Cheap to clone. Dropping it stops nothing.
#[derive(Clone)]
pub struct Bridge {
    pipeline: Arc<Pipeline>,
}

impl Bridge {
    pub(crate) fn new(pipeline: Arc<Pipeline>) -> Self {
        Self { pipeline }
    }

    /// Delivers every record that was accepted and every span that ended before the call.
    ///
    /// Works in every runtime and outside of them; it blocks the calling thread for at most `timeout`. While the
    /// endpoint fails in a way that may pass, they are tried again until the time is up.
    ///
    /// # Errors
    ///
    /// `Ok` means that everything accepted before the call was confirmed, and that nothing was lost that no earlier
    /// flush has told: each loss makes a flush fail, and so do those that ran meanwhile. The error has the numbers by
    /// fate: [`Error::pending`], [`Error::rejected`], [`Error::dropped`], [`Error::unconfirmed`] of records, their likes
    /// for spans, and [`Error::is_timeout`], [`Error::is_lost`], [`Error::is_unconfirmed`] for both together.
    pub fn flush(&self, timeout: Duration) -> Result<(), Error> {
        self.pipeline.flush_all(timeout)
    }

    /// Delivers what is there, takes no more records and spans for the endpoint, and ends the ship thread. The console
    /// goes on. Spans that are still open end here.
    ///
    /// What cannot be delivered within `timeout` is dropped and counted. Not needed at the end of a program.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub fn shutdown(&self, timeout: Duration) -> Result<(), Error> {
        self.pipeline.shutdown_all(timeout)
    }

    /// What became of every record.
    #[must_use]
    pub fn report(&self) -> Report {
        let counters = self.pipeline.counters();
        Report {
            endpoint: self.pipeline.endpoint.clone(),
            off_because: self.pipeline.off_because,
            spool: self.pipeline.spool.clone(),
            span_endpoint: self.pipeline.span_endpoint.clone(),
            spans_off_because: match tracer_is_given() && counters.spans.ended + counters.spans.open == 0 {
                true => Some("a tracer provider of your own makes the spans; `Bridge::span_processor` exports them"),
                false => self.pipeline.spans_off_because,
            },
            cuts: self
                .pipeline
                .cuts()
                .into_iter()
                .map(|(CutName { stage, target, by }, level, records)| Cut { stage, target, level, records, by })
                .collect(),
            dropped: self
                .pipeline
                .losses()
                .into_iter()
                .map(|Loss { reason, target, level, records }| Dropped { reason, target, level, records })
                .collect(),
            counters,
            notices: notice::history(),
        }
    }

    /// What was decided at the start, setting by setting, and who decided it; and what in code and environment deserves a
    /// look.
    #[must_use]
    pub fn configuration(&self) -> Configuration {
        Configuration { shown: settings_table(&self.pipeline.settings), findings: self.pipeline.findings.clone() }
    }

    /// The levels, to be changed while the program runs and to be shown.
    #[must_use]
    pub fn levels(&self) -> Levels {
        Levels::new(Arc::clone(&self.pipeline))
    }

    /// What becomes of a record of this target at this level, gate by gate: the facades, the stages, each destination.
    ///
    /// Asks nothing that disturbs a filter, and counts nothing.
    #[must_use]
    pub fn explain(&self, target: &str, level: impl Into<log::Level>) -> Explanation {
        explain(&self.pipeline, target, level.into())
    }

    /// A layer for a `tracing_subscriber` registry of your own.
    ///
    /// It hides nothing from other layers and filters inside itself. The ids of spans come from the OpenTelemetry
    /// context, so the registry needs tracing-opentelemetry's layer too.
    #[must_use]
    pub fn layer(&self) -> BridgeLayer {
        BridgeLayer { inner: EventLayer::guest(Arc::clone(&self.pipeline)) }
    }

    /// A logger to install or to chain yourself; set [`log::set_max_level`] to what it needs.
    #[must_use]
    pub fn logger(&self) -> Logger {
        Logger { pipeline: Arc::clone(&self.pipeline) }
    }

    /// Our processor of spans for a tracer provider of your own: it exports them to the same endpoint, under the same
    /// resource, with the same counters as this handle.
    #[must_use]
    pub fn span_processor(&self) -> SpanProcessor {
        SpanProcessor::new(Arc::clone(&self.pipeline))
    }

    /// Our processor for a provider of your own, with the same outbox and counters as this handle.
    #[must_use]
    pub fn log_processor(&self) -> LogProcessor {
        LogProcessor::beside(Arc::clone(&self.pipeline))
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").field("endpoint", &self.pipeline.endpoint).finish_non_exhaustive()
    }
}

/// Receives `log` records.
#[derive(Debug)]
pub struct Logger {
    pipeline: Arc<Pipeline>,
}

impl Logger {
    /// The most that any of its thresholds lets through: what [`log::set_max_level`] should be given.
    #[must_use]
    pub fn filter(&self) -> log::LevelFilter {
        self.pipeline.max_level()
    }
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.pipeline.is_enabled(metadata.target(), metadata.level())
    }

    fn log(&self, record: &log::Record<'_>) {
        take_log(&self.pipeline, record);
    }

    fn flush(&self) {
        // `log` has no way to say that it failed; the report does.
        let _see_the_report = self.pipeline.flush_all(self.pipeline.exit_timeout);
    }
}

/// Receives `tracing` events in a registry of the user's own. Made by [`Bridge::layer`].
#[derive(Debug)]
pub struct BridgeLayer {
    inner: EventLayer,
}

impl<S> Layer<S> for BridgeLayer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_register_dispatch(&self, dispatch: &tracing_core::Dispatch) {
        Layer::<S>::on_register_dispatch(&self.inner, dispatch);
    }

    fn on_event(&self, event: &tracing_core::Event<'_>, context: Context<'_, S>) {
        self.inner.on_event(event, context);
    }
}

/// What was decided at the start. Made by [`Bridge::configuration`]; no secret is in it.
///
/// `Display` is a table of all settings, each with its value and who decided it (code, a variable, built-in), and behind it
/// the findings.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Configuration {
    shown: String,
    /// What cannot be used, and what probably means something else than was meant.
    pub findings: Vec<Finding>,
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)?;
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

/// What became of every record and every span, as text or as numbers.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The ledger.
    pub counters: Counters,
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
    /// What logbridge said about itself so far, oldest first, each as `warning: …` or `note: …`.
    pub notices: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counters { offered, below, passed, otlp, console, mirrored, mirror_failed, .. } = &self.counters;
        writeln!(f, "{offered:>9} offered")?;
        row(f, 1, *below, "below the module stage's levels")?;
        self.fmt_cuts(f, Stage::Module)?;
        row(f, 1, *passed, "passed")?;
        match (&self.endpoint, self.off_because) {
            (Some(endpoint), _) => writeln!(f, "          otlp {endpoint}")?,
            (None, Some(why)) => writeln!(f, "          otlp is off: {why}")?,
            (None, None) => writeln!(f, "          otlp is off")?,
        }
        row(f, 2, otlp.below, "below its levels")?;
        self.fmt_cuts(f, Stage::Otlp)?;
        row(f, 2, otlp.suppressed, "suppressed")?;
        row(f, 2, otlp.unsampled, "in traces that are not sampled")?;
        row(f, 2, otlp.repeated, "similar to others and suppressed: records with `logbridge.suppressed` tell where")?;
        row(f, 2, otlp.accepted, "accepted")?;
        row(f, 2, otlp.adopted, "adopted: left in the spool by processes that are dead")?;
        row(f, 3, otlp.delivered, "delivered")?;
        row(f, 3, otlp.unconfirmed, "unconfirmed: the endpoint's answer was no OTLP answer")?;
        for (reason, records) in &otlp.rejected {
            row(f, 3, *records, &format!("rejected: {reason}"))?;
        }
        for (reason, records) in &otlp.dropped {
            row(f, 3, *records, &format!("dropped: {reason}"))?;
            self.fmt_dropped(f, *reason)?;
        }
        match &self.spool {
            Some(directory) => row(f, 3, otlp.pending, &format!("pending: in the spool {directory}"))?,
            None => row(f, 3, otlp.pending, "pending")?,
        }
        writeln!(f, "          console")?;
        row(f, 2, console.off, "off")?;
        row(f, 2, console.below, "below its levels")?;
        self.fmt_cuts(f, Stage::Console)?;
        row(f, 2, console.suppressed, "suppressed")?;
        row(f, 2, console.accepted - console.failed.min(console.accepted), "printed")?;
        row(f, 2, console.failed, "not printed: the stream could not be written, or a value panicked")?;
        self.fmt_spans(f)?;
        if mirrored + mirror_failed > 0 {
            writeln!(f, "          debug mirror")?;
            row(f, 2, *mirrored, "printed")?;
            row(f, 2, *mirror_failed, "not printed: stdout could not be written")?;
        }
        self.fmt_contents(f)?;
        for notice in &self.notices {
            writeln!(f, "  {notice}")?;
        }
        Ok(())
    }
}

impl Report {
    /// Those that are cut most, with the directive that decides.
    fn fmt_cuts(&self, f: &mut fmt::Formatter<'_>, stage: Stage) -> fmt::Result {
        for cut in self.cuts.iter().filter(|cut| cut.stage == stage).take(SHOWN) {
            row(f, 3, cut.records, &format!("{} at {}, by {}", shown(&cut.target), cut.level, cut.by))?;
        }
        Ok(())
    }

    /// The targets that it cost most.
    fn fmt_dropped(&self, f: &mut fmt::Formatter<'_>, reason: DropReason) -> fmt::Result {
        for dropped in self.dropped.iter().filter(|dropped| dropped.reason == reason).take(SHOWN) {
            let level = dropped.level.map_or("no level", |level| level.as_str());
            row(f, 4, dropped.records, &format!("{} at {level}", shown(&dropped.target)))?;
        }
        Ok(())
    }

    /// What was changed in records and spans.
    fn fmt_contents(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counters { redacted, nested_too_deep, attributes_left_out, .. } = &self.counters;
        if redacted + nested_too_deep + attributes_left_out > 0 {
            writeln!(f, "          contents")?;
        }
        row(f, 2, *redacted, "values redacted")?;
        row(f, 2, *nested_too_deep, "values nested too deep, and cut there")?;
        row(f, 2, *attributes_left_out, "attributes left out: more than the limit")
    }

    fn fmt_spans(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spans = &self.counters.spans;
        match (&self.span_endpoint, self.spans_off_because) {
            (_, Some(why)) => writeln!(f, "          spans are not exported: {why}")?,
            (Some(endpoint), None) => writeln!(f, "          spans {endpoint}")?,
            (None, None) => writeln!(f, "          spans are not exported")?,
        }
        row(f, 1, spans.open, "open")?;
        row(f, 1, spans.ended, "ended")?;
        row(f, 2, spans.ended_at_exit, "of these, still open at the end and ended then")?;
        row(f, 2, spans.unsampled, "not sampled")?;
        row(f, 2, spans.accepted, "accepted")?;
        row(f, 3, spans.delivered, "delivered")?;
        row(f, 3, spans.unconfirmed, "unconfirmed: the endpoint's answer was no OTLP answer")?;
        for (reason, number) in &spans.rejected {
            row(f, 3, *number, &format!("rejected: {reason}"))?;
        }
        for (reason, number) in &spans.dropped {
            row(f, 3, *number, &format!("dropped: {reason}"))?;
        }
        row(f, 3, spans.pending, "pending")
    }
}

/// How many targets are named in each place.
const SHOWN: usize = 5;

fn shown(target: &str) -> &str {
    if target.is_empty() { "(other targets)" } else { target }
}

/// One counter; nothing where it is 0.
fn row(f: &mut fmt::Formatter<'_>, depth: usize, records: u64, what: &str) -> fmt::Result {
    if records == 0 {
        return Ok(());
    }
    writeln!(f, "{records:>9} {:indent$}{what}", "", indent = depth * 2)
}
