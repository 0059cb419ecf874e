//! A running `logbridge listen` and its output.

#![allow(dead_code, unreachable_pub)] // Each test that has it uses its part.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

pub const LONG: Duration = Duration::from_secs(20);

/// The lines of a stream as they arrive.
#[derive(Debug)]
pub struct Lines {
    coming: Receiver<String>,
    seen: Vec<String>,
    closed: Arc<AtomicBool>,
}

impl Lines {
    pub fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, coming) = channel();
        let closed = Arc::new(AtomicBool::new(false));
        let is_closed = Arc::clone(&closed);
        // Ends with the stream, which ends with the process.
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                // Then the stream is closed.
                if sender.send(line).is_err() || is_closed.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        Self { coming, seen: Vec::new(), closed }
    }

    /// Waits for a line that contains this.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        let until = Instant::now() + LONG;
        loop {
            if let Some(line) = self.seen.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            match self.coming.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(_) => panic!("no line with `{text}` in {:#?}", self.seen),
            }
        }
    }

    /// Everything, up to the end of the stream.
    pub fn rest(mut self) -> String {
        self.seen.extend(self.coming.iter());
        self.seen.join("\n")
    }
}

/// A process that is killed if its test ends first.
#[derive(Debug)]
pub struct Listening {
    child: Child,
    pub http: u16,
    pub grpc: u16,
    pub stdout: Lines,
    pub stderr: Lines,
}

/// The output and exit code of the process.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Listening {
    /// On free ports.
    #[track_caller]
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logbridge"));
        command.env_clear().args(["listen", "--http-port", "0", "--grpc-port", "0"]).args(arguments);
        Self::spawn(command)
    }

    #[track_caller]
    pub fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command");
        let stdout = Lines::of(child.stdout.take().expect("stdout"));
        let mut stderr = Lines::of(child.stderr.take().expect("stderr"));
        let line = stderr.wait_for("OTLP/HTTP");
        let port = |behind: &str| -> u16 {
            let (_, rest) = line.split_once(behind).expect("an address");
            let (_, rest) = rest.split_once("127.0.0.1:").expect("a port");
            rest.split_whitespace().next().expect("a port").parse().expect("a port")
        };
        let (http, grpc) = (port("OTLP/HTTP"), port("OTLP/gRPC"));
        // The last line of the greeting: it can be asked to end from now on.
        stderr.wait_for("press ^C to stop");
        Self { child, http, grpc, stdout, stderr }
    }

    pub fn http_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    pub fn grpc_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc)
    }

    /// Asks it to end.
    #[track_caller]
    pub fn end(mut self) -> Ended {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(asked.is_ok_and(|status| status.success()));
        let code = self.child.wait().expect("an end").code();
        let taken = |lines: &mut Lines| std::mem::replace(lines, Lines::of(std::io::empty())).rest();
        Ended { code, stdout: taken(&mut self.stdout), stderr: taken(&mut self.stderr) }
    }

    /// From the next line on, nobody reads what it prints.
    pub fn close_stdout(&self) {
        self.stdout.closed.store(true, Ordering::SeqCst);
    }

    /// Waits until it ends by itself, and gives what it said.
    pub fn wait(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().expect("an end").code();
        (code, std::mem::replace(&mut self.stderr, Lines::of(std::io::empty())).rest())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // It may have ended.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// The response of a server. The status is 0 if it closed the connection.
#[derive(Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub text: String,
}

/// Sends a request on a new connection.
#[track_caller]
pub fn ask(port: u16, method: &str, path: &str, content_type: &str, body: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    stream.set_read_timeout(Some(LONG)).expect("a timeout");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).expect("sent");
    let mut answer = Vec::new();
    // A fault plan may reset the connection.
    let _reset = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Reply { status, text: answer }
}

/// A request of one record in OTLP/JSON.
pub fn one_record(service: &str, target: &str, severity: u8, body: &str, trace: &str) -> String {
    let span = if trace.is_empty() { "" } else { "00f067aa0ba902b7" };
    serde_json::json!({"resourceLogs": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
        "scopeLogs": [{"scope": {"name": target}, "logRecords": [{
            "timeUnixNano": "1700000000000000000", "severityNumber": severity, "body": {"stringValue": body},
            "traceId": trace, "spanId": span,
        }]}],
    }]})
    .to_string()
}

/// A request of one span in OTLP/JSON.
pub fn one_span(service: &str, name: &str, trace: &str) -> String {
    serde_json::json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
        "scopeSpans": [{"scope": {"name": "shop"}, "spans": [{
            "traceId": trace, "spanId": "00f067aa0ba902b7", "name": name, "kind": 1,
            "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000001000000",
        }]}],
    }]})
    .to_string()
}

pub const JSON: &str = "application/json";
pub const PROTOBUF: &str = "application/x-protobuf";
pub const TRACE: &str = "5b8efff798038103d269b633813fc60c";
