//! How console lines look: env_logger's settings, under env_logger's names.

use std::io;
use std::sync::Arc;

use env_logger::fmt::Formatter;
use env_logger::{Target, TimestampPrecision, WriteStyle};
use log::Record;

use super::Builder;
use crate::config::{Console, ConsoleTarget, Pipe};
use crate::levels::LevelSet;

impl Builder {
    /// Where the console prints, in env_logger's terms. Default: stderr.
    pub fn target(&mut self, target: Target) -> &mut Self {
        let levels: LevelSet = self.settings.console.take().map(|console| console.levels).unwrap_or_default();
        let target = match target {
            Target::Stdout => ConsoleTarget::Stdout,
            Target::Pipe(pipe) => ConsoleTarget::Pipe(Arc::new(Pipe::new(pipe))),
            _ => ConsoleTarget::Stderr,
        };
        self.settings.console = Some(Console { target, levels });
        self
    }

    /// Whether lines have colours. Default: `RUST_LOG_STYLE`, else when the stream is a terminal and `NO_COLOR` is not
    /// set.
    pub fn write_style(&mut self, style: WriteStyle) -> &mut Self {
        self.settings.format.style = style;
        self
    }

    /// [`write_style`](Self::write_style) by its word: `auto`, `always` or `never`; any other word means `auto`.
    pub fn parse_write_style(&mut self, style: &str) -> &mut Self {
        self.write_style(match style {
            "always" => WriteStyle::Always,
            "never" => WriteStyle::Never,
            _ => WriteStyle::Auto,
        })
    }

    /// Whether the console prints so that the test harness can capture it. Default: no.
    pub fn is_test(&mut self, is_test: bool) -> &mut Self {
        self.settings.format.is_test = is_test;
        self
    }

    /// A format of your own for the whole line. Default: env_logger's.
    pub fn format<F>(&mut self, format: F) -> &mut Self
    where
        F: Fn(&mut Formatter, &Record<'_>) -> io::Result<()> + Sync + Send + 'static,
    {
        self.settings.format.custom = Some(Arc::new(format));
        self
    }

    /// env_logger's format again, with the settings of this builder.
    pub fn default_format(&mut self) -> &mut Self {
        self.settings.format.custom = None;
        self
    }

    /// A format of your own for the key-values of a record. Default: env_logger's.
    pub fn format_key_values<F>(&mut self, format: F) -> &mut Self
    where
        F: Fn(&mut Formatter, &dyn log::kv::Source) -> io::Result<()> + Sync + Send + 'static,
    {
        self.settings.format.key_values = Some(Arc::new(format));
        self
    }

    /// Whether the level is shown. Default: yes.
    pub fn format_level(&mut self, write: bool) -> &mut Self {
        self.settings.format.level = write;
        self
    }

    /// Whether the module path is shown. Default: no.
    pub fn format_module_path(&mut self, write: bool) -> &mut Self {
        self.settings.format.module_path = write;
        self
    }

    /// Whether the target is shown. Default: yes.
    pub fn format_target(&mut self, write: bool) -> &mut Self {
        self.settings.format.target = write;
        self
    }

    /// Whether the source file is shown. Default: no.
    pub fn format_file(&mut self, write: bool) -> &mut Self {
        self.settings.format.file = write;
        self
    }

    /// Whether the line number is shown, where the file is. Default: no.
    pub fn format_line_number(&mut self, write: bool) -> &mut Self {
        self.settings.format.line_number = write;
        self
    }

    /// Whether file and line number are shown. Default: no.
    pub fn format_source_path(&mut self, write: bool) -> &mut Self {
        self.format_file(write).format_line_number(write)
    }

    /// By how much the further lines of a message are indented; `None` for not at all. Default: 4.
    pub fn format_indent(&mut self, indent: Option<usize>) -> &mut Self {
        self.settings.format.indent = indent;
        self
    }

    /// What ends a line. Default: a line break.
    pub fn format_suffix(&mut self, suffix: &'static str) -> &mut Self {
        self.settings.format.suffix = suffix;
        self
    }

    /// The precision of the time, or `None` for no time. Default: seconds.
    pub fn format_timestamp(&mut self, timestamp: Option<TimestampPrecision>) -> &mut Self {
        self.settings.format.timestamp = timestamp;
        self
    }

    /// Shows the time to the second.
    pub fn format_timestamp_secs(&mut self) -> &mut Self {
        self.format_timestamp(Some(TimestampPrecision::Seconds))
    }

    /// Shows the time to the millisecond.
    pub fn format_timestamp_millis(&mut self) -> &mut Self {
        self.format_timestamp(Some(TimestampPrecision::Millis))
    }

    /// Shows the time to the microsecond.
    pub fn format_timestamp_micros(&mut self) -> &mut Self {
        self.format_timestamp(Some(TimestampPrecision::Micros))
    }

    /// Shows the time to the nanosecond.
    pub fn format_timestamp_nanos(&mut self) -> &mut Self {
        self.format_timestamp(Some(TimestampPrecision::Nanos))
    }
}
