//! A row of the zoo, and the runner.

use std::collections::BTreeSet;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

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

/// Runs the rows that the arguments ask for; the name of a test is the row's id and its cause.
///
/// A filter that matches nothing fails, with the list of the rows: nothing would have been tried.
pub(crate) fn run(rows: Vec<Row>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_A_TIME);
    let ids: BTreeSet<_> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), rows.len(), "each row has an id of its own");
    let names: Vec<String> = rows.iter().map(Row::name).collect();
    let trials = rows.into_iter().map(|row| Trial::test(row.name(), move || play(&row).map_err(Failed::from)));
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    let has_run = conclusion.num_passed + conclusion.num_failed > 0;
    if !has_run && !arguments.list && !arguments.ignored {
        names.iter().for_each(|name| eprintln!("{name}"));
        eprintln!("\nno row has `{}` in its name", arguments.filter.unwrap_or_default());
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

impl Row {
    fn name(&self) -> String {
        let outcome = match self.kind {
            Kind::Named { tool, code, .. } => format!("{tool} {code}"),
            Kind::Impossible(_) => "cannot happen here".to_owned(),
        };
        format!("{:<4} {:<60} {outcome}", self.id, self.cause)
    }
}

/// This program, with a filter that no row has.
pub(crate) fn a_filter_that_plays_nothing_fails() {
    let mut program = Command::new(std::env::current_exe().expect("this program"));
    let output = program.arg("no such row").output().expect("it runs");
    assert!(!output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no row has `no such row` in its name") && said.contains("A1b  "), "{said}");
}

fn play(row: &Row) -> Result<(), String> {
    match row.kind {
        Kind::Named { tool, code, play } => {
            let (faulty, healthy) = (play(Case::Faulty), play(Case::Healthy));
            if !faulty.contains(code) {
                return Err(format!("{tool} should give {code}, and gave {faulty:?}"));
            }
            if healthy.contains(code) {
                return Err(format!("{tool} gives {code} without the fault, too"));
            }
            Ok(())
        }
        Kind::Impossible(attempt) => {
            attempt();
            Ok(())
        }
    }
}
