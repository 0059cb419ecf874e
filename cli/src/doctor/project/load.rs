//! Loads the dependency graph of a project from `cargo metadata`, or from Cargo.toml and Cargo.lock if Cargo fails.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cargo_metadata::{CrateType, DependencyKind, Metadata, TargetKind};
use semver::{Version, VersionReq};
use toml::{Table, Value};

use super::cargo;
use super::files::{TomlError, find_lock_file, read_toml};
use super::graph::{Dependency, Edge, Graph, Package, Target};
use super::profiles::Profiles;
use logbridge::internals::config::Environment;

/// A project without its source code.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) graph: Graph,
    pub(crate) profiles: Profiles,
    /// Why `cargo metadata` failed, if it did.
    pub(crate) cargo_failed: Option<String>,
}

/// Why a project cannot be loaded, and how to fix it.
#[derive(Debug)]
pub(crate) struct LoadError {
    pub(crate) text: String,
    pub(crate) help: &'static str,
}

impl LoadError {
    /// Returns an error with this help, unless the file is not valid TOML.
    fn of_toml(error: TomlError, help: &'static str) -> Self {
        match error {
            TomlError::Unreadable(text) => Self { text, help },
            TomlError::Invalid(text) => Self { text, help: "fix that line" },
        }
    }
}

const FETCH: &str = "run `cargo fetch` with network access: the doctor reads the project offline";

/// Loads a project without using the network.
///
/// # Errors
///
/// Returns an error if the manifest is invalid, or if both `cargo metadata` and reading the lock file fail.
pub(crate) fn load(environment: &Environment, manifest: &Path) -> Result<Loaded, LoadError> {
    let own = read_toml(manifest)
        .map_err(|error| LoadError::of_toml(error, "pass the path of a Cargo.toml with --manifest-path"))?;
    let (graph, cargo_failed) = match cargo::metadata(environment, manifest) {
        Ok(metadata) => (from_metadata(metadata), None),
        Err(cargo) => match from_lock(manifest, &own) {
            Ok(graph) => (graph, Some(cargo)),
            Err(LoadError { text, help }) => {
                return Err(LoadError { text: format!("`cargo metadata` failed ({cargo}), and {text}"), help });
            }
        },
    };
    let root = read_toml(&graph.root.join("Cargo.toml")).unwrap_or(own);
    Ok(Loaded { graph, profiles: Profiles::from_manifest(&root), cargo_failed })
}

/// Converts the output of `cargo metadata`.
fn from_metadata(metadata: Metadata) -> Graph {
    let index: BTreeMap<_, _> = metadata.packages.iter().enumerate().map(|(at, p)| (p.id.clone(), at)).collect();
    let mut packages: Vec<Package> = metadata.packages.iter().map(package).collect();
    for node in metadata.resolve.iter().flat_map(|resolve| &resolve.nodes) {
        let Some(package) = index.get(&node.id).and_then(|at| packages.get_mut(*at)) else { continue };
        package.edges.extend(node.deps.iter().filter_map(|dep| {
            let is_here = |target: &Option<cargo_metadata::cargo_platform::Platform>| {
                target.as_ref().is_none_or(|target| matches_this_platform(&target.to_string()))
            };
            let is_normal =
                dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal && is_here(&kind.target));
            Some(Edge { to: *index.get(&dep.pkg)?, name: dep.name.clone(), is_normal })
        }));
    }
    let members = metadata.workspace_members.iter().filter_map(|id| index.get(id).copied()).collect();
    Graph { packages, members, root: metadata.workspace_root.clone().into(), is_complete: true }
}

/// Returns whether a dependency for this target specification may be built on this platform. If unsure, returns `true`.
fn matches_this_platform(target: &str) -> bool {
    let words: Vec<&str> = target.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let is_negated = words.contains(&"not");
    let elsewhere = match cfg!(windows) {
        true => ["unix", "linux", "macos", "wasm32", "wasi", "android", "ios"],
        false => ["windows", "wasm32", "wasi", "hermit", "android", "ios", "redox"],
    };
    is_negated || !words.iter().any(|word| elsewhere.contains(word))
}

fn package(package: &cargo_metadata::Package) -> Package {
    let dependencies = package.dependencies.iter().map(|dependency| Dependency {
        key: dependency.rename.clone().unwrap_or_else(|| dependency.name.clone()),
        package: dependency.name.clone(),
        requirement: dependency.req.clone(),
        is_normal: dependency.kind == DependencyKind::Normal
            && dependency.target.as_ref().is_none_or(|target| matches_this_platform(&target.to_string())),
        is_optional: dependency.optional,
        uses_default: dependency.uses_default_features,
        features: dependency.features.clone(),
    });
    let targets = package.targets.iter().map(|target| Target {
        name: target.name.clone(),
        is_binary: target.kind.contains(&TargetKind::Bin),
        is_dylib: target.crate_types.iter().any(|kind| matches!(kind, CrateType::CDyLib | CrateType::DyLib)),
        path: target.src_path.clone().into(),
    });
    Package {
        name: package.name.to_string(),
        version: package.version.clone(),
        source: package.source.as_ref().map(|source| source.repr.clone()),
        manifest: package.manifest_path.clone().into(),
        targets: targets.collect(),
        features: package.features.clone(),
        dependencies: dependencies.collect(),
        edges: Vec::new(),
    }
}

