//! The packages of a project, and the features that a build activates.
//!
//! `cargo metadata` lists activated features too, but not which package activates them, and it includes those that only
//! tests need. So this module resolves features again from the manifests, along normal dependencies of the members.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use semver::{Version, VersionReq};

/// All packages of a project, identified by their index in `packages`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    pub(crate) packages: Vec<Package>,
    /// The workspace members to check.
    pub(crate) members: Vec<usize>,
    pub(crate) root: PathBuf,
    /// False if only a lock file was read, which does not contain the manifests of dependencies.
    pub(crate) is_complete: bool,
}

/// A package of the dependency graph.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: Version,
    /// The registry or repository. `None` for a path dependency.
    pub(crate) source: Option<String>,
    pub(crate) manifest: PathBuf,
    pub(crate) targets: Vec<Target>,
    /// The entries of each feature in Cargo.toml.
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) dependencies: Vec<Dependency>,
    /// The resolved dependencies.
    pub(crate) edges: Vec<Edge>,
}

/// A dependency as declared in a manifest.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    /// The key in the manifest, which differs from the package name if the dependency is renamed.
    pub(crate) key: String,
    /// The name of the package.
    pub(crate) package: String,
    pub(crate) requirement: VersionReq,
    pub(crate) is_normal: bool,
    pub(crate) is_optional: bool,
    pub(crate) uses_default: bool,
    pub(crate) features: Vec<String>,
}

/// A resolved dependency.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub(crate) to: usize,
    /// The name of the crate in code.
    pub(crate) name: String,
    pub(crate) is_normal: bool,
}

/// A build target of a package.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) is_binary: bool,
    /// Whether it is a `cdylib` or `dylib`, which has its own copy of every static.
    pub(crate) is_dylib: bool,
    pub(crate) path: PathBuf,
}

/// The cause of an activated feature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Activation {
    pub(crate) by: usize,
    /// The feature of that package that activates it. `None` if the declaration of the dependency does.
    pub(crate) through: Option<String>,
}

/// The packages and features of a build.
#[derive(Clone, Debug, Default)]
pub(crate) struct Build {
    pub(crate) active: BTreeSet<usize>,
    features: BTreeMap<(usize, String), Vec<Activation>>,
    /// Pairs of (dependent, dependency).
    links: BTreeSet<(usize, usize)>,
}

/// The features of the members that the user selects, as with Cargo's flags.
#[derive(Clone, Debug, Default)]
pub(crate) struct FeatureSelection {
    pub(crate) all: bool,
    pub(crate) no_default: bool,
    pub(crate) named: Vec<String>,
}

impl Graph {
    /// Resolves a build of the members.
    pub(crate) fn build(&self, chosen: &FeatureSelection) -> Build {
        let mut resolver = Resolver { graph: self, build: Build::default(), weak: Vec::new() };
        for &member in &self.members {
            resolver.add_package(member);
            let Some(package) = self.packages.get(member) else { continue };
            let features: Vec<String> = match chosen.all {
                true => package.features.keys().cloned().collect(),
                false => {
                    let default = (!chosen.no_default).then(|| "default".to_owned());
                    let own = |name: &&String| name.split_once('/').is_none_or(|(of, _)| of == package.name);
                    let named = chosen.named.iter().filter(own);
                    let named = named.map(|name| name.rsplit('/').next().unwrap_or(name).to_owned());
                    default.into_iter().chain(named).collect()
                }
            };
            for feature in features.iter().filter(|feature| package.features.contains_key(*feature)) {
                resolver.activate(member, feature, None);
            }
        }
        resolver.build
    }

