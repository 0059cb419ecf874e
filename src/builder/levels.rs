//! The levels of records and spans.

use std::path::PathBuf;

use log::LevelFilter;

use super::configure::Builder;
use crate::levels::{Origin, Threshold};

impl Builder {
    /// Sets the threshold of the module stage for all targets without a directive of their own.
    ///
    /// Default: unset, which means WARN. Environment variable: `RUST_LOG`.
    pub fn filter_level(&mut self, threshold: impl Into<Threshold>) -> &mut Self {
        self.settings.levels.set("", threshold.into(), Origin::Code, "code");
        self
    }

    /// Sets the threshold of the module stage for a module and its submodules.
    ///
    /// As in env_logger, it applies to every target that begins with `module`: `shop` also matches `shop_core`. The
    /// longest matching name decides. Environment variable: `RUST_LOG`.
    pub fn filter_module(&mut self, module: &str, threshold: impl Into<Threshold>) -> &mut Self {
        self.settings.levels.set(module, threshold.into(), Origin::Code, "code");
        self
    }

    /// Sets the threshold of a module like [`filter_module`](Self::filter_module), or of all targets like
    /// [`filter_level`](Self::filter_level) if `module` is `None`.
    pub fn filter(&mut self, module: Option<&str>, threshold: impl Into<Threshold>) -> &mut Self {
        self.settings.levels.set(module.unwrap_or_default(), threshold.into(), Origin::Code, "code");
        self
    }

    /// Adds directives in the format of `RUST_LOG`, such as `info,shop::db=debug`.
    ///
    /// After a `/`, a regular expression filters records by their text. This requires the feature `regex`.
    ///
    /// Invalid directives make [`try_init`](Self::try_init) return an error.
    pub fn parse_filters(&mut self, directives: &str) -> &mut Self {
        self.settings.take_filter(directives);
        self
    }

    /// Sets a file with levels that is read four times a second while the program runs.
    ///
    /// Each line holds one or more directives in the format of `RUST_LOG`; a comment begins with `#`. Directives after
    /// a line `[otlp]`, `[console]` or `[spans]` apply to that stage. The file takes precedence over code and
    /// environment variables for the same target.
    ///
    /// A partly written or invalid file never takes effect. Until it is corrected, the last valid levels apply.
    ///
    /// Default: none. Environment variable: `LOGBRIDGE_LEVELS_FILE`.
    pub fn levels_file(&mut self, path: impl Into<PathBuf>) -> &mut Self {
        self.settings.levels_file = Some(path.into());
        self
    }

    /// Counts filtered records down to this level by target.
    ///
    /// [`log`] and tracing then pass these records to logbridge, which costs more than a disabled call. Calls of spans
    /// below the span threshold are counted, too: see [`Report::filtered_spans`](crate::Report::filtered_spans).
    ///
    /// Default: unset, so only records that reach logbridge anyway are counted. Environment variable:
    /// `LOGBRIDGE_COUNT_BELOW`.
    pub fn count_below(&mut self, level: LevelFilter) -> &mut Self {
        self.settings.count_below = Some(level);
        self
    }

    /// Sets whether logbridge reports the first record at INFO or above that is filtered because no level is set.
    ///
    /// The notice is printed on stderr, once. Default: `true`. Environment variable: `LOGBRIDGE_FIRST_CUT`.
    pub fn first_cut_notice(&mut self, wanted: bool) -> &mut Self {
        self.settings.first_cut_notice = Some(wanted);
        self
    }

    /// Sets the threshold of spans: which tracing spans become OpenTelemetry spans, whose ids their records carry.
    ///
    /// It is independent of the levels of records. Default: INFO. Environment variable: `LOGBRIDGE_SPAN_LEVEL`, with
    /// directives as in `RUST_LOG`.
    ///
    /// A few request spans that libraries create at DEBUG pass as well, such as the one of tower-http's `TraceLayer`; the
    /// README lists them. A threshold for their target takes precedence, and so does one stricter than INFO set here.
    pub fn span_level(&mut self, threshold: impl Into<Threshold>) -> &mut Self {
        self.settings.span_levels.set("", threshold.into(), Origin::Code, "code");
        self
    }

    /// Sets the threshold of spans for a module and its submodules. Environment variable: `LOGBRIDGE_SPAN_LEVEL`, with
    /// directives as in `RUST_LOG`.
    pub fn span_module_level(&mut self, module: &str, threshold: impl Into<Threshold>) -> &mut Self {
        self.settings.span_levels.set(module, threshold.into(), Origin::Code, "code");
        self
    }
}
