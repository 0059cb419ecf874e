//! The build profiles of a project, as its root manifest defines them.

use std::collections::BTreeMap;

use toml::{Table, Value};

/// The profiles of the root manifest by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profiles(BTreeMap<String, Profile>);

/// A profile before inheritance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profile {
    inherits: Option<String>,
    debug_assertions: Option<bool>,
    panic: Option<String>,
}

impl Profiles {
    /// Returns whether debug assertions are enabled. They decide between the features `max_level_*` and
    /// `release_max_level_*`.
    pub(crate) fn is_debug(&self, name: &str) -> bool {
        self.find(name, |profile| profile.debug_assertions).unwrap_or_else(|| self.base(name) == "dev")
    }

    /// Returns whether a panic aborts the process.
    pub(crate) fn aborts(&self, name: &str) -> bool {
        self.find(name, |profile| profile.panic.clone()).is_some_and(|panic| panic == "abort")
    }

    /// Returns whether a profile exists, built in or in the manifest.
    pub(crate) fn contains(&self, name: &str) -> bool {
        matches!(name, "dev" | "release" | "test" | "bench") || self.0.contains_key(name)
    }

    fn find<T>(&self, name: &str, what: impl Fn(&Profile) -> Option<T>) -> Option<T> {
        let mut name = name.to_owned();
        // Bounded by the number of profiles, because `inherits` may form a cycle.
        for _ in 0..=self.0.len() {
            let profile = self.0.get(&name)?;
            if let Some(found) = what(profile) {
                return Some(found);
            }
            name = profile.inherits.clone()?;
        }
        None
    }

    fn base(&self, name: &str) -> &'static str {
        let mut name = name.to_owned();
        for _ in 0..=self.0.len() {
            match name.as_str() {
                "dev" | "test" => return "dev",
                "release" | "bench" => return "release",
                _ => match self.0.get(&name).and_then(|profile| profile.inherits.clone()) {
                    Some(inherits) => name = inherits,
                    None => break,
                },
            }
        }
        "release"
    }

    pub(crate) fn from_manifest(manifest: &Table) -> Self {
        let table = manifest.get("profile").and_then(Value::as_table);
        let profiles = table.into_iter().flatten().map(|(name, value)| {
            let text = |key: &str| value.get(key)?.as_str().map(str::to_owned);
            let debug_assertions = value.get("debug-assertions").and_then(Value::as_bool);
            (name.clone(), Profile { inherits: text("inherits"), debug_assertions, panic: text("panic") })
        });
        Self(profiles.collect())
    }
}
