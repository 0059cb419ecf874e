//! `logbridge run`: streams, signals and exit code are those of the program, its telemetry is forwarded, and the report is
//! correct.
//!
//! The programs are shells and this test executable itself, as [`program`].

#![cfg(unix)]
#![allow(clippy::disallowed_methods, clippy::expect_used)] // A test may panic, and reads what it was told.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use logbridge::testing::{Answer, Receiver};
use logbridge::{Console, LevelFilter};
use serde_json::Value;

use crate::listening::{LONG, Lines};

/// The variable with the name of the program that this process runs.
const PROGRAM: &str = "LOGBRIDGE_TEST_PROGRAM";

/// The output and exit code of `logbridge run`.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn logbridge(arguments: &[&str], command: &[&str]) -> Command {
    let mut run = Command::new(env!("CARGO_BIN_EXE_logbridge"));
    run.env_clear().env("PATH", "/usr/bin:/bin").arg("run").args(arguments).arg("--").args(command);
    run.stdin(Stdio::null());
    run
}

#[track_caller]
fn end(mut command: Command) -> Ended {
    let output = command.output().expect("the command");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn shell(script: &str) -> Ended {
    end(logbridge(&[], &["sh", "-c", script]))
}

/// A run of this executable as the named program.
fn program_named(name: &str, arguments: &[&str]) -> Command {
    let own = std::env::current_exe().expect("the path of this program");
    let mut run = logbridge(
        arguments,
        &[own.to_str().expect("a readable path"), "--exact", "run::program", "--ignored", "--nocapture"],
    );
    run.env(PROGRAM, name);
    run
}

/// Returns the JSON after the output of the program.
fn account(mut command: Command) -> (Value, Ended) {
    let ended = end({
        command.env("NO_COLOR", "1");
        command
    });
    let start = ended.stdout.find("\n{\n").map_or(0, |at| at + 1);
    let json = ended.stdout.get(start..).unwrap_or_default();
    (serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {}{}", ended.stdout, ended.stderr)), ended)
}

fn codes(account: &Value) -> Vec<&str> {
    let findings = account["findings"].as_array().expect("findings");
    findings.iter().map(|finding| finding["code"].as_str().expect("a code")).collect()
}

/// Not a test, but the program that the tests run.
#[test]
#[ignore = "it is run by the other tests"]
fn program() {
    let Ok(name) = std::env::var(PROGRAM) else { return };
    let level = if name == "quiet" { LevelFilter::Error } else { LevelFilter::Debug };
    let mut builder = logbridge::builder();
    let bridge = builder.service_name("shop").filter_level(level).console(Console::off()).try_init().expect("installs");
    match name.as_str() {
        "healthy" => {
            (0..3).for_each(|number| log::info!(target: "shop::cart", "order {number}"));
            log::trace!(target: "shop::cart", "nobody asks for that");
            bridge.flush(LONG).expect("delivered");
        }
        "split" => {
            (0..3).for_each(|number| log::info!(target: "shop::cart", "order {number}"));
            log::error!(target: "shop::cart", "declined");
        }
        "quiet" => (0..5).for_each(|number| log::warn!(target: "shop::db", "slow {number}")),
        "refused" => {
            log::warn!(target: "shop::cart", "nobody wants it");
            bridge.flush(LONG).expect_err("refused");
        }
        "unmatched" => (0..4).for_each(|number| log::warn!(target: "shop::db", "slow {number}")),
        "killed" => {
            log::info!(target: "shop::cart", "never sent");
            // As the OOM killer does it.
            let killed = Command::new("kill").args(["-KILL", &std::process::id().to_string()]).status();
            panic!("it lives: {killed:?}");
        }
        "replaced" | "replaced by another" => {
            log::info!(target: "shop::cart", "never sent");
            let own = std::env::current_exe().expect("the path of this program");
            let mut next = Command::new(own);
            next.args(["--exact", "run::program", "--ignored", "--nocapture"]).env(PROGRAM, "healthy");
            if name != "replaced" {
                next = Command::new("true");
            }
            panic!("{}", std::os::unix::process::CommandExt::exec(&mut next));
        }
        other => panic!("no program is called {other}"),
    }
}

#[test]
fn the_exit_code_is_that_of_the_program() {
    assert_eq!(shell("exit 0").code, Some(0));
    assert_eq!(shell("exit 42").code, Some(42));
    let killed = shell("kill -KILL $$");
    assert_eq!(killed.code, Some(128 + 9));
    assert!(killed.stderr.contains("was killed by SIGKILL"), "{}", killed.stderr);
    let missing = end(logbridge(&[], &["/no/such/program"]));
    assert_eq!(missing.code, Some(127));
    assert!(missing.stderr.starts_with("error: `/no/such/program` was not found\n"), "{}", missing.stderr);
    let forbidden = end(logbridge(&[], &["/etc/passwd"]));
    assert_eq!(forbidden.code, Some(126));
    assert!(forbidden.stderr.starts_with("error: no permission to execute `/etc/passwd`\n"), "{}", forbidden.stderr);
    let mut unusable = logbridge(&[], &["true"]);
    unusable.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[");
    let unusable = end(unusable);
    assert_eq!(unusable.code, Some(125), "{}", unusable.stderr);
    assert!(unusable.stderr.contains("the endpoint in the environment"), "{}", unusable.stderr);
}

#[test]
fn streams_are_those_of_the_program() {
    let mut run = logbridge(&[], &["sh", "-c", "cat; echo aside >&2"]);
    let mut child =
        run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command");
    child.stdin.take().expect("stdin").write_all(b"through\n").expect("written");
    let output = child.wait_with_output().expect("an end");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "through\n");
    assert!(output.stderr.starts_with(b"aside\n"), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn signals_reach_the_program() {
    for (signal, code) in [("TERM", 9), ("INT", 8)] {
        // It waits for what never comes, so that only the signal ends it.
        let script = "trap 'exit 9' TERM; trap 'exit 8' INT; echo ready; while :; do read line < fifo; done";
        let directory = Scratch::new(&format!("signal-{signal}"));
        assert!(Command::new("mkfifo").arg(directory.0.join("fifo")).status().expect("mkfifo").success());
        let mut run = logbridge(&[], &["sh", "-c", script]);
        run.current_dir(&directory.0).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = run.spawn().expect("the command");
        let mut stdout = Lines::of(child.stdout.take().expect("stdout"));
        let stderr = Lines::of(child.stderr.take().expect("stderr"));
        stdout.wait_for("ready");
        let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()));
        assert_eq!(child.wait().expect("an end").code(), Some(code), "{signal}");
        assert!(stderr.rest().contains(&format!("exited with {code}")));
    }
}

#[test]
fn the_endpoint_of_the_program_is_replaced_and_its_headers_are_kept() {
    let script = "env | grep -E '^(OTEL|LOGBRIDGE_REPORT|NO_PROXY)'; ls -ld \"$LOGBRIDGE_REPORT\"";
    let mut run = logbridge(&["--no-forward"], &["sh", "-c", script]);
    run.envs([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://in.example.com"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://in.example.com/logs"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=key"),
    ]);
    let ended = end(run);
    let seen = |name: &str| {
        ended.stdout.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default().to_owned()
    };
    assert!(seen("OTEL_EXPORTER_OTLP_ENDPOINT").starts_with("http://127.0.0.1:"), "{}", ended.stdout);
    assert_eq!(seen("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"), "");
    assert_eq!(seen("OTEL_EXPORTER_OTLP_HEADERS"), "authorization=key");
    assert_eq!(seen("NO_PROXY"), "127.0.0.1,localhost");
    assert!(ended.stdout.contains("drwx------"), "{}", ended.stdout);
    let directory = PathBuf::from(seen("LOGBRIDGE_REPORT"));
    assert!(directory.is_absolute() && !directory.exists(), "{}", directory.display());
}

#[test]
fn received_telemetry_is_counted_and_forwarded() {
    let upstream = Receiver::start().expect("a receiver");
    for protocol in ["http/protobuf", "http/json", "grpc"] {
        upstream.clear();
        let mut run = program_named("healthy", &["--json"]);
        run.env("OTEL_EXPORTER_OTLP_ENDPOINT", upstream.endpoint()).env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
        let (account, ended) = account(run);
        assert_eq!(ended.code, Some(0), "{protocol}: {}", ended.stderr);
        assert_eq!((&account["log_records"], &account["exit_code"]), (&3.into(), &0.into()), "{protocol}: {account}");
        let arrived = &account["arrived"][0];
        assert_eq!((&arrived["service"], &arrived["scope"]), (&"shop".into(), &"shop::cart".into()), "{protocol}");
        assert_eq!(arrived["taken"]["info"], 3, "{protocol}: {account}");
        assert_eq!(
            (codes(&account), &account["not_read"]),
            (Vec::new(), &serde_json::json!({})),
            "{protocol}: {account}"
        );
        let messages: Vec<String> = upstream.logs().iter().map(|log| log.message()).collect();
        assert_eq!(messages, ["order 0", "order 1", "order 2"], "{protocol}");
    }
    // Without an upstream endpoint, and with --no-forward.
    upstream.clear();
    let (alone, _) = account(program_named("healthy", &["--json"]));
    let mut kept = program_named("healthy", &["--json", "--no-forward"]);
    kept.env("OTEL_EXPORTER_OTLP_ENDPOINT", upstream.endpoint());
    let (kept, _) = account(kept);
    assert_eq!((&alone["log_records"], &kept["log_records"]), (&3.into(), &3.into()));
    assert_eq!((&alone["upstream"], &kept["upstream"]), (&Value::Null, &Value::Null));
    assert!(upstream.requests().is_empty());
}

#[test]
fn responses_of_the_endpoint_are_reported_and_reach_the_program() {
    let upstream = Receiver::start().expect("a receiver");
    upstream.answer_always(Answer::Status { code: 401, retry_after: None, body: "no such key".to_owned() });
    let mut run = program_named("refused", &[]);
    run.env("OTEL_EXPORTER_OTLP_ENDPOINT", upstream.endpoint());
    let ended = end(run);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("\nresponses of http://127.0.0.1:"), "{}", ended.stderr);
    assert!(ended.stderr.contains("it answered 401 Unauthorized (it refused the credentials): \"no such key\""));
    assert!(ended.stderr.contains("  shop     shop::cart     1  "), "{}", ended.stderr);
    assert!(ended.stderr.contains("error[LB082]: endpoint: http://127.0.0.1:"), "{}", ended.stderr);
    assert!(ended.stderr.contains(" accepted none of 1 log record (it answered 401"), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("1 log record sent by the program, none accepted by the endpoint"),
        "{}",
        ended.stderr
    );
}

/// The text, the JSON and the page agree about an unreachable endpoint.
#[test]
fn an_unreachable_endpoint_is_a_finding_in_every_format() {
    let directory = Scratch::new("dead");
    let page = directory.0.join("page.html");
    // The same request three times, like retries of an exporter, and a span.
    let script = r#"
        body='{"resourceLogs":[{"scopeLogs":[{"scope":{"name":"shop"},"logRecords":[{"timeUnixNano":"1700000000000000000","severityNumber":9,"body":{"stringValue":"lost"}}]}]}]}'
        span='{"resourceSpans":[{"scopeSpans":[{"scope":{"name":"shop"},"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"00f067aa0ba902b7","name":"checkout","kind":1,"startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000001000000"}]}]}]}'
        port=${OTEL_EXPORTER_OTLP_ENDPOINT##*:}
        post() {
            exec 3<>/dev/tcp/127.0.0.1/$port
            printf 'POST %s HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s' $1 ${#2} "$2" >&3
            cat <&3 >/dev/null
        }
        post /v1/logs "$body"; post /v1/logs "$body"; post /v1/logs "$body"; post /v1/traces "$span"
    "#;
    let mut run = logbridge(&["--json", "--report", page.to_str().expect("a readable path")], &["bash", "-c", script]);
    run.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    let (json, ended) = account(run);
    assert_eq!(codes(&json).first(), Some(&"LB081"), "{json}{}", ended.stderr);
    let text = json["findings"][0]["text"].as_str().expect("a text");
    assert!(text.starts_with("http://127.0.0.1:1 accepted none of 1 log record and 1 span ("), "{text}");
    assert!(text.ends_with(", 4 times)"), "{text}");
    assert_eq!((&json["log_records"], &json["not_taken"]["spans"]), (&1.into(), &1.into()), "{json}");
    let page = std::fs::read_to_string(&page).expect("a page");
    for part in [
        "1 log record and 1 span sent by the program, none accepted by the endpoint",
        "accepted none of 1 log record and 1 span",
        "<dt>log records arrived</dt><dd>0</dd>",
        "<dt>refused or dropped</dt><dd>1</dd>",
        "<dt>spans not accepted</dt><dd>1</dd>",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("No findings."), "{page}");
}

/// A response may quote a key of the request, and a command line may contain one.
#[test]
fn no_secret_is_shown() {
    let upstream = Receiver::start().expect("a receiver");
    upstream.answer_always(Answer::Status { code: 401, retry_after: None, body: "bad key sEcretTok".to_owned() });
    let directory = Scratch::new("secrets");
    let page = directory.0.join("page.html");
    let script = r#"
        body='{"resourceLogs":[{"scopeLogs":[{"scope":{"name":"shop"},"logRecords":[{"timeUnixNano":"1","severityNumber":9,"body":{"stringValue":"lost"}}]}]}]}'
        exec 3<>/dev/tcp/127.0.0.1/${OTEL_EXPORTER_OTLP_ENDPOINT##*:}
        printf 'POST /v1/logs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s' $(cat key) ${#body} "$body" >&3
        cat <&3 >/dev/null
    "#;
    std::fs::write(directory.0.join("key"), "sEcretTok").expect("written");
    let mut all = String::new();
    for form in [&["--json"][..], &[]] {
        let arguments = [form, &["--report", page.to_str().expect("a readable path")]].concat();
        let words = ["bash", "-c", script, "--token=sEcretArg", "--password", "sEcretArg", "http://u:sEcretArg@host"];
        let mut run = logbridge(&arguments, &words);
        run.env("OTEL_EXPORTER_OTLP_ENDPOINT", upstream.endpoint()).current_dir(&directory.0);
        let ended = end(run);
        all.extend([ended.stdout, ended.stderr, std::fs::read_to_string(&page).expect("a page")]);
    }
    assert_eq!(upstream.requests().len(), 2, "{all}");
    assert!(all.contains("bad key …") && all.contains("--token=… --password … http://…@host"), "{all}");
    assert!(!all.contains("sEcret"), "{all}");
}

#[test]
fn a_program_that_sends_nothing_gets_a_likely_reason() {
    let (silent, _) = account(logbridge(&["--json"], &["true"]));
    assert_eq!(codes(&silent), ["LB091"]);
    let text = silent["findings"][0]["text"].as_str().expect("a text");
    assert!(text.contains("it has no exporter"), "{text}");
    let (killed, ended) = account(program_named("killed", &["--json"]));
    assert_eq!(ended.code, Some(128 + 9));
    assert_eq!((codes(&killed), &killed["signal"]), (vec!["LB091"], &9.into()));
    assert!(killed["findings"][0]["text"].as_str().is_some_and(|text| text.contains("killed by SIGKILL")), "{killed}");
    let mut off = logbridge(&["--json"], &["true"]);
    off.env("OTEL_LOGS_EXPORTER", "none");
    let (off, _) = account(off);
    assert!(off["findings"][0]["text"].as_str().is_some_and(|text| text.contains("OTEL_LOGS_EXPORTER=none")), "{off}");
}

#[test]
fn reports_of_programs_are_included() {
    let script = r#"
        echo '{"pid": 1, "service": "shop", "offered": 10, "below": 6, "passed": 4, "otlp": {"accepted": 4, "delivered": 3,
            "dropped": {"overflow": 1}}, "cuts": [{"stage": "module", "target": "hyper", "level": "DEBUG", "records": 6,
            "by": "RUST_LOG: hyper=warn"}]}' > "$LOGBRIDGE_REPORT/report-1.json"
        echo 'no JSON' > "$LOGBRIDGE_REPORT/report-2.json"
    "#;
    let (json, _) = account(logbridge(&["--json"], &["sh", "-c", script]));
    assert_eq!(json["programs"].as_array().map(Vec::len), Some(1), "{json}");
    assert_eq!((&json["programs"][0]["offered"], &json["programs"][0]["below"]), (&10.into(), &6.into()));
    let flows = json["flows"].as_array().expect("flows");
    assert!(
        flows.iter().any(|flow| flow["target"] == "hyper" && flow["fate"] == "below the level" && flow["records"] == 6)
    );
    assert!(flows.iter().any(|flow| flow["fate"] == "dropped: overflow" && flow["records"] == 1), "{json}");
    let ended = shell(script);
    for line in [
        "       10  offered",
        "        6  below their level",
        "        1  dropped: overflow",
        "hyper at DEBUG by RUST_LOG: hyper=warn",
    ] {
        assert!(ended.stderr.contains(line), "{line}: {}", ended.stderr);
    }
}

#[test]
fn a_program_with_logbridge_reports_the_outcome_of_its_records() {
    let (healthy, ended) = account(program_named("healthy", &["--json"]));
    let program = &healthy["programs"][0];
    assert_eq!(healthy["programs"].as_array().map(Vec::len), Some(1), "{}", ended.stderr);
    assert_eq!(
        (&program["service"], &program["delivered"], &program["accepted"]),
        (&"shop".into(), &3.into(), &3.into())
    );
    assert_eq!((&program["pending"], &program["dropped"]), (&0.into(), &serde_json::json!({})), "{program}");

    let mut quiet = program_named("quiet", &["--json"]);
    quiet.env("LOGBRIDGE_COUNT_BELOW", "debug");
    let (quiet, _) = account(quiet);
    let below = &quiet["programs"][0]["below"];
    assert_eq!((codes(&quiet), below), (vec!["LB091"], &5.into()), "{quiet}");
    let text = quiet["findings"][0]["text"].as_str().expect("a text");
    assert!(text.contains("5 records were below their level"), "{text}");
}

#[test]
fn records_stopped_by_a_message_filter_are_not_counted_as_below_a_level() {
    let run = |arguments: &[&str]| {
        let mut run = program_named("unmatched", arguments);
        run.env("RUST_LOG", "info/zzz").env("NO_COLOR", "1");
        run
    };
    let (json, ended) = account(run(&["--json"]));
    let text = json["findings"][0]["text"].as_str().expect("a text");
    assert!(text.contains("4 records did not match the text filter"), "{text}{}", ended.stderr);
    assert!(
        json["findings"][0]["help"].as_str().is_some_and(|help| help.contains("after the `/` in RUST_LOG")),
        "{json}"
    );
    assert_eq!((&json["programs"][0]["below"], &json["programs"][0]["unmatched"]), (&0.into(), &4.into()), "{json}");
    assert!(json["flows"].as_array().is_some_and(|flows| flows.iter().all(|flow| flow["fate"] != "below the level")));
    let shown = end(run(&[])).stderr;
    assert!(shown.contains("        4  did not match the text filter\n"), "{shown}");
    assert!(!shown.contains("below their level"), "{shown}");
}

#[test]
fn long_values_of_requests_are_shortened_in_the_report() {
    let long = "e".repeat(50_000);
    let (directory, run) = posting("long", "{}", "", &["--json"]);
    let script = POST.replacen("localhost", "'\"$(cat host)\"'", 1).replacen("/v1/logs", "/v1/log", 1);
    std::fs::write(directory.0.join("host"), &long).expect("written");
    drop(run);
    for arguments in [&["--json"][..], &[]] {
        let mut run = logbridge(arguments, &["bash", "-c", &script, "post", ""]);
        run.current_dir(&directory.0);
        let ended = end(run);
        assert!(ended.stdout.contains("HTTP/1.1 421 "), "{}", ended.stdout);
        for shown in [ended.stdout, ended.stderr] {
            assert!(!shown.contains(&long[..500]), "{}", shown.len());
        }
    }
}

#[test]
fn a_program_that_calls_exec_is_a_finding() {
    let text = |finding: &Value| finding["text"].as_str().expect("a text").to_owned();
    let reports = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("replaced-{}", std::process::id()));
    std::fs::create_dir_all(&reports).expect("a directory");
    let mut replaced = program_named("replaced", &["--json"]);
    replaced.env("LOGBRIDGE_REPORT", &reports);
    let (json, ended) = account(replaced);
    assert_eq!((codes(&json), ended.code), (vec!["LB086"], Some(0)), "{json}");
    let said = text(&json["findings"][0]);
    assert!(said.contains("called `exec`") && said.contains("records that it had not flushed are lost"), "{said}");
    // The next program reports the same.
    let reported: Vec<String> = std::fs::read_dir(&reports)
        .expect("the directory")
        .map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).expect("a report"))
        .collect();
    std::fs::remove_dir_all(&reports).expect("removed");
    assert!(
        matches!(&reported[..], [one] if one.contains("the previous program in this process called `exec`")),
        "{reported:?}"
    );
    assert_eq!(json["programs"][0]["delivered"], 3, "{json}");

    // The next program is not one with logbridge.
    let (json, ended) = account(program_named("replaced by another", &["--json"]));
    assert_eq!((codes(&json), ended.code), (vec!["LB091", "LB086"], Some(0)), "{json}");
    assert!(json["findings"].as_array().expect("findings").iter().all(|one| text(one).contains("`exec`")), "{json}");
    // A program that ends normally has no such finding.
    assert_eq!(codes(&account(program_named("healthy", &["--json"])).0), Vec::<&str>::new());
}

