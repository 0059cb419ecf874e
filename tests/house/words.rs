//! Checks the words of texts for users: finding pages, the page of causes, and the string literals of all packages,
//! which include notices, errors and help.

#![allow(clippy::expect_used)] // A test may panic.

use std::collections::BTreeSet;
use std::fs;

use crate::source::{files, files_below, root};
use crate::strip;

use logbridge::findings::Kind;

/// Phrases that no text for users contains, and what to write instead. Each one is certain: no plain sentence needs it.
const FORBIDDEN: [(&str, &str); 17] = [
    ("again and again", "repeatedly, or the period"),
    ("anew", "again, or the verb with `re-`"),
    ("are told", "are reported"),
    ("asked for again", "retried"),
    ("became of", "the outcome of"),
    ("becomes of", "the outcome of"),
    ("but for", "except for"),
    ("dead process", "the process that crashed"),
    ("disables nothing but itself", "is ignored"),
    ("is told", "is reported"),
    ("met its fate", "its outcome: delivered, rejected or dropped"),
    ("nobody chose", "unset, or the default"),
    ("nobody has set", "unset, or the default"),
    ("not set by anything", "unset, or the default"),
    ("ship thread", "exporter thread"),
    ("stands in", "is in, or is set in"),
    ("was told", "was reported"),
];

/// An idiom that contains a phrase with another meaning, and a key of the JSON report, which stays as it is.
const ALLOWED: [&str; 2] = ["are told apart", "the ship thread could not be started"];

/// Returns the first forbidden phrase of a text, as a whole word, with its replacement.
fn forbidden(text: &str) -> Option<(&'static str, &'static str)> {
    let text = ALLOWED.into_iter().fold(text.to_lowercase(), |text, idiom| text.replace(idiom, ""));
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    FORBIDDEN.into_iter().find(|(phrase, _)| {
        text.match_indices(phrase)
            .any(|(at, _)| !text[..at].ends_with(is_word) && !text[at + phrase.len()..].starts_with(is_word))
    })
}

/// Returns the string literals of a source, without those of tests, and with line breaks in the source joined.
fn literals(source: &str) -> Vec<String> {
    let text = strip::strip(source).text;
    let mut rest = text.as_str();
    let mut found = Vec::new();
    while let Some(at) = rest.find(['"', '\'']) {
        let (before, quoted) = rest.split_at(at);
        if let Some(after) = quoted.strip_prefix('\'') {
            // Skips a quote as a character; anything else may be a lifetime.
            let character = ["\"'", "\\\"'", "\\''"].into_iter().find_map(|character| after.strip_prefix(character));
            rest = character.unwrap_or(after);
            continue;
        }
        let hashes = before.len() - before.trim_end_matches('#').len();
        let is_raw = before[..before.len() - hashes].ends_with('r');
        let (literal, after) = match is_raw {
            true => quoted[1..].split_once(&format!("\"{}", "#".repeat(hashes))).unwrap_or_default(),
            false => cooked(&quoted[1..]),
        };
        let mut lines = literal.split("\\\n");
        let first = lines.next().unwrap_or_default().to_owned();
        found.push(lines.fold(first, |joined, line| joined + line.trim_start()));
        rest = after;
    }
    found
}

/// Splits the text after an opening quote at the closing one.
fn cooked(text: &str) -> (&str, &str) {
    let mut is_escaped = false;
    let end = text.find(|c| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    });
    end.map_or((text, ""), |end| (&text[..end], &text[end + 1..]))
}

#[test]
fn finding_pages_use_plain_words() {
    for kind in Kind::all() {
        for text in [kind.title, kind.effect, kind.cause, kind.fix, kind.example] {
            assert_eq!(forbidden(text), None, "{}: {text}", kind.code);
            assert!(!text.contains("cannot be used"), "{}: say invalid, ignored or unusable: {text}", kind.code);
        }
        for text in [kind.effect, kind.cause, kind.fix] {
            let longest = text.split(['.', ':', ';']).map(|sentence| sentence.split_whitespace().count()).max();
            assert!(longest <= Some(26), "{}: a sentence has {longest:?} words: {text}", kind.code);
        }
    }
}

#[test]
fn texts_for_users_use_plain_words() {
    let mut number = 0;
    let mut found = String::new();
    for (path, source) in files() {
        if path.contains("tests") {
            continue;
        }
        for literal in literals(&source) {
            number += 1;
            if let Some((phrase, instead)) = forbidden(&literal) {
                found.push_str(&format!("{path}: `{phrase}` (write: {instead}) in {literal:?}\n"));
            }
        }
    }
    assert!(number > 3_000, "only {number} literals: the scanner is broken");
    assert!(found.is_empty(), "\n{found}");
}

#[test]
fn the_page_of_causes_is_sound() {
    let page = fs::read_to_string(root().join("docs/missing-logs.md")).expect("the page");
    for line in page.lines() {
        assert_eq!(forbidden(line), None, "{line}");
    }
    let mut ids = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with("| <a id=")) {
        let id = line.split('"').nth(1).expect("an id");
        assert!(line.starts_with(&format!("| <a id=\"{id}\"></a>{} |", id.to_uppercase())), "{line}");
        assert!(ids.insert(id.to_owned()), "two rows have the id {id}");
        assert_eq!(line.matches(" | ").count(), 3, "a row has four cells: {line}");
        let codes: Vec<_> = line.split("[LB").skip(1).filter_map(|rest| rest.get(..3)).collect();
        assert!(codes.iter().all(|code| Kind::of(&format!("LB{code}")).is_some()), "{line}");
        assert!(codes.is_empty() || !line.contains("| no finding |"), "{line}");
    }
    assert!(ids.len() >= 165, "only {} causes", ids.len());
    for (path, source) in files().into_iter().chain(files_below(&["tests", "cli/tests"])) {
        for cited in source.split("docs/missing-logs.md#").skip(1) {
            let id: String = cited.chars().take_while(char::is_ascii_alphanumeric).collect();
            assert!(id.is_empty() || ids.contains(&id), "{path} cites docs/missing-logs.md#{id}, which is not there");
        }
    }
}

#[test]
fn the_scanner_finds_what_it_should() {
    for text in ["Nobody has set it", "what became of it", "it is told\nonce", "asked for again."] {
        assert!(forbidden(text).is_some(), "{text}");
    }
    for text in ["no one", "renewed", "he is toldest", "targets are told apart"] {
        assert_eq!(forbidden(text), None);
    }
    let source = "// \"a comment\"\nf(\"one \\\n    two\", '\"', r\"three\", r#\"four\"#, 'a, \"\\\"\");\n#[test]\nfn t() { g(\"no\") }";
    assert_eq!(literals(source), ["one two", "three", "four", "\\\""]);
}
