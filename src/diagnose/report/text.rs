//! The report as text: a tree of counters, the endpoint's answers, the settings and the findings.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::data::Report;
use crate::config::{SettingSource, settings_table};
use crate::escape::OneLine;
use crate::ledger::{Counters, DropReason, Requests};
use crate::levels::Stage;
use crate::notice::one_line;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counters { offered, below, passed, otlp, console, mirrored, mirror_failed, .. } = &self.counters;
        writeln!(f, "{offered:>9} offered")?;
        if self.complete_to < log::LevelFilter::Trace {
            writeln!(f, "          below {}, `log` and tracing may have discarded more", self.complete_to)?;
        }
        row(f, 1, *below, "below the module stage's levels")?;
        self.fmt_cuts(f, Stage::Module)?;
        row(f, 1, *passed, "passed")?;
        match (&self.endpoint, self.off_because) {
            (Some(endpoint), _) => writeln!(f, "          otlp {}", OneLine(endpoint))?,
            (None, Some(why)) => writeln!(f, "          otlp is off: {why}")?,
            (None, None) => writeln!(f, "          otlp is off")?,
        }
        row(f, 2, otlp.below, "below its levels")?;
        self.fmt_cuts(f, Stage::Otlp)?;
        row(f, 2, otlp.suppressed, "suppressed")?;
        row(f, 2, otlp.unsampled, "in traces that are not sampled")?;
        row(f, 2, otlp.repeated, "suppressed as repetitions: see records with the attribute `logbridge.suppressed`")?;
        row(f, 2, otlp.accepted, "accepted")?;
        row(f, 2, otlp.adopted, "adopted: recovered from the spool of processes that ended")?;
        row(f, 3, otlp.delivered, "delivered")?;
        row(f, 3, otlp.unconfirmed, "unconfirmed: the endpoint's answer was not OTLP")?;
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
        row(f, 2, console.failed, "not printed: the stream failed, or a value panicked")?;
        self.fmt_spans(f)?;
        if mirrored + mirror_failed > 0 {
            writeln!(f, "          debug mirror")?;
            row(f, 2, *mirrored, "printed")?;
            row(f, 2, *mirror_failed, "not printed: stdout failed")?;
        }
        self.fmt_contents(f)?;
        self.fmt_traced(f)?;
        self.fmt_rates(f)?;
        fmt_requests(f, "records", self.requests.as_ref(), self.endpoint.as_deref())?;
        fmt_requests(f, "spans", self.span_requests.as_ref(), self.span_endpoint.as_deref())?;
        if self.restarts > 0 {
            row(f, 0, self.restarts, "restarts of the exporter thread")?;
        }
        row(
            f,
            0,
            self.lines_not_written,
            "lines of notices, reports or the mirror not written: stderr or stdout is blocked or closed",
        )?;
        let (built_in, chosen): (Vec<_>, Vec<_>) =
            self.configuration.settings.iter().cloned().partition(|setting| setting.source == SettingSource::BuiltIn);
        writeln!(
            f,
            "          configuration; {} more settings have built-in values (`Bridge::configuration`)",
            built_in.len()
        )?;
        let settings = settings_table(&chosen);
        settings.lines().try_for_each(|line| writeln!(f, "            {}", line.trim_end()))?;
        match self.findings.len() {
            0 => writeln!(f, "          findings: none")?,
            number => writeln!(f, "          findings: {number}")?,
        }
        for finding in &self.findings {
            finding.to_string().lines().try_for_each(|line| writeln!(f, "            {line}"))?;
        }
        if !self.notices.is_empty() {
            writeln!(f, "          notices so far")?;
        }
        self.notices.iter().try_for_each(|notice| writeln!(f, "            {}", OneLine(&one_line(notice))))
    }
}

impl Report {
    /// Lists the targets with the most filtered records, and the directives that decided.
    fn fmt_cuts(&self, f: &mut fmt::Formatter<'_>, stage: Stage) -> fmt::Result {
        for cut in self.cuts.iter().filter(|cut| cut.stage == stage).take(SHOWN) {
            row(f, 3, cut.records, &format!("{} at {}, by {}", shown(&cut.target), cut.level, cut.by))?;
        }
        Ok(())
    }

    /// Lists the targets with the most dropped records.
    fn fmt_dropped(&self, f: &mut fmt::Formatter<'_>, reason: DropReason) -> fmt::Result {
        for dropped in self.dropped.iter().filter(|dropped| dropped.reason == reason).take(SHOWN) {
            let level = dropped.level.map_or("no level", |level| level.as_str());
            row(f, 4, dropped.records, &format!("{} at {level}", shown(&dropped.target)))?;
        }
        Ok(())
    }