#[test]
fn the_level_of_the_destination_is_named_if_it_stopped_records() {
    let mut split = program_named("split", &["--json"]);
    split.envs([
        ("RUST_LOG", "info"),
        ("LOGBRIDGE_OTLP_LEVEL", "error"),
        ("LOGBRIDGE_CONSOLE_LEVEL", "off"),
        ("LOGBRIDGE_COUNT_BELOW", "debug"),
    ]);
    let (split, ended) = account(split);
    let severe = split["findings"].as_array().expect("findings").iter().find(|finding| finding["code"] == "LB092");
    let severe = severe.unwrap_or_else(|| panic!("{split}{}", ended.stderr));
    assert_eq!(severe["help"], "LOGBRIDGE_OTLP_LEVEL=info", "{severe}");
    assert!(severe["text"].as_str().is_some_and(|text| text.contains("LOGBRIDGE_OTLP_LEVEL: ERROR")), "{severe}");
    let fates =
        split["flows"].as_array().expect("flows").iter().map(|flow| flow["records"].as_u64().expect("a number"));
    assert_eq!(fates.sum::<u64>(), split["programs"][0]["offered"].as_u64().expect("a number"), "{split}");
}

/// A bash script that posts the file `body` to `/v1/logs`.
const POST: &str = r#"
    exec 3<>/dev/tcp/127.0.0.1/${OTEL_EXPORTER_OTLP_ENDPOINT##*:}
    printf 'POST /v1/logs HTTP/1.1\r\nhost: localhost\r\n%bcontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n' "$1" "$(wc -c < body)" >&3
    cat body >&3
    cat <&3
    echo
"#;

/// A run of a program that posts this body with these headers.
fn posting(name: &str, body: &str, headers: &str, arguments: &[&str]) -> (Scratch, Command) {
    let directory = Scratch::new(name);
    std::fs::write(directory.0.join("body"), body).expect("written");
    let mut run = logbridge(arguments, &["bash", "-c", POST, "post", headers]);
    run.current_dir(&directory.0);
    (directory, run)
}

#[test]
fn empty_requests_are_the_reason_why_nothing_arrived() {
    for (name, body, said) in [
        (
            "snake",
            r#"{"resource_logs":[]}"#,
            "request without records: unknown key `resource_logs`: use `resourceLogs`",
        ),
        (
            "spans",
            r#"{"resourceSpans":[]}"#,
            "request without records: unknown key `resourceSpans`: spans go to `/v1/traces`",
        ),
    ] {
        let (_directory, run) = posting(name, body, "", &["--json"]);
        let (account, _) = account(run);
        assert_eq!(codes(&account), ["LB091"], "{account}");
        let text = account["findings"][0]["text"].as_str().expect("a text");
        assert!(
            text.starts_with("nothing arrived: a request could not be understood: ") && text.contains(said),
            "{text}"
        );
    }
}

#[test]
fn pages_of_other_origins_may_not_send() {
    let origin = "origin: https://evil.example\\r\\n";
    let (_directory, run) = posting("origin", "{}", origin, &[]);
    let ended = end(run);
    assert!(ended.stdout.starts_with("HTTP/1.1 403 "), "{}", ended.stdout);
    let (_directory, run) = posting("allowed", "{}", origin, &["--allow-origin", "https://evil.example"]);
    let ended = end(run);
    assert!(ended.stdout.starts_with("HTTP/1.1 200 "), "{}", ended.stdout);
}

#[test]
fn received_text_cannot_control_a_terminal_or_a_page() {
    let hostile = "a\u{1b}[2J\u{7f}\u{9b}1m\n\u{2028}\u{2029}\u{202e}\u{2066}\u{61c}\u{200f}b";
    let is_unsafe = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t' | '\r'))
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let body = serde_json::json!({hostile: 1, "resourceLogs": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": hostile}}]},
        "scopeLogs": [{"scope": {"name": hostile}, "logRecords": [{"severityText": hostile, "body": {"stringValue": hostile}}]}],
    }]});
    for (name, arguments) in
        [("terminal", &[][..]), ("terminal-json", &["--json"]), ("terminal-page", &["--report", "page.html"])]
    {
        let (directory, mut run) = posting(name, &body.to_string(), "", arguments);
        run.env("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", format!("nonsense{}", hostile.replace('\n', "")));
        let ended = end(run);
        let page = std::fs::read_to_string(directory.0.join("page.html")).unwrap_or_default();
        assert_eq!(page.is_empty(), name != "terminal-page");
        for shown in [&ended.stdout, &ended.stderr, &page] {
            assert!(!shown.contains(is_unsafe), "{name}: {shown:?}");
        }
    }
}

