//! Checks that the files of a package do not import each other in cycles.
//!
//! A file imports another if it names something that the other file defines, or that it re-exports from there. Two
//! things do not count: items of parents that a child module uses, and re-exports of a parent.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{PACKAGES, Source, sources};

/// The path of a module in its package.
type Module = Vec<String>;

struct Package<'a> {
    files: BTreeMap<Module, &'a Source>,
    /// What each file imports for itself, and what it re-exports, as absolute paths.
    imports: BTreeMap<Module, Vec<Module>>,
    exports: BTreeMap<Module, Vec<Module>>,
}

fn module_of(path: &str) -> Module {
    let mut parts: Module = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// The paths in the tree of a `use`, without names that `as` gives.
fn paths_of_use(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((before, rest)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap_or_default().trim().to_owned()];
    };
    let inside = rest.rsplit_once('}').map_or(rest, |(inside, _)| inside);
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, character) in inside.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&inside[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(&inside[start..]);
    let items = items.into_iter().filter(|item| !item.trim().is_empty());
    items.flat_map(paths_of_use).map(|item| format!("{}{item}", before.trim())).collect()
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Whether a line begins a `use`: its text from there on, and whether it is a re-export.
fn begins_use(line: &str) -> Option<(usize, bool)> {
    let trimmed = line.trim_start();
    let after = trimmed.strip_prefix("pub").map_or(trimmed, |after| match after.strip_prefix('(') {
        Some(restricted) => restricted.split_once(')').map_or("", |(_, after)| after),
        None => after,
    });
    let tree = after.trim_start().strip_prefix("use ")?;
    Some((line.len() - tree.len(), trimmed.starts_with("pub")))
}

/// Splits code into the trees of its `use` items, each with whether it is a re-export, and the rest.
fn split_uses(code: &str) -> (Vec<(bool, &str)>, String) {
    let (mut uses, mut rest) = (Vec::new(), String::new());
    for statement in code.split_inclusive(';') {
        let mut at = 0;
        let found = statement.split_inclusive('\n').find_map(|line| {
            at += line.len();
            begins_use(line).map(|(start, is_export)| (at - line.len() + start, is_export))
        });
        match found {
            Some((start, is_export)) => {
                uses.push((is_export, statement[start..].trim_end_matches(';')));
                rest.push_str(statement[..start].trim_end_matches("use "));
            }
            None => rest.push_str(statement),
        }
    }
    (uses, rest)
}

/// Paths of more than one part in code.
fn paths_in(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("::") {
        let start = rest[..at].rfind(|c: char| !is_word(c)).map_or(0, |before| before + 1);
        let end = rest[at..].find(|c: char| !is_word(c) && c != ':').map_or(rest.len(), |length| at + length);
        if start < at && !rest[..start].ends_with("::") {
            paths.push(rest[start..end].trim_end_matches(':').to_owned());
        }
        rest = &rest[end.max(at + 2)..];
    }
    paths
}

impl<'a> Package<'a> {
    fn new(root: &str, sources: &'a [Source]) -> Self {
        let own = sources.iter().filter_map(|source| Some((module_of(source.path.strip_prefix(root)?), source)));
        let mut package = Self { files: own.collect(), imports: BTreeMap::new(), exports: BTreeMap::new() };
        for (module, source) in &package.files {
            let (uses, rest) = split_uses(&source.code);
            let mut imports: Vec<Module> =
                paths_in(&rest).iter().filter_map(|path| package.absolute(module, path)).collect();
            let mut exports = Vec::new();
            for (is_export, tree) in uses {
                let paths = paths_of_use(tree).into_iter().map(|path| path.replace(char::is_whitespace, ""));
                let paths = paths.filter_map(|path| package.absolute(module, &path));
                if is_export { exports.extend(paths) } else { imports.extend(paths) }
            }
            package.imports.insert(module.clone(), imports);
            package.exports.insert(module.clone(), exports);
        }
        package
    }

    /// The path from the root of the package; `None` if it is not of this package.
    fn absolute(&self, module: &Module, path: &str) -> Option<Module> {
        let mut parts: Vec<String> = path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let mut base = match parts.first()?.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => module.clone(),
            first => {
                let child = [module.as_slice(), &[first.to_owned()]].concat();
                return self.files.contains_key(&child).then(|| [module.clone(), parts.clone()].concat());
            }
        };
        while parts.first().is_some_and(|part| part == "super") {
            base.pop();
            parts.remove(0);
        }
        if parts.first().is_some_and(|part| part == "crate" || part == "self") {
            parts.remove(0);
        }
        Some([base, parts].concat())
    }

    /// The file that defines what a path names.
    fn definer(&self, path: &[String], depth: usize) -> Module {
        let length = (0..=path.len()).rev().find(|length| self.files.contains_key(&path[..*length])).unwrap_or(0);
        let (module, rest) = path.split_at(length);
        if let Some(name) = rest.first()
            && depth < 10
            && let Some(exported) =
                self.exports.get(module).and_then(|all| all.iter().find(|one| one.last() == Some(name)))
        {
            return self.definer(&[exported.as_slice(), &rest[1..]].concat(), depth + 1);
        }
        module.to_vec()
    }

    fn edges(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let imported = |module: &Module| {
            let paths = self.imports.get(module).into_iter().flatten();
            let files = paths.map(|path| self.definer(path, 0));
            files.filter(|file| !module.starts_with(file)).collect()
        };
        self.files.keys().map(|module| (module.clone(), imported(module))).collect()
    }
}

