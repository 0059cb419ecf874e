//! Records that outlive a killed process, and the process that sends them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child as Process, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use logbridge::testing::{Answer, Receiver};

use crate::runner::{Group, named};
use crate::support::{Child, DeadEnd, dead_end, is_long, print_counters, receiver, wait_for_runner};

pub(crate) const GROUP: Group = Group {
    name: "spool",
    tests: named![
        nothing_that_was_logged_is_lost_when_a_process_is_killed,
        what_a_run_could_not_deliver_is_sent_by_the_next_under_its_own_resource,
        a_spool_is_empty_after_a_run_that_delivered_everything,
    ],
    scenarios: named![log_and_die, recover, log_some],
};

/// A directory of a test's own, gone at its end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("logbridge-spool-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    pub(crate) fn spool(&self) -> String {
        self.0.join("spool").to_str().expect("a readable name").to_owned()
    }

    /// The names of the files in the spool.
    ///
    /// Hidden ones are left out: a process that is killed while it creates the file of its run leaves it under a hidden
    /// name, and others remove it after a minute.
    pub(crate) fn files(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.spool()) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| !name.starts_with('.'));
        names.sort_unstable();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// How a writer ends.
const DEATHS: [&str; 4] = ["kill", "abort", "panic", "term"];

/// Logs numbered records on two threads, and tells each number once the call has returned; ends as it is told after so
/// many records, unless it is killed first.
fn log_and_die(arguments: &[String]) {
    let (run, death, after) =
        (arguments[0].clone(), arguments[1].clone(), arguments[2].parse::<u32>().expect("a number"));
    logbridge::init();
    std::thread::scope(|scope| {
        for thread in 0..2_u32 {
            let (run, death) = (&run, &death);
            scope.spawn(move || {
                for number in 0_u32.. {
                    match number % 3 {
                        0 => log::warn!("{run} {thread} {number}"),
                        1 => tracing::info!("{run} {thread} {number}"),
                        _ => log::info!(number, thread; "{run} {thread} {number}"),
                    }
                    let told = (u64::from(thread) << 32 | u64::from(number)).to_le_bytes();
                    std::io::stdout().lock().write_all(&told).and_then(|()| std::io::stdout().flush()).ok();
                    if number == after && thread == 0 {
                        match death.as_str() {
                            "abort" => std::process::abort(),
                            "panic" => panic_that_aborts(),
                            // Somebody else does it.
                            _ => {}
                        }
                    }
                }
            });
        }
    });
}

/// What `panic = "abort"` does: the hook runs, and then the process aborts.
extern "C" fn panic_that_aborts() {
    panic!("with abort");
}

/// Sends what is there, until it is told to end.
fn recover(_: &[String]) {
    logbridge::init();
    wait_for_runner();
    let bridge = logbridge::bridge().expect("installed");
    let end = Instant::now() + Duration::from_secs(20);
    // The receiver has it before its answer is here.
    while bridge.report().counters.otlp.pending > 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(2));
    }
    print_counters();
}

fn log_some(arguments: &[String]) {
    logbridge::init();
    for number in 0..arguments[0].parse::<u32>().expect("a number") {
        log::info!("some {number}");
    }
    if arguments.get(1).is_some_and(|word| word == "counters") {
        let report = logbridge::bridge().expect("installed").report();
        assert!(report.to_string().contains(&format!("pending: in the spool {}", report.spool.expect("one"))));
        logbridge::bridge().expect("installed").flush(Duration::from_secs(20)).ok();
        print_counters();
    }
}

/// Starts a writer. Its output is told apart from its notices.
pub(crate) fn writer(run: &str, death: &str, after: u32, endpoint: &str, spool: &str, delay: &str) -> Process {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["child", "log_and_die", run, death, &after.to_string()])
        .env_clear()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_SERVICE_NAME", "writer")
        .env("OTEL_BLRP_SCHEDULE_DELAY", delay)
        .env("LOGBRIDGE_SPOOL_DIR", spool)
        .env("LOGBRIDGE_CONSOLE", "off")
        .env("RUST_LOG", "info")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a writer")
}

