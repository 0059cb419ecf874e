//! Instructions of one call: a case is run twice with different numbers of calls, and what the difference costs is theirs.

use std::process::{Command, Stdio};

const FEW: u32 = 20_000;
const MANY: u32 = 60_000;

pub(crate) fn table() {
    let (_listener, endpoint) = crate::silent_endpoint();
    let counter = Counter::find();
    let names = crate::names();
    let values: Vec<f64> = names
        .iter()
        .map(|name| {
            crate::progress(&format!("{name} …"));
            let [few, many] = [FEW, MANY].map(|calls| counter.count(name, calls, &endpoint));
            (many - few) / f64::from(MANY - FEW)
        })
        .collect();
    crate::progress("");
    println!("instructions per call, all threads of the process, counted by {counter:?}");
    crate::heading("count");
    crate::print_calls(&names, &values, false);
}

#[derive(Debug)]
enum Counter {
    Callgrind,
    Perf,
}

impl Counter {
    fn find() -> Self {
        let perf = Command::new("perf").args(["stat", "-x,", "-e", "instructions:u", "true"]).output();
        match perf {
            Ok(output) if read_perf(&output.stderr).is_some() => Self::Perf,
            _ => Self::Callgrind,
        }
    }

    fn count(&self, name: &str, calls: u32, endpoint: &str) -> f64 {
        let mut command = match self {
            Self::Perf => {
                let mut perf = Command::new("perf");
                perf.args(["stat", "-x,", "-e", "instructions:u"]);
                perf
            }
            Self::Callgrind => {
                let mut valgrind = Command::new("valgrind");
                valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
                valgrind
            }
        };
        let output = command
            .arg(std::env::current_exe().expect("this program"))
            .args(["case", name])
            .env("BENCH_ENDPOINT", endpoint)
            .env("BENCH_CALLS", calls.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .expect("perf or valgrind is installed");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let count = match self {
            Self::Perf => read_perf(&output.stderr),
            Self::Callgrind => read_callgrind(&output.stderr),
        };
        count.unwrap_or_else(|| panic!("no count: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// `1234,,instructions:u,…`, in between other lines.
fn read_perf(stderr: &[u8]) -> Option<f64> {
    let text = String::from_utf8_lossy(stderr);
    text.lines().find(|line| line.contains("instructions")).and_then(|line| line.split(',').next()?.parse().ok())
}

/// `==1== Collected : 1234`.
fn read_callgrind(stderr: &[u8]) -> Option<f64> {
    let text = String::from_utf8_lossy(stderr);
    text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}
