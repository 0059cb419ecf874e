//! Tests the worker with a source of one request, for behavior that integration tests cannot observe.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

use super::*;
use crate::config::{Compression, Endpoint, Protocol, Route, Tls};
use crate::notice;

const LONG: Duration = Duration::from_secs(20);

type Outcomes = Arc<Mutex<Vec<(ItemOutcome, u64)>>>;

/// One request, and its outcome.
#[derive(Debug)]
struct OneRequest {
    request: Option<Request>,
    outcomes: Outcomes,
    /// How often requesting it panics before it is returned.
    panics: u32,
}

impl RequestSource for OneRequest {
    fn collect(&mut self, _at_once: bool, _held: bool) {}

    fn settled(&self) -> u64 {
        u64::from(self.request.is_none())
    }

    fn is_empty(&self) -> bool {
        self.request.is_none()
    }

    fn has_unsealed(&self) -> bool {
        false
    }

    fn due_at(&self) -> Option<tokio::time::Instant> {
        None
    }

    fn next_request(&mut self) -> Option<Request> {
        if self.panics > 0 {
            self.panics -= 1;
            panic!("as somebody wished");
        }
        self.request.clone()
    }

    fn settle_some(&mut self, outcomes: &[(ItemOutcome, u64)]) {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(outcomes);
    }

    fn settle(&mut self, outcomes: &[(ItemOutcome, u64)]) {
        self.settle_some(outcomes);
        self.request = None;
    }

    fn take_back(&mut self, request: Request) {
        drop(request);
    }

    fn set_max_bytes(&mut self, _bytes: usize) {}

    fn drop_all(&mut self) {
        self.request = None;
    }

    fn trim(&mut self) {}

    fn pending(&self) -> u64 {
        0
    }

    fn bound_text(&self) -> String {
        String::new()
    }
}

/// Answers one request with this status, and returns the encoding that its head named.
fn answer_once(listener: &TcpListener, status: &str) -> String {
    let (stream, _) = listener.accept().expect("a connection");
    let mut stream = BufReader::new(stream);
    let (mut length, mut encoding, mut line) = (0, String::new(), String::new());
    while stream.read_line(&mut line).expect("a line") > 2 {
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().expect("a number"),
            "content-encoding" => encoding = value.trim().to_owned(),
            _ => {}
        }
        line.clear();
    }
    stream.read_exact(&mut vec![0; length]).expect("the body");
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.get_mut().write_all(answer.as_bytes()).expect("a client that reads");
    encoding
}

fn route(url: &str) -> Route {
    Route {
        signal: Signal::Traces,
        protocol: Protocol::HttpProtobuf,
        compression: Compression::None,
        endpoint: Endpoint::from_base(url, Signal::Traces).expect("a URL"),
        headers: Vec::new(),
        timeout: LONG,
        export_timeout: None,
        proxy: None,
        tls: Tls::default(),
    }
}

#[test]
fn a_panic_of_one_worker_stops_no_other_and_is_not_the_end_of_it() {
    // The second worker runs beside the first one, which panics once: forever, or until it has no time left.
    for (panics, patience, delivered) in [(1, LONG, true), (u32::MAX, Duration::from_millis(500), false)] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let routes = [route(&url), route(&url)];
        let outcomes: [Outcomes; 2] = Default::default();
        let (mut workers, mut controls) = (Vec::new(), Vec::new());
        for ((route, outcomes), (panics, patience)) in routes.iter().zip(&outcomes).zip([(panics, patience), (0, LONG)])
        {
            let request = Request { body: Bytes::from_static(b"\x0a\0"), encoding: None, items: 1 };
            let source = OneRequest { request: Some(request), outcomes: Arc::clone(outcomes), panics };
            let control = Arc::<Control>::default();
            let notices =
                FailureNotices::new(Signal::Traces, route.endpoint.clone(), Arc::new(crate::ledger::Ledger::new()));
            workers.push(Worker::new(Arc::clone(&control), Box::new(source), notices, Signal::Traces, None));
            control.order(1, patience, true, true);
            controls.push(control);
        }
        std::thread::scope(|scope| {
            scope.spawn(|| (0..1 + u32::from(delivered)).for_each(|_| drop(answer_once(&listener, "200 OK"))));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                for (worker, transport) in workers.iter_mut().zip(Transport::for_routes(&routes)) {
                    worker.transport = Some(transport);
                }
                let _to_the_end = super::super::exporter_thread::run_all(
                    &mut workers,
                    &routes,
                    &crate::os::DescriptorSentinel::new(),
                )
                .await;
            });
        });
        let [panicking, other] = outcomes.map(|outcomes| outcomes.lock().expect("no panic").clone());
        assert_eq!(other, [(ItemOutcome::Delivered, 1)]);
        assert_eq!(panicking, if delivered { vec![(ItemOutcome::Delivered, 1)] } else { vec![] });
        let failure = controls[0].snapshot().last_failure.expect("it is said why");
        assert!(failure.text.contains("panicked") && failure.text.ends_with("as somebody wished"), "{}", failure.text);
    }
}

#[test]
fn a_compressed_body_cannot_be_cut_and_says_so() {
    for (status, reason) in
        [("413 Payload Too Large", RejectReason::TooLarge), ("400 Bad Request", RejectReason::Malformed)]
    {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let route = route(&url);
        let encoding = Some(HeaderValue::from_static("gzip"));
        let request = Request { body: Bytes::from_static(b"compressed"), encoding, items: 9 };
        let outcomes = Arc::default();
        let source = OneRequest { request: Some(request), outcomes: Arc::clone(&outcomes), panics: 0 };
        let control = Arc::<Control>::default();
        let notices =
            FailureNotices::new(Signal::Traces, route.endpoint.clone(), Arc::new(crate::ledger::Ledger::new()));
        let mut worker = Worker::new(Arc::clone(&control), Box::new(source), notices, Signal::Traces, None);
        control.order(1, LONG, true, true);
        let encoding = std::thread::scope(|scope| {
            let server = scope.spawn(|| answer_once(&listener, status));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                worker.transport = Transport::for_routes(&[route]).pop();
                worker.run().await;
            });
            server.join().expect("no panic")
        });
        assert_eq!(encoding, "gzip");
        assert_eq!(*outcomes.lock().expect("no panic"), [(ItemOutcome::Rejected(reason), 9)]);
        let said = notice::history().into_iter().find(|notice| notice.contains(&url)).expect("a notice");
        assert!(said.contains("lost: 9 spans") && said.ends_with("so it cannot be sent in parts"), "{said}");
    }
}
