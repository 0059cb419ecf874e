//! Child processes: starts them, watches them, ends them, and reads their results.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child as Process, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use logbridge::testing::{ReceivedLog, Receiver};
use logbridge::{Bridge, DropReason};

/// After this a child counts as hanging and is killed.
const DEADLINE: Duration = Duration::from_secs(60);
/// How much slower than planned a child may be on a loaded machine.
pub(crate) const SLACK: Duration = Duration::from_secs(4);

pub(crate) fn receiver() -> Receiver {
    Receiver::start().expect("a receiver")
}

/// A child to be started: an empty environment, no input, its output read.
pub(crate) struct Child {
    command: Command,
    deadline: Duration,
}

impl Child {
    pub(crate) fn new(scenario: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
        command.args(["child", scenario]);
        Self::prepared(command)
    }

    /// The same program with its descriptor 2 closed from the start, as a shell does it.
    pub(crate) fn with_closed_stderr(scenario: &str) -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"exec "$0" "$@" 2>&-"#]);
        command.arg(std::env::current_exe().expect("the path of this program")).args(["child", scenario]);
        Self::prepared(command)
    }

    /// Another program than this one.
    pub(crate) fn prepared(mut command: Command) -> Self {
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        // What a coverage run asks of every process.
        command.envs(std::env::vars_os().filter(|(name, _)| name == "LLVM_PROFILE_FILE"));
        Self { command, deadline: DEADLINE }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<str>) -> Self {
        self.command.arg(argument.as_ref());
        self
    }

    pub(crate) fn args<const N: usize>(self, arguments: [&str; N]) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.command.env(name, value.as_ref());
        self
    }

    /// INFO and above to that receiver, and nothing is sent before the end or a flush.
    pub(crate) fn to(self, receiver: &Receiver) -> Self {
        self.towards(&receiver.endpoint())
    }

    pub(crate) fn towards(self, url: &str) -> Self {
        self.env("OTEL_EXPORTER_OTLP_ENDPOINT", url)
            .env("OTEL_SERVICE_NAME", "child")
            .env("OTEL_BLRP_SCHEDULE_DELAY", "600000")
            .env("OTEL_BSP_SCHEDULE_DELAY", "600000")
            .env("RUST_LOG", "info")
    }

    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    pub(crate) fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.command.stderr(stderr);
        self
    }

    /// For a child that has much to do.
    pub(crate) fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    pub(crate) fn run(self) -> Finished {
        self.spawn().finish()
    }

    /// Starts it with a pipe as its input: it waits for [`Running::release`] in [`wait_for_runner`].
    pub(crate) fn start(mut self) -> Running {
        self.command.stdin(Stdio::piped());
        self.spawn()
    }

    fn spawn(mut self) -> Running {
        let started = Instant::now();
        let mut process = self.command.spawn().expect("a child");
        let stdout = process.stdout.take().map(read_all);
        let stderr = process.stderr.take();
        Running { process, started, deadline: self.deadline, stdout, stderr }
    }
}

type Output = mpsc::Receiver<Vec<u8>>;

fn read_all(mut pipe: impl Read + Send + 'static) -> Output {
    let (read, output) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("the child's output");
        read.send(bytes).ok();
    });
    output
}

/// A child at work.
pub(crate) struct Running {
    process: Process,
    started: Instant,
    deadline: Duration,
    stdout: Option<Output>,
    stderr: Option<ChildStderr>,
}

#[allow(dead_code, reason = "some of it serves the tests of `logbridge replay`, which borrow this file")]
impl Running {
    /// Closes our end of the child's stderr: its next write there fails.
    pub(crate) fn break_stderr(&mut self) {
        drop(self.stderr.take());
    }

