//! Connections, waiting, printing, shutdown and panics.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use super::super::ReceivedLog;
use super::*;

#[test]
fn connections_are_numbered() {
    let receiver = Receiver::start().unwrap();
    let mut first = Client::connect(&receiver);
    first.post(PROTOBUF, &request("a")).unwrap();
    Client::connect(&receiver).post(PROTOBUF, &request("b")).unwrap();
    first.post(PROTOBUF, &request("c")).unwrap();
    let requests = receiver.wait_for_requests(3, LONG);
    let connections: Vec<usize> = requests.iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1, 2, 1]);
    assert!(requests[0].arrived <= requests[1].arrived);
}

#[test]
fn waiting_ends_when_the_time_is_up() {
    let receiver = Receiver::start().unwrap();
    Client::connect(&receiver).post(PROTOBUF, &request("a")).unwrap();
    let timeout = Duration::from_millis(30);
    let begin = Instant::now();
    assert_eq!(receiver.wait_for_logs(2, timeout).len(), 1);
    assert!(begin.elapsed() >= timeout);
    assert_eq!(receiver.wait_for_requests(2, timeout).len(), 1);
    assert!(!receiver.wait_until(timeout, |logs| logs.len() > 1));
    assert!(receiver.wait_until(Duration::ZERO, |logs| logs[0].message() == "a"));
    assert_eq!(receiver.wait_for_logs(1, Duration::MAX).len(), 1);
}

#[test]
fn concurrent_clients() {
    let receiver = Receiver::start().unwrap();
    thread::scope(|scope| {
        for name in 0..8 {
            let mut client = Client::connect(&receiver);
            scope.spawn(move || {
                for count in 0..25 {
                    let body = request(&format!("{name}/{count:02}"));
                    assert_eq!(client.post(PROTOBUF, &body).unwrap().status, 200);
                }
            });
        }
        assert!(receiver.wait_until(LONG, |logs| logs.len() == 200));
    });
    let messages: Vec<String> = receiver.logs().iter().map(ReceivedLog::message).collect();
    let mut by_client = messages.clone();
    // A stable sort by client: within a client the order of arrival is the order of sending.
    by_client.sort_by_key(|message| message.as_bytes()[0]);
    assert!(by_client.is_sorted());
    assert!(receiver.requests().iter().all(|request| request.connection <= 8));
}

#[test]
fn prints_each_stored_record() {
    let (page, gone) = Page::new(|_| Ok(()));
    let text = Arc::clone(&page.text);
    let receiver = Receiver::builder().print(page).start().unwrap();
    let mut client = Client::connect(&receiver);
    client.post(PROTOBUF, &request("a")).unwrap();
    client.post(PROTOBUF, b"\xff").unwrap();
    client.post(PROTOBUF, &request("b\nc")).unwrap();
    let lines: String = receiver.logs().iter().map(|log| format!("{log}\n")).collect();
    assert_eq!(*text.lock().unwrap(), lines);
    assert_eq!(lines.lines().count(), 2);
    drop(receiver);
    // The receiver's thread owned the writer: since it is dropped, the thread has released everything.
    assert_eq!(gone.try_recv(), Err(mpsc::TryRecvError::Disconnected));
}

#[test]
fn a_failing_printer_is_reported_once() {
    let (page, gone) = Page::new(|_| Err(ErrorKind::BrokenPipe.into()));
    let receiver = Receiver::builder().print(page).start().unwrap();
    let mut client = Client::connect(&receiver);
    client.post(PROTOBUF, &request("a")).unwrap();
    client.post(PROTOBUF, &request("b")).unwrap();
    assert_eq!(receiver.logs().len(), 2);
    assert_eq!(receiver.problems(), ["printing stopped: broken pipe"]);
    assert_eq!(gone.try_recv(), Err(mpsc::TryRecvError::Disconnected));
}

#[test]
fn a_panic_ends_one_connection_and_is_reported() {
    let (page, _gone) = Page::new(|text| match text {
        "" => panic!("intended panic of a printer"),
        _ => Ok(()),
    });
    let receiver = Receiver::builder().print(page).start().unwrap();
    assert!(Client::connect(&receiver).post(PROTOBUF, &request("a")).is_err());
    assert_eq!(receiver.logs(), []);
    let mut client = Client::connect(&receiver);
    assert_eq!(client.post(PROTOBUF, b"\xff").unwrap().status, 400);
    let problems = receiver.problems();
    assert!(problems.len() == 1 && problems[0].contains("panicked"), "{problems:?}");
}

#[test]
fn a_panicking_condition_leaves_the_receiver_usable() {
    let receiver = Receiver::start().unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| receiver.wait_until(LONG, |_| panic!("intended by this test")));
        assert!(waiting.join().is_err());
    });
    Client::connect(&receiver).post(PROTOBUF, &request("a")).unwrap();
    assert_eq!(receiver.wait_for_logs(1, LONG).len(), 1);
}

#[test]
fn broken_requests_are_problems_not_requests() {
    let receiver = Receiver::start().unwrap();
    let mut client = Client::connect(&receiver);
    client.stream.get_mut().write_all(b"no http at all\r\n\r\n").unwrap();
    assert_eq!(client.receive().unwrap().status, 400);
    // The receiver has closed this connection, so it has reported the problem or is about to.
    assert!(client.receive().is_err());
    Client::connect(&receiver).post(PROTOBUF, &request("a")).unwrap();
    assert_eq!(receiver.requests().len(), 1);
    assert!(receiver.problems()[0].starts_with("connection 1: "));
}

#[test]
fn dropping_closes_idle_connections() {
    let receiver = Receiver::start().unwrap();
    let port = receiver.port();
    assert_eq!(receiver.endpoint(), format!("http://127.0.0.1:{port}"));
    let taken = Receiver::builder().port(port).start();
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::AddrInUse);
    let mut idle = Client::connect(&receiver);
    idle.post(PROTOBUF, &request("a")).unwrap();
    drop(receiver);
    assert!(idle.receive().is_err());
}

#[test]
fn debug_output_hides_header_values() {
    let receiver = Receiver::start().unwrap();
    let mut client = Client::connect(&receiver);
    client.send("POST", "/v1/logs", "authorization: hush\r\n", b"").unwrap();
    client.receive().unwrap();
    let shown = format!("{receiver:?} {:?}", receiver.requests());
    assert!(shown.contains("authorization") && !shown.contains("hush"), "{shown}");
    assert_eq!(receiver.requests()[0].header("Authorization"), Some("hush"));
}

#[test]
fn receivers_are_send_and_sync() {
    fn assert_shared<T: Send + Sync + 'static>() {}
    assert_shared::<Receiver>();
}

/// A writer whose text a test can read.
pub(super) struct Page {
    pub(super) text: Arc<Mutex<String>>,
    check: fn(&str) -> io::Result<()>,
    _present: mpsc::Sender<()>,
}

impl Page {
    /// Returns a writer that calls `check` with its text before each write, and a channel that disconnects when it is
    /// dropped.
    pub(super) fn new(check: fn(&str) -> io::Result<()>) -> (Self, mpsc::Receiver<()>) {
        let (present, gone) = mpsc::channel();
        let page = Self { text: Arc::default(), check, _present: present };
        (page, gone)
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let so_far = self.text.lock().unwrap().clone();
        (self.check)(&so_far)?;
        let text = std::str::from_utf8(bytes).unwrap();
        self.text.lock().unwrap().push_str(text);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