    /// Returns the packages of this name in the build.
    pub(crate) fn named<'a>(&'a self, build: &'a Build, name: &'a str) -> impl Iterator<Item = (usize, &'a Package)> {
        build
            .active
            .iter()
            .filter_map(move |&at| Some((at, self.packages.get(at)?)))
            .filter(move |(_, p)| p.name == name)
    }

    /// Returns whether a package of this name is in the build.
    pub(crate) fn has(&self, build: &Build, name: &str) -> bool {
        self.named(build, name).next().is_some()
    }

    /// Returns whether a feature is activated in any package of this name.
    pub(crate) fn has_feature(&self, build: &Build, name: &str, feature: &str) -> bool {
        self.named(build, name).any(|(at, _)| build.has(at, feature))
    }

    /// Formats a package as `name 1.2.3`.
    pub(crate) fn name_and_version(&self, at: usize) -> String {
        self.packages.get(at).map_or_else(String::new, |package| format!("{} {}", package.name, package.version))
    }

    /// Returns the packages that activate a feature, beginning next to it: ``chatty 0.1.0 (its feature `quiet`)``,
    /// `shop 0.1.0`.
    pub(crate) fn activation_chain(&self, build: &Build, at: usize, feature: &str) -> Vec<String> {
        let mut chain: Vec<String> = Vec::new();
        let mut seen: BTreeSet<(usize, String)> = BTreeSet::new();
        let mut current = (at, feature.to_owned());
        while seen.insert(current.clone()) {
            let activation = build.features.get(&current).into_iter().flatten();
            // A member is preferred, since it is the easiest to change.
            let Some(activation) = activation.min_by_key(|activation| !self.members.contains(&activation.by)) else {
                break;
            };
            match &activation.through {
                // Another feature of the same package is not listed, only the package that activates that one.
                Some(through) if activation.by == current.0 => current = (activation.by, through.clone()),
                Some(through) => {
                    chain.push(format!("{} (its feature `{through}`)", self.name_and_version(activation.by)));
                    current = (activation.by, through.clone());
                }
                None => {
                    chain.push(self.name_and_version(activation.by));
                    break;
                }
            }
        }
        chain
    }

    /// Returns a shortest path from a member to a package: `shop 0.1.0 -> old 0.1.0 -> log 0.3.9`.
    pub(crate) fn dependency_path(&self, build: &Build, to: usize) -> String {
        let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
        let mut queue: std::collections::VecDeque<usize> = self.members.iter().copied().collect();
        let mut seen: BTreeSet<usize> = self.members.iter().copied().collect();
        while let Some(at) = queue.pop_front() {
            if at == to {
                break;
            }
            for (_, next) in build.links.range((at, 0)..=(at, usize::MAX)) {
                if seen.insert(*next) {
                    came_from.insert(*next, at);
                    queue.push_back(*next);
                }
            }
        }
        let mut path = vec![self.name_and_version(to)];
        let mut at = to;
        while let Some(before) = came_from.get(&at) {
            path.push(self.name_and_version(*before));
            at = *before;
        }
        path.reverse();
        path.join(" -> ")
    }
}

impl Build {
    /// Returns whether a feature of a package is activated.
    pub(crate) fn has(&self, at: usize, feature: &str) -> bool {
        self.features.contains_key(&(at, feature.to_owned()))
    }

    /// Returns the activated features of a package.
    pub(crate) fn features(&self, at: usize) -> impl Iterator<Item = &str> {
        self.features
            .range((at, String::new())..)
            .take_while(move |((of, _), _)| *of == at)
            .map(|((_, f), _)| f.as_str())
    }

    /// Returns the packages that depend on this one.
    pub(crate) fn dependents(&self, at: usize) -> impl Iterator<Item = usize> {
        self.links.iter().filter(move |(_, to)| *to == at).map(|(from, _)| *from)
    }

    /// Returns the packages that this one depends on.
    pub(crate) fn dependencies(&self, at: usize) -> impl Iterator<Item = usize> {
        self.links.range((at, 0)..=(at, usize::MAX)).map(|(_, to)| *to)
    }
}

struct Resolver<'a> {
    graph: &'a Graph,
    build: Build,
    /// Entries `x?/y` that wait for the dependency `x`.
    weak: Vec<(usize, String, String, Activation)>,
}

