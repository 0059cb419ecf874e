//! Derives new inputs from the corpus. The same seed gives the same inputs.

use fastrand::Rng;

/// What the grammars are made of, and what is hard for any of them.
const WORDS: [&str; 44] = [
    ",",
    ",",
    "=",
    "=",
    "/",
    ":",
    "::",
    ";",
    "|",
    " ",
    "\n",
    "\t",
    "\r\n",
    "%",
    "%20",
    "%FF",
    "%00",
    "%2",
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "*",
    "-",
    "_",
    "\\",
    "\u{a0}",
    "é",
    "日本",
    "🦀",
    "\u{feff}",
    "İ",
    "info",
    "warning",
    "notset",
    "OFF",
    "app",
    "0",
    "18446744073709551616",
    "-1",
    "key",
    "(a{1000}){1000}",
];
/// Longer inputs say nothing more.
const LONGEST: usize = 4096;

pub(crate) struct Mutator {
    corpus: Vec<String>,
    rng: Rng,
}

impl Mutator {
    pub(crate) fn new(corpus: Vec<String>, seed: u64) -> Self {
        Self { corpus, rng: Rng::with_seed(seed) }
    }

    pub(crate) fn next(&mut self) -> String {
        let mut text = self.seed();
        for _ in 0..self.rng.usize(1..6) {
            let at = self.boundary(&text);
            let to = self.boundary(&text);
            let range = at.min(to)..at.max(to);
            match self.rng.u8(..8) {
                0 => text.replace_range(range, ""),
                1 => text.insert(at, self.rng.char(..)),
                2 => {
                    let piece = text[range].to_owned();
                    text.insert_str(at, &piece);
                }
                3 => {
                    let other = self.seed();
                    let from = self.boundary(&other);
                    text.replace_range(at.., &other[from..]);
                }
                4 => {
                    let piece = text[range.clone()].to_uppercase();
                    text.replace_range(range, &piece);
                }
                _ => text.insert_str(at, WORDS[self.rng.usize(..WORDS.len())]),
            }
        }
        let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        text.truncate(end);
        text
    }

    fn seed(&mut self) -> String {
        match self.corpus.len() {
            0 => String::new(),
            len => self.corpus[self.rng.usize(..len)].clone(),
        }
    }

    fn boundary(&mut self, text: &str) -> usize {
        let wanted = self.rng.usize(..=text.len());
        (0..=wanted).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
    }
}
