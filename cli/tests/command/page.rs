//! The page of `logbridge run --report` in a browser: it shows its charts, runs no script and loads nothing.
//!
//! `LOGBRIDGE_TEST_CHROMIUM` is the path of the browser.

#![cfg(unix)]
#![allow(clippy::disallowed_methods, clippy::expect_used)] // A test may panic, and reads what it was told.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::listening::Lines;

/// Markup that would change the title if it were not escaped.
const HOSTILE: &str = r#"<script>document.title='pwned'</script><img src=x onerror="document.title='pwned'">"#;

/// A directory that is removed on drop.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

/// Creates a page with hostile text in every untrusted place.
fn page(directory: &Path) -> PathBuf {
    let body = serde_json::json!({"resourceLogs": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": HOSTILE}}]},
        "scopeLogs": [{"scope": {"name": HOSTILE}, "logRecords": [
            {"timeUnixNano": "0", "severityNumber": 9, "body": {"stringValue": HOSTILE}},
            {"timeUnixNano": "1700000000000000000", "severityNumber": 17, "body": {"stringValue": "declined"}},
        ]}],
    }]});
    let report = serde_json::json!({
        "pid": 1, "service": HOSTILE, "offered": 9, "below": 6, "passed": 3, "otlp": {"dropped": {HOSTILE: 1}},
        "cuts": [{"stage": HOSTILE, "target": HOSTILE, "level": HOSTILE, "records": 6, "by": HOSTILE}],
        "findings": [{"code": HOSTILE, "place": HOSTILE, "text": HOSTILE, "help": HOSTILE}],
        "notices": [{"text": HOSTILE}],
    });
    std::fs::write(directory.join("body"), body.to_string()).expect("written");
    std::fs::write(directory.join("report"), report.to_string()).expect("written");
    let script = r#"
        cp report "$LOGBRIDGE_REPORT/report-1.json"
        port=${OTEL_EXPORTER_OTLP_ENDPOINT##*:}
        send() {
            exec 3<>/dev/tcp/127.0.0.1/$port
            printf 'POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n' "$1" "$(wc -c < body)" >&3
            cat body >&3
            cat <&3 > /dev/null
        }
        send /v1/logs
        send "/<script>"
        # $0 is in the heading.
    "#;
    let path = directory.join("page.html");
    let mut run = Command::new(env!("CARGO_BIN_EXE_logbridge"));
    run.env_clear().env("PATH", "/usr/bin:/bin").current_dir(directory).args(["run", "--report"]).arg(&path);
    let status = run.args(["--", "bash", "-c", script, HOSTILE]).stderr(Stdio::null()).status().expect("the command");
    assert_eq!(status.code(), Some(0));
    path
}

/// What the browser did with a page.
struct Seen {
    dom: String,
    log: String,
    /// The URLs that it requested, except for its own services.
    asked: Vec<String>,
}

impl Seen {
    /// Messages of the page on the console of the browser.
    fn complaints(&self) -> Vec<&str> {
        self.log.lines().filter(|line| line.contains(":CONSOLE")).collect()
    }
}

fn browse(chromium: &str, directory: &Path, arguments: &[&str], url: &str) -> Seen {
    let mut command = Command::new(chromium);
    command.args([
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        "--v=0",
        "--hide-scrollbars",
    ]);
    // No host name can be resolved.
    command.args(["--host-resolver-rules=MAP * ~NOTFOUND", "--no-first-run", "--disable-background-networking"]);
    command.arg(format!("--user-data-dir={}", directory.join("profile").display()));
    command.arg(format!("--log-net-log={}", directory.join("net.json").display()));
    let mut child = command
        .args(arguments)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the browser");
    let (stdout, stderr) = (child.stdout.take().expect("stdout"), child.stderr.take().expect("stderr"));
    let (dom, log) = (Lines::of(stdout), Lines::of(stderr));
    assert!(child.wait().expect("an end").success());
    let network = std::fs::read_to_string(directory.join("net.json")).expect("an account of the network");
    let asked = network.split("\"url\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    // Services of the browser itself, requested for every page.
    let is_own = |url: &str| {
        let host = url.split('/').nth(2).unwrap_or_default();
        ["google.com", "googleapis.com", "gvt1.com"].iter().any(|own| host.ends_with(own))
    };
    let asked = asked.filter(|url| url.starts_with("http") && !is_own(url)).map(str::to_owned).collect();
    Seen { dom: dom.rest(), log: log.rest(), asked }
}

#[test]
#[ignore = "needs a browser: LOGBRIDGE_TEST_CHROMIUM names it"]
fn a_browser_shows_it_runs_nothing_and_loads_nothing() {
    let chromium = std::env::var("LOGBRIDGE_TEST_CHROMIUM").expect("LOGBRIDGE_TEST_CHROMIUM names a browser");
    let scratch = Scratch(std::env::temp_dir().join(format!("logbridge-test-page-{}", std::process::id())));
    std::fs::create_dir_all(&scratch.0).expect("a directory");
    let page = page(&scratch.0);
    let url = format!("file://{}", page.display());

    let seen = browse(&chromium, &scratch.0, &["--dump-dom"], &url);
    assert_eq!(seen.dom.matches("<svg").count(), 2, "{}", seen.dom);
    assert!(seen.dom.contains("class=\"band ") && seen.dom.contains("class=\"node level-error\""), "{}", seen.dom);
    // Unescaped text would become elements.
    assert!(!seen.dom.contains("<script") && !seen.dom.contains("<img"), "{}", seen.dom);
    assert!(seen.dom.contains("<title>Report of bash") && !seen.dom.contains("<title>pwned"));
    assert_eq!((seen.complaints(), seen.asked.as_slice()), (Vec::new(), &[][..]));

    // Another page shows that scripts and requests would be noticed.
    let twin = scratch.0.join("twin.html");
    std::fs::write(&twin, "<script>nobody()</script><img src='http://127.0.0.1:9/x'>").expect("written");
    let seen = browse(&chromium, &scratch.0, &["--dump-dom"], &format!("file://{}", twin.display()));
    assert!(seen.complaints().iter().any(|line| line.contains("nobody is not defined")), "{}", seen.log);
    assert!(seen.asked.contains(&"http://127.0.0.1:9/x".to_owned()), "{:?}", seen.asked);

    // The page has a light and a dark color scheme.
    let shot = |name: &str, scheme: &str| {
        let path = scratch.0.join(name);
        let to = format!("--screenshot={}", path.display());
        let scheme = format!("--blink-settings=preferredColorScheme={scheme}");
        browse(&chromium, &scratch.0, &[&to, &scheme, "--window-size=1000,1400"], &url);
        std::fs::read(path).expect("a picture")
    };
    let (dark, light) = (shot("dark.png", "0"), shot("light.png", "1"));
    assert!(
        dark.starts_with(b"\x89PNG") && light.starts_with(b"\x89PNG") && dark.len() > 20_000 && light.len() > 20_000
    );
    assert_ne!(dark, light);
}
