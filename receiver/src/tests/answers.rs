//! The answers that a client receives.

use std::time::Instant;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;

use super::super::Answer;
use super::*;

#[test]
fn invalid_requests_are_refused() {
    let receiver = Receiver::start().unwrap();
    let mut client = Client::connect(&receiver);
    let mut ask = |method: &str, path: &str, headers: &str, body: &[u8]| {
        client.send(method, path, headers, body).unwrap();
        client.receive().unwrap()
    };
    let protobuf = "content-type: application/x-protobuf\r\n";
    let reply = ask("POST", "/v1/metrics", protobuf, b"");
    let nothing = "nothing at `/v1/metrics`; log records go to `/v1/logs`, spans to `/v1/traces`";
    assert_eq!((reply.status, reply.text()), (404, nothing));
    let reply = ask("GET", "/v1/logs", "", b"");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    assert_eq!(ask("POST", "/v1/logs", "", b"").status, 415);
    assert_eq!(ask("POST", "/v1/logs", "content-type: text/plain\r\n", b"x").status, 415);
    let brotli = "content-type: application/json\r\ncontent-encoding: br\r\n";
    let reply = ask("POST", "/v1/logs", brotli, b"x");
    assert_eq!(reply.status, 415);
    assert!(reply.text().contains("`br`"), "{}", reply.text());
    let reply = ask("POST", "/v1/logs", protobuf, b"\xff");
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("varint"), "{}", reply.text());
    let reply = ask("POST", "/v1/logs", "content-type: application/json\r\n", b"[");
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("EOF"), "{}", reply.text());

    let requests = receiver.requests();
    let statuses: Vec<u16> = requests.iter().filter_map(|request| request.status).collect();
    assert_eq!(statuses, [404, 405, 415, 415, 415, 400, 400]);
    assert!(requests.iter().all(|request| !request.stored && request.records == 0));
    assert!(receiver.logs().is_empty());
}

#[test]
fn invalid_requests_consume_no_planned_answer() {
    let receiver = Receiver::start().unwrap();
    receiver.answer_with([Answer::status(503), Answer::Ok]);
    let mut client = Client::connect(&receiver);
    let mut status = |body: &[u8]| client.post(PROTOBUF, body).unwrap().status;
    assert_eq!(status(b"\xff"), 400);
    assert_eq!([status(&request("a")), status(&request("a"))], [503, 200]);
}

/// Sends one request. Returns the reply, and whether the record was stored.
fn exchange(answer: Answer, content_type: &str, body: &[u8]) -> (io::Result<Reply>, bool) {
    let receiver = Receiver::start().unwrap();
    receiver.answer_always(answer);
    let reply = Client::connect(&receiver).post(content_type, body);
    let requests = receiver.requests();
    assert_eq!((requests.len(), requests[0].records), (1, 1));
    assert_eq!(requests[0].status, reply.as_ref().ok().map(|reply| reply.status));
    assert_eq!(requests[0].stored, !receiver.logs().is_empty());
    (reply, requests[0].stored)
}

fn answered(answer: Answer) -> (Reply, bool) {
    let (reply, stored) = exchange(answer, PROTOBUF, &request("a"));
    (reply.unwrap(), stored)
}

#[test]
fn error_statuses_and_redirects() {
    let (reply, stored) =
        answered(Answer::Status { code: 503, retry_after: Some(Duration::from_millis(1500)), body: "busy".to_owned() });
    assert_eq!((reply.status, reply.text(), stored), (503, "busy", false));
    assert_eq!(reply.header("retry-after"), Some("2"));
    let (reply, stored) = answered(Answer::status(202));
    assert_eq!((reply.status, reply.header("retry-after"), stored), (202, None, true));
    let (reply, stored) = answered(Answer::Redirect { code: 307, location: "/elsewhere".to_owned() });
    assert_eq!((reply.status, reply.header("location"), stored), (307, Some("/elsewhere"), false));
    for impossible in
        [Answer::status(101), Answer::status(1000), Answer::Redirect { code: 302, location: "\n".to_owned() }]
    {
        let (reply, stored) = answered(impossible);
        assert_eq!((reply.status, stored), (500, false));
        assert!(reply.text().starts_with("cannot send the planned answer: "));
    }
}

