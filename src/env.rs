//! env_logger's `Env`: which variables the filter and the style are read from, and their defaults.

use std::borrow::Cow;

/// Which variables the filter and the style are read from, as in env_logger.
///
/// By default `RUST_LOG` and `RUST_LOG_STYLE`. A default given here is used while the variable is unset.
///
/// ```
/// let mut builder = logbridge::Builder::from_env(logbridge::Env::default().default_filter_or("info"));
/// ```
#[derive(Clone, Debug)]
pub struct Env<'a> {
    pub(crate) filter: Variable<'a>,
    pub(crate) style: Variable<'a>,
}

#[derive(Clone, Debug)]
pub(crate) struct Variable<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) default: Option<Cow<'a, str>>,
}

/// The variable that levels are read from, unless another is named.
pub const DEFAULT_FILTER_ENV: &str = "RUST_LOG";
/// The variable that the style is read from, unless another is named.
pub const DEFAULT_WRITE_STYLE_ENV: &str = "RUST_LOG_STYLE";

impl<'a> Env<'a> {
    /// The default variables, without defaults for their values.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the filter from this variable.
    #[must_use]
    pub fn filter(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.filter = Variable { name: name.into(), default: None };
        self
    }

    /// Reads the filter from this variable; while it is unset, this is the filter.
    #[must_use]
    pub fn filter_or(mut self, name: impl Into<Cow<'a, str>>, default: impl Into<Cow<'a, str>>) -> Self {
        self.filter = Variable { name: name.into(), default: Some(default.into()) };
        self
    }

    /// While `RUST_LOG` is unset, this is the filter.
    #[must_use]
    pub fn default_filter_or(self, default: impl Into<Cow<'a, str>>) -> Self {
        self.filter_or(DEFAULT_FILTER_ENV, default)
    }

    /// Reads the style (`auto`, `always`, `never`) from this variable.
    #[must_use]
    pub fn write_style(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.style = Variable { name: name.into(), default: None };
        self
    }

    /// Reads the style from this variable; while it is unset, this is the style.
    #[must_use]
    pub fn write_style_or(mut self, name: impl Into<Cow<'a, str>>, default: impl Into<Cow<'a, str>>) -> Self {
        self.style = Variable { name: name.into(), default: Some(default.into()) };
        self
    }

    /// While `RUST_LOG_STYLE` is unset, this is the style.
    #[must_use]
    pub fn default_write_style_or(self, default: impl Into<Cow<'a, str>>) -> Self {
        self.write_style_or(DEFAULT_WRITE_STYLE_ENV, default)
    }
}

impl Default for Env<'_> {
    fn default() -> Self {
        Self {
            filter: Variable { name: DEFAULT_FILTER_ENV.into(), default: None },
            style: Variable { name: DEFAULT_WRITE_STYLE_ENV.into(), default: None },
        }
    }
}

impl<'a, T: Into<Cow<'a, str>>> From<T> for Env<'a> {
    fn from(filter: T) -> Self {
        Self::default().filter(filter)
    }
}
