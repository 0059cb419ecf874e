//! Environment variables of the process.

use std::collections::BTreeMap;
use std::fmt;

#[cfg(test)]
thread_local! {
    /// How often this thread has read the process environment.
    pub(crate) static ENVIRONMENT_READS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// A snapshot of environment variables. The default is empty, as `Builder::new()` requires.
///
/// An empty value counts as unset, as the OpenTelemetry specification demands.
#[derive(Clone, Default)]
pub struct Environment {
    vars: BTreeMap<String, String>,
}

impl Environment {
    /// Reads the variables of this process. Invalid UTF-8 is replaced by `U+FFFD`.
    pub fn process() -> Self {
        #[cfg(test)]
        ENVIRONMENT_READS.set(ENVIRONMENT_READS.get() + 1);
        std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect()
    }

    /// Returns the trimmed value of a variable, or `None` if that is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Returns whether the variable is set but empty, which some programs treat differently from unset.
    pub fn is_set_but_empty(&self, name: &str) -> bool {
        self.vars.get(name).is_some_and(|value| value.trim().is_empty())
    }

    /// Returns all variables with their trimmed values.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.vars.iter().map(|(name, value)| (name.as_str(), value.trim()))
    }

    /// Returns a copy without the named variables.
    pub fn without(&self, names: &[&str]) -> Self {
        self.only(|name| !names.contains(&name))
    }

    /// Returns a copy with only the variables whose names `is_kept` accepts.
    pub fn only(&self, is_kept: impl Fn(&str) -> bool) -> Self {
        let kept = self.vars.iter().filter(|(name, _)| is_kept(name));
        kept.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Returns the names of all variables that are set.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.vars.iter().filter(|(_, value)| !value.trim().is_empty()).map(|(name, _)| name.as_str())
    }

    /// Returns whether any variable that is set begins with `prefix`.
    pub fn mentions(&self, prefix: &str) -> bool {
        self.vars.iter().any(|(name, value)| name.starts_with(prefix) && !value.trim().is_empty())
    }

    /// Returns whether any variable of OpenTelemetry or HyperDX is set.
    pub fn mentions_opentelemetry(&self) -> bool {
        self.mentions("OTEL_") || self.mentions("HYPERDX_")
    }

    /// Returns the first variable of the list that is set, with its value.
    pub fn first<'a>(&self, names: &[&'a str]) -> Option<(&'a str, &str)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(vars: [(&str, &str); N]) -> Self {
        Self { vars: vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect() }
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(vars: T) -> Self {
        Self { vars: vars.into_iter().collect() }
    }
}

impl fmt::Debug for Environment {
    // Values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.vars.keys()).finish()
    }
}

/// Returns the name of the running program, for `unknown_service:NAME` and `process.executable.name`.
pub(crate) fn executable_name() -> Option<String> {
    let path = std::env::current_exe().ok()?;
    Some(path.file_name()?.to_string_lossy().into_owned())
}

/// Parses a boolean of DEBUG, `HYPERDX_*` or `LOGBRIDGE_*`: `true 1 yes on` or `false 0 no off`, in any case.
pub(crate) fn parse_bool(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_is_no_value() {
        let environment = Environment::from([("A", ""), ("B", "  "), ("OTEL_X", " 1 ")]);
        assert_eq!(environment.get("A"), None);
        assert_eq!(environment.get("B"), None);
        assert_eq!(environment.get("OTEL_X"), Some("1"));
        assert!(environment.mentions("OTEL_") && !environment.mentions("A"));
        assert_eq!(environment.first(&["A", "OTEL_X"]), Some(("OTEL_X", "1")));
    }

    #[test]
    fn debug_output_has_no_values() {
        let environment = Environment::from([("HYPERDX_API_KEY", "s3cret")]);
        assert_eq!(format!("{environment:?}"), "{\"HYPERDX_API_KEY\"}");
    }
}
