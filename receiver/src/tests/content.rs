//! Received records equal those sent.

use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};

use super::super::{ReceivedLog, Value};
use super::*;

#[test]
fn protobuf_round_trip() {
    let receiver = Receiver::start().unwrap();
    let sent = message(full_record());
    let body = sent.encode_to_vec();
    let reply = Client::connect(&receiver).post(PROTOBUF, &body).unwrap();
    assert_eq!((reply.status, reply.text()), (200, ""));
    assert_eq!(reply.header("content-type"), Some(PROTOBUF));

    let logs = receiver.logs();
    assert_eq!(logs.len(), 1);
    check_full_record(&logs[0]);
    assert_eq!(receiver.raw_requests(), [sent]);
    let requests = receiver.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/v1/logs"));
    assert_eq!(requests[0].content_type, PROTOBUF);
    assert_eq!(requests[0].header("Host"), Some("test"));
    assert_eq!((requests[0].body_bytes, requests[0].records), (body.len(), 1));
    assert_eq!((requests[0].status, requests[0].stored), (Some(200), true));
    assert_eq!(receiver.problems(), [""; 0]);
}

#[test]
fn json_round_trip() {
    let receiver = Receiver::start().unwrap();
    let body = r#"{"resourceLogs":[{"resource":{"attributes":[
        {"key":"service.name","value":{"stringValue":"shop"}}]},
      "scopeLogs":[{"scope":{"name":"shop::cart","version":"1.2.3","attributes":[
        {"key":"team","value":{"stringValue":"till"}}]},"schemaUrl":"https://schema.test",
      "logRecords":[{"timeUnixNano":"1795232691123456789",
        "observedTimeUnixNano":"1795232691123456790","severityNumber":9,"severityText":"INFO",
        "body":{"stringValue":"order placed"},"attributes":[
          {"key":"user","value":{"intValue":"42"}},{"key":"total","value":{"doubleValue":9.5}},
          {"key":"paid","value":{"boolValue":true}},
          {"key":"note","value":{"stringValue":"two words"}},
          {"key":"note","value":{"stringValue":"again"}},
          {"key":"blob","value":{"bytesValue":"AP8="}},
          {"key":"list","value":{"arrayValue":{"values":[{"stringValue":"a\"b"},{}]}}},
          {"key":"map","value":{"kvlistValue":{"values":[{"key":"k","value":{"intValue":-1}}]}}},
          {"key":"nothing"}],
        "droppedAttributesCount":3,"flags":1,"traceId":"101112131415161718191A1B1C1D1E1F",
        "spanId":"f0f1f2f3f4f5f6f7","eventName":"placed"}]}]}]}"#;
    let reply = Client::connect(&receiver).post("application/json; charset=utf-8", body.as_bytes()).unwrap();
    assert_eq!((reply.status, reply.text()), (200, "{}"));
    assert_eq!(reply.header("content-type"), Some(JSON));
    check_full_record(&receiver.logs()[0]);
    assert_eq!(receiver.raw_requests(), [message(full_record())]);
}

#[test]
fn display_is_one_line() {
    let log = ReceivedLog {
        severity_number: 13,
        body: Some(Value::from("a\nb\x1b[31m é")),
        attributes: [("k y".to_owned(), Value::from("\r\\"))].into_iter().collect(),
        span_id: "f0".to_owned(),
        ..ReceivedLog::default()
    };
    assert_eq!(log.to_string(), "(no time)  WARN  a\\nb\\u{1b}[31m é  \"k y\"=\"\\r\\\\\"  span=f0");
}

fn check_full_record(log: &ReceivedLog) {
    assert_eq!(log.service_name(), "shop");
    assert_eq!(log.target(), "shop::cart");
    assert_eq!(log.scope.version, "1.2.3");
    assert_eq!(log.scope.attributes.to_string(), "team=till");
    assert_eq!(log.scope.schema_url, "https://schema.test");
    assert_eq!(log.time_unix_nano, 1_795_232_691_123_456_789);
    assert_eq!(log.observed_time_unix_nano, 1_795_232_691_123_456_790);
    assert_eq!((log.severity_number, log.severity_text.as_str()), (9, "INFO"));
    assert_eq!(log.body, Some(Value::from("order placed")));
    assert_eq!(log.message(), "order placed");
    assert_eq!(log.attribute("user"), Some(&Value::from(42)));
    assert_eq!(log.attribute("absent"), None);
    assert!(log.attributes["total"] == 9.5 && log.attributes["user"] != 42.0);
    assert!(log.attributes["paid"] == true && log.attributes["note"] == "two words");
    assert_eq!(log.attributes["blob"].as_bytes(), Some(&[0, 255][..]));
    assert_eq!(log.attributes["list"].as_array().unwrap()[1], Value::Empty);
    assert!(log.attributes["map"].as_map().unwrap()["k"] == -1);
    assert_eq!(log.attributes["nothing"], Value::Empty);
    assert_eq!((log.attributes.len(), log.attributes.is_empty()), (9, false));
    assert_eq!(log.attributes.keys().filter(|key| *key == "note").count(), 2);
    assert_eq!((log.dropped_attributes_count, log.flags), (3, 1));
    assert_eq!(log.trace_id, "101112131415161718191a1b1c1d1e1f");
    assert_eq!(log.span_id, "f0f1f2f3f4f5f6f7");
    assert_eq!(log.event_name, "placed");
    assert_eq!(
        log.to_string(),
        "2026-11-21T03:44:51.123456Z  INFO shop::cart order placed  user=42 total=9.5 paid=true \
         note=\"two words\" note=again blob=0x00ff list=[\"a\\\"b\",null] map={\"k\":-1} \
         nothing=null  event=placed  trace=101112131415161718191a1b1c1d1e1f span=f0f1f2f3f4f5f6f7"
    );
}

fn full_record() -> LogRecord {
    LogRecord {
        time_unix_nano: 1_795_232_691_123_456_789,
        observed_time_unix_nano: 1_795_232_691_123_456_790,
        severity_number: 9,
        severity_text: "INFO".to_owned(),
        body: text("order placed"),
        attributes: vec![
            pair("user", any(ProtoValue::IntValue(42))),
            pair("total", any(ProtoValue::DoubleValue(9.5))),
            pair("paid", any(ProtoValue::BoolValue(true))),
            pair("note", text("two words")),
            pair("note", text("again")),
            pair("blob", any(ProtoValue::BytesValue(vec![0, 255]))),
            pair(
                "list",
                any(ProtoValue::ArrayValue(ArrayValue { values: vec![text("a\"b").unwrap(), AnyValue::default()] })),
            ),
            pair(
                "map",
                any(ProtoValue::KvlistValue(KeyValueList { values: vec![pair("k", any(ProtoValue::IntValue(-1)))] })),
            ),
            pair("nothing", None),
        ],
        dropped_attributes_count: 3,
        flags: 1,
        trace_id: (0x10..0x20).collect(),
        span_id: (0xf0..0xf8).collect(),
        event_name: "placed".to_owned(),
    }
}