#[test]
fn misleading_successes() {
    let (reply, stored) = answered(Answer::Html);
    assert_eq!((reply.status, stored), (200, false));
    assert!(reply.text().contains("Sign in"));
    assert!(reply.header("content-type").unwrap().starts_with("text/html"));
    let (reply, stored) = answered(Answer::Text("fine".to_owned()));
    assert_eq!((reply.status, reply.text(), stored), (200, "fine", true));
    let (reply, stored) = answered(Answer::Empty);
    assert_eq!((reply.status, reply.text(), stored), (200, "", true));
    assert_eq!(reply.header("content-type"), None);
    let (reply, stored) = answered(Answer::JsonToProtobuf);
    assert_eq!((reply.header("content-type"), reply.text(), stored), (Some(JSON), "{}", true));
    let (reply, stored) = answered(Answer::Garbage);
    assert_eq!((reply.header("content-type"), stored), (Some(PROTOBUF), true));
    assert!(ExportLogsServiceResponse::decode(&reply.body[..]).is_err());
    let (reply, stored) = answered(Answer::Oversized(3_000_000));
    assert_eq!((reply.body.len(), stored), (3_000_000, true));
}

#[test]
fn partial_success() {
    let answer = Answer::PartialSuccess { rejected: 1, message: "too \"old\"".to_owned() };
    let (reply, stored) = answered(answer.clone());
    let decoded = ExportLogsServiceResponse::decode(&reply.body[..]).unwrap();
    let partial = decoded.partial_success.unwrap();
    assert_eq!((partial.rejected_log_records, partial.error_message.as_str()), (1, "too \"old\""));
    assert!(stored);
    let body = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}"#;
    let reply = exchange(answer, JSON, body).0.unwrap();
    let decoded: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(decoded["partialSuccess"]["rejectedLogRecords"], "1");
    assert_eq!(decoded["partialSuccess"]["errorMessage"], "too \"old\"");
}

#[test]
fn dropped_and_reset_connections() {
    let (reply, stored) = exchange(Answer::DropAnswer, PROTOBUF, &request("a"));
    assert_eq!((reply.unwrap_err().kind(), stored), (ErrorKind::UnexpectedEof, true));
    let (reply, stored) = exchange(Answer::Reset, PROTOBUF, &request("a"));
    assert_eq!((reply.unwrap_err().kind(), stored), (ErrorKind::ConnectionReset, false));
}

#[test]
fn delayed_answers() {
    let hang = Duration::from_millis(30);
    let begin = Instant::now();
    let (reply, stored) = answered(Answer::Hang(hang));
    assert!(begin.elapsed() >= hang);
    assert_eq!((reply.status, reply.header("content-type"), stored), (200, Some(PROTOBUF), true));

    let receiver = Receiver::start().unwrap();
    receiver.answer_always(Answer::Hang(Duration::from_secs(3600)));
    let mut client = Client::connect(&receiver);
    let headers = "content-type: application/x-protobuf\r\n";
    client.send("POST", "/v1/logs", headers, &request("a")).unwrap();
    assert_eq!(receiver.wait_for_logs(1, LONG).len(), 1);
    drop(receiver);
    assert!(client.receive().is_err());
}

#[test]
fn the_last_planned_answer_repeats() {
    let receiver = Receiver::start().unwrap();
    receiver.answer_with([Answer::status(429), Answer::Ok, Answer::status(500)]);
    let mut client = Client::connect(&receiver);
    let mut status = || client.post(PROTOBUF, &request("a")).unwrap().status;
    assert_eq!([status(), status(), status(), status()], [429, 200, 500, 500]);
    receiver.answer_with([]);
    assert_eq!([status(), status()], [200, 200]);
    assert_eq!(receiver.take_logs().len(), 3);
    assert_eq!((receiver.logs().len(), receiver.requests().len()), (0, 6));
    receiver.clear();
    assert_eq!((receiver.raw_requests().len(), receiver.requests().len()), (0, 0));
}

#[test]
fn answers_that_depend_on_the_request() {
    let body = request("some poison");
    for (answer, status) in [
        (Answer::MaxBytes(body.len()), 200),
        (Answer::MaxBytes(body.len() - 1), 413),
        (Answer::Poison("poisoned".to_owned()), 200),
        (Answer::Poison("poison".to_owned()), 400),
    ] {
        let (reply, stored) = exchange(answer.clone(), PROTOBUF, &body);
        assert_eq!((reply.unwrap().status, stored), (status, status == 200), "{answer:?}");
    }
}