/// Reads a lock file and the manifests of the members.
fn from_lock(manifest: &Path, own: &Table) -> Result<Graph, LoadError> {
    let folder = manifest.parent().unwrap_or(Path::new("."));
    let lock =
        find_lock_file(manifest).ok_or_else(|| LoadError { text: "there is no Cargo.lock".to_owned(), help: FETCH })?;
    let root = lock.parent().unwrap_or(folder).to_owned();
    let locked = read_toml(&lock).map_err(|error| LoadError::of_toml(error, FETCH))?;
    let entries: Vec<&Table> =
        locked.get("package").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table).collect();
    let text = |entry: &Table, key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut packages: Vec<Package> = Vec::new();
    for entry in &entries {
        let version = text(entry, "version").and_then(|version| Version::parse(&version).ok());
        let (Some(name), Some(version)) = (text(entry, "name"), version) else { continue };
        packages.push(Package {
            name,
            version,
            source: text(entry, "source"),
            manifest: PathBuf::new(),
            targets: Vec::new(),
            features: BTreeMap::new(),
            dependencies: Vec::new(),
            edges: Vec::new(),
        });
    }
    let mut named: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, package) in packages.iter().enumerate() {
        named.entry(package.name.clone()).or_default().push(at);
    }
    let find = |packages: &[Package], dependency: &str| {
        let mut words = dependency.split(' ');
        let (name, version) = (words.next()?, words.next());
        let is_it = |at: &&usize| {
            version.is_none_or(|version| packages.get(**at).is_some_and(|p| p.version.to_string() == version))
        };
        named.get(name)?.iter().find(is_it).copied()
    };
    for (at, entry) in entries.iter().enumerate() {
        let dependencies = entry.get("dependencies").and_then(Value::as_array).into_iter().flatten();
        let edges: Vec<Edge> = dependencies
            .filter_map(|dependency| {
                let to = find(&packages, dependency.as_str()?)?;
                let name = packages.get(to)?.name.replace('-', "_");
                Some(Edge { to, name, is_normal: true })
            })
            .collect();
        if let Some(package) = packages.get_mut(at) {
            package.edges = edges;
        }
    }
    let mut graph = Graph { packages, members: Vec::new(), root, is_complete: false };
    for (path, table) in manifests(manifest, own, &graph.root) {
        let name = table.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
        let Some(at) = graph.packages.iter().position(|p| Some(p.name.as_str()) == name && p.source.is_none()) else {
            continue;
        };
        if let Some(package) = graph.packages.get_mut(at) {
            add_manifest(package, &path, &table);
        }
        graph.members.push(at);
    }
    match graph.members.is_empty() {
        true => {
            let text = format!("`{}` contains no package of `{}`", lock.display(), manifest.display());
            Err(LoadError { text, help: FETCH })
        }
        false => Ok(graph),
    }
}

/// Returns the manifests of the members: this one, and those listed in the root of the workspace.
fn manifests(manifest: &Path, own: &Table, root: &Path) -> Vec<(PathBuf, Table)> {
    let mut all = vec![(manifest.to_owned(), own.clone())];
    let root_manifest = root.join("Cargo.toml");
    if root_manifest != manifest
        && let Ok(table) = read_toml(&root_manifest)
    {
        all.push((root_manifest, table));
    }
    let members = |table: &Table| -> Vec<String> {
        let members = table.get("workspace").and_then(|workspace| workspace.get("members"));
        members.and_then(Value::as_array).into_iter().flatten().filter_map(|m| Some(m.as_str()?.to_owned())).collect()
    };
    for pattern in all.iter().flat_map(|(_, table)| members(table)).collect::<Vec<_>>() {
        let folders = match pattern.strip_suffix("/*") {
            Some(above) => std::fs::read_dir(root.join(above))
                .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
                .unwrap_or_default(),
            None => vec![root.join(&pattern)],
        };
        for path in folders.into_iter().map(|folder| folder.join("Cargo.toml")) {
            if !all.iter().any(|(known, _)| *known == path)
                && let Ok(table) = read_toml(&path)
            {
                all.push((path, table));
            }
        }
    }
    all
}

/// Adds the features, dependencies and targets of a member's manifest.
fn add_manifest(package: &mut Package, path: &Path, table: &Table) {
    package.manifest = path.to_owned();
    let folder = path.parent().unwrap_or(Path::new("."));
    let words = |value: Option<&Value>| -> Vec<String> {
        value.and_then(Value::as_array).into_iter().flatten().filter_map(|v| Some(v.as_str()?.to_owned())).collect()
    };
    for (name, entries) in table.get("features").and_then(Value::as_table).into_iter().flatten() {
        package.features.insert(name.clone(), words(Some(entries)));
    }
    for (key, value) in table.get("dependencies").and_then(Value::as_table).into_iter().flatten() {
        let named = value.get("package").and_then(Value::as_str).unwrap_or(key);
        let flag = |name: &str, usual: bool| value.get(name).and_then(Value::as_bool).unwrap_or(usual);
        package.dependencies.push(Dependency {
            key: key.clone(),
            package: named.to_owned(),
            // The lock file contains the resolved version.
            requirement: VersionReq::STAR,
            is_normal: true,
            is_optional: flag("optional", false),
            uses_default: flag("default-features", true),
            features: words(value.get("features")),
        });
    }
    let is_dylib = |value: Option<&Value>| {
        words(value.and_then(|lib| lib.get("crate-type"))).iter().any(|kind| kind == "cdylib" || kind == "dylib")
    };
    for (file, is_binary) in [("src/main.rs", true), ("src/lib.rs", false)] {
        let source = folder.join(file);
        if source.is_file() {
            package.targets.push(Target {
                name: package.name.clone(),
                is_binary,
                is_dylib: !is_binary && is_dylib(table.get("lib")),
                path: source,
            });
        }
    }
}