#[test]
fn a_page_is_written_or_an_error_is_reported() {
    let directory = Scratch::new("page");
    let path = directory.0.join("report.html");
    let mut run = logbridge(&["--report", path.to_str().expect("a readable path")], &["sh", "-c", "exit 3"]);
    run.env("OTEL_SERVICE_NAME", "<script>");
    let ended = end(run);
    assert_eq!(ended.code, Some(3));
    let page = std::fs::read_to_string(&path).expect("a page");
    assert!(page.contains("exited with 3") && page.contains("LB091"), "{page}");
    let ended = end(logbridge(&["--report", "/no/such/directory/report.html"], &["echo", "started"]));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(125), ""), "before the program starts");
    assert!(ended.stderr.contains("error: cannot write /no/such/directory/report.html"), "{}", ended.stderr);
}

#[test]
fn an_invalid_endpoint_is_a_finding_and_nothing_is_forwarded() {
    let mut run = program_named("healthy", &["--json"]);
    run.env("OTEL_EXPORTER_OTLP_ENDPOINT", "nonsense");
    let (json, ended) = account(run);
    assert_eq!((ended.code, codes(&json)), (Some(0), vec!["LB022"]), "{json}");
    assert_eq!((&json["upstream"], &json["arrived"][0]["taken"]["info"]), (&Value::Null, &3.into()), "{json}");
    assert_eq!(json["findings"][0]["place"], "OTEL_EXPORTER_OTLP_ENDPOINT", "{json}");
    let text = json["findings"][0]["text"].as_str().expect("a text");
    assert!(
        text.starts_with("`nonsense` does not start with http:// or https://") && text.contains("nothing is forwarded")
    );
}

