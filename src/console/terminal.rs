//! The console: lines in env_logger's format, written by env_logger's own formatter.
//!
//! Each thread has its own env_logger. The writer of an env_logger has a lock, and in a forked child that lock may be
//! held by a thread that does not exist there. Our writer keeps the error that env_logger discards.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use anstream::ColorChoice;
use env_logger::{Logger, Target, WriteStyle};
use log::{LevelFilter, Log as _};

use super::sink::{Sink, is_in_custom_writer};
use crate::config::{ConsoleConfig, ConsoleTarget, LineFormat};
use crate::escape::{OneLine, is_unsafe};
use crate::thread::catch_panic;

/// Prints records as env_logger does.
#[derive(Debug)]
pub(crate) struct Terminal {
    id: u64,
    sink: Sink,
    format: LineFormat,
    style: WriteStyle,
}

/// The result of printing a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PrintResult {
    /// The stream failed.
    NotWritten,
    /// A value panicked while it was formatted.
    Panicked,
    Whole,
}

thread_local! {
    static LOGGERS: RefCell<Vec<(u64, Rc<Logger>)>> = const { RefCell::new(Vec::new()) };
    /// Whether a write of the current call failed. It has no destructor, so that it works in destructors.
    static FAILED: Cell<bool> = const { Cell::new(false) };
    /// Whether writes are discarded.
    static MUTED: Cell<bool> = const { Cell::new(false) };
}

impl Terminal {
    /// Returns `None` if the console is off.
    pub(crate) fn new(config: &ConsoleConfig) -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let sink = Sink::new(&config.target, config.format.is_test)?;
        Some(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            sink,
            style: style(config.format.style, &config.target),
            format: config.format.clone(),
        })
    }

    /// Returns whether the application formats the lines or the key-values.
    pub(crate) fn has_custom_format(&self) -> bool {
        self.format.custom.is_some() || self.format.key_values.is_some()
    }

    /// Prints a record. A panic of a value that is formatted does not leave this function.
    pub(crate) fn print(&self, record: &log::Record<'_>) -> PrintResult {
        if is_in_custom_writer() {
            return PrintResult::NotWritten;
        }
        let outer = FAILED.replace(false);
        let logger = self.logger();
        let log = |record: &log::Record<'_>| match &logger {
            Some(logger) => logger.log(record),
            // The thread is ending, and its thread-local logger is destroyed.
            None => self.build().log(record),
        };
        let formatted = catch_panic(|| self.with_escaped_source(record, log)).is_some();
        if !formatted {
            // env_logger has a part of the line in its buffer. Flush it, so that the next record does not print it.
            let outer = MUTED.replace(true);
            let _flushed = catch_panic(|| log(&log::Record::builder().build()));
            MUTED.set(outer);
        }
        match (formatted, FAILED.replace(outer)) {
            (false, _) => PrintResult::Panicked,
            (true, true) => PrintResult::NotWritten,
            (true, false) => PrintResult::Whole,
        }
    }

    /// Logs a record with its target, module path and file escaped, because names need neither line breaks nor escapes.
    ///
    /// The message and the key-values are printed as env_logger prints them. A custom format gets the record as it is.
    fn with_escaped_source(&self, record: &log::Record<'_>, log: impl FnOnce(&log::Record<'_>)) {
        let places = [Some(record.target()), record.module_path(), record.file()];
        if self.format.custom.is_some() || !places.into_iter().flatten().any(|place| place.contains(is_unsafe)) {
            return log(record);
        }
        let [target, module_path, file] = places.map(|place| place.map(|place| OneLine(place).to_string()));
        let mut safe = record.to_builder();
        safe.target(target.as_deref().unwrap_or_default()).module_path(module_path.as_deref()).file(file.as_deref());
        log(&safe.build());
    }

    fn logger(&self) -> Option<Rc<Logger>> {
        LOGGERS
            .try_with(|loggers| {
                let mut loggers = loggers.try_borrow_mut().ok()?;
                if let Some((_, logger)) = loggers.iter().find(|(id, _)| *id == self.id) {
                    return Some(Rc::clone(logger));
                }
                let logger = Rc::new(self.build());
                loggers.push((self.id, Rc::clone(&logger)));
                Some(logger)
            })
            .ok()
            .flatten()
    }

    fn build(&self) -> Logger {
        let mut builder = env_logger::Builder::new();
        let format = &self.format;
        builder
            .filter_level(LevelFilter::Trace)
            .target(Target::Pipe(Box::new(SinkWriter(self.sink.clone()))))
            .write_style(self.style)
            .format_file(format.file)
            .format_indent(format.indent)
            .format_level(format.level)
            .format_line_number(format.line_number)
            .format_module_path(format.module_path)
            .format_suffix(format.suffix)
            .format_target(format.target)
            .format_timestamp(format.timestamp);
        if let Some(key_values) = format.key_values.clone() {
            builder.format_key_values(move |formatter, source| key_values(formatter, source));
        }
        if let Some(custom) = format.custom.clone() {
            builder.format(move |formatter, record| custom(formatter, record));
        }
        builder.build()
    }
}

/// Decides about colors as env_logger does. `Auto` means a terminal, unless `NO_COLOR` or `TERM` disables colors.
fn style(style: WriteStyle, target: &ConsoleTarget) -> WriteStyle {
    if style != WriteStyle::Auto {
        return style;
    }
    let choice = match target {
        ConsoleTarget::Stderr => anstream::AutoStream::choice(&io::stderr()),
        ConsoleTarget::Stdout => anstream::AutoStream::choice(&io::stdout()),
        ConsoleTarget::Off | ConsoleTarget::Pipe(_) => ColorChoice::Never,
    };
    match choice {
        ColorChoice::Always | ColorChoice::AlwaysAnsi => WriteStyle::Always,
        ColorChoice::Auto | ColorChoice::Never => WriteStyle::Never,
    }
}

struct SinkWriter(Sink);

impl io::Write for SinkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if MUTED.get() {
            return Ok(());
        }
        self.0.write_all(bytes).inspect_err(|_| FAILED.set(true))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
