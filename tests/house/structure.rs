//! Rules that no lint checks: which module may use which capability, and the direction of imports.

#![allow(clippy::expect_used)] // A test may panic.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::source::{Source, files, sources};
use crate::strip;

/// Each module of the library imports only from those above it.
const ORDER: [&str; 26] = [
    "os",
    "thread",
    "output",
    "clock",
    "escape",
    "signal",
    "error",
    "notice",
    "finding",
    "ledger",
    "levels",
    "env",
    "otlp",
    "config",
    "outbox",
    "transport",
    "ship",
    "console",
    "source",
    "telemetry",
    "diagnose",
    "testing",
    "bridge",
    "builder",
    "internals",
    "lib",
];

/// Pairs of modules that may import against the order. There are none.
const KNOTS: [(&str, &str); 0] = [];

/// What only some modules may do.
const MONOPOLIES: [(&str, &[&str], &[&str]); 7] = [
    ("the environment", &["env::var", "env::args", "env::current_exe"], &["src/config"]),
    (
        "sockets",
        &["TcpStream", "TcpListener", "hyper_util::client::legacy"],
        // `logbridge-http` opens no sockets: it names the errors and peers of those that the application opens.
        &["src/transport", "receiver/src", "cli/src/doctor/endpoint", "http/src/client/transport.rs"],
    ),
    (
        "threads",
        &["thread::Builder", "thread::spawn", "spawn_blocking("],
        &["src/ship", "src/output.rs", "receiver/src"],
    ),
    (
        "files",
        &["std::fs", "File::"],
        &["src/outbox", "src/diagnose/report", "src/os/", "cli/src/command/run", "cli/src/doctor/project"],
    ),
    ("unsafe code", &["unsafe "], &["src/os", "src/telemetry/gate.rs"]),
    (
        "the standard streams",
        &["println!", "eprintln!", "print!", "eprint!", "io::stdout()", "io::stderr()"],
        &["src/console", "src/os", "cli/src/command"],
    ),
    (
        "log's and tracing's macros",
        &[
            "log::trace!",
            "log::debug!",
            "log::info!",
            "log::warn!",
            "log::error!",
            "log::log!",
            "tracing::trace!",
            "tracing::debug!",
            "tracing::info!",
            "tracing::warn!",
            "tracing::error!",
            "tracing::event!",
            "tracing::span!",
            "tracing::trace_span!",
            "tracing::debug_span!",
            "info_span!(",
            "tracing::warn_span!",
            "tracing::error_span!",
            "use tracing::trace",
            "use tracing::debug",
            "use tracing::info",
            "use tracing::warn",
            "use tracing::error",
            "use log::trace",
            "use log::debug",
            "use log::info",
            "use log::warn",
            "use log::error",
        ],
        // `check` sends a record through each facade. Spans of requests are what `logbridge-http` is for.
        &["src/diagnose/canary.rs", "http/src/server", "http/src/client"],
    ),
];

/// The module of the library that this file belongs to.
fn module(path: &str) -> Option<&str> {
    path.strip_prefix("src/").and_then(|path| path.split(['/', '.']).next())
}