/// A variable that disables the logs of a program does not prevent its run.
#[test]
fn a_program_with_disabled_logs_is_run() {
    let upstream = Receiver::start().expect("a receiver");
    let mut run = logbridge(&["--json"], &["true"]);
    run.env("OTEL_EXPORTER_OTLP_ENDPOINT", upstream.endpoint()).env("OTEL_SDK_DISABLED", "true");
    let (json, ended) = account(run);
    assert_eq!((ended.code, codes(&json)), (Some(0), vec!["LB091"]), "{}", ended.stderr);
    let text = json["findings"][0]["text"].as_str().expect("a text");
    assert!(text.contains("OTEL_SDK_DISABLED=true disables sending"), "{text}");
}

#[test]
fn reports_are_copied_to_logbridge_report() {
    let directory = Scratch::new("reports");
    let file = directory.0.join("own.json");
    let script = "echo '{\"pid\": 7}' > \"$LOGBRIDGE_REPORT/report-7.json\"";
    for wanted in [file.as_path(), directory.0.as_path()] {
        let mut run = logbridge(&[], &["sh", "-c", script]);
        let ended = end({
            run.env("LOGBRIDGE_REPORT", wanted);
            run
        });
        assert!(!ended.stderr.contains("LOGBRIDGE_REPORT="), "{}", ended.stderr);
    }
    for kept in [file, directory.0.join("report-7.json")] {
        assert_eq!(std::fs::read_to_string(&kept).expect("a report").trim(), "{\"pid\": 7}");
    }
    let mut run = logbridge(&[], &["true"]);
    run.env("LOGBRIDGE_REPORT", "stderr");
    let ended = end(run);
    assert!(
        ended.stderr.contains("note: LOGBRIDGE_REPORT=stderr: the report of the program is shown above"),
        "{}",
        ended.stderr
    );
}

