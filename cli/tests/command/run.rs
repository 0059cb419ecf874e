//! `logbridge run`: the program's streams, signals and exit code are its own; what it sends is passed on; and the account at
//! the end is right.
//!
//! The programs are shells, and this program itself: [`program`] is what it does then.

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

/// Which program this process is to be.
const PROGRAM: &str = "LOGBRIDGE_TEST_PROGRAM";

/// What `logbridge run` said, and how it ended.
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

/// This program as another one.
fn program_named(name: &str, arguments: &[&str]) -> Command {
    let own = std::env::current_exe().expect("the path of this program");
    let mut run = logbridge(
        arguments,
        &[own.to_str().expect("a readable path"), "--exact", "run::program", "--ignored", "--nocapture"],
    );
    run.env(PROGRAM, name);
    run
}

/// The JSON behind what the program prints.
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

/// Not a test: what runs inside of `logbridge run`.
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
    assert!(forbidden.stderr.starts_with("error: `/etc/passwd` may not be executed\n"), "{}", forbidden.stderr);
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
fn the_program_sees_an_endpoint_here_and_its_headers_stay() {
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
fn what_arrives_is_counted_and_passed_on() {
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
    // Without an upstream, or where it is not wanted.
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
fn what_the_endpoint_answers_is_told_and_reaches_the_program() {
    let upstream = Receiver::start().expect("a receiver");
    upstream.answer_always(Answer::Status { code: 401, retry_after: None, body: "no such key".to_owned() });
    let mut run = program_named("refused", &[]);
    run.env("OTEL_EXPORTER_OTLP_ENDPOINT", upstream.endpoint());
    let ended = end(run);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("\nanswers of http://127.0.0.1:"), "{}", ended.stderr);
    assert!(ended.stderr.contains("it answered 401 Unauthorized (it refused the credentials): \"no such key\""));
    assert!(ended.stderr.contains("  shop     shop::cart     1  "), "{}", ended.stderr);
    assert!(ended.stderr.contains("error[LB082]: the endpoint: http://127.0.0.1:"), "{}", ended.stderr);
    assert!(ended.stderr.contains(" took none of 1 log record (it answered 401"), "{}", ended.stderr);
    assert!(ended.stderr.contains("1 log record sent by the program, none taken by the endpoint"), "{}", ended.stderr);
}

/// The terminal, the JSON and the page say the same of an endpoint that is not there.
#[test]
fn an_endpoint_that_takes_nothing_is_a_finding_everywhere() {
    let directory = Scratch::new("dead");
    let page = directory.0.join("page.html");
    // The same request three times, as exporters try again; and a span.
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
    assert!(text.starts_with("http://127.0.0.1:1 took none of 1 log record and 1 span ("), "{text}");
    assert!(text.ends_with(", 4 tries)"), "{text}");
    assert_eq!((&json["log_records"], &json["not_taken"]["spans"]), (&1.into(), &1.into()), "{json}");
    let page = std::fs::read_to_string(&page).expect("a page");
    for part in [
        "1 log record and 1 span sent by the program, none taken by the endpoint",
        "took none of 1 log record and 1 span",
        "<dt>log records arrived</dt><dd>0</dd>",
        "<dt>refused or dropped</dt><dd>1</dd>",
        "<dt>spans not taken</dt><dd>1</dd>",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("all is as it should be"), "{page}");
}

/// Neither what the endpoint repeats of a request's key, nor what the command line says of one.
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
fn a_program_that_sends_nothing_is_told_why_that_may_be() {
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
fn what_programs_say_of_themselves_is_in_the_account() {
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
fn a_program_with_logbridge_says_what_became_of_its_records() {
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
fn what_a_text_filter_stops_is_not_said_to_be_below_a_level() {
    let run = |arguments: &[&str]| {
        let mut run = program_named("unmatched", arguments);
        run.env("RUST_LOG", "info/zzz").env("NO_COLOR", "1");
        run
    };
    let (json, ended) = account(run(&["--json"]));
    let text = json["findings"][0]["text"].as_str().expect("a text");
    assert!(text.contains("4 records did not match the text filter"), "{text}{}", ended.stderr);
    assert!(
        json["findings"][0]["help"].as_str().is_some_and(|help| help.contains("behind the `/` in RUST_LOG")),
        "{json}"
    );
    assert_eq!((&json["programs"][0]["below"], &json["programs"][0]["unmatched"]), (&0.into(), &4.into()), "{json}");
    assert!(json["flows"].as_array().is_some_and(|flows| flows.iter().all(|flow| flow["fate"] != "below the level")));
    let shown = end(run(&[])).stderr;
    assert!(shown.contains("        4  did not match the text filter\n"), "{shown}");
    assert!(!shown.contains("below their level"), "{shown}");
}

#[test]
fn the_words_of_a_request_are_cut_in_the_account() {
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
fn a_program_that_calls_exec_is_told_of() {
    let text = |finding: &Value| finding["text"].as_str().expect("a text").to_owned();
    let reports = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("replaced-{}", std::process::id()));
    std::fs::create_dir_all(&reports).expect("a directory");
    let mut replaced = program_named("replaced", &["--json"]);
    replaced.env("LOGBRIDGE_REPORT", &reports);
    let (json, ended) = account(replaced);
    assert_eq!((codes(&json), ended.code), (vec!["LB086"], Some(0)), "{json}");
    let said = text(&json["findings"][0]);
    assert!(said.contains("called `exec`") && said.contains("what it had not flushed by then is lost"), "{said}");
    // And so does the next program itself.
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

    // One that nobody hears of again.
    let (json, ended) = account(program_named("replaced by another", &["--json"]));
    assert_eq!((codes(&json), ended.code), (vec!["LB091", "LB086"], Some(0)), "{json}");
    assert!(json["findings"].as_array().expect("findings").iter().all(|one| text(one).contains("`exec`")), "{json}");
    // Whoever comes to an end is not told of.
    assert_eq!(codes(&account(program_named("healthy", &["--json"])).0), Vec::<&str>::new());
}

#[test]
fn the_level_of_the_destination_is_named_where_that_is_what_stopped_records() {
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

/// Posts what is in the file `body` to `/v1/logs`, by bash.
const POST: &str = r#"
    exec 3<>/dev/tcp/127.0.0.1/${OTEL_EXPORTER_OTLP_ENDPOINT##*:}
    printf 'POST /v1/logs HTTP/1.1\r\nhost: localhost\r\n%bcontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n' "$1" "$(wc -c < body)" >&3
    cat body >&3
    cat <&3
    echo
"#;

/// A program that posts this, with these headers.
fn posting(name: &str, body: &str, headers: &str, arguments: &[&str]) -> (Scratch, Command) {
    let directory = Scratch::new(name);
    std::fs::write(directory.0.join("body"), body).expect("written");
    let mut run = logbridge(arguments, &["bash", "-c", POST, "post", headers]);
    run.current_dir(&directory.0);
    (directory, run)
}

#[test]
fn requests_without_records_are_the_reason_why_nothing_arrived() {
    for (name, body, said) in [
        (
            "snake",
            r#"{"resource_logs":[]}"#,
            "request without records: unknown key `resource_logs`: keys of OTLP/JSON are",
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
            text.starts_with("nothing arrived: a request came that nobody understands: ") && text.contains(said),
            "{text}"
        );
    }
}

#[test]
fn pages_of_others_may_not_send_to_a_program_that_runs() {
    let origin = "origin: https://evil.example\\r\\n";
    let (_directory, run) = posting("origin", "{}", origin, &[]);
    let ended = end(run);
    assert!(ended.stdout.starts_with("HTTP/1.1 403 "), "{}", ended.stdout);
    let (_directory, run) = posting("allowed", "{}", origin, &["--allow-origin", "https://evil.example"]);
    let ended = end(run);
    assert!(ended.stdout.starts_with("HTTP/1.1 200 "), "{}", ended.stdout);
}

#[test]
fn nothing_that_arrives_can_do_anything_to_a_terminal_or_to_a_page() {
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
fn a_page_is_written_and_one_that_cannot_be_is_told() {
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
    assert!(ended.stderr.contains("error: /no/such/directory/report.html cannot be written"), "{}", ended.stderr);
}

#[test]
fn an_endpoint_that_is_none_is_told_and_nothing_is_passed_on() {
    let mut run = program_named("healthy", &["--json"]);
    run.env("OTEL_EXPORTER_OTLP_ENDPOINT", "nonsense");
    let (json, ended) = account(run);
    assert_eq!((ended.code, codes(&json)), (Some(0), vec!["LB022"]), "{json}");
    assert_eq!((&json["upstream"], &json["arrived"][0]["taken"]["info"]), (&Value::Null, &3.into()), "{json}");
    assert_eq!(json["findings"][0]["place"], "OTEL_EXPORTER_OTLP_ENDPOINT", "{json}");
    let text = json["findings"][0]["text"].as_str().expect("a text");
    assert!(
        text.starts_with("`nonsense` has no http:// or https:// in front") && text.contains("nothing is passed on")
    );
}

/// What switches a program's logs off is no reason not to run it.
#[test]
fn a_program_that_sends_no_logs_is_run_all_the_same() {
    let upstream = Receiver::start().expect("a receiver");
    let mut run = logbridge(&["--json"], &["true"]);
    run.env("OTEL_EXPORTER_OTLP_ENDPOINT", upstream.endpoint()).env("OTEL_SDK_DISABLED", "true");
    let (json, ended) = account(run);
    assert_eq!((ended.code, codes(&json)), (Some(0), vec!["LB091"]), "{}", ended.stderr);
    let text = json["findings"][0]["text"].as_str().expect("a text");
    assert!(text.contains("OTEL_SDK_DISABLED=true switches sending off"), "{text}");
}

#[test]
fn reports_that_somebody_wants_are_kept() {
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
    assert!(ended.stderr.contains("note: LOGBRIDGE_REPORT=stderr: for this run the report"), "{}", ended.stderr);
}

/// Runs it, and kills it where it does not end by itself.
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
fn a_pipe_in_the_place_of_a_report_is_not_waited_for() {
    let directory = Scratch::new("pipes");
    let pipe = directory.0.join("pipe.json");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let pipe = pipe.to_str().expect("a readable path");
    // Among the reports of programs: what else is there is read.
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
    assert!(ended.stderr.contains("the report cannot be copied there: it is a named pipe"), "{}", ended.stderr);
    assert!(directory.0.join("report-7.json").is_file(), "one that cannot be copied keeps no other back");
    // Where the report is wanted.
    let mut run = logbridge(&[], &["sh", "-c", "echo '{\"pid\": 7}' > \"$LOGBRIDGE_REPORT/report-7.json\""]);
    run.env("LOGBRIDGE_REPORT", pipe);
    let ended = ends_by_itself(run);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let nobody = "it is a pipe or a socket without a reader";
    assert!(ended.stderr.contains(&format!("the report cannot be copied there: {nobody}")), "{}", ended.stderr);
    // Where the page is wanted.
    let ended = ends_by_itself(logbridge(&["--report", pipe], &["echo", "started"]));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "started"), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("error: {pipe} cannot be written: {nobody}")), "{}", ended.stderr);
}

/// A directory that is removed at the end.
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

/// That requests under way are waited for: the program is gone when its last one is answered.
#[test]
fn a_request_that_is_still_passed_on_when_the_program_ends_is_counted() {
    let upstream = Receiver::start().expect("a receiver");
    upstream.answer_always(Answer::Hang(Duration::from_millis(400)));
    // It writes a request and does not wait for the answer.
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
