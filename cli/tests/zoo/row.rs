//! A row of the zoo, and the runner.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many rows are played at a time.
const AT_A_TIME: usize = 6;

/// Codes of findings, such as `LB024`.
pub(crate) type Codes = BTreeSet<String>;

/// What a cause comes to.
pub(crate) enum Kind {
    /// A tool names it.
    Named {
        /// Such as `doctor` or `report`.
        tool: &'static str,
        code: &'static str,
        /// Plays the cause (or, for the twin, what is like it without the fault), and says which codes the tool gave.
        play: fn(Case) -> Codes,
    },
    /// It cannot happen to who uses logbridge: this tries it, and panics where it can.
    Impossible(fn()),
}

/// Which of the two is played.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Case {
    Faulty,
    Healthy,
}

impl Case {
    /// The one or the other.
    pub(crate) fn pick<T>(self, faulty: T, healthy: T) -> T {
        match self {
            Self::Faulty => faulty,
            Self::Healthy => healthy,
        }
    }
}

pub(crate) struct Row {
    /// The cause in docs/missing-logs.md, such as `E3`, with a letter for a variant. Invariants begin with `0`.
    pub(crate) id: &'static str,
    /// In a few words.
    pub(crate) cause: &'static str,
    pub(crate) kind: Kind,
}

/// A cause that a tool names.
pub(crate) fn named(
    id: &'static str,
    cause: &'static str,
    tool: &'static str,
    code: &'static str,
    play: fn(Case) -> Codes,
) -> Row {
    Row { id, cause, kind: Kind::Named { tool, code, play } }
}

/// A cause that cannot happen here.
pub(crate) fn impossible(id: &'static str, cause: &'static str, attempt: fn()) -> Row {
    Row { id, cause, kind: Kind::Impossible(attempt) }
}

/// Plays all rows whose id is the first argument or whose cause has it in it (all, without one), and prints the table. An
/// argument that is in none fails, with the list of the rows: nothing would have been tried.
pub(crate) fn run(rows: &[Row]) -> ExitCode {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let ids: BTreeSet<_> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), rows.len(), "each row has an id of its own");
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/missing-logs.md");
    let page = std::fs::read_to_string(page).expect("the page of causes");
    rows.iter().for_each(|row| check_page(row, &page));
    let (mut passed, mut failed) = (0, 0);
    let chosen: Vec<_> = rows.iter().filter(|row| row.id == wanted || row.cause.contains(&wanted)).collect();
    if chosen.is_empty() {
        rows.iter().for_each(|row| eprintln!("{:<4} {}", row.id, row.cause));
        eprintln!("\nno row is called `{wanted}`, or has that in its cause; there are those above");
        return ExitCode::FAILURE;
    }
    for (row, verdict) in chosen.iter().zip(play_all(&chosen)) {
        let verdict = match verdict {
            Ok(verdict) => {
                passed += 1;
                verdict
            }
            Err(why) => {
                failed += 1;
                format!("FAILED: {why}")
            }
        };
        println!("{:<4} {:<60} {verdict}", row.id, row.cause);
    }
    println!("\n{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The page of causes has a row for this one, which names the code.
fn check_page(row: &Row, page: &str) {
    let cause = row.id.trim_end_matches(|c: char| c.is_ascii_lowercase());
    if cause == "0" {
        return;
    }
    let anchor = format!("| <a id=\"{}\"></a>{cause} |", cause.to_lowercase());
    let line = page.lines().find(|line| line.starts_with(&anchor));
    let line = line.unwrap_or_else(|| panic!("docs/missing-logs.md has no row {cause} for {}", row.id));
    if let Kind::Named { code, .. } = row.kind {
        assert!(line.contains(code), "docs/missing-logs.md: {cause} does not name {code}, which {} finds", row.id);
    }
}

/// This program, with a filter that no row has.
pub(crate) fn a_filter_that_plays_nothing_fails() {
    let mut program = Command::new(std::env::current_exe().expect("this program"));
    let output = program.arg("no such row").output().expect("it runs");
    assert!(!output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no row is called `no such row`") && said.contains("A1b  "), "{said}");
}

/// Several at a time: most of them wait for a child or a socket.
fn play_all(rows: &[&Row]) -> Vec<Result<String, String>> {
    let next = AtomicUsize::new(0);
    let mut verdicts: Vec<_> = rows.iter().map(|_| None).collect();
    let places = Mutex::new(&mut verdicts);
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(row) = rows.get(index) else { return };
                    let played = catch_unwind(AssertUnwindSafe(|| play(row)));
                    let verdict = played.unwrap_or_else(|_| Err("panicked".to_owned()));
                    places.lock().expect("nobody panics in here")[index] = Some(verdict);
                }
            });
        }
    });
    verdicts.into_iter().map(|verdict| verdict.expect("played")).collect()
}

fn play(row: &Row) -> Result<String, String> {
    match row.kind {
        Kind::Named { tool, code, play } => {
            let (faulty, healthy) = (play(Case::Faulty), play(Case::Healthy));
            if !faulty.contains(code) {
                return Err(format!("{tool} should give {code}, and gave {faulty:?}"));
            }
            if healthy.contains(code) {
                return Err(format!("{tool} gives {code} without the fault, too"));
            }
            Ok(format!("{tool} {code}"))
        }
        Kind::Impossible(attempt) => {
            attempt();
            Ok("cannot happen here".to_owned())
        }
    }
}