/// Runs a command and fails if it does not end by itself.
#[track_caller]
fn ends_by_itself(mut run: Command) -> Ended {
    run.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = run.spawn().expect("the command");
    let stdout = Lines::of(child.stdout.take().expect("stdout"));
    let stderr = Lines::of(child.stderr.take().expect("stderr"));
    let until = std::time::Instant::now() + LONG;
    let status = loop {
        match child.try_wait().expect("a process") {
            Some(status) => break status,
            None if std::time::Instant::now() > until => {
                child.kill().and_then(|()| child.wait()).expect("killed");
                panic!("it waits for ever");
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    Ended { code: status.code(), stdout: stdout.rest(), stderr: stderr.rest() }
}

#[test]
fn a_pipe_instead_of_a_report_does_not_block() {
    let directory = Scratch::new("pipes");
    let pipe = directory.0.join("pipe.json");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let pipe = pipe.to_str().expect("a readable path");
    // A pipe among the reports of programs. The other reports are read.
    let script = r#"
        mkfifo "$LOGBRIDGE_REPORT/report-1.json"
        echo '{"pid": 7}' > "$LOGBRIDGE_REPORT/report-7.json"
        rm "$LOGBRIDGE_REPORT/images"
        mkfifo "$LOGBRIDGE_REPORT/images"
    "#;
    let mut run = logbridge(&["--json"], &["sh", "-c", script]);
    run.env("LOGBRIDGE_REPORT", &directory.0);
    let ended = ends_by_itself(run);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let json: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(json["programs"].as_array().map(Vec::len), Some(1), "{json}");
    assert!(ended.stderr.contains("cannot copy the report there: it is a named pipe"), "{}", ended.stderr);
    assert!(directory.0.join("report-7.json").is_file(), "one that cannot be copied keeps no other back");
    // A pipe in LOGBRIDGE_REPORT.
    let mut run = logbridge(&[], &["sh", "-c", "echo '{\"pid\": 7}' > \"$LOGBRIDGE_REPORT/report-7.json\""]);
    run.env("LOGBRIDGE_REPORT", pipe);
    let ended = ends_by_itself(run);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let nobody = "it is a pipe or a socket without a reader";
    assert!(ended.stderr.contains(&format!("cannot copy the report there: {nobody}")), "{}", ended.stderr);
    // A pipe in --report.
    let ended = ends_by_itself(logbridge(&["--report", pipe], &["echo", "started"]));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "started"), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("error: cannot write {pipe}: {nobody}")), "{}", ended.stderr);
}

