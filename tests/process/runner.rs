//! The tests of the process groups, and the programs that they start, run by libtest-mimic.

use std::num::NonZero;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Trial};

/// A program of the tests, by its name.
type Scenario = (&'static str, fn(&[String]));

/// The tests of one file, and the programs they start.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) tests: &'static [(&'static str, fn())],
    pub(crate) scenarios: &'static [Scenario],
}

/// Lists functions under their own names.
macro_rules! named {
    ($($function:ident),* $(,)?) => { &[$((stringify!($function), $function)),*] };
}
pub(crate) use named;

pub(crate) const GROUP: Group =
    Group { name: "runner", tests: named![a_filter_that_matches_nothing_fails], scenarios: &[] };

fn a_filter_that_matches_nothing_fails() {
    let play = |arguments: &[&str]| {
        let mut program = Command::new(std::env::current_exe().expect("the path of this program"));
        program.args(arguments).output().expect("the runner").status.code()
    };
    assert_eq!(play(&["no such test"]), Some(101));
    assert_eq!(play(&["--list", "no such test"]), Some(0));
    assert_eq!(play(&["--ignored"]), Some(0), "none is");
}

/// The entry point of a test program: plays the scenario that the arguments name, or runs the tests.
pub(crate) fn main(groups: &[Group]) -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("child") {
        let scenario = arguments.next().expect("a scenario");
        let arguments: Vec<String> = arguments.collect();
        play(groups, &scenario, &arguments);
        return ExitCode::SUCCESS;
    }
    // A shell without job control starts background jobs with SIGINT ignored, and children inherit that.
    // SAFETY: no other thread runs yet, and the default disposition calls no code.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
    run(groups, std::env::args().skip(1))
}

/// Plays one scenario: from here on this is an ordinary program.
fn play(groups: &[Group], scenario: &str, arguments: &[String]) {
    let found = groups.iter().flat_map(|group| group.scenarios).find(|(name, _)| *name == scenario);
    let (_, run) = found.unwrap_or_else(|| panic!("no scenario `{scenario}`"));
    run(arguments);
}

/// Runs what the arguments ask for, as libtest does, except that a filter must match something.
fn run(groups: &[Group], arguments: impl Iterator<Item = String>) -> ExitCode {
    // Each test starts processes.
    const MOST_THREADS: usize = 4;
    let mut arguments = Arguments::from_iter(std::iter::once("runner".to_owned()).chain(arguments));
    let threads = std::thread::available_parallelism().map_or(2, NonZero::get).min(MOST_THREADS);
    arguments.test_threads.get_or_insert(threads);
    let tests = groups.iter().flat_map(|group| group.tests.iter().map(|(name, test)| (group.name, name, *test)));
    let trials = tests.map(|(group, name, test)| {
        Trial::test(format!("{group}::{name}"), move || {
            test();
            Ok(())
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    let has_run = conclusion.num_passed + conclusion.num_failed + conclusion.num_ignored > 0;
    if !has_run && arguments.filter.is_some() && !arguments.list && !arguments.ignored {
        eprintln!("no test has {:?} in its name; --list shows all", arguments.filter.unwrap_or_default());
        return ExitCode::from(101);
    }
    conclusion.exit_code()
}
