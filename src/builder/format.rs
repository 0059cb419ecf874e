//! The format of console lines, with env_logger's settings and names.

use std::io;
use std::sync::Arc;

use env_logger::fmt::Formatter;
use env_logger::{Target, TimestampPrecision, WriteStyle};
use log::Record;

use super::configure::Builder;
use crate::config::{Console, ConsoleTarget, Pipe};
use crate::levels::LevelSet;

impl Builder {
    /// Sets the target of console output, in env_logger's terms. Default: stderr.
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

    /// Sets whether lines are colored.
    ///
    /// Default: colored if the stream is a terminal and `NO_COLOR` is not set. Environment variable: `RUST_LOG_STYLE`.
    pub fn write_style(&mut self, style: WriteStyle) -> &mut Self {
        self.settings.format.style = style;
        self
    }

    /// Sets the [write style](Self::write_style) by name: `auto`, `always` or `never`. Any other name means `auto`.
    pub fn parse_write_style(&mut self, style: &str) -> &mut Self {
        self.write_style(match style {
            "always" => WriteStyle::Always,
            "never" => WriteStyle::Never,
            _ => WriteStyle::Auto,
        })
    }

    /// Sets whether the test harness can capture console output. Default: `false`.
    pub fn is_test(&mut self, is_test: bool) -> &mut Self {
        self.settings.format.is_test = is_test;
        self
    }

    /// Sets a custom format for whole lines. Default: env_logger's format.
    pub fn format<F>(&mut self, format: F) -> &mut Self
    where
        F: Fn(&mut Formatter, &Record<'_>) -> io::Result<()> + Sync + Send + 'static,
    {
        self.settings.format.custom = Some(Arc::new(format));
        self
    }

    /// Restores env_logger's format, with the settings of this builder.
    pub fn default_format(&mut self) -> &mut Self {
        self.settings.format.custom = None;
        self
    }

    /// Sets a custom format for the key-value pairs of a record. Default: env_logger's format.
    pub fn format_key_values<F>(&mut self, format: F) -> &mut Self
    where
        F: Fn(&mut Formatter, &dyn log::kv::Source) -> io::Result<()> + Sync + Send + 'static,
    {
        self.settings.format.key_values = Some(Arc::new(format));
        self
    }

    /// Sets whether the level is shown. Default: `true`.
    pub fn format_level(&mut self, write: bool) -> &mut Self {
        self.settings.format.level = write;
        self
    }

    /// Sets whether the module path is shown. Default: `false`.
    pub fn format_module_path(&mut self, write: bool) -> &mut Self {
        self.settings.format.module_path = write;
        self
    }

    /// Sets whether the target is shown. Default: `true`.
    pub fn format_target(&mut self, write: bool) -> &mut Self {
        self.settings.format.target = write;
        self
    }

    /// Sets whether the source file is shown. Default: `false`.
    pub fn format_file(&mut self, write: bool) -> &mut Self {
        self.settings.format.file = write;
        self
    }

    /// Sets whether the line number is shown after the source file. Default: `false`.
    pub fn format_line_number(&mut self, write: bool) -> &mut Self {
        self.settings.format.line_number = write;
        self
    }

    /// Sets whether the source file and line number are shown. Default: `false`.
    pub fn format_source_path(&mut self, write: bool) -> &mut Self {
        self.format_file(write).format_line_number(write)
    }

    /// Sets the indentation of further lines of a message, in spaces. `None` means no indentation. Default: 4.
    pub fn format_indent(&mut self, indent: Option<usize>) -> &mut Self {
        self.settings.format.indent = indent;
        self
    }

    /// Sets the end of each line. Default: a line break.
    pub fn format_suffix(&mut self, suffix: &'static str) -> &mut Self {
        self.settings.format.suffix = suffix;
        self
    }

    /// Sets the precision of the timestamp. `None` hides it. Default: seconds.
    pub fn format_timestamp(&mut self, timestamp: Option<TimestampPrecision>) -> &mut Self {
        self.settings.format.timestamp = timestamp;
        self
    }

    /// Shows timestamps with a precision of seconds.
    pub fn format_timestamp_secs(&mut self) -> &mut Self {
        self.format_timestamp(Some(TimestampPrecision::Seconds))
    }

    /// Shows timestamps with a precision of milliseconds.
    pub fn format_timestamp_millis(&mut self) -> &mut Self {
        self.format_timestamp(Some(TimestampPrecision::Millis))
    }

    /// Shows timestamps with a precision of microseconds.
    pub fn format_timestamp_micros(&mut self) -> &mut Self {
        self.format_timestamp(Some(TimestampPrecision::Micros))
    }

    /// Shows timestamps with a precision of nanoseconds.
    pub fn format_timestamp_nanos(&mut self) -> &mut Self {
        self.format_timestamp(Some(TimestampPrecision::Nanos))
    }
}