/// A directory that is removed on drop.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("logbridge-test-run-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

/// The report waits for the last request, which is answered after the end of the program.
#[test]
fn a_request_still_in_flight_when_the_program_ends_is_counted() {
    let upstream = Receiver::start().expect("a receiver");
    upstream.answer_always(Answer::Hang(Duration::from_millis(400)));
    // A program that does not wait for the response to its request.
    let script = r#"
        port=${OTEL_EXPORTER_OTLP_ENDPOINT##*:}
        body='{"resourceLogs":[{"scopeLogs":[{"scope":{"name":"late"},"logRecords":[{"timeUnixNano":"1700000000000000000","severityNumber":9,"body":{"stringValue":"late"}}]}]}]}'
        exec 3<>/dev/tcp/127.0.0.1/$port
        printf 'POST /v1/logs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s' ${#body} "$body" >&3
    "#;
    let mut run = logbridge(&["--json"], &["bash", "-c", script]);
    run.env("OTEL_EXPORTER_OTLP_ENDPOINT", upstream.endpoint());
    let (json, ended) = account(run);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(upstream.wait_for_logs(1, LONG).len(), 1);
    assert_eq!((&json["log_records"], &json["arrived"][0]["taken"]["info"]), (&1.into(), &1.into()), "{json}");
}