/// What of these patterns is in the source.
fn uses(source: &Source, patterns: &[&'static str]) -> Option<&'static str> {
    patterns.iter().copied().find(|pattern| {
        // `print!` is part of `println!`, and `eprint!` ends with it.
        source
            .code
            .match_indices(pattern)
            .any(|(at, _)| !source.code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
    })
}

#[test]
fn only_some_modules_may() {
    let sources = sources();
    for (what, patterns, allowed) in MONOPOLIES {
        let mut used: BTreeSet<&&str> = BTreeSet::new();
        for source in &sources {
            let Some(pattern) = uses(source, patterns) else { continue };
            let places: Vec<_> = allowed.iter().filter(|place| source.path.starts_with(**place)).collect();
            assert!(!places.is_empty(), "{what}: `{pattern}` in {}, allowed only in {allowed:?}", source.path);
            used.extend(places);
        }
        let unused: Vec<_> = allowed.iter().filter(|place| !used.contains(place)).collect();
        assert!(unused.is_empty(), "{what}: {unused:?} may, and need not: take them from the list");
    }
}

/// The modules of the crate that the code names after `crate::`.
fn imports(code: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for (index, path) in code.match_indices("crate::") {
        let imported = &code[index + path.len()..];
        if !imported.starts_with('{') {
            names.push(imported);
            continue;
        }
        let (mut depth, mut start) = (0, 1);
        for (at, c) in imported.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if (c == ',' && depth == 1) || depth == 0 {
                names.push(imported[start..at].trim());
                start = at + 1;
            }
            if depth == 0 {
                break;
            }
        }
    }
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    names.into_iter().map(|name| name.split(|c| !is_name(c)).next().unwrap_or_default()).collect()
}

#[test]
fn imports_point_one_way() {
    let place = |name: &str| ORDER.iter().position(|module| *module == name);
    let mut tied = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for source in &sources() {
        let Some(importer) = module(&source.path) else { continue };
        let at = place(importer).unwrap_or_else(|| panic!("{} is in no order", source.path));
        seen.insert(at);
        for name in imports(&source.code) {
            if place(name).is_none_or(|imported| imported <= at) {
                continue;
            }
            let knot = KNOTS.iter().position(|knot| *knot == (importer, name));
            assert!(knot.is_some(), "{} imports {name}, which comes after {importer}", source.path);
            tied.extend(knot.map(|knot| KNOTS[knot]));
        }
    }
    assert_eq!(tied, BTreeSet::from(KNOTS), "knots that are none: take them from the list");
    assert_eq!(seen.len(), ORDER.len(), "modules that are none: take them from the order");
}

#[test]
fn what_follows_the_tests_of_a_module_is_looked_at() {
    let code = "use crate::{config::{A, B}, ship::C};\n#[cfg(test)]\nmod tests {\n    fn t() { println!(); }\n}\nfn late() { crate::receiver::x(); eprintln!(\"crate::bin\"); }";
    let source = Source { path: "x.rs".to_owned(), code: strip::strip(code).code, lines: 0 };
    assert_eq!(uses(&source, &["println!", "print!"]), None, "only a test does");
    assert_eq!(uses(&source, &["println!", "eprintln!"]), Some("eprintln!"));
    assert_eq!(imports(&source.code), ["config", "ship", "receiver"]);
}

/// The README is also the front page of the documentation, where paths of files lead nowhere: such a link needs a name, and
/// `src/lib.rs` gives the same name another meaning.
#[test]
fn links_of_the_readme_work_on_both_its_pages() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).expect("a file");
    let (readme, front) = (read("README.md"), read("src/lib.rs"));
    let slug = |heading: &str| {
        let letters = heading.trim().to_lowercase();
        letters.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
    };
    let headings: BTreeSet<_> =
        readme.lines().filter(|line| line.starts_with('#')).map(|line| slug(line.trim_start_matches('#'))).collect();
    let targets: Vec<_> = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(!targets.is_empty());
    for target in targets {
        let is_heading = target.strip_prefix('#').is_some_and(|slug| headings.contains(slug));
        assert!(is_heading || target.starts_with("https://"), "README.md: the link to `{target}`");
    }
    let definition = |line: &str| {
        let (name, target) = line.strip_prefix('[')?.split_once("]: ")?;
        Some((name.to_owned(), target.trim().to_owned()))
    };
    let definitions: Vec<_> = readme.lines().filter_map(definition).collect();
    assert!(!definitions.is_empty());
    for (name, target) in definitions {
        assert!(target.starts_with("https://") || root.join(&target).is_file(), "README.md: `{target}`");
        let is_in_front = front.contains(&format!("//! [{name}]: crate::"));
        assert!(is_in_front || target.starts_with("https://"), "src/lib.rs: `{name}` leads to `{target}`");
        assert!(readme.contains(&format!("][{name}]")), "README.md: nothing leads to `{name}`");
    }
}

