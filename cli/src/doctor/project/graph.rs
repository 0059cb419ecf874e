//! The packages of a project, and which features are on in a build of it, with those who asked for them.
//!
//! `cargo metadata` says which features are on too, but not who asked, and it counts what only tests ask for. So the
//! features are resolved here once more, from what is declared: along normal dependencies, as a build of the members goes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use semver::{Version, VersionReq};

/// All packages of a project. Indices into `packages` are what everything else names them by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    pub(crate) packages: Vec<Package>,
    /// The packages that are the project's own, and asked about.
    pub(crate) members: Vec<usize>,
    pub(crate) root: PathBuf,
    /// False where only a lock file could be read: then nothing is known of what dependencies declare.
    pub(crate) is_complete: bool,
}

/// One package.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: Version,
    /// The registry or repository; `None` for a path.
    pub(crate) source: Option<String>,
    pub(crate) manifest: PathBuf,
    pub(crate) targets: Vec<Target>,
    /// What each feature switches on, as Cargo.toml has it.
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) dependencies: Vec<Dependency>,
    /// The packages that may be built for it.
    pub(crate) edges: Vec<Edge>,
}

/// A dependency as a manifest declares it.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    /// What it is called in this manifest.
    pub(crate) key: String,
    /// The name of the package.
    pub(crate) package: String,
    pub(crate) requirement: VersionReq,
    pub(crate) is_normal: bool,
    pub(crate) is_optional: bool,
    pub(crate) uses_default: bool,
    pub(crate) features: Vec<String>,
}

/// A dependency as it was resolved.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub(crate) to: usize,
    /// What the code calls it.
    pub(crate) name: String,
    pub(crate) is_normal: bool,
}

/// What is built from a package.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) is_binary: bool,
    /// `cdylib` or `dylib`: with a copy of every static in it.
    pub(crate) is_dylib: bool,
    pub(crate) path: PathBuf,
}

/// Who asked for a feature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Activation {
    pub(crate) by: usize,
    /// The feature of that package that does it; `None` where its declaration of the dependency does.
    pub(crate) through: Option<String>,
}

/// What is on in a build.
#[derive(Clone, Debug, Default)]
pub(crate) struct Build {
    pub(crate) active: BTreeSet<usize>,
    features: BTreeMap<(usize, String), Vec<Activation>>,
    /// Who is built with what: (dependent, dependency).
    links: BTreeSet<(usize, usize)>,
}

/// Which features of the members are on.
#[derive(Clone, Debug, Default)]
pub(crate) struct FeatureSelection {
    pub(crate) all: bool,
    pub(crate) no_default: bool,
    pub(crate) named: Vec<String>,
}

impl Graph {
    /// What a build of the members switches on.
    pub(crate) fn build(&self, chosen: &FeatureSelection) -> Build {
        let mut resolver = Resolver { graph: self, build: Build::default(), weak: Vec::new() };
        for &member in &self.members {
            resolver.package(member);
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
                resolver.feature(member, feature, None);
            }
        }
        resolver.build
    }

    /// All packages of that name that are part of the build.
    pub(crate) fn named<'a>(&'a self, build: &'a Build, name: &'a str) -> impl Iterator<Item = (usize, &'a Package)> {
        build
            .active
            .iter()
            .filter_map(move |&at| Some((at, self.packages.get(at)?)))
            .filter(move |(_, p)| p.name == name)
    }

    /// Whether a package of that name is part of the build.
    pub(crate) fn has(&self, build: &Build, name: &str) -> bool {
        self.named(build, name).next().is_some()
    }

    /// Whether a feature is on in any package of that name.
    pub(crate) fn has_feature(&self, build: &Build, name: &str, feature: &str) -> bool {
        self.named(build, name).any(|(at, _)| build.has(at, feature))
    }

    /// `name 1.2.3`.
    pub(crate) fn name_and_version(&self, at: usize) -> String {
        self.packages.get(at).map_or_else(String::new, |package| format!("{} {}", package.name, package.version))
    }

    /// The way on which somebody of the project, or of its dependencies, switched a feature on, innermost first:
    /// `chatty 0.1.0 (its feature quiet)`, `shop 0.1.0`.
    pub(crate) fn activation_chain(&self, build: &Build, at: usize, feature: &str) -> Vec<String> {
        let mut way: Vec<String> = Vec::new();
        let mut seen: BTreeSet<(usize, String)> = BTreeSet::new();
        let mut current = (at, feature.to_owned());
        while seen.insert(current.clone()) {
            let asked = build.features.get(&current).into_iter().flatten();
            // A member that asks is what can be changed soonest.
            let Some(asked) = asked.min_by_key(|asked| !self.members.contains(&asked.by)) else { break };
            match &asked.through {
                // A feature of the same package: said with the one that asked for that.
                Some(through) if asked.by == current.0 => current = (asked.by, through.clone()),
                Some(through) => {
                    way.push(format!("{} (its feature `{through}`)", self.name_and_version(asked.by)));
                    current = (asked.by, through.clone());
                }
                None => {
                    way.push(self.name_and_version(asked.by));
                    break;
                }
            }
        }
        way
    }

    /// From a member down to this package, one of the shortest ways: `shop 0.1.0 -> old 0.1.0 -> log 0.3.9`.
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
        let mut way = vec![self.name_and_version(to)];
        let mut at = to;
        while let Some(before) = came_from.get(&at) {
            way.push(self.name_and_version(*before));
            at = *before;
        }
        way.reverse();
        way.join(" -> ")
    }
}

