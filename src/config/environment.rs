//! The only reader of the process's environment.

use std::collections::BTreeMap;
use std::fmt;

#[cfg(test)]
thread_local! {
    /// How often this thread has read the environment of the process.
    pub(crate) static READS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// The variables at one moment; none at all by default, which is what `Builder::new()` sees. A value that is empty counts as unset, as the OpenTelemetry specification says.
#[derive(Clone, Default)]
pub struct Environment {
    vars: BTreeMap<String, String>,
}

impl Environment {
    /// The variables of this process. Text that is not UTF-8 is read with replacement characters.
    pub fn process() -> Self {
        #[cfg(test)]
        READS.set(READS.get() + 1);
        std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect()
    }

    /// The value, without surrounding white space; `None` where that leaves nothing.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Whether it is set, to nothing: some read that otherwise than unset.
    pub fn is_empty_there(&self, name: &str) -> bool {
        self.vars.get(name).is_some_and(|value| value.trim().is_empty())
    }

    /// Each variable with its value, without surrounding white space.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.vars.iter().map(|(name, value)| (name.as_str(), value.trim()))
    }

    /// The same without these.
    pub fn without(&self, names: &[&str]) -> Self {
        self.only(|name| !names.contains(&name))
    }

    /// Only those whose names are of this kind.
    pub fn only(&self, is_kept: impl Fn(&str) -> bool) -> Self {
        let kept = self.vars.iter().filter(|(name, _)| is_kept(name));
        kept.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// The names of those that have a value.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.vars.iter().filter(|(_, value)| !value.trim().is_empty()).map(|(name, _)| name.as_str())
    }

    /// Whether any variable with a value has a name that starts so.
    pub fn mentions(&self, prefix: &str) -> bool {
        self.vars.iter().any(|(name, value)| name.starts_with(prefix) && !value.trim().is_empty())
    }

    /// Whether any variable of OpenTelemetry or HyperDX has a value.
    pub fn mentions_opentelemetry(&self) -> bool {
        self.mentions("OTEL_") || self.mentions("HYPERDX_")
    }

    /// The first of the names that has a value, with it.
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

/// The name of the running program, for `unknown_service:NAME` and `process.executable.name`.
pub(crate) fn executable_name() -> Option<String> {
    let path = std::env::current_exe().ok()?;
    Some(path.file_name()?.to_string_lossy().into_owned())
}

/// The booleans of DEBUG, `HYPERDX_*` and `LOGBRIDGE_*`: `true 1 yes on` and `false 0 no off` in any case.
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
