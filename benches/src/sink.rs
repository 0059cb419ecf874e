//! An OTLP/HTTP receiver as cheap as it can be: it walks the length prefixes, counts the records, and answers 200.
//!
//! A process of its own, so that its time is not counted with that of the program that is measured.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The sink as the program sees it that started it.
pub(crate) struct Sink {
    child: Child,
    port: u16,
}

impl Sink {
    pub(crate) fn start() -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program).arg("sink").stdout(Stdio::piped()).spawn().expect("the sink starts");
        let mut port = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut port).expect("text");
        Self { child, port: port.trim().parse().expect("a port") }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How many records have arrived since it was last asked.
    pub(crate) fn take_count(&self) -> u64 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the sink listens");
        stream.write_all(b"GET /count HTTP/1.1\r\nconnection: close\r\n\r\n").expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        answer.rsplit("\r\n").next().and_then(|count| count.parse().ok()).expect("a number")
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

/// The sink itself: for ever.
pub(crate) fn run() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    println!("{}", listener.local_addr().expect("an address").port());
    let count = Arc::new(AtomicU64::new(0));
    for stream in listener.incoming() {
        let (stream, count) = (stream.expect("a connection"), Arc::clone(&count));
        std::thread::spawn(move || serve(&stream, &count, &AtomicBool::new(true)));
    }
}

/// Serves a connection until it is closed, whatever for; reads and answers nothing while it is off.
pub(crate) fn serve(stream: &TcpStream, count: &AtomicU64, is_on: &AtomicBool) -> Option<()> {
    let mut reader = BufReader::with_capacity(1 << 20, stream);
    let mut writer = stream;
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        while !is_on.load(Ordering::Relaxed) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let is_count = line.starts_with("GET /count");
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            if header == "\r\n" {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok()?;
            }
        }
        if is_count {
            let count = count.swap(0, Ordering::Relaxed).to_string();
            return write!(writer, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{count}", count.len()).ok();
        }
        body.resize(length, 0);
        reader.read_exact(&mut body).ok()?;
        count.fetch_add(records(&body, 0), Ordering::Relaxed);
        writer
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
            .ok()?;
    }
}

/// The records in a message: `ResourceLogs` (field 1) in the request, `ScopeLogs` (2) in those, records (2) in these.
fn records(mut message: &[u8], depth: usize) -> u64 {
    let wanted = if depth == 0 { 1 } else { 2 };
    let mut found = 0;
    while let Some(tag) = varint(&mut message) {
        match tag & 7 {
            0 => drop(varint(&mut message)),
            1 => message = message.get(8..).unwrap_or_default(),
            5 => message = message.get(4..).unwrap_or_default(),
            _ => {
                let length = varint(&mut message).unwrap_or(0) as usize;
                let (field, rest) = message.split_at(length.min(message.len()));
                if tag >> 3 == wanted {
                    found += if depth == 2 { 1 } else { records(field, depth + 1) };
                }
                message = rest;
            }
        }
    }
    found
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
