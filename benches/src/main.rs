//! What one log call costs, beside env_logger and the stock appenders.
//!
//! `cargo run --release --manifest-path benches/Cargo.toml` prints one table with the ratios. Each case runs in a
//! process of its own, since `log` and tracing have one slot each; the cases take turns over several rounds, so that a
//! machine that slows down slows all of them. What is shown is the median of the rounds.
//!
//! Ours is measured with a receiver that accepts connections and never answers: the outbox is large enough to hold
//! everything, so that nothing but the call is measured, as the stock processor is measured with an exporter that does
//! nothing.

#![allow(clippy::disallowed_methods)] // The package beside this one has rules of its own about the environment.

mod cases;

use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};

/// The case of a peer, and the ratio to reach.
type Peer = (&'static str, f64);

/// What is measured, our case, and against whom.
const TABLE: &[(&str, &str, &[Peer])] = &[
    ("log call below the max level", "disabled-ours", &[("disabled-env_logger", 1.1)]),
    ("log call rejected by the longest of ten directives", "rejected-ours", &[("rejected-env_logger", f64::NAN)]),
    ("log calls rejected by five of ten directives", "spread-ours", &[("spread-env_logger", 1.0)]),
    ("log call, plain", "plain-ours", &[("plain-env_logger", 0.25), ("plain-stock", f64::NAN)]),
    ("log call, three attributes", "kv-ours", &[("kv-env_logger", 0.35), ("kv-stock", 0.30)]),
    ("tracing event, three fields, in a span", "event-ours", &[("event-stock", 0.40)]),
    ("span with two fields, opened and closed", "span-ours", &[("span-stock", f64::NAN)]),
    ("the same with an event inside", "spanlog-ours", &[("spanlog-stock", f64::NAN)]),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("case") => cases::run(&arguments.next().unwrap_or_default()),
        Some(other) => {
            eprintln!("unknown argument `{other}`: this program takes none");
            std::process::exit(2);
        }
        None => table(),
    }
}

fn table() {
    // Accepts and never answers: the backlog of the listener is enough for one connection.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let names: Vec<&str> = TABLE
        .iter()
        .flat_map(|(_, ours, peers)| std::iter::once(*ours).chain(peers.iter().map(|(peer, _)| *peer)))
        .collect();
    let rounds = 7;
    let mut wall: Vec<Vec<f64>> = vec![Vec::new(); names.len()];
    for round in 0..rounds {
        eprint!("\rround {} of {rounds} …", round + 1);
        for (name, wall) in names.iter().zip(&mut wall) {
            wall.push(measure(name, &endpoint));
        }
    }
    eprintln!("\r                  ");
    let median = |name: &str| {
        let index = names.iter().position(|other| *other == name).expect("a case of the table");
        let mut sorted = wall[index].clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    };
    println!("{:<50} {:>9}   {:<22} {:>9}   {:>6}  {:>6}", "", "ours, ns", "peer", "ns", "ratio", "target");
    for (what, ours, peers) in TABLE {
        let ours = median(ours);
        for (peer, target) in *peers {
            let theirs = median(peer);
            let target = if target.is_nan() { String::new() } else { format!("{target:.2}") };
            let name = peer.split_once('-').map_or(*peer, |(_, name)| name);
            println!("{what:<50} {ours:>9.1}   {name:<22} {theirs:>9.1}   {:>6.2}  {target:>6}", ours / theirs);
        }
    }
}

/// Nanoseconds per call of one case, in a process of its own.
fn measure(name: &str, endpoint: &str) -> f64 {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["case", name])
        .env_clear()
        .env("BENCH_ENDPOINT", endpoint)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the case starts");
    let mut text = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut text).expect("text");
    let status = child.wait().expect("the case ends");
    assert!(status.success(), "{name}: {status}");
    text.trim().parse().expect("nanoseconds")
}
