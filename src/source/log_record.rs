//! `log` records, read from the borrowed record.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt::{self, Write as _};
use std::mem::ManuallyDrop;

use log::kv::{self, Key, Value, VisitSource};
use log::{Level, Record};

use super::buffers::Location;
use super::error_attributes::write_error;
use super::official::OfficialAppenders;
use super::pipeline::Pipeline;
use super::record_source::RecordSource;
use crate::console::{PrintResult, Terminal};
use crate::otlp::{CapturedValue, RecordWriter, text_of, write_serde};
use crate::thread::catch_panic;

/// Takes a record of the `log` crate.
pub(crate) fn take_log(pipeline: &Pipeline, record: &Record<'_>) {
    // The source is made only for records that pass the module stage.
    let Some(admitted) = pipeline.admit(record.target(), record.level()) else { return };
    // Dropped manually, because most sources own nothing.
    let source = ManuallyDrop::new(LogSource::new(record));
    pipeline.accept(admitted, &*source);
    if source.is_rendered() {
        drop(ManuallyDrop::into_inner(source));
    }
}

/// A `log` record. Its values are formatted once if more than one destination needs their texts.
struct LogSource<'a> {
    record: &'a Record<'a>,
    /// `None` inside if formatting panicked.
    message: OnceCell<Option<String>>,
    /// `None` inside if formatting panicked.
    pairs: OnceCell<Option<Vec<Pair<'a>>>>,
}

/// A key-value that is formatted.
struct Pair<'a> {
    key: Key<'a>,
    value: Value<'a>,
    rendered: Rendered,
}

enum Rendered {
    /// An error, with its text.
    Error(String),
    /// `None` if its own `Serialize` failed.
    Value(Option<CapturedValue>),
}

impl<'a> LogSource<'a> {
    fn new(record: &'a Record<'a>) -> Self {
        Self { record, message: OnceCell::new(), pairs: OnceCell::new() }
    }

    /// Returns whether there is anything to free.
    #[inline]
    fn is_rendered(&self) -> bool {
        self.message.get().is_some() || self.pairs.get().is_some()
    }

    /// Returns the message; formats it at the first call. Returns `None` if that panicked.
    fn message(&self) -> Option<Cow<'_, str>> {
        if let Some(literal) = self.record.args().as_str() {
            return Some(Cow::Borrowed(literal));
        }
        let formatted = || {
            let mut text = String::with_capacity(128);
            // If a `Display` fails, what it wrote is kept.
            let _kept = text.write_fmt(*self.record.args());
            text
        };
        self.message.get_or_init(|| catch_panic(formatted)).as_deref().map(Cow::Borrowed)
    }

    /// Returns the key-values; formats them at the first call. Returns `None` if that panicked.
    fn pairs(&self) -> Option<&[Pair<'a>]> {
        let pairs = self.pairs.get_or_init(|| {
            catch_panic(|| {
                let mut pairs = Vec::new();
                // If a source fails, the pairs before the failure are kept.
                let _kept = self.record.key_values().visit(&mut Render(&mut pairs));
                pairs
            })
        });
        pairs.as_deref()
    }

    /// Returns the record with the existing texts, so that they are not formatted again.
    fn with_rendered<T>(&self, keeps_errors: bool, run: impl FnOnce(&Record<'_>) -> T) -> T {
        let Some(Some(pairs)) = self.pairs.get() else { return run(self.record) };
        let pairs = Shown { pairs, keeps_errors };
        let mut record = self.record.to_builder();
        record.key_values(&pairs);
        match self.message.get().and_then(Option::as_deref) {
            Some(message) => run(&record.args(format_args!("{message}")).build()),
            None => run(&record.build()),
        }
    }
}