    /// Lets the child go on.
    pub(crate) fn release(&mut self) {
        let mut stdin = self.process.stdin.take().expect("a child that waits");
        stdin.write_all(b"\n").expect("the child still lives");
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).expect("a process id")
    }

    /// What ^C does.
    pub(crate) fn interrupt(&self) {
        self.signal(libc::SIGINT);
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: kill(2) touches no memory; the child was not waited for, so the number is its own.
        unsafe { libc::kill(self.pid(), signal) };
    }

    /// Stops all threads of the child. A signal alone takes effect some time later.
    pub(crate) fn stop(&self) {
        self.signal(libc::SIGSTOP);
        // SAFETY: an information block of zeros is valid, and the child was not waited for, so the number is its own.
        let stopped = unsafe {
            let mut info = std::mem::zeroed();
            libc::waitid(libc::P_PID, self.pid().cast_unsigned(), &mut info, libc::WSTOPPED | libc::WNOWAIT)
        };
        assert_eq!(stopped, 0, "{}", std::io::Error::last_os_error());
    }

    pub(crate) fn finish(mut self) -> Finished {
        let stderr = self.stderr.take().map(read_all);
        let status = self.wait();
        let elapsed = self.started.elapsed();
        if status.is_none() {
            kill_group(&self.process);
            self.process.wait().expect("a killed child ends");
        }
        let text = |output: Option<Output>| {
            let bytes = output.map(|output| output.recv_timeout(SLACK).unwrap_or_else(|_| b"(still open)".to_vec()));
            String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
        };
        let finished = Finished { status, elapsed, stdout: text(self.stdout.take()), stderr: text(stderr) };
        if finished.stdout == "(still open)" || finished.stderr == "(still open)" {
            // A process that the child forked holds them: so the group still exists.
            kill_group(&self.process);
            panic!("the child left a process behind: {finished}");
        }
        assert!(status.is_some(), "the child hung for {:?}: {finished}", self.deadline);
        finished
    }

    fn wait(&mut self) -> Option<ExitStatus> {
        while self.started.elapsed() < self.deadline {
            if let Some(status) = self.process.try_wait().expect("a child to wait for") {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        None
    }
}

impl Drop for Running {
    /// A test that failed half-way leaves nothing running.
    fn drop(&mut self) {
        if self.process.try_wait().is_ok_and(|status| status.is_none()) {
            kill_group(&self.process);
            self.process.wait().ok();
        }
    }
}

/// Ends the child and whatever it forked.
fn kill_group(leader: &Process) {
    let group = i32::try_from(leader.id()).expect("a process id");
    // SAFETY: kill(2) touches no memory. The leader was not waited for yet, or a member of the group still lives: the
    // number cannot be another group's.
    unsafe { libc::kill(-group, libc::SIGKILL) };
}

/// What a child left behind.
pub(crate) struct Finished {
    status: Option<ExitStatus>,
    pub(crate) elapsed: Duration,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, elapsed, stdout, stderr } = self;
        let shown = |text: &str| if text.len() > 6_000 { format!("{} bytes", text.len()) } else { text.to_owned() };
        write!(f, "{status:?} after {elapsed:?}\nstdout:\n{}\nstderr:\n{}", shown(stdout), shown(stderr))
    }
}

impl Finished {
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.status.and_then(|status| status.code()), Some(code), "exit code: {self}");
        self
    }

    /// A signal ended it.
    #[track_caller]
    pub(crate) fn killed_by(self, signal: i32) -> Self {
        assert_eq!(self.status.and_then(|status| status.signal()), Some(signal), "by which signal: {self}");
        self
    }

    #[track_caller]
    pub(crate) fn success(self) -> Self {
        self.code(0)
    }

    /// It said nothing about itself.
    #[track_caller]
    pub(crate) fn quiet(self) -> Self {
        self.warned(0)
    }

    /// It said that many things about itself.
    #[track_caller]
    pub(crate) fn warned(self, times: usize) -> Self {
        let said = |word: &str| self.stderr.matches(&format!("logbridge: {word}")).count();
        assert_eq!(said("warning") + said("error["), times, "warnings: {self}");
        self
    }

    #[track_caller]
    pub(crate) fn said(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "nothing on stderr says `{text}`: {self}");
        self
    }

    #[track_caller]
    pub(crate) fn within(self, limit: Duration) -> Self {
        assert!(self.elapsed < limit, "took longer than {limit:?}: {self}");
        self
    }

    /// How often stderr has the text.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.stderr.matches(text).count()
    }

    /// The `name=number` lines on stdout.
    #[track_caller]
    pub(crate) fn numbers(&self) -> Numbers {
        let pairs = self.stdout.lines().filter_map(|line| line.split_once('='));
        Numbers(pairs.filter_map(|(name, number)| Some((name.to_owned(), number.parse().ok()?))).collect())
    }
}

