//! The cost of logbridge, compared with env_logger, the stock appenders and emit.
//!
//! `cargo run --release --manifest-path benches/Cargo.toml` prints one table with the ratios. Each case runs in a
//! process of its own, since `log` and tracing have one slot each; the cases take turns over several rounds, so that a
//! machine that slows down slows all of them. What is shown is the median of the rounds.
//!
//! `-- --instructions` counts instructions instead of nanoseconds, which does not drift: by `perf stat`, else by
//! valgrind's callgrind. `-- --build` counts crates and times a cold build, beside the stock set.
//!
//! `-- --http` measures only the transfer of bodies.
//!
//! In the cases of one call, ours is measured with a receiver that accepts connections and never answers: the outbox is large enough to hold
//! everything, so that nothing but the call is measured, as the stock processor is measured with an exporter that does
//! nothing.

#![allow(clippy::disallowed_methods)] // The package beside this one has rules of its own about the environment.

mod build;
mod cases;
mod http;
mod instructions;
mod process;
mod sink;
mod spool;
mod whole;

use std::io::{IsTerminal as _, Read as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use whole::Run;

/// The case of a peer, and the ratio to reach.
type Peer = (&'static str, f64);

/// What is measured, our case, and against whom.
const TABLE: &[(&str, &str, &[Peer])] = &[
    ("log call below the max level", "disabled-ours", &[("disabled-env_logger", 1.1)]),
    ("tracing event at DEBUG, below the levels", "disabledevent-ours", &[("disabledevent-fmt", 2.0)]),
    ("log call rejected by the longest of ten directives", "rejected-ours", &[("rejected-env_logger", f64::NAN)]),
    ("log calls rejected by five of ten directives", "spread-ours", &[("spread-env_logger", 1.0)]),
    ("log call, plain", "plain-ours", &[("plain-env_logger", 0.25), ("plain-stock", f64::NAN)]),
    ("log call, three attributes", "kv-ours", &[("kv-env_logger", 0.35), ("kv-stock", 0.30)]),
    ("tracing event, three fields, in a span", "event-ours", &[("event-stock", 0.40), ("event-fmt", f64::NAN)]),
    ("span with two fields, opened and closed", "span-ours", &[("span-stock", f64::NAN)]),
    ("the same with an event inside", "spanlog-ours", &[("spanlog-stock", f64::NAN)]),
    (
        "HTTP request through the server layer, no capture",
        "server-ours",
        &[("server-trace_layer", 1.0), ("server-otel_tower", f64::NAN)],
    ),
];

/// The whole way: who, and the ratio of CPU to reach.
const WHOLE: &[(&str, f64)] = &[("ours", f64::NAN), ("stock", 0.15), ("emit_otlp", f64::NAN)];

const ROUNDS: usize = 7;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["case", name] => cases::run(name),
        ["whole", name] => whole::run(name),
        ["init", name] => process::init(name),
        ["memory"] => process::memory(),
        ["sink"] => sink::run(),
        ["transfer", capture] => http::transfer(capture),
        ["spool", ref part @ ..] => spool::run(part),
        ["--http"] => transfers(),
        ["--spool"] => spooled(),
        ["--instructions"] => instructions::table(),
        ["--build"] => build::table(),
        [] => {
            calls();
            threads();
            whole_way();
            inits();
            memory();
            transfers();
            spooled();
        }
        _ => {
            eprintln!("usage: logbridge-bench [--instructions | --build | --http | --spool]");
            std::process::exit(2);
        }
    }
}

fn progress(text: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{text}");
    }
}

/// An endpoint that accepts and never answers: the backlog of the listener is enough for one connection.
fn silent_endpoint() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    (listener, endpoint)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// All cases in turn, over the rounds: the values of each.
fn rounds(names: &[&str], measure: impl Fn(&str) -> f64) -> Vec<f64> {
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); names.len()];
    for round in 0..ROUNDS {
        progress(&format!("round {} of {ROUNDS} …", round + 1));
        for (name, values) in names.iter().zip(&mut values) {
            values.push(measure(name));
        }
    }
    progress("");
    values.into_iter().map(median).collect()
}

fn target(target: f64) -> String {
    if target.is_nan() { String::new() } else { format!("{target:.2}") }
}

fn heading(unit: &str) {
    let ours = format!("ours, {unit}");
    println!("{:<52} {ours:>12}   {:<11} {unit:>9}   {:>6}  {:>6}", "", "peer", "ratio", "target");
}

fn calls() {
    let (_listener, endpoint) = silent_endpoint();
    let names: Vec<&str> = names();
    let values = rounds(&names, |name| child(&["case", name], &endpoint).trim().parse().expect("nanoseconds"));
    heading("ns");
    print_calls(&names, &values, true);
}