/// All modules that can be reached from one, itself only through others.
fn reached(edges: &BTreeMap<Module, BTreeSet<Module>>, from: &Module) -> BTreeSet<Module> {
    let (mut found, mut todo) = (BTreeSet::new(), vec![from.clone()]);
    while let Some(module) = todo.pop() {
        for next in edges.get(&module).into_iter().flatten() {
            if found.insert(next.clone()) {
                todo.push(next.clone());
            }
        }
    }
    found
}

fn circles(root: &str, sources: &[Source]) -> BTreeSet<String> {
    let package = Package::new(root, sources);
    let edges = package.edges();
    let reach: BTreeMap<_, _> = edges.keys().map(|module| (module, reached(&edges, module))).collect();
    let mut circles = BTreeSet::new();
    for (module, all) in &reach {
        let circle: Vec<_> =
            all.iter().filter(|other| reach.get(other).is_some_and(|back| back.contains(*module))).collect();
        if !circle.is_empty() {
            let names: Vec<_> = circle.iter().map(|module| package.files[*module].path.as_str()).collect();
            circles.insert(names.join(" <-> "));
        }
    }
    circles
}

#[test]
fn no_files_import_each_other() {
    let sources = sources();
    for root in PACKAGES {
        let circles = circles(root, &sources);
        assert!(circles.is_empty(), "circles of imports:\n{}", circles.into_iter().collect::<Vec<_>>().join("\n"));
    }
}

#[test]
fn circles_are_found_through_re_exports_and_not_through_parents() {
    let source = |path: &str, code: &str| Source { path: path.to_owned(), code: code.to_owned(), lines: 0 };
    let found = |sources: &[Source]| circles("src/", sources).into_iter().collect::<Vec<_>>();
    let parent =
        source("src/room/mod.rs", "mod a;\nmod b;\npub(crate) use a::{A, helper};\npub use b::B;\nstruct Own;\n");
    let a = source("src/room/a.rs", "use super::{B, Own};\nfn f() { g(); }\n");
    assert_eq!(found(&[parent, a, source("src/room/b.rs", "use std::fmt;\nuse super::Own;\n")]), Vec::<String>::new());
    let parent = source("src/room/mod.rs", "mod a;\nmod b;\npub(crate) use a::{A, helper};\npub use b::B;\n");
    let a = source("src/room/a.rs", "use super::{\n    B, Own,\n};\n");
    let b = source("src/room/b.rs", "fn f() { crate::room::helper() }\n");
    assert_eq!(found(&[parent, a, b]), ["src/room/a.rs <-> src/room/b.rs"]);
}
