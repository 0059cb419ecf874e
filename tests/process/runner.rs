//! A small test runner with libtest's words, so that cargo and nextest can drive it.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

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

/// Plays one scenario: from here on this is an ordinary program.
pub(crate) fn play(groups: &[Group], scenario: &str, arguments: &[String]) {
    let found = groups.iter().flat_map(|group| group.scenarios).find(|(name, _)| *name == scenario);
    let (_, run) = found.unwrap_or_else(|| panic!("no scenario `{scenario}`"));
    run(arguments);
}

#[derive(Default)]
struct Options {
    filters: Vec<String>,
    skip: Vec<String>,
    exact: bool,
    list: bool,
    ignored_only: bool,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = String>) -> Self {
        let mut options = Self::default();
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--exact" => options.exact = true,
                "--list" => options.list = true,
                "--ignored" => options.ignored_only = true,
                "--skip" => options.skip.extend(arguments.next()),
                // Each takes a value that means nothing here.
                "--test-threads" | "--format" | "--color" | "--logfile" | "-Z" => drop(arguments.next()),
                flag if flag.starts_with('-') => {}
                _ => options.filters.push(argument),
            }
        }
        options
    }

    fn wants(&self, name: &str) -> bool {
        let hit = |text: &String| if self.exact { name == text } else { name.contains(text.as_str()) };
        !self.ignored_only && (self.filters.is_empty() || self.filters.iter().any(hit)) && !self.skip.iter().any(hit)
    }
}

/// Runs what the arguments ask for.
pub(crate) fn run(groups: &[Group], arguments: impl Iterator<Item = String>) -> ExitCode {
    let options = Options::parse(arguments);
    let all: Vec<(String, fn())> = groups
        .iter()
        .flat_map(|group| group.tests.iter().map(|(name, test)| (format!("{}::{name}", group.name), *test)))
        .collect();
    let total = all.len();
    let chosen: Vec<_> = all.into_iter().filter(|(name, _)| options.wants(name)).collect();
    if options.list {
        chosen.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    // Otherwise nothing would be tried, and all would be well.
    if chosen.is_empty() && !options.filters.is_empty() && !options.ignored_only {
        eprintln!("no test has any of {:?} in its name; there are {total}, and --list shows them", options.filters);
        return ExitCode::from(101);
    }
    println!("\nrunning {} tests", chosen.len());
    let start = Instant::now();
    let failures = run_all(&chosen);
    if !failures.is_empty() {
        println!("\nfailures:\n");
        failures.iter().for_each(|(name, why)| println!("---- {name} ----\n{why}\n"));
        println!("\nfailures:");
        failures.iter().for_each(|(name, _)| println!("    {name}"));
    }
    println!(
        "\ntest result: {}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failures.is_empty() { "ok" } else { "FAILED" },
        chosen.len() - failures.len(),
        failures.len(),
        total - chosen.len(),
        start.elapsed().as_secs_f64()
    );
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

thread_local! {
    /// What the last panic of this thread said.
    static WHY: RefCell<String> = const { RefCell::new(String::new()) };
}

fn run_all(tests: &[(String, fn())]) -> Vec<(String, String)> {
    std::panic::set_hook(Box::new(|info| {
        let why = info.to_string();
        WHY.with_borrow_mut(|last| *last = why);
    }));
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(1, 4);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((name, test)) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let start = Instant::now();
                    let passed = catch_unwind(AssertUnwindSafe(test)).is_ok();
                    let word = if passed { "ok" } else { "FAILED" };
                    // Only what is unusually slow says so, which keeps the line as libtest has it.
                    match start.elapsed().as_secs() {
                        0..=9 => println!("test {name} ... {word}"),
                        seconds => println!("test {name} ... {word} <{seconds}s>"),
                    }
                    if !passed {
                        let why = WHY.with_borrow_mut(std::mem::take);
                        failures.lock().unwrap_or_else(PoisonError::into_inner).push((name.clone(), why));
                    }
                }
            });
        }
    });
    // The default one again: a panic of the runner itself is to be seen.
    drop(std::panic::take_hook());
    failures.into_inner().unwrap_or_else(PoisonError::into_inner)
}