/// The cases of one call, each once.
fn names() -> Vec<&'static str> {
    TABLE
        .iter()
        .flat_map(|(_, ours, peers)| std::iter::once(*ours).chain(peers.iter().map(|(peer, _)| *peer)))
        .collect()
}

/// The targets are for times: who waits for another core executes nothing.
fn print_calls(names: &[&str], values: &[f64], is_time: bool) {
    let digits = usize::from(is_time);
    let value = |name: &str| values[names.iter().position(|other| *other == name).expect("a case of the table")];
    for (what, ours, peers) in TABLE {
        let ours = value(ours);
        for (peer, wanted) in *peers {
            let (theirs, wanted) = (value(peer), target(if is_time { *wanted } else { f64::NAN }));
            let name = peer.split_once('-').map_or(*peer, |(_, name)| name);
            let ratio = ours / theirs;
            println!("{what:<52} {ours:>12.digits$}   {name:<11} {theirs:>9.digits$}   {ratio:>6.2}  {wanted:>6}");
        }
    }
}

/// Calls per second of two threads beside those of one, in the steady state: the memory has been used before.
fn threads() {
    let (_listener, endpoint) = silent_endpoint();
    let names = ["threads1-ours", "threads2-ours", "threads1-env_logger", "threads2-env_logger"];
    let values = rounds(&names, |name| child(&["case", name], &endpoint).trim().parse().expect("nanoseconds"));
    println!();
    println!(
        "{:<52} {:>12}   {:<11} {:>9}   {:>6}  {:>6}",
        "two threads : one, calls per second", "ours", "peer", "", "", "target"
    );
    let [ours, theirs] = [values[0] / values[1], values[2] / values[3]];
    println!("{:<52} {ours:>12.2}   {:<11} {theirs:>9.2}   {:>6}  {:>6}", "log call, plain", "env_logger", "", "1.70");
}

fn whole_way() {
    let sink = sink::Sink::start();
    let mut runs: Vec<Vec<(Run, u64)>> = vec![Vec::new(); WHOLE.len()];
    for round in 0..ROUNDS {
        progress(&format!("whole way, round {} of {ROUNDS} …", round + 1));
        for ((name, _), runs) in WHOLE.iter().zip(&mut runs) {
            sink.take_count();
            let run = Run::parse(&child(&["whole", name], &sink.endpoint()));
            runs.push((run, sink.take_count()));
        }
    }
    progress("");
    println!();
    println!(
        "{:<52} {:>12}   {:<11} {:>9}   {:>6}  {:>6}",
        "three attributes, to a sink in another process", "CPU ns/rec", "", "million/s", "lost", "ratio"
    );
    let of = |runs: &[(Run, u64)], value: &dyn Fn(&Run, u64) -> f64| {
        median(runs.iter().map(|(run, delivered)| value(run, *delivered)).collect())
    };
    let cpu = |run: &Run, delivered: u64| run.cpu * 1e9 / delivered as f64;
    let ours = of(&runs[0], &cpu);
    for ((name, wanted), runs) in WHOLE.iter().zip(&runs) {
        let cpu = of(runs, &cpu);
        let rate = of(runs, &|run, delivered| delivered as f64 / run.wall / 1e6);
        let lost: u64 = runs.iter().map(|(run, delivered)| run.written.saturating_sub(*delivered)).sum();
        let ratio = if *name == "ours" { String::new() } else { format!("{:.3}", ours / cpu) };
        let wanted = if wanted.is_nan() { String::new() } else { format!("  target {}", target(*wanted)) };
        println!("{name:<52} {cpu:>12.0}   {:<11} {rate:>9.2}   {lost:>6}  {ratio:>6}{wanted}", "");
    }
}

fn inits() {
    let (_listener, endpoint) = silent_endpoint();
    let names = ["ours", "env_logger", "stock"];
    let values = rounds(&names, |name| child(&["init", name], &endpoint).trim().parse().expect("microseconds"));
    println!();
    heading("µs");
    for (name, theirs) in names.iter().zip(&values).skip(1) {
        let (ours, ratio) = (values[0], values[0] / theirs);
        println!("{:<52} {ours:>12.0}   {name:<11} {theirs:>9.0}   {ratio:>6.2}", "init()");
    }
}

fn memory() {
    let text = child(&["memory"], "");
    let mut numbers = text.split_whitespace().map(|number| number.parse::<f64>().expect("KiB") / 1024.0);
    let (before, most) = (numbers.next().expect("a number"), numbers.next().expect("a number"));
    let bound = (process::BOUND >> 20) as f64;
    println!();
    println!("{:<52} {:>12}   {:<11}", "memory with a dead endpoint at full rate, MiB", "above init()", "target");
    println!("{:<52} {:>12.1}   {:<11}", format!("bound of the outbox {bound} MiB"), most - before, bound + 8.0);
}

