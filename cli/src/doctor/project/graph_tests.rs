use super::*;

/// Returns a package with features and dependencies. A `?` before the key makes a dependency optional.
fn package(name: &str, features: &[(&str, &[&str])], dependencies: &[(&str, &[&str])]) -> Package {
    let declared = dependencies.iter().map(|(key, features)| Dependency {
        key: key.trim_start_matches('?').to_owned(),
        package: key.trim_start_matches('?').to_owned(),
        requirement: VersionReq::STAR,
        is_normal: true,
        is_optional: key.starts_with('?'),
        uses_default: true,
        features: features.iter().map(|feature| (*feature).to_owned()).collect(),
    });
    let words = |entries: &&[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect();
    Package {
        name: name.to_owned(),
        version: Version::new(1, 0, 0),
        source: None,
        manifest: PathBuf::new(),
        targets: Vec::new(),
        features: features.iter().map(|(name, entries)| ((*name).to_owned(), words(entries))).collect(),
        dependencies: declared.collect(),
        edges: Vec::new(),
    }
}

/// Returns a graph whose first package is the member. Dependencies are resolved by name.
fn graph(mut packages: Vec<Package>) -> Graph {
    let names: Vec<String> = packages.iter().map(|package| package.name.clone()).collect();
    for package in &mut packages {
        let to = |dependency: &Dependency| names.iter().position(|name| *name == dependency.package);
        package.edges = package
            .dependencies
            .iter()
            .filter_map(|dependency| Some(Edge { to: to(dependency)?, name: dependency.key.clone(), is_normal: true }))
            .collect();
    }
    Graph { packages, members: vec![0], root: PathBuf::new(), is_complete: true }
}

fn on(graph: &Graph, chosen: &FeatureSelection, name: &str) -> Vec<String> {
    let build = graph.build(chosen);
    let at = graph.packages.iter().position(|package| package.name == name).expect("a package");
    build.features(at).map(str::to_owned).collect()
}

#[test]
fn features_activate_features_and_name_the_cause() {
    let graph = graph(vec![
        package("shop", &[], &[("a", &[])]),
        package("a", &[("default", &["quiet"]), ("quiet", &["log/warn"])], &[("log", &[])]),
        package("log", &[("warn", &[])], &[]),
    ]);
    assert_eq!(on(&graph, &FeatureSelection::default(), "log"), ["default", "warn"]);
    let build = graph.build(&FeatureSelection::default());
    assert_eq!(graph.activation_chain(&build, 2, "warn"), ["a 1.0.0 (its feature `quiet`)", "shop 1.0.0"]);
    assert_eq!(graph.dependency_path(&build, 2), "shop 1.0.0 -> a 1.0.0 -> log 1.0.0");
    assert_eq!(graph.activation_chain(&build, 2, "nothing"), Vec::<String>::new());
}

#[test]
fn optional_and_weak_dependencies() {
    let packages = || {
        vec![
            package(
                "shop",
                &[("default", &[]), ("otel", &["dep:otel"]), ("loud", &["otel?/loud"]), ("both", &["otel/loud"])],
                &[("?otel", &[])],
            ),
            package("otel", &[("loud", &[])], &[]),
        ]
    };
    let features = |names: &[&str]| FeatureSelection {
        named: names.iter().map(|name| (*name).to_owned()).collect(),
        ..FeatureSelection::default()
    };
    let graph = graph(packages());
    assert_eq!(on(&graph, &features(&[]), "otel"), Vec::<String>::new());
    assert_eq!(on(&graph, &features(&["loud"]), "otel"), Vec::<String>::new(), "weak");
    assert_eq!(on(&graph, &features(&["otel"]), "otel"), ["default"]);
    assert_eq!(on(&graph, &features(&["loud", "otel"]), "otel"), ["default", "loud"], "weak, before it is there");
    assert_eq!(on(&graph, &features(&["shop/both"]), "otel"), ["default", "loud"]);
    assert!(!graph.has(&graph.build(&features(&["unknown"])), "otel"));
    assert!(graph.has(&graph.build(&FeatureSelection { all: true, ..FeatureSelection::default() }), "otel"));
}

#[test]
fn circles_end() {
    let graph = graph(vec![
        package("shop", &[("default", &["a"]), ("a", &["b"]), ("b", &["a", "x/c"])], &[("x", &[])]),
        package("x", &[("c", &["y/d"])], &[("y", &[])]),
        package("y", &[("d", &["x/c"])], &[("x", &[])]),
    ]);
    let build = graph.build(&FeatureSelection::default());
    assert_eq!(build.active.len(), 3);
    assert!(!graph.activation_chain(&build, 2, "d").is_empty());
}