impl Resolver<'_> {
    fn add_package(&mut self, at: usize) {
        if !self.build.active.insert(at) {
            return;
        }
        let graph = self.graph;
        let Some(package) = graph.packages.get(at) else { return };
        let required = package.dependencies.iter().filter(|dependency| dependency.is_normal && !dependency.is_optional);
        for dependency in required {
            self.add_dependency(at, dependency, None);
        }
        // A lock file does not tell which dependencies are optional, so all are included.
        if package.dependencies.is_empty() {
            for edge in package.edges.iter().filter(|edge| edge.is_normal) {
                self.build.links.insert((at, edge.to));
                self.add_package(edge.to);
            }
        }
    }

    /// Returns the packages that a declared dependency was resolved to.
    fn resolved(&self, at: usize, dependency: &Dependency) -> Vec<usize> {
        let Some(package) = self.graph.packages.get(at) else { return Vec::new() };
        let fits = |edge: &&Edge| {
            let is_called = dependency.key == dependency.package || edge.name == dependency.key.replace('-', "_");
            self.graph.packages.get(edge.to).is_some_and(|found| {
                let is_required = dependency.requirement.matches(&found.version) || !found.version.pre.is_empty();
                found.name == dependency.package && is_required && is_called && edge.is_normal
            })
        };
        package.edges.iter().filter(fits).map(|edge| edge.to).collect()
    }

    fn add_dependency(&mut self, at: usize, dependency: &Dependency, through: Option<&str>) {
        for to in self.resolved(at, dependency) {
            self.build.links.insert((at, to));
            self.add_package(to);
            let activation = Activation { by: at, through: through.map(str::to_owned) };
            if dependency.uses_default {
                self.activate(to, "default", Some(activation.clone()));
            }
            for feature in &dependency.features {
                self.activate(to, feature, Some(activation.clone()));
            }
            let (ready, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.weak)
                .into_iter()
                .partition(|(of, key, ..)| *of == at && *key == dependency.key);
            self.weak.extend(waiting);
            for (_, _, feature, activation) in ready {
                self.activate(to, &feature, Some(activation));
            }
        }
    }

    fn dependencies_named(&self, at: usize, key: &str) -> Vec<Dependency> {
        let dependencies = self.graph.packages.get(at).map_or(&[][..], |package| package.dependencies.as_slice());
        dependencies.iter().filter(|dependency| dependency.is_normal && dependency.key == key).cloned().collect()
    }

    fn activate(&mut self, at: usize, feature: &str, activation: Option<Activation>) {
        let key = (at, feature.to_owned());
        let is_new = !self.build.features.contains_key(&key);
        let activations = self.build.features.entry(key).or_default();
        if let Some(activation) = activation.filter(|activation| !activations.contains(activation)) {
            activations.push(activation);
        }
        let entries = self.graph.packages.get(at).and_then(|package| package.features.get(feature));
        let Some(entries) = entries.filter(|_| is_new).cloned() else { return };
        for entry in entries {
            self.apply_entry(at, feature, &entry);
        }
    }

    /// Applies an entry of a feature: another feature, `dep:x`, `x/y` or `x?/y`.
    fn apply_entry(&mut self, at: usize, feature: &str, entry: &str) {
        let activation = Activation { by: at, through: Some(feature.to_owned()) };
        if let Some(key) = entry.strip_prefix("dep:") {
            for dependency in self.dependencies_named(at, key) {
                self.add_dependency(at, &dependency, Some(feature));
            }
        } else if let Some((key, its_feature)) = entry.split_once('/') {
            let is_weak = key.ends_with('?');
            let key = key.trim_end_matches('?');
            for dependency in self.dependencies_named(at, key) {
                let targets = self.resolved(at, &dependency);
                let is_there = targets.iter().any(|to| self.build.links.contains(&(at, *to)));
                if is_weak && !is_there {
                    self.weak.push((at, key.to_owned(), its_feature.to_owned(), activation.clone()));
                    continue;
                }
                self.add_dependency(at, &dependency, Some(feature));
                for to in targets {
                    self.activate(to, its_feature, Some(activation.clone()));
                }
            }
        } else {
            self.activate(at, entry, Some(activation));
        }
    }
}

#[cfg(test)]
#[path = "graph_tests.rs"]
mod tests;
