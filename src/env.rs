//! `Env`, as in env_logger: the environment variables of the filter and the style, with their defaults.

use std::borrow::Cow;

/// The environment variables of the filter and the style, as in env_logger.
///
/// The default variables are `RUST_LOG` and `RUST_LOG_STYLE`. A default value is used if its variable is unset.
///
/// # Examples
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

/// The default environment variable of the filter.
pub const DEFAULT_FILTER_ENV: &str = "RUST_LOG";
/// The default environment variable of the style.
pub const DEFAULT_WRITE_STYLE_ENV: &str = "RUST_LOG_STYLE";

impl<'a> Env<'a> {
    /// Returns the default variables, without default values.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the variable of the filter.
    #[must_use]
    pub fn filter(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.filter = Variable { name: name.into(), default: None };
        self
    }

    /// Sets the variable of the filter, and the filter to use if it is unset.
    #[must_use]
    pub fn filter_or(mut self, name: impl Into<Cow<'a, str>>, default: impl Into<Cow<'a, str>>) -> Self {
        self.filter = Variable { name: name.into(), default: Some(default.into()) };
        self
    }

    /// Sets the filter to use if `RUST_LOG` is unset.
    #[must_use]
    pub fn default_filter_or(self, default: impl Into<Cow<'a, str>>) -> Self {
        self.filter_or(DEFAULT_FILTER_ENV, default)
    }

    /// Sets the variable of the style (`auto`, `always` or `never`).
    #[must_use]
    pub fn write_style(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.style = Variable { name: name.into(), default: None };
        self
    }

    /// Sets the variable of the style, and the style to use if it is unset.
    #[must_use]
    pub fn write_style_or(mut self, name: impl Into<Cow<'a, str>>, default: impl Into<Cow<'a, str>>) -> Self {
        self.style = Variable { name: name.into(), default: Some(default.into()) };
        self
    }

    /// Sets the style to use if `RUST_LOG_STYLE` is unset.
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
