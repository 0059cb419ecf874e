//! Drawings of traces.

use std::thread;

use super::super::{Attributes, ReceivedLog, ReceivedScope, ReceivedSpan, TraceTree, Value};

const TRACE: &str = "aa";

fn span(name: &str, parent: &str, start: u64) -> ReceivedSpan {
    ReceivedSpan {
        trace_id: TRACE.to_owned(),
        span_id: name.to_owned(),
        parent_span_id: parent.to_owned(),
        name: name.to_owned(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + 1_000,
        ..ReceivedSpan::default()
    }
}

fn log(message: &str, span: &str, time: u64) -> ReceivedLog {
    ReceivedLog {
        trace_id: TRACE.to_owned(),
        span_id: span.to_owned(),
        scope: ReceivedScope { name: "shop".to_owned(), ..ReceivedScope::default() },
        time_unix_nano: time,
        severity_number: 9,
        body: Some(Value::from(message)),
        ..ReceivedLog::default()
    }
}

fn attributes<const N: usize>(entries: [(&str, Value); N]) -> Attributes {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn tree(spans: &[ReceivedSpan], logs: &[ReceivedLog]) -> String {
    TraceTree::new(spans, logs).to_string()
}

#[test]
fn spans_and_records_interleaved_by_time() {
    let spans = [
        span("reserve", "charge", 31),
        ReceivedSpan {
            end_time_unix_nano: 1_000_030,
            attributes: attributes([
                ("amount", Value::from(9.5)),
                ("code.line.number", Value::from(7)),
                ("thread.id", Value::from(1)),
                ("codec", Value::from("a b")),
            ]),
            status_code: 1,
            ..span("charge", "checkout", 30)
        },
        span("ship", "checkout", 50),
        ReceivedSpan {
            end_time_unix_nano: 1_234_577,
            attributes: attributes([("order", Value::from(1001))]),
            status_code: 2,
            status_message: "card\ndeclined".to_owned(),
            ..span("checkout", "", 10)
        },
        ReceivedSpan { trace_id: "bb".to_owned(), ..span("early", "remote", 5) },
        // The same span id in another trace is another span.
        ReceivedSpan { trace_id: "bb".to_owned(), ..span("charge", "early", 6) },
    ];
    let logs = [
        ReceivedLog { trace_id: String::new(), severity_number: 17, ..log("no trace", "", 60) },
        ReceivedLog {
            severity_text: "WARN".to_owned(),
            attributes: attributes([
                ("user", Value::from(42)),
                ("code.file.path", Value::from("src/main.rs")),
                ("thread.name", Value::from("main")),
                ("exception.stacktrace", Value::from("long")),
                ("exception.message", Value::from("declined")),
            ]),
            ..log("declined\x07", "charge", 40)
        },
        log("last", "checkout", 51),
        log("first", "checkout", 20),
        log("later", "gone", 70),
        log("trace only", "", 15),
        // The observed time replaces an unset time.
        ReceivedLog { observed_time_unix_nano: 35, ..log("observed", "checkout", 0) },
        log("no time", "checkout", 0),
        ReceivedLog { trace_id: "0".repeat(32), span_id: "0".repeat(16), ..log("zeroes", "", 59) },
        ReceivedLog { trace_id: String::new(), ..log("span only", "charge", 61) },
    ];
    let expected = "\
trace bb
└─ early 1µs (parent remote did not arrive)
   └─ charge 1µs
trace aa
├─ checkout 1.23ms  error: card\\ndeclined  order=1001
│  ├─ INFO  shop first
│  ├─ charge 1ms  amount=9.5 codec=\"a b\"
│  │  ├─ reserve 1µs
│  │  └─ WARN  shop declined\\u{7}  user=42 exception.message=declined
│  ├─ INFO  shop observed
│  ├─ ship 1µs
│  ├─ INFO  shop last
│  └─ INFO  shop no time
├─ INFO  shop trace only
└─ INFO  shop later (its span did not arrive)
outside any trace
├─ INFO  shop zeroes
├─ ERROR shop no trace
└─ INFO  shop span only (its span did not arrive)";
    assert_eq!(tree(&spans, &logs), expected);
}

#[test]
fn a_colored_tree_names_the_service_of_each_span() {
    let resource = attributes([("service.name", Value::from("stock"))]);
    let spans = [ReceivedSpan { resource, ..span("reserve", "", 1) }];
    let drawn = TraceTree::colored(&spans, &[log("reserved\u{1b}[2J", "reserve", 2)]).to_string();
    assert!(drawn.contains("└─ \u{1b}[35mstock\u{1b}[0m \u{1b}[1mreserve\u{1b}[0m 1"), "{drawn}");
    // The only escape sequences are those of the drawing.
    assert!(!drawn.contains("\u{1b}[2J"), "{drawn}");
}

#[test]
fn nothing_to_draw() {
    assert_eq!(tree(&[], &[]), "");
    assert_eq!(tree(&[], &[ReceivedLog::default()]), "outside any trace\n└─ -    ");
    assert_eq!(tree(&[ReceivedSpan::default()], &[]), "outside any trace\n└─  0ns");
}

#[test]
fn control_characters_are_escaped() {
    let span = ReceivedSpan { trace_id: "a\na".to_owned(), ..span("b\r", "\x1b", 1) };
    let log = ReceivedLog { trace_id: "a\na".to_owned(), severity_text: "\n".to_owned(), ..log("\t", "b\r", 2) };
    let expected = "trace a\\na\n└─ b\\r 1µs (parent \\u{1b} did not arrive)\n   └─ \\n     shop \\t";
    assert_eq!(tree(&[span], &[log]), expected);
}

#[test]
fn cycles_are_broken_at_their_earliest_span() {
    let spans = [
        span("self", "self", 50),
        span("b", "a", 20),
        span("c", "b", 10),
        span("a", "c", 30),
        span("tail", "b", 40),
        span("same", "same", 60),
    ];
    let expected = "\
trace aa
├─ c 1µs (is its own ancestor)
│  └─ a 1µs
│     └─ b 1µs
│        └─ tail 1µs
│           └─ INFO  shop inside
├─ self 1µs (is its own ancestor)
└─ same 1µs (is its own ancestor)";
    assert_eq!(tree(&spans, &[log("inside", "tail", 45)]), expected);
}

#[test]
fn spans_with_the_same_ids_are_each_drawn_once() {
    let again = ReceivedSpan { name: "again".to_owned(), ..span("a", "root", 2) };
    let spans = [span("a", "root", 3), again.clone(), span("child", "a", 4), span("root", "", 1), span("root", "", 1)];
    let expected = "\
trace aa
├─ root 1µs
│  ├─ again 1µs
│  └─ a 1µs
│     └─ child 1µs
└─ root 1µs";
    assert_eq!(tree(&spans, &[]), expected);
    // The parent of a second span whose parent has its own id is the first one: no cycle.
    let expected = "trace aa\n└─ a 1µs (is its own ancestor)\n   └─ a 1µs";
    assert_eq!(tree(&[span("a", "a", 1), span("a", "a", 2)], &[]), expected);
}

/// Runs a test on a stack so small that recursion per span would overflow it.
fn with_little_stack(test: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(256 * 1024).spawn(test).unwrap().join().unwrap();
}

#[test]
fn a_deep_chain_is_drawn() {
    with_little_stack(|| {
        let name = |level: u64| format!("s{level}");
        let parent = |level: u64| if level == 1 { String::new() } else { name(level - 1) };
        // In order of arrival: the innermost first.
        let spans: Vec<ReceivedSpan> =
            (1..=10_000).rev().map(|level| span(&name(level), &parent(level), level)).collect();
        let drawn = tree(&spans, &[log("deepest", "s10000", 20_000)]);
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines.len(), 10_002);
        assert_eq!(lines[1], "└─ s1 1µs");
        assert_eq!(lines[64], format!("{}└─ s64 1µs", "   ".repeat(63)));
        assert_eq!(lines[65], format!("{}… 65: s65 1µs", "   ".repeat(64)));
        assert_eq!(lines[10_000], format!("{}… 10000: s10000 1µs", "   ".repeat(64)));
        assert_eq!(lines[10_001], format!("{}… 10001: INFO  shop deepest", "   ".repeat(64)));
    });
}

#[test]
fn a_long_cycle_is_drawn() {
    with_little_stack(|| {
        let name = |step: u64| format!("s{}", step % 10_000);
        let spans: Vec<ReceivedSpan> = (0..10_000).map(|step| span(&name(step), &name(step + 1), step + 1)).collect();
        let drawn = tree(&spans, &[]);
        assert_eq!(drawn.lines().count(), 10_001);
        assert_eq!(drawn.lines().nth(1), Some("└─ s0 1µs (is its own ancestor)"));
        assert_eq!(drawn.matches("its own ancestor").count(), 1);
    });
}
