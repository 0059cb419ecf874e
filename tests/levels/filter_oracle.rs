//! Compares the levels of filter strings with env_logger's parser (crate env_filter). Intended differences, which
//! src/levels/directive.rs lists, are applied exactly, so that any other difference is found.

#![allow(clippy::expect_used)] // A test may panic.

use std::process::Command;

use fastrand::Rng;
use log::{Level, Log as _, Metadata};
use logbridge::{Builder, Console, Env, Logger, Otlp};

const CASES: usize = 20_000;

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}

/// A path of up to four segments over a small alphabet, so that many are prefixes of others.
fn target(rng: &mut Rng) -> String {
    let segments: Vec<&str> =
        (0..rng.usize(1..=4)).map(|_| pick(rng, &["a", "b", "ab", "a_b", "a-b", "app", "é"])).collect();
    segments.join("::")
}

fn level(rng: &mut Rng) -> String {
    let word = pick(rng, &["off", "error", "warn", "info", "debug", "trace"]);
    word.chars().map(|c| if rng.u8(..4) == 0 { c.to_ascii_uppercase() } else { c }).collect()
}

fn bad_level(rng: &mut Rng) -> &'static str {
    pick(rng, &["inof", "6", "0", "warn!", "none", "\"info\"", "in fo", "a::b"])
}

fn piece(rng: &mut Rng) -> String {
    match rng.u8(..16) {
        0..3 => level(rng),
        3..9 => format!("{}={}", target(rng), level(rng)),
        9 => format!("{}= {}", target(rng), level(rng)),
        10 => format!("{}=", target(rng)),
        11 => target(rng),
        12 => format!("{}={}", target(rng), bad_level(rng)),
        13 => format!("{}={}={}", target(rng), level(rng), level(rng)),
        14 => bad_level(rng).to_owned(),
        _ => String::new(),
    }
}

fn spec(rng: &mut Rng) -> String {
    let pad = ["", "", "", " ", "\t", "\n", "\u{a0}"];
    let pieces: Vec<String> = (0..rng.usize(..7))
        .map(|_| {
            let (before, after) = (pick(rng, &pad), pick(rng, &pad));
            format!("{before}{}{after}", piece(rng))
        })
        .collect();
    let message = match rng.u8(..24) {
        0 => "/some text",
        1 => "/one/two",
        2 => "/",
        _ => "",
    };
    pieces.join(",") + message
}

fn ours(spec: &str) -> Logger {
    // A variable that nobody sets: what is bad in the filter is then left out, as env_logger does it.
    let env = Env::new().filter_or("LOGBRIDGE_ORACLE_IS_NOT_SET", spec);
    let bridge = Builder::from_env(env).otlp(Otlp::off()).console(Console::stderr()).build();
    bridge.expect("nothing to start").logger()
}

/// env_filter's verdict, with the one difference that such strings can show: a root that is not set means WARN here.
fn theirs(spec: &str) -> env_filter::Filter {
    let mut builder = env_filter::Builder::new();
    builder.filter_level(log::LevelFilter::Warn);
    builder.parse(spec);
    builder.build()
}

fn asked(rng: &mut Rng, spec: &str) -> (String, Level) {
    let level = [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace][rng.usize(..5)];
    let named: Vec<&str> = spec.split([',', '=', '/']).map(str::trim).filter(|name| !name.is_empty()).collect();
    let target = match rng.u8(..4) {
        // What the filter names, and what is below or beside it.
        0 if !named.is_empty() => pick(rng, &named).to_owned(),
        1 if !named.is_empty() => format!("{}{}", pick(rng, &named), pick(rng, &["::x", "x", "::", "::a::b"])),
        _ => target(rng),
    };
    (target, level)
}

#[track_caller]
fn agree(rng: &mut Rng, spec: &str, passed: &mut usize, asked_for: &mut usize) {
    let (ours, theirs) = (ours(spec), theirs(spec));
    assert_eq!(ours.filter(), theirs.filter(), "the most that passes of {spec:?}");
    for _ in 0..8 {
        let (target, level) = asked(rng, spec);
        let metadata = Metadata::builder().target(&target).level(level).build();
        let verdict = ours.enabled(&metadata);
        assert_eq!(verdict, theirs.enabled(&metadata), "{level} of {target:?} by {spec:?}");
        *passed += usize::from(verdict);
        *asked_for += 1;
    }
}

/// In a process of its own, without variables of ours: what is bad is said on stderr, some ten thousand times.
#[test]
fn env_filter_says_the_same() {
    let mut child = Command::new(std::env::current_exe().expect("the test itself"));
    child.args(["--exact", "filter_oracle::the_cases", "--ignored", "--nocapture"]);
    for (name, _) in std::env::vars_os() {
        let ours = ["LOGBRIDGE_", "OTEL_", "HYPERDX_", "RUST_LOG", "DEBUG"];
        if ours.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            child.env_remove(name);
        }
    }
    let output = child.output().expect("a second run of the test");
    let errors = String::from_utf8_lossy(&output.stderr);
    let told = ["logbridge: ", "  help: ", "warning: invalid logging spec"];
    let of_the_test: Vec<&str> =
        errors.lines().filter(|line| !told.iter().any(|start| line.starts_with(start))).collect();
    assert!(output.status.success(), "{}", of_the_test.join("\n"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "the cases did not run");
}

#[test]
#[ignore = "runs in the process that `env_filter_says_the_same` starts"]
fn the_cases() {
    let (mut passed, mut asked_for) = (0, 0);
    for seed in 0..4 {
        let mut rng = Rng::with_seed(seed);
        for _ in 0..CASES / 4 {
            let spec = spec(&mut rng);
            agree(&mut rng, &spec, &mut passed, &mut asked_for);
        }
    }
    // Questions that are all answered alike would prove nothing.
    assert!(passed > asked_for / 4 && passed < asked_for * 3 / 4, "{passed} of {asked_for}");
}

#[test]
fn the_written_differences_are_all_there_are() {
    let verdicts = |spec: &str, target: &str, level: Level| {
        let metadata = Metadata::builder().target(target).level(level).build();
        let mut plain = env_filter::Builder::new();
        plain.parse(spec);
        (ours(spec).enabled(&metadata), plain.build().enabled(&metadata))
    };
    for (spec, target, level, expected) in [
        // Words.
        ("warning", "a", Level::Warn, (true, false)),
        ("warning", "warning::x", Level::Trace, (false, true)),
        ("info,a=notset", "a", Level::Info, (true, true)),
        ("info,a=warning", "a", Level::Info, (false, true)),
        // The root that is not set.
        ("a=debug", "b", Level::Warn, (true, false)),
        ("", "b", Level::Warn, (true, false)),
        ("", "b", Level::Error, (true, true)),
        ("debug/x/y", "b", Level::Warn, (true, false)),
        // A space before `=`.
        ("off,a =debug", "a", Level::Debug, (true, false)),
        ("off,a =debug", "a ", Level::Debug, (true, true)),
        // An empty target.
        ("=debug", "a", Level::Debug, (true, true)),
        ("info,=debug,warn", "a", Level::Debug, (false, true)),
        // Span directives.
        ("warn,a[s]=debug", "a[s]", Level::Debug, (false, true)),
        ("off,[s{x=1,b=debug", "b", Level::Debug, (true, true)),
    ] {
        assert_eq!(verdicts(spec, target, level), expected, "{level} of {target:?} by {spec:?}");
    }
}
