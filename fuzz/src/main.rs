//! Feeds mutated input to what reads input from outside: `filter` (directives as in RUST_LOG), `variables` (headers,
//! resource attributes and other variables), `capture` (bodies of HTTP messages with a secret in them) and `spool` (files
//! that a process has left behind). cargo-fuzz needs a nightly
//! compiler; this runs with the one of the crate.
//!
//! ```text
//! cargo run --release --manifest-path fuzz/Cargo.toml -- filter 60        # seconds
//! cargo run --release --manifest-path fuzz/Cargo.toml -- variables 60 7   # and another seed than 1
//! cargo run --release --manifest-path fuzz/Cargo.toml -- filter fuzz/artifacts/filter-crash-…   # once more
//! ```
//!
//! The inputs follow from the seed and, for text, the files in `corpus`. They are tried in a second process, so that an input that
//! aborts or hangs it is known too; it is then in `artifacts`, and the exit code is 1.

mod capture;
mod filter;
mod mutate;
mod otlp;
mod outbox;
mod variables;

use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// An input that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(10);

type Error = Box<dyn std::error::Error>;

/// What is tried, and with what.
struct Target {
    run: fn(&[u8]),
    /// Endless, the same ones for the same name and seed.
    inputs: fn(&str, u64) -> Result<Inputs, Error>,
}

type Inputs = Box<dyn Iterator<Item = Vec<u8>>>;

fn target(name: &str) -> Option<Target> {
    let text = |run| Target { run, inputs: mutated };
    match name {
        "capture" => Some(text(|input| capture::run(&String::from_utf8_lossy(input)))),
        "filter" => Some(text(|input| filter::run(&String::from_utf8_lossy(input)))),
        "spool" => {
            Some(Target { run: outbox::spool::run, inputs: |_, seed| Ok(Box::new(outbox::spool::Files::new(seed))) })
        }
        "variables" => Some(text(|input| variables::run(&String::from_utf8_lossy(input)))),
        _ => None,
    }
}

/// The texts of the corpus, and then what becomes of them.
fn mutated(name: &str, seed: u64) -> Result<Inputs, Error> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder("corpus").join(name))?.map(|entry| Ok(entry?.path())).collect::<Result<_, Error>>()?;
    // The order of a folder is not the same everywhere.
    files.sort();
    let corpus: Vec<String> = files.iter().map(fs::read_to_string).collect::<Result<_, _>>()?;
    let mut mutator = mutate::Mutator::new(corpus.clone(), seed);
    let texts = corpus.into_iter().chain(std::iter::from_fn(move || Some(mutator.next())));
    Ok(Box::new(texts.map(String::into_bytes)))
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode, Error> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let usage = "usage: logbridge-fuzz capture|filter|spool|variables SECONDS|FILE [SEED]";
    let [name, what, rest @ ..] = arguments.as_slice() else { return Err(usage.into()) };
    let target = target(name).ok_or(usage)?;
    let seed = rest.first().map_or(Ok(1), |seed| seed.parse())?;
    let Ok(seconds) = what.parse() else {
        (target.run)(&fs::read(what)?);
        println!("{what}: no crash");
        return Ok(ExitCode::SUCCESS);
    };
    match rest.get(1).map(String::as_str) {
        None => parent(name, seconds, seed),
        Some(_current) => child(&target, name, seconds, seed),
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Where the second process keeps the input it is at.
fn current(target: &str) -> PathBuf {
    folder("artifacts").join(format!("{target}-current-{}", std::process::id()))
}

fn parent(target: &str, seconds: u64, seed: u64) -> Result<ExitCode, Error> {
    fs::create_dir_all(folder("artifacts"))?;
    let current = current(target);
    fs::write(&current, "")?;
    // What is wrong with an input is said on stderr, at length.
    let mut child = Command::new(env::current_exe()?)
        .args([target, &seconds.to_string(), &seed.to_string()])
        .arg(&current)
        .stderr(Stdio::null())
        .spawn()?;
    let problem = loop {
        if let Some(status) = child.try_wait()? {
            break (!status.success()).then(|| format!("crash ({status})"));
        }
        // The file of an input that hangs is old.
        if fs::metadata(&current)?.modified()?.elapsed().is_ok_and(|age| age > PATIENCE) {
            child.kill()?;
            child.wait()?;
            break Some("hang".to_owned());
        }
        thread::sleep(Duration::from_millis(50));
    };
    let Some(problem) = problem else {
        fs::remove_file(&current)?;
        return Ok(ExitCode::SUCCESS);
    };
    let word = problem.split(' ').next().unwrap_or_default();
    let kept = folder("artifacts").join(format!("{target}-{word}-{seed}-{}", std::process::id()));
    fs::rename(&current, &kept)?;
    println!("{problem}: {}", kept.display());
    Ok(ExitCode::FAILURE)
}

fn child(target: &Target, name: &str, seconds: u64, seed: u64) -> Result<ExitCode, Error> {
    let current = env::args().nth(4).ok_or("no file for the current input")?;
    let mut current = fs::File::options().write(true).open(current)?;
    std::panic::set_hook(Box::new(|panic| println!("{panic}")));
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut tried = 0_u64;
    for input in (target.inputs)(name, seed)? {
        if Instant::now() >= end {
            break;
        }
        // In place: file systems that flush a file which is emptied and written anew would set the pace.
        current.rewind()?;
        current.write_all(&input)?;
        current.set_len(input.len() as u64)?;
        (target.run)(&input);
        tried += 1;
    }
    println!("{name}: {tried} inputs in {seconds} s, no crash");
    Ok(ExitCode::SUCCESS)
}
