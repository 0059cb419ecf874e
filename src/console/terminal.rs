//! The console: env_logger's lines, by env_logger's own formatter, through a writer of ours.
//!
//! Each thread has an env_logger of its own: its writer is behind a lock, which a forked child could otherwise inherit
//! from a thread that does not exist there. The writer keeps the error that env_logger discards.

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

/// What became of a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PrintResult {
    /// The stream could not be written.
    NotWritten,
    /// A value panicked while it was formatted.
    Panicked,
    Whole,
}

thread_local! {
    static LOGGERS: RefCell<Vec<(u64, Rc<Logger>)>> = const { RefCell::new(Vec::new()) };
    /// Whether a write of the current call failed; without a destructor, so that it works in one.
    static FAILED: Cell<bool> = const { Cell::new(false) };
    /// What is printed goes nowhere.
    static MUTED: Cell<bool> = const { Cell::new(false) };
}

impl Terminal {
    /// `None` where the console is off.
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

    /// Whether code of the application formats the lines or the key-values.
    pub(crate) fn has_custom_format(&self) -> bool {
        self.format.custom.is_some() || self.format.key_values.is_some()
    }

    /// Prints one record. A value of the application that panics while it is formatted stops here.
    pub(crate) fn print(&self, record: &log::Record<'_>) -> PrintResult {
        if is_in_custom_writer() {
            return PrintResult::NotWritten;
        }
        let outer = FAILED.replace(false);
        let logger = self.logger();
        let log = |record: &log::Record<'_>| match &logger {
            Some(logger) => logger.log(record),
            // The thread is dying and has lost its own: one for this record alone.
            None => self.build().log(record),
        };
        let formatted = catch_panic(|| self.with_safe_places(record, log)).is_some();
        if !formatted {
            // env_logger keeps the half of the line in its buffer, and would print it with the next record.
            let outer = MUTED.replace(true);
            let _emptied = catch_panic(|| log(&log::Record::builder().build()));
            MUTED.set(outer);
        }
        match (formatted, FAILED.replace(outer)) {
            (false, _) => PrintResult::Panicked,
            (true, true) => PrintResult::NotWritten,
            (true, false) => PrintResult::Whole,
        }
    }

    /// Message and key-values of `log` are printed as env_logger prints them; where a record comes from is a name, which
    /// has no reason to move the cursor or to begin a line. A custom format gets it as it is.
    fn with_safe_places(&self, record: &log::Record<'_>, log: impl FnOnce(&log::Record<'_>)) {
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

/// Colours as env_logger decides them: asked for, or the stream is a terminal and neither NO_COLOR nor TERM objects.
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
