//! The rules of the house that no lint knows: which module may do what, and in which direction imports point.

#![allow(clippy::expect_used)] // A test may panic.

use std::fs;
use std::path::{Path, PathBuf};

/// Each module imports only from those above it.
const ORDER: [&str; 28] = [
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
    "installed",
    "source",
    "telemetry",
    "diagnose",
    "receiver",
    "bridge",
    "builder",
    "doctor",
    "command",
    "bin",
];

/// `installed` holds what `source` defines, and `source` asks it: the one knot, since a logger in a static slot has no
/// handle. `levels` is asked by `config`, and so on upwards.
const KNOTS: [(&str, &str); 2] = [("installed", "source"), ("source", "bridge")];

/// What only some modules may do.
const MONOPOLIES: [(&str, &[&str], &[&str]); 7] = [
    ("the environment", &["env::var", "env::args", "env::current_exe"], &["config"]),
    (
        "sockets",
        &["TcpStream", "TcpListener", "hyper_util::client::legacy"],
        &["transport", "receiver", "doctor/endpoint"],
    ),
    ("threads", &["thread::Builder", "thread::spawn", "spawn_blocking("], &["ship", "receiver", "output.rs"]),
    ("files", &["std::fs", "File::"], &["outbox", "config", "command/run", "diagnose/report", "doctor/project", "os/"]),
    ("unsafe code", &["unsafe "], &["os", "telemetry/gate.rs"]),
    (
        "the standard streams",
        &["println!", "eprintln!", "print!", "eprint!", "io::stdout()", "io::stderr()"],
        &["console", "os", "command"],
    ),
    (
        "log's and tracing's macros",
        &[
            "log::trace!",
            "log::debug!",
            "log::info!",
            "log::warn!",
            "log::error!",
            "tracing::info!",
            "tracing::warn!",
            "tracing::error!",
        ],
        &[],
    ),
];

struct Source {
    /// Below `src`, with `/`.
    path: String,
    /// Without comments and without the tests of the module.
    code: String,
    lines: usize,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
        .into_iter()
        .map(|file| {
            let text = fs::read_to_string(&file).expect("a source");
            let path = file.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let is_comment = |line: &&str| line.trim_start().starts_with("//");
            let code = code.lines().filter(|line| !is_comment(line)).collect::<Vec<_>>().join("\n");
            Source { path, code, lines: text.lines().count() }
        })
        .filter(|source| !source.path.contains("tests"))
        .collect()
}

fn module(path: &str) -> &str {
    path.split(['/', '.']).next().unwrap_or_default()
}

#[test]
fn only_some_modules_may() {
    for (what, patterns, allowed) in MONOPOLIES {
        for source in sources() {
            let may = allowed.iter().any(|place| source.path.starts_with(place));
            for pattern in patterns.iter().filter(|_| !may) {
                // `print!` is part of `println!`, and `eprint!` ends with it.
                let found = source.code.match_indices(pattern).any(|(at, _)| {
                    !source.code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
                });
                assert!(!found, "{what}: `{pattern}` in src/{}, allowed only in {allowed:?}", source.path);
            }
        }
    }
}

#[test]
fn imports_point_one_way() {
    let place = |name: &str| ORDER.iter().position(|module| *module == name);
    for source in sources().iter().filter(|source| source.path != "lib.rs") {
        let importer = module(&source.path);
        let at = place(importer).unwrap_or_else(|| panic!("src/{} is in no order", source.path));
        for (index, _) in source.code.match_indices("crate::") {
            let imported = &source.code[index + "crate::".len()..];
            let names: Vec<&str> = match imported.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap_or_default().split(',').map(str::trim).collect(),
                None => vec![imported],
            };
            for name in names {
                let name = name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                let Some(imported) = place(name) else { continue };
                let knot = KNOTS.contains(&(importer, name));
                assert!(imported <= at || knot, "src/{} imports {name}, which comes after {importer}", source.path);
            }
        }
    }
}

#[test]
fn files_stay_small() {
    for source in sources() {
        assert!(source.lines <= 500, "src/{} has {} lines", source.path, source.lines);
    }
}