/// Bodies through server and client with network capture, beside the same without it.
fn transfers() {
    let (_listener, endpoint) = silent_endpoint();
    let values =
        rounds(&["all", "off"], |capture| child(&["transfer", capture], &endpoint).trim().parse().expect("MiB/s"));
    let [all, off] = [values[0], values[1]];
    println!();
    println!(
        "{:<52} {:>12}   {:<11} {:>9}   {:>6}  {:>6}",
        "over loopback, MiB/s", "capture all", "", "off", "ratio", "target"
    );
    let what = format!("{} MiB through server and client", http::TRANSFERRED >> 20);
    println!("{what:<52} {all:>12.0}   {:<11} {off:>9.0}   {:>6.2}  {:>6}", "", all / off, "> 0.95");
}

/// A call with the spool beside one without; recovery beside live delivery.
fn spooled() {
    // The last two are more than a disk can write: what is measured there is how the kernel makes pages of a file.
    const CALLS: [(&str, &str, bool, f64); 6] = [
        ("log call, plain, a million a second", "plain", true, 1.25),
        ("log call, three attributes, a million a second", "kv", true, 1.25),
        ("log call, plain, full rate, files used before", "again", false, 1.25),
        ("three attributes, full rate, files used before", "againkv", false, 1.25),
        ("log call, plain, full rate, new files", "plain", false, f64::NAN),
        ("log call, three attributes, full rate, new files", "kv", false, f64::NAN),
    ];
    let (_listener, endpoint) = silent_endpoint();
    let names: Vec<String> = CALLS
        .iter()
        .flat_map(|(_, case, paced, _)| {
            let pace = if *paced { " paced" } else { "" };
            [format!("{case}-spool{pace}"), format!("{case}-ours{pace}")]
        })
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let values = rounds(&names, |name| {
        let (name, paced): (_, &[_]) = match name.split_once(' ') {
            Some((name, _)) => (name, &[("BENCH_PACED", "1")]),
            None => (name, &[]),
        };
        let text = match name.ends_with("-spool") {
            true => with_directory(|directory| {
                let variables = [paced, &[("BENCH_SPOOL", directory)]].concat();
                child_with(&["case", name], &endpoint, &variables)
            }),
            false => child_with(&["case", name], &endpoint, paced),
        };
        text.trim().parse().expect("nanoseconds")
    });
    println!();
    println!(
        "{:<52} {:>12}   {:<11} {:>9}   {:>6}  {:>6}",
        "with the spool", "spool, ns", "", "memory, ns", "ratio", "target"
    );
    for ((what, _, _, wanted), values) in CALLS.iter().zip(values.chunks(2)) {
        let [spool, memory] = [values[0], values[1]];
        let (ratio, wanted) = (spool / memory, target(*wanted));
        println!("{what:<52} {spool:>12.1}   {:<11} {memory:>9.1}   {ratio:>6.2}  {wanted:>6}", "");
    }
    let sink = sink::Sink::start();
    let seconds = rounds(&["recover", "live"], |part| {
        let text = match part {
            "live" => child(&["spool", "live"], &sink.endpoint()),
            _ => with_directory(|directory| {
                child(&["spool", "leave", directory], &endpoint);
                child(&["spool", "recover", directory], &sink.endpoint())
            }),
        };
        text.trim().parse().expect("seconds")
    });
    println!();
    println!(
        "{:<52} {:>12}   {:<11} {:>9}   {:>6}  {:>6}",
        "million records a second", "recovery", "", "live", "ratio", "target"
    );
    let [recovery, live] = [0, 1].map(|part| f64::from(spool::LEFT) / seconds[part] / 1e6);
    let what = format!("{:.0} million left by a dead process", f64::from(spool::LEFT) / 1e6);
    println!("{what:<52} {recovery:>12.2}   {:<11} {live:>9.2}   {:>6.2}  {:>6}", "", recovery / live, "> 0.50");
}

/// A directory that is gone afterwards.
fn with_directory<T>(run: impl FnOnce(&str) -> T) -> T {
    let directory = spool::directory();
    let result = run(directory.to_str().expect("a readable name"));
    std::fs::remove_dir_all(&directory).expect("it is there");
    result
}

/// What a case prints, in a process of its own.
fn child(arguments: &[&str], endpoint: &str) -> String {
    child_with(arguments, endpoint, &[])
}

fn child_with(arguments: &[&str], endpoint: &str, variables: &[(&str, &str)]) -> String {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(arguments)
        .env_clear()
        .env("BENCH_ENDPOINT", endpoint)
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the case starts");
    let mut text = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut text).expect("text");
    let status = child.wait().expect("the case ends");
    assert!(status.success(), "{arguments:?}: {status}");
    text
}
