//! Costs of a program besides log calls: the time of `init()`, and memory while the endpoint is unreachable.

use std::fs;
use std::time::{Duration, Instant};

use logbridge::{Console, LevelFilter, Otlp};

/// The bound of the outbox in the memory case, which is the default.
pub(crate) const BOUND: usize = 64 << 20;

/// Microseconds that an `init()` takes.
pub(crate) fn init(name: &str) {
    let endpoint = std::env::var("BENCH_ENDPOINT").expect("BENCH_ENDPOINT");
    let start = Instant::now();
    match name {
        "ours" => logbridge::builder().otlp(Otlp::to(endpoint)).init(),
        "env_logger" => env_logger::init(),
        "stock" => drop(crate::whole::stock(&endpoint)),
        _ => panic!("no such case: {name}"),
    }
    println!("{}", start.elapsed().as_secs_f64() * 1e6);
}

/// KiB of resident memory after `init()`, and at most, while four threads log as fast as they can for two seconds to an
/// endpoint that is dead.
pub(crate) fn memory() {
    logbridge::Builder::new()
        .filter_level(LevelFilter::Info)
        .otlp(Otlp::to("http://127.0.0.1:1"))
        .console(Console::off())
        .max_bytes(BOUND)
        .init();
    log::info!("the thread has started");
    let before = resident("VmRSS:");
    let end = Instant::now() + Duration::from_secs(2);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                while Instant::now() < end {
                    for i in 0..1000 {
                        log::info!(user = i, route = "/checkout"; "request {i} of thread {thread} completed");
                    }
                }
            });
        }
    });
    println!("{before} {}", resident("VmHWM:"));
}

fn resident(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