impl RecordSource for LogSource<'_> {
    fn target(&self) -> &str {
        self.record.target()
    }

    fn level(&self) -> Level {
        self.record.level()
    }

    fn text(&self) -> Option<Cow<'_, str>> {
        self.message()
    }

    fn render(&self) {
        let _rendered = self.message().and_then(|_| self.pairs());
    }

    #[inline]
    fn has_panicked(&self) -> bool {
        matches!(self.message.get(), Some(None)) || matches!(self.pairs.get(), Some(None))
    }

    fn emit_official(&self, appenders: &OfficialAppenders) -> bool {
        self.with_rendered(false, |record| appenders.log(record));
        true
    }

    fn print(&self, terminal: &Terminal) -> PrintResult {
        match self.pairs() {
            Some(_) => self.with_rendered(terminal.has_custom_format(), |record| terminal.print(record)),
            None => PrintResult::Panicked,
        }
    }

    fn location(&self) -> Location<'_> {
        let record = self.record;
        Location { file: record.file(), line: record.line(), is_static: record.file_static().is_some() }
    }

    #[inline]
    fn write(&self, writer: &mut RecordWriter<'_>) {
        match self.message.get() {
            Some(message) => writer.body(format_args!("{}", message.as_deref().unwrap_or_default())),
            None => writer.body(*self.record.args()),
        }
        match self.pairs.get() {
            Some(pairs) => pairs.iter().flatten().for_each(|pair| pair.write(writer)),
            None => {
                match self.record.key_values().visit(&mut Pairs(writer)) {
                    // A separate arm, so that the usual case drops nothing.
                    Ok(()) => {}
                    // The visitor never fails. If a source fails, the pairs before the failure are kept.
                    Err(error) => drop(error),
                }
            }
        }
    }
}

impl Pair<'_> {
    fn write(&self, writer: &mut RecordWriter<'_>) {
        let key = self.key.as_str();
        match (&self.rendered, self.value.to_borrowed_error()) {
            (Rendered::Error(text), Some(error)) => write_error(writer, key, error, text),
            (Rendered::Error(text), None) => writer.attribute(key, |writer| writer.str(text)),
            (Rendered::Value(Some(value)), _) => writer.attribute(key, |writer| write_serde(value, writer)),
            (Rendered::Value(None), _) => {}
        }
    }

    fn text(&self) -> Option<&str> {
        match &self.rendered {
            Rendered::Error(text) => Some(text),
            Rendered::Value(Some(recorded)) => recorded.as_text(),
            Rendered::Value(None) => Some("<not serializable>"),
        }
    }

    /// Returns the value for a formatter that cannot see that it is already formatted.
    fn shown(&self, keeps_errors: bool) -> Value<'_> {
        match &self.rendered {
            // A custom format may print the sources of an error.
            Rendered::Error(_) if keeps_errors => self.value.clone(),
            Rendered::Value(Some(recorded)) if recorded.as_text().is_none() => recorded.to_display_value(&self.value),
            Rendered::Error(_) | Rendered::Value(_) => Value::from_display(self),
        }
    }
}

/// Writes the text of the value. If a custom format requests padding or the like, the value formats itself again,
/// because only it can apply such options.
impl fmt::Display for Pair<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = f.width().is_none() && f.precision().is_none() && !(f.alternate() || f.sign_plus());
        match self.text() {
            Some(text) if is_plain => f.write_str(text),
            _ => self.value.fmt(f),
        }
    }
}

/// The key-values of a record, for a formatter.
struct Shown<'s, 'a> {
    pairs: &'s [Pair<'a>],
    keeps_errors: bool,
}

impl kv::Source for Shown<'_, '_> {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), kv::Error> {
        self.pairs.iter().try_for_each(|pair| visitor.visit_pair(pair.key.clone(), pair.shown(self.keeps_errors)))
    }

    fn count(&self) -> usize {
        self.pairs.len()
    }
}

/// Formats each pair once.
struct Render<'p, 'a>(&'p mut Vec<Pair<'a>>);

impl<'a> VisitSource<'a> for Render<'_, 'a> {
    fn visit_pair(&mut self, key: Key<'a>, value: Value<'a>) -> Result<(), kv::Error> {
        let rendered = match value.to_borrowed_error() {
            Some(error) => Rendered::Error(text_of(&error)),
            None => Rendered::Value(CapturedValue::new(&value)),
        };
        self.0.push(Pair { key, value, rendered });
        Ok(())
    }
}

struct Pairs<'a, 'b>(&'a mut RecordWriter<'b>);

impl<'kvs> VisitSource<'kvs> for Pairs<'_, '_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        match value.to_borrowed_error() {
            Some(error) => write_error(self.0, key.as_str(), error, &text_of(&error)),
            // Serializing covers the types of `log`, and values captured by serde, sval, `Debug` or `Display`.
            None => self.0.attribute(key.as_str(), |writer| write_serde(&value, writer)),
        }
        Ok(())
    }
}