/// How many records of each thread a writer has told, when it is ended after so many bytes.
pub(crate) fn numbers_until_death(mut writer: Process, death: &str, after_bytes: usize) -> [u32; 2] {
    let mut stdout = writer.stdout.take().expect("a pipe");
    let mut bytes = vec![0; after_bytes.next_multiple_of(8)];
    stdout.read_exact(&mut bytes).expect("numbers");
    let pid = i32::try_from(writer.id()).expect("a process id");
    let signal = match death {
        "kill" => Some(libc::SIGKILL),
        "term" => Some(libc::SIGTERM),
        _ => None,
    };
    if let Some(signal) = signal {
        // SAFETY: kill(2) touches no memory; the writer was not waited for, so the number is its own.
        unsafe { libc::kill(pid, signal) };
    }
    stdout.read_to_end(&mut bytes).expect("the rest");
    let status = writer.wait().expect("it ends");
    assert_eq!(status.signal(), Some(signal.unwrap_or(libc::SIGABRT)), "{death}: {status:?}");
    let mut told = [0; 2];
    for number in bytes.chunks_exact(8) {
        let number = u64::from_le_bytes(number.try_into().expect("eight bytes"));
        let (thread, number) = ((number >> 32) as usize, number as u32);
        assert_eq!(told[thread], number, "the numbers of a thread come in order");
        told[thread] += 1;
    }
    told
}

/// What has arrived, by run and thread; a number twice is counted. The numbers of a thread come in order, but for those
/// that come again.
fn seen(receiver: &Receiver) -> (BTreeMap<(String, u32), BTreeSet<u32>>, usize) {
    let (mut seen, mut twice): (BTreeMap<_, BTreeSet<u32>>, _) = (BTreeMap::new(), 0);
    for log in receiver.logs() {
        let message = log.message();
        let mut words = message.split(' ');
        let (Some(run), Some(thread), Some(number)) = (words.next(), words.next(), words.next()) else { continue };
        let (Ok(thread), Ok(number)) = (thread.parse(), number.parse()) else { continue };
        let numbers = seen.entry((run.to_owned(), thread)).or_default();
        let is_late = numbers.last().is_some_and(|last| *last > number) && !numbers.contains(&number);
        assert!(!is_late, "{run} {thread}: {number} comes after {:?}", numbers.last());
        twice += usize::from(!numbers.insert(number));
    }
    (seen, twice)
}