    /// Lists the share of records in a trace, by target.
    fn fmt_traced(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.traced.is_empty() {
            return Ok(());
        }
        writeln!(f, "          in a trace")?;
        for traced in self.traced.iter().take(SHOWN) {
            let percent = traced.with_trace.saturating_mul(100) / traced.records.max(1);
            let what = format!("of {} of {}, {percent} %", traced.records, shown(&traced.target));
            // A zero is shown: it is the number that explains missing traces.
            writeln!(f, "{:>9}     {}", traced.with_trace, OneLine(&what))?;
        }
        Ok(())
    }

    fn fmt_rates(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counters { offered, otlp, .. } = &self.counters;
        let seconds = self.elapsed.as_secs_f64();
        if seconds < MIN_RATE_PERIOD {
            return Ok(());
        }
        let rate = |records: u64| format!("{:.1}", records as f64 / seconds);
        let (offered, accepted, delivered) = (rate(*offered), rate(otlp.accepted), rate(otlp.delivered));
        writeln!(
            f,
            "          per second, over {:.1} s: {offered} offered, {accepted} accepted, {delivered} delivered",
            seconds
        )
    }

    /// Shows how many values and attributes were changed.
    fn fmt_contents(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counters { redacted, nested_too_deep, attributes_left_out, .. } = &self.counters;
        if redacted + nested_too_deep + attributes_left_out > 0 {
            writeln!(f, "          contents")?;
        }
        row(f, 2, *redacted, "values redacted")?;
        row(f, 2, *nested_too_deep, "values truncated because they were nested too deep")?;
        row(f, 2, *attributes_left_out, "attributes omitted beyond the limit")
    }

    fn fmt_spans(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spans = &self.counters.spans;
        match (&self.span_endpoint, self.spans_off_because) {
            (_, Some(why)) => writeln!(f, "          spans are not exported: {why}")?,
            (Some(endpoint), None) => writeln!(f, "          spans {}", OneLine(endpoint))?,
            (None, None) => writeln!(f, "          spans are not exported")?,
        }
        for span in self.filtered_spans.iter().take(SHOWN) {
            let calls = if span.calls > 0 { span.calls.to_string() } else { String::new() };
            writeln!(f, "{calls:>9}     filtered: {span}, by {}", OneLine(&span.by))?;
        }
        if let Some(more) = self.filtered_spans.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            writeln!(f, "              filtered: {more} more; see `Report::filtered_spans`")?;
        }
        row(f, 1, spans.open, "open")?;
        row(f, 1, spans.ended, "ended")?;
        row(f, 2, spans.ended_at_exit, "of these, still open when the process ended")?;
        row(f, 2, spans.unsampled, "not sampled")?;
        row(f, 2, spans.accepted, "accepted")?;
        row(f, 3, spans.delivered, "delivered")?;
        row(f, 3, spans.unconfirmed, "unconfirmed: the endpoint's answer was not OTLP")?;
        for (reason, number) in &spans.rejected {
            row(f, 3, *number, &format!("rejected: {reason}"))?;
        }
        for (reason, number) in &spans.dropped {
            row(f, 3, *number, &format!("dropped: {reason}"))?;
        }
        row(f, 3, spans.pending, "pending")
    }
}

fn fmt_requests(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    requests: Option<&Requests>,
    endpoint: Option<&str>,
) -> fmt::Result {
    let (Some(requests), Some(endpoint)) = (requests, endpoint) else { return Ok(()) };
    writeln!(f, "          requests with {what} to {}", OneLine(endpoint))?;
    row(f, 2, requests.confirmed, "confirmed")?;
    row(f, 2, requests.unconfirmed, "unconfirmed: the answer was not OTLP")?;
    row(f, 2, requests.failed, "failed, and were retried")?;
    row(f, 2, requests.refused, "rejected")?;
    if let Some(at) = requests.last_confirmed {
        writeln!(f, "              last confirmed: {}", ago(at))?;
    }
    if let Some((at, why)) = &requests.last_trouble {
        writeln!(f, "              last failure: {}: {}", ago(*at), OneLine(&one_line(why)))?;
    }
    Ok(())
}

fn ago(at: SystemTime) -> String {
    // If the clock was set back since, show 0.
    let passed = SystemTime::now().duration_since(at).unwrap_or(Duration::ZERO);
    format!("{:.1} s ago", passed.as_secs_f64())
}

/// The shortest time, in seconds, over which a rate is shown.
const MIN_RATE_PERIOD: f64 = 0.1;
/// How many targets each list shows.
const SHOWN: usize = 5;

fn shown(target: &str) -> &str {
    if target.is_empty() { "(other targets)" } else { target }
}

/// Writes a counter, unless it is 0.
fn row(f: &mut fmt::Formatter<'_>, depth: usize, records: u64, what: &str) -> fmt::Result {
    if records == 0 {
        return Ok(());
    }
    writeln!(f, "{records:>9} {:indent$}{}", "", OneLine(what), indent = depth * 2)
}