/// Returns the name in `mod name;`, whatever its visibility.
fn declared_module(line: &str) -> Option<&str> {
    let (before, name) = line.strip_suffix(';')?.rsplit_once("mod ")?;
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    (is_name && (before.is_empty() || before.starts_with("pub"))).then_some(name)
}

/// Returns the files that no `mod` declares, directly or through other files, starting at `lib.rs` and `main.rs`.
fn undeclared(files: &BTreeMap<String, String>) -> Vec<&str> {
    let is_root = |path: &str| ["/src/lib.rs", "/src/main.rs"].iter().any(|root| format!("/{path}").ends_with(root));
    // Each file with the directory of its submodules.
    let directory = |path: &str| path.rsplit_once('/').map_or("", |(directory, _)| directory).to_owned();
    let mut open: Vec<(String, String)> =
        files.keys().filter(|path| is_root(path)).map(|path| (path.clone(), directory(path))).collect();
    let mut reached = BTreeSet::new();
    while let Some((path, submodules)) = open.pop() {
        let Some(text) = files.get(&path) else { continue };
        let mut attribute = None;
        for line in text.lines().map(str::trim) {
            if let Some(named) = line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]")) {
                attribute = Some(named);
            } else if let Some(name) = declared_module(line) {
                match attribute.take() {
                    Some(named) => {
                        let file = format!("{}/{named}", directory(&path));
                        open.push((file.clone(), directory(&file)));
                    }
                    None => {
                        let own = format!("{submodules}/{name}");
                        open.push((format!("{own}.rs"), own.clone()));
                        open.push((format!("{own}/mod.rs"), own));
                    }
                }
            } else if !line.starts_with("#[") {
                attribute = None;
            }
        }
        reached.insert(path);
    }
    files.keys().filter(|path| !reached.contains(*path)).map(String::as_str).collect()
}

#[test]
fn every_file_is_part_of_a_package() {
    let files = files().into_iter().collect();
    assert_eq!(undeclared(&files), Vec::<&str>::new(), "no `mod` declares these files, so they are never compiled");
}

#[test]
fn a_file_without_a_declaration_is_found() {
    let files = [
        ("src/lib.rs", "mod a;\npub(crate) mod b;\n// mod orphan;\n"),
        ("src/a.rs", "#[cfg(unix)]\n#[path = \"other.rs\"]\nmod c;\nmod d;\n"),
        ("src/a/d.rs", ""),
        ("src/b/mod.rs", "#[cfg(test)]\nmod tests;\n"),
        ("src/b/tests.rs", ""),
        ("src/c.rs", "mod late;\n"),
        ("src/late.rs", ""),
        ("src/orphan.rs", ""),
        ("src/other.rs", "mod e;\n"),
        ("src/e.rs", ""),
    ];
    let files = files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
    assert_eq!(undeclared(&files), ["src/c.rs", "src/late.rs", "src/orphan.rs"]);
}

#[test]
fn files_stay_small() {
    for source in sources() {
        assert!(source.lines <= 500, "{} has {} lines", source.path, source.lines);
    }
}

/// Findings about a running program name their impact. One place decides its severity.
#[test]
fn severities_are_chosen_in_one_place() {
    let judges = ["src/diagnose/report/findings.rs", "cli/src/command/run/findings.rs"];
    let sources = sources();
    for judge in judges {
        let source = sources.iter().find(|source| source.path == judge).expect("it is there");
        for severity in ["Severity::Error", "Severity::Warning", "Severity::Note"] {
            assert!(!source.code.contains(severity), "{judge} chooses {severity} by itself: name the impact");
        }
    }
}