fn nothing_that_was_logged_is_lost_when_a_process_is_killed() {
    let rounds = if is_long() { 1_000 } else { 50 };
    let mut random = fastrand::Rng::new();
    let seed = random.get_seed();
    let nowhere = dead_end();
    let (mut records, mut twice) = (0, 0);
    // Each batch of rounds shares a spool, as restarts of a service do.
    for batch in 0..rounds / 10 {
        let folder = Folder::new();
        let receiver = receiver();
        let mut told = BTreeMap::new();
        for round in 0..10 {
            let run = format!("{batch}.{round}");
            let death = DEATHS[random.usize(..DEATHS.len())];
            let state = ["down", "up", "slow", "flapping"][random.usize(..4)];
            let endpoint = match state {
                "down" => nowhere.url.clone(),
                _ => receiver.endpoint(),
            };
            match state {
                "slow" => receiver.answer_always(Answer::Hang(Duration::from_millis(30))),
                "flapping" => {
                    receiver.answer_with((0..40).map(|n| if n % 2 == 0 { Answer::status(503) } else { Answer::Ok }))
                }
                _ => receiver.answer_always(Answer::Ok),
            }
            let delay = ["1", "20", "600000"][random.usize(..3)];
            let after = random.u32(1..2_000);
            let process = writer(&run, death, after, &endpoint, &folder.spool(), delay);
            // Sometimes much, so that segments fill up.
            let most = if random.u8(..5) == 0 { 20_000 } else { 2_000 };
            let bytes = 8 * random.usize(1..most);
            let bytes = if matches!(death, "abort" | "panic") { 8 } else { bytes };
            let numbers = numbers_until_death(process, death, bytes);
            for (thread, number) in numbers.into_iter().enumerate() {
                records += number;
                told.insert((run.clone(), thread as u32), number);
            }
        }
        receiver.answer_always(Answer::Ok);
        let child = Child::new("recover").to(&receiver).env("LOGBRIDGE_SPOOL_DIR", folder.spool());
        let mut child = child.deadline(Duration::from_secs(120)).start();
        let is_there = |seen: &BTreeMap<(String, u32), BTreeSet<u32>>| {
            told.iter().find_map(|(key, number)| {
                (0..*number)
                    .find(|n| !seen.get(key).is_some_and(|numbers| numbers.contains(n)))
                    .map(|n| (key.clone(), n))
            })
        };
        let end = Instant::now() + Duration::from_secs(60);
        let (all, doubled) = loop {
            let (all, doubled) = seen(&receiver);
            match is_there(&all) {
                None => break (all, doubled),
                Some(missing) if Instant::now() > end => {
                    panic!("seed {seed}: {missing:?} is missing; left: {:?}", folder.files())
                }
                Some(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        // A thread may have been killed between its record and telling of it, and no further.
        for ((run, thread), numbers) in &all {
            let told = told.get(&(run.clone(), *thread)).copied().unwrap_or_default();
            let last = numbers.last().map_or(0, |last| last + 1);
            assert!(last <= told + 1, "seed {seed}: {run} {thread}: {last} arrived, and {told} were told");
        }
        twice += doubled;
        child.release();
        child.finish().success();
        assert_eq!(folder.files(), Vec::<String>::new(), "seed {seed}: everything was sent");
    }
    println!("    {rounds} rounds, {records} records, {twice} of them twice");
}

fn what_a_run_could_not_deliver_is_sent_by_the_next_under_its_own_resource() {
    let (folder, receiver, nowhere): (_, _, DeadEnd) = (Folder::new(), receiver(), dead_end());
    let first = Child::new("log_some").arg("100").towards(&nowhere.url).env("OTEL_SERVICE_NAME", "first");
    let first = first.env("LOGBRIDGE_SPOOL_DIR", folder.spool()).run().success();
    let first = first.said("100 records were not delivered before the process ended");
    let first = first.said(&format!("they wait in {}", folder.spool()));
    assert_eq!(first.count("logbridge: warning"), 0, "nothing is lost: {first}");
    let second = Child::new("recover").to(&receiver).env("OTEL_SERVICE_NAME", "second");
    let mut second = second.env("LOGBRIDGE_SPOOL_DIR", folder.spool()).start();
    let logs = receiver.wait_for_logs(100, Duration::from_secs(20));
    assert_eq!(logs.len(), 100);
    assert!(logs.iter().all(|log| log.service_name() == "first"));
    second.release();
    let second = second.finish().success().quiet();
    let second = second.said("ended before everything was delivered: about 100 records left in");
    let second = second.said("100 records that other processes left in");
    second.numbers().expect(&[
        ("otlp.adopted", 100),
        ("otlp.delivered", 100),
        ("otlp.accepted", 0),
        ("otlp.pending", 0),
    ]);
    assert_eq!(folder.files(), Vec::<String>::new());
    is_private(Path::new(&folder.spool()), 0o700);
}

fn is_private(path: &Path, mode: u32) {
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!(fs::metadata(path).expect("it is there").mode() & 0o777, mode, "{}", path.display());
}

fn a_spool_is_empty_after_a_run_that_delivered_everything() {
    let (folder, receiver) = (Folder::new(), receiver());
    let child = Child::new("log_some").args(["500", "counters"]).to(&receiver);
    let child = child.env("LOGBRIDGE_SPOOL_DIR", folder.spool()).run().success().quiet();
    child.numbers().expect(&[("otlp.accepted", 500), ("otlp.delivered", 500), ("otlp.adopted", 0)]);
    assert_eq!(receiver.logs().len(), 500, "{child}");
    assert_eq!(folder.files(), Vec::<String>::new());
}