/// What a child counted.
#[derive(Debug)]
pub(crate) struct Numbers(pub(crate) BTreeMap<String, u64>);

impl Numbers {
    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> u64 {
        *self.0.get(name).unwrap_or_else(|| panic!("no `{name}` in {:?}", self.0))
    }

    #[track_caller]
    pub(crate) fn expect(&self, expected: &[(&str, u64)]) {
        for (name, number) in expected {
            assert_eq!(self.get(name), *number, "{name} in {:?}", self.0);
        }
    }
}

/// How often a record with this text arrived.
pub(crate) fn arrived(logs: &[ReceivedLog], message: &str) -> usize {
    logs.iter().filter(|log| log.message() == message).count()
}

/// Each of these arrived once, and nothing else.
#[track_caller]
pub(crate) fn assert_arrived(receiver: &Receiver, messages: &[&str], child: &Finished) {
    let mut seen: Vec<String> = receiver.logs().iter().map(ReceivedLog::message).collect();
    let mut expected = messages.to_vec();
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected, "{:?}; {child}", receiver.problems());
}

/// An address where nothing listens. It stays bound, so that nobody else's listener gets it.
pub(crate) struct DeadEnd {
    _bound: tokio::net::TcpSocket,
    pub(crate) url: String,
}

pub(crate) fn dead_end() -> DeadEnd {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
    let url = format!("http://{}", socket.local_addr().expect("an address"));
    DeadEnd { _bound: socket, url }
}

/// Whether there is time for the slow version of a test.
#[allow(clippy::disallowed_methods)] // A switch of the tests.
pub(crate) fn is_long() -> bool {
    std::env::var_os("LOGBRIDGE_LONG_TESTS").is_some()
}

// From here on: what runs in the child.

/// Waits until the runner says so.
pub(crate) fn wait_for_runner() {
    let read = std::io::stdin().read(&mut [0; 1]).expect("a pipe from the runner");
    assert_eq!(read, 1, "the runner has gone");
}

/// What the installed bridge counted, one `name=number` a line.
pub(crate) fn print_counters() {
    print_counters_of(&logbridge::bridge().expect("installed"));
}

pub(crate) fn print_counters_of(bridge: &Bridge) {
    let counters = bridge.report().counters;
    let (otlp, console) = (&counters.otlp, &counters.console);
    for (name, number) in [
        ("offered", counters.offered),
        ("below", counters.below),
        ("passed", counters.passed),
        ("internal", counters.internal),
        ("mirrored", counters.mirrored),
        ("otlp.below", otlp.below),
        ("otlp.off", otlp.off),
        ("otlp.suppressed", otlp.suppressed),
        ("otlp.accepted", otlp.accepted),
        ("otlp.adopted", otlp.adopted),
        ("otlp.delivered", otlp.delivered),
        ("otlp.pending", otlp.pending),
        ("otlp.lost", otlp.lost()),
        ("console.below", console.below),
        ("console.off", console.off),
        ("console.suppressed", console.suppressed),
        ("console.accepted", console.accepted),
        ("console.failed", console.failed),
    ] {
        println!("{name}={number}");
    }
    let spans = &counters.spans;
    for (name, number) in [
        ("spans.open", spans.open),
        ("spans.ended", spans.ended),
        ("spans.ended_at_exit", spans.ended_at_exit),
        ("spans.unsampled", spans.unsampled),
        ("spans.off", spans.off),
        ("spans.accepted", spans.accepted),
        ("spans.delivered", spans.delivered),
        ("spans.pending", spans.pending),
        ("spans.lost", spans.lost()),
        ("otlp.unsampled", otlp.unsampled),
        ("otlp.repeated", otlp.repeated),
        ("redacted", counters.redacted),
    ] {
        println!("{name}={number}");
    }
    for reason in DropReason::ALL {
        let dropped = otlp.dropped.iter().find(|(found, _)| *found == reason).map_or(0, |(_, records)| *records);
        println!("dropped.{reason:?}={dropped}");
    }
}

/// Delivers everything, or the child fails.
pub(crate) fn flush() {
    logbridge::bridge().expect("installed").flush(Duration::from_secs(30)).expect("everything delivered");
}
