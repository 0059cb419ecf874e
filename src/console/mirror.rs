//! The debug mirror: prints each accepted record and each ended span as it will be exported, one line each.
//!
//! Records are decoded from their encoded bytes.

use std::fmt::Write as _;
use std::io;

use env_logger::fmt::style::{AnsiColor, Style};
use opentelemetry::trace::SpanId;
use opentelemetry_sdk::trace::SpanData;

use super::sink::Sink;
use crate::clock::{Timestamp, nanos};
use crate::config::{ConsoleTarget, Mirror};
use crate::escape::OneLine;
use crate::otlp::{
    Hex, RecordView, ScopeView, attribute_views, status_code_and_message, write_record_json, write_span_json,
};

/// Prints records and spans as they will be exported.
#[derive(Debug)]
pub(crate) struct MirrorPrinter {
    json: bool,
    colors: bool,
    sink: Sink,
}

impl MirrorPrinter {
    /// Returns `None` if the mirror is off.
    pub(crate) fn new(mirror: Mirror, is_test: bool) -> Option<Self> {
        let json = match mirror {
            Mirror::Off => return None,
            Mirror::Json => true,
            Mirror::Text => false,
        };
        let choice = anstream::AutoStream::choice(&io::stdout());
        let colors = !json && !matches!(choice, anstream::ColorChoice::Never | anstream::ColorChoice::Auto);
        Some(Self { json, colors, sink: Sink::new(&ConsoleTarget::Stdout, is_test)? })
    }

    /// Prints an ended span. Returns whether it was written or queued.
    pub(crate) fn print_span(&self, resource: &[u8], span: &SpanData) -> bool {
        let mut line = String::with_capacity(256);
        if self.json {
            write_span_json(&mut line, resource, span);
        } else {
            write_span_text(&mut line, span, self.colors);
        }
        line.push('\n');
        self.sink.write_or_queue(line).is_ok()
    }

    /// Prints a record. Returns whether it was written or queued.
    pub(crate) fn print(&self, resource: &[u8], scope: &[u8], record: &[u8]) -> bool {
        let mut line = String::with_capacity(256);
        if self.json {
            write_record_json(&mut line, resource, scope, record);
        } else {
            write_text(&mut line, &ScopeView::read(scope), &RecordView::read(record), self.colors);
        }
        line.push('\n');
        self.sink.write_or_queue(line).is_ok()
    }
}

fn write_span_text(line: &mut String, span: &SpanData, colors: bool) {
    let paint = |style: Style| if colors { style } else { Style::new() };
    let subtle = paint(AnsiColor::BrightBlack.on_default());
    let style = paint(AnsiColor::Magenta.on_default());
    let failed = paint(AnsiColor::Red.on_default().bold());
    let duration = span.end_time.duration_since(span.start_time).unwrap_or_default();
    let _infallible = write!(
        line,
        "{subtle}{}{subtle:#} {style}SPAN{style:#}  {subtle}{}{subtle:#} {} {:.3}ms",
        Timestamp(nanos(span.end_time)),
        OneLine(span.instrumentation_scope.name()),
        OneLine(&span.name),
        duration.as_secs_f64() * 1_000.0,
    );
    let _infallible = match status_code_and_message(&span.status) {
        (2, "") => write!(line, " {failed}error{failed:#}"),
        (2, description) => write!(line, " {failed}error:{failed:#} {}", OneLine(description)),
        (1, _) => write!(line, " ok"),
        _ => Ok(()),
    };
    for (key, value) in attribute_views(&span.attributes) {
        let _infallible = write!(line, " {subtle}{}={subtle:#}{}", OneLine(&key), OneLine(&value.to_string()));
    }
    for (what, number) in [("events", span.events.len()), ("links", span.links.len())] {
        if number > 0 {
            let _infallible = write!(line, " {subtle}{what}={subtle:#}{number}");
        }
    }
    let context = &span.span_context;
    let _infallible = write!(
        line,
        " {subtle}trace={subtle:#}{} {subtle}span={subtle:#}{}",
        Hex(&context.trace_id().to_bytes()),
        Hex(&context.span_id().to_bytes()),
    );
    if span.parent_span_id != SpanId::INVALID {
        let _infallible = write!(line, " {subtle}parent={subtle:#}{}", Hex(&span.parent_span_id.to_bytes()));
    }
}

fn write_text(line: &mut String, scope: &ScopeView<'_>, record: &RecordView<'_>, colors: bool) {
    let paint = |style: Style| if colors { style } else { Style::new() };
    let subtle = paint(AnsiColor::BrightBlack.on_default());
    let level = paint(level_style(record.severity_number));
    let _infallible = write!(
        line,
        "{subtle}{}{subtle:#} {level}{:<5}{level:#} {subtle}{}{subtle:#} ",
        Timestamp(record.time.max(record.observed_time)),
        OneLine(&record.severity_text).to_cow(),
        OneLine(&scope.name),
    );
    let _infallible = write!(line, "{}", OneLine(&record.body.to_string()));
    if !record.event_name.is_empty() {
        let _infallible = write!(line, " {subtle}event={subtle:#}{}", OneLine(&record.event_name));
    }
    for (key, value) in &record.attributes {
        let _infallible = write!(line, " {subtle}{}={subtle:#}{}", OneLine(key), OneLine(&value.to_string()));
    }
    if !record.trace_id.is_empty() {
        let _infallible = write!(
            line,
            " {subtle}trace={subtle:#}{} {subtle}span={subtle:#}{} {subtle}flags={subtle:#}{:02x}",
            Hex(record.trace_id),
            Hex(record.span_id),
            record.flags
        );
    }
}

fn level_style(severity_number: u64) -> Style {
    match severity_number {
        17.. => AnsiColor::Red.on_default().bold(),
        13.. => AnsiColor::Yellow.on_default(),
        9.. => AnsiColor::Green.on_default(),
        5.. => AnsiColor::Blue.on_default(),
        _ => AnsiColor::Cyan.on_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::{RecordHeader, RecordWriter, Scratch, TraceIds, encode_scope_name};

    #[test]
    fn a_record_is_one_line() {
        let mut scratch = Scratch::default();
        let trace = TraceIds { trace_id: [0xab; 16], span_id: [1; 8], flags: 1 };
        let head = RecordHeader {
            time: 1_000,
            observed_time: 2,
            severity_number: 9,
            severity_text: "INFO",
            trace: Some(trace),
            event_name: Some("order.placed"),
        };
        let mut writer = RecordWriter::begin(&mut scratch, &head);
        writer.body(format_args!("two\nlines \u{1b}[2J"));
        writer.attribute("total", |value| value.double(9.0));
        writer.finish(0);
        let mut scope = Vec::new();
        encode_scope_name(&mut scope, "shop::cart");
        let mut line = String::new();
        write_text(&mut line, &ScopeView::read(&scope), &RecordView::read(&scratch.buf), false);
        assert_eq!(
            line,
            "1970-01-01T00:00:00.000001Z INFO  shop::cart two\\nlines \\u{1b}[2J event=order.placed total=9.0 \
             trace=abababababababababababababababab span=0101010101010101 flags=01"
        );
    }
}
