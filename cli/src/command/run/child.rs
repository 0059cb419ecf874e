//! Starts the program, forwards signals to it, and waits for its end.

use std::ffi::OsString;
use std::future::Future as _;
use std::io;
use std::pin::pin;
use std::process::ExitStatus;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use super::environment::Changes;
use logbridge::internals::os;

/// The exit code of shells if a program cannot be executed.
const NOT_EXECUTABLE: u8 = 126;
/// The exit code of shells if a program was not found.
const NOT_FOUND: u8 = 127;

/// How the program ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
    pub(super) took: Duration,
}

impl Ended {
    /// Returns the exit code that a shell would return.
    pub(super) fn exit_code(&self) -> u8 {
        match (self.code, self.signal) {
            (Some(code), _) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
            (None, Some(signal)) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
            (None, None) => u8::MAX,
        }
    }

    /// Formats how the program ended, as the predicate of a sentence.
    pub(super) fn words(&self) -> String {
        match (self.code, self.signal) {
            (Some(code), _) => format!("exited with {code}"),
            (None, Some(signal)) => format!("was killed by {}", signal_name(signal)),
            (None, None) => "ended".to_owned(),
        }
    }
}

/// Returns the usual name of a signal.
pub(super) fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL (the OOM killer, or kill -9)",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

/// Describes why a program could not be started: the exit code of a shell, the error, and help.
pub(super) fn describe_start_error(program: &str, error: &io::Error) -> (u8, String, &'static str) {
    match error.kind() {
        io::ErrorKind::NotFound => {
            let help = "pass the program and its arguments after `--`: logbridge run -- cargo run";
            (NOT_FOUND, format!("`{program}` was not found"), help)
        }
        io::ErrorKind::PermissionDenied => (
            NOT_EXECUTABLE,
            format!("no permission to execute `{program}`"),
            "make it executable with chmod +x if it is a program",
        ),
        _ => (NOT_EXECUTABLE, format!("`{program}` cannot be started: {error}"), ""),
    }
}

/// Starts the program with the standard streams of this process.
pub(super) fn start(command: &[OsString], changes: &Changes) -> io::Result<Child> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::NotFound)?;
    let mut command = Command::new(program);
    command.args(arguments);
    for name in &changes.removed {
        command.env_remove(name);
    }
    for (name, value) in &changes.set {
        command.env(name, value);
    }
    command.spawn()
}

/// Waits until the program ends. Signals that this process receives in the meantime are forwarded.
pub(super) async fn wait(mut child: Child, mut signals: Signals, since: Instant) -> io::Result<Ended> {
    let pid = child.id();
    let mut ended = pin!(child.wait());
    let status = std::future::poll_fn(|context| {
        while let Poll::Ready(signal) = signals.poll(context) {
            // The terminal sends these signals to the whole process group, so the program has received them already.
            let is_from_terminal = Signals::FROM_TERMINAL.contains(&signal) && os::is_in_foreground();
            if let Some(pid) = pid.filter(|_| !is_from_terminal) {
                let _may_have_ended = os::send_signal(pid, signal);
            }
        }
        ended.as_mut().poll(context)
    })
    .await?;
    Ok(Ended { code: status.code(), signal: signal_of(status), took: since.elapsed() })
}

#[cfg(unix)]
fn signal_of(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal_of(_status: ExitStatus) -> Option<i32> {
    None
}

/// The signals that are forwarded to the program. They no longer end this process.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct Signals(Vec<(i32, tokio::signal::unix::Signal)>);

#[cfg(unix)]
impl Signals {
    /// SIGHUP, SIGINT, SIGQUIT.
    const FROM_TERMINAL: [i32; 3] = [1, 2, 3];

    pub(super) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate()];
        Ok(Self(kinds.into_iter().map(|kind| Ok((kind.as_raw_value(), signal(kind)?))).collect::<io::Result<_>>()?))
    }

    fn poll(&mut self, context: &mut std::task::Context<'_>) -> Poll<i32> {
        let ready =
            self.0.iter_mut().find_map(|(number, signal)| signal.poll_recv(context).is_ready().then_some(*number));
        ready.map_or(Poll::Pending, Poll::Ready)
    }
}

/// A handler for ^C, which the system sends to the program as well.
#[cfg(not(unix))]
#[derive(Debug)]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    const FROM_TERMINAL: [i32; 0] = [];

    pub(super) fn new() -> io::Result<Self> {
        // Handled so that ^C does not end this process before the program.
        tokio::spawn(async { while tokio::signal::ctrl_c().await.is_ok() {} });
        Ok(Self)
    }

    fn poll(&mut self, _context: &mut std::task::Context<'_>) -> Poll<i32> {
        Poll::Pending
    }
}