impl Build {
    /// Whether a feature of a package is on.
    pub(crate) fn has(&self, at: usize, feature: &str) -> bool {
        self.features.contains_key(&(at, feature.to_owned()))
    }

    /// The features of a package that are on.
    pub(crate) fn features(&self, at: usize) -> impl Iterator<Item = &str> {
        self.features
            .range((at, String::new())..)
            .take_while(move |((of, _), _)| *of == at)
            .map(|((_, f), _)| f.as_str())
    }

    /// The packages that are built with this one.
    pub(crate) fn dependents(&self, at: usize) -> impl Iterator<Item = usize> {
        self.links.iter().filter(move |(_, to)| *to == at).map(|(from, _)| *from)
    }

    /// The packages that this one is built with.
    pub(crate) fn dependencies(&self, at: usize) -> impl Iterator<Item = usize> {
        self.links.range((at, 0)..=(at, usize::MAX)).map(|(_, to)| *to)
    }
}

struct Resolver<'a> {
    graph: &'a Graph,
    build: Build,
    /// `x?/y`: once `x` is there.
    weak: Vec<(usize, String, String, Activation)>,
}

impl Resolver<'_> {
    fn package(&mut self, at: usize) {
        if !self.build.active.insert(at) {
            return;
        }
        let graph = self.graph;
        let Some(package) = graph.packages.get(at) else { return };
        let required = package.dependencies.iter().filter(|dependency| dependency.is_normal && !dependency.is_optional);
        for dependency in required {
            self.dependency(at, dependency, None);
        }
        // Of a package that is known from a lock file only, everything may be built.
        if package.dependencies.is_empty() {
            for edge in package.edges.iter().filter(|edge| edge.is_normal) {
                self.build.links.insert((at, edge.to));
                self.package(edge.to);
            }
        }
    }

    /// The packages that a declaration was resolved to.
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

    fn dependency(&mut self, at: usize, dependency: &Dependency, through: Option<&str>) {
        for to in self.resolved(at, dependency) {
            self.build.links.insert((at, to));
            self.package(to);
            let asked = Activation { by: at, through: through.map(str::to_owned) };
            if dependency.uses_default {
                self.feature(to, "default", Some(asked.clone()));
            }
            for feature in &dependency.features {
                self.feature(to, feature, Some(asked.clone()));
            }
            let (ready, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.weak)
                .into_iter()
                .partition(|(of, key, ..)| *of == at && *key == dependency.key);
            self.weak.extend(waiting);
            for (_, _, feature, asked) in ready {
                self.feature(to, &feature, Some(asked));
            }
        }
    }

    fn by_key(&self, at: usize, key: &str) -> Vec<Dependency> {
        let dependencies = self.graph.packages.get(at).map_or(&[][..], |package| package.dependencies.as_slice());
        dependencies.iter().filter(|dependency| dependency.is_normal && dependency.key == key).cloned().collect()
    }

    fn feature(&mut self, at: usize, feature: &str, asked: Option<Activation>) {
        let key = (at, feature.to_owned());
        let is_new = !self.build.features.contains_key(&key);
        let askers = self.build.features.entry(key).or_default();
        if let Some(asked) = asked.filter(|asked| !askers.contains(asked)) {
            askers.push(asked);
        }
        let entries = self.graph.packages.get(at).and_then(|package| package.features.get(feature));
        let Some(entries) = entries.filter(|_| is_new).cloned() else { return };
        for entry in entries {
            self.entry(at, feature, &entry);
        }
    }

    /// One entry of a feature: another feature, `dep:x`, `x/y` or `x?/y`.
    fn entry(&mut self, at: usize, feature: &str, entry: &str) {
        let asked = Activation { by: at, through: Some(feature.to_owned()) };
        if let Some(key) = entry.strip_prefix("dep:") {
            for dependency in self.by_key(at, key) {
                self.dependency(at, &dependency, Some(feature));
            }
        } else if let Some((key, of_it)) = entry.split_once('/') {
            let is_weak = key.ends_with('?');
            let key = key.trim_end_matches('?');
            for dependency in self.by_key(at, key) {
                let targets = self.resolved(at, &dependency);
                let is_there = targets.iter().any(|to| self.build.links.contains(&(at, *to)));
                if is_weak && !is_there {
                    self.weak.push((at, key.to_owned(), of_it.to_owned(), asked.clone()));
                    continue;
                }
                self.dependency(at, &dependency, Some(feature));
                for to in targets {
                    self.feature(to, of_it, Some(asked.clone()));
                }
            }
        } else {
            self.feature(at, entry, Some(asked));
        }
    }
}

#[cfg(test)]
#[path = "graph_tests.rs"]
mod tests;
