//! The cost of the spool: a call with and without it, and the rate at which recovered records are sent.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use logbridge::{Bridge, Console, LevelFilter, Otlp, Spool};

use crate::whole::log;

/// Enough for half a second or so of delivery.
pub(crate) const LEFT: u32 = 2_000_000;
const LONG: Duration = Duration::from_secs(120);
const BOUND: usize = 2 << 30;

/// A directory beside this program: on the disk that it was built on, and not in memory.
pub(crate) fn directory() -> PathBuf {
    let program = std::env::current_exe().expect("this program");
    program.with_file_name(format!("spool-{}", std::process::id()))
}

fn init(spool: Option<&str>) -> Bridge {
    let endpoint = std::env::var("BENCH_ENDPOINT").expect("BENCH_ENDPOINT");
    let mut builder = logbridge::Builder::new();
    builder
        .filter_level(LevelFilter::Info)
        .service_name("bench")
        .otlp(Otlp::to(endpoint).timeout(Duration::from_secs(600)))
        .console(Console::off())
        .max_bytes(BOUND);
    if let Some(directory) = spool {
        builder.spool(Spool::at(directory).max_bytes(BOUND));
    }
    builder.try_init().expect("the slots are free")
}

/// Runs one part: `leave DIR` writes and is gone without a word, `recover DIR` sends it, `live` writes and sends as much.
pub(crate) fn run(part: &[&str]) {
    match part {
        ["leave", directory] => {
            init(Some(directory));
            (0..LEFT).for_each(log);
        }
        ["recover", directory] => {
            let start = Instant::now();
            let bridge = init(Some(directory));
            while bridge.report().counters.otlp.delivered < u64::from(LEFT) {
                assert!(start.elapsed() < LONG, "{}", bridge.report());
                std::thread::sleep(Duration::from_millis(1));
            }
            println!("{}", start.elapsed().as_secs_f64());
        }
        ["live"] => {
            let start = Instant::now();
            let bridge = init(None);
            (0..LEFT).for_each(log);
            bridge.flush(LONG).expect("delivered");
            println!("{}", start.elapsed().as_secs_f64());
        }
        _ => panic!("no such part: {part:?}"),
    }
    // SAFETY: ends the process; nothing runs after it.
    unsafe { libc::_exit(0) }
}
