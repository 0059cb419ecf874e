//! Output and exit status of the subcommands that do not receive telemetry. `tests/replay` tests what `replay` sends.

#![allow(clippy::expect_used)] // A test may panic.

use std::path::Path;
use std::process::{Command, Output};

fn logbridge(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logbridge"));
    command.env_clear().args(arguments);
    command
}

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

#[track_caller]
fn run(mut command: Command) -> Ended {
    let Output { status, stdout, stderr } = command.output().expect("the command");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ended { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

#[track_caller]
fn explain(filter: &str, target: &str, level: &str) -> Ended {
    run(logbridge(&["explain", filter, target, level]))
}

#[test]
fn a_filtered_record_is_explained_with_the_directive_and_the_change() {
    let ended = explain("info,hyper=warn,shop::db=debug", "hyper::proto", "info");
    let expected = r#"hyper::proto at INFO
  STOP  module stage  RUST_LOG: hyper=WARN
        info,hyper=warn,shop::db=debug
             ^^^^^^^^^^ decides
             change:  add hyper::proto=info to RUST_LOG
                 or:  in code: Builder::filter_module("hyper::proto", LevelFilter::Info)
                 or:  at run time: bridge.levels().set("hyper::proto", LevelFilter::Info)
  it is filtered
"#;
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str(), ended.code), (expected, "", Some(1)));
}

#[test]
fn a_passing_record_is_explained_with_the_mistakes_in_the_filter() {
    let ended = explain("info,hyper=wran", "shop", "WARNING");
    let expected = "shop at WARN
  pass  module stage  RUST_LOG: INFO
        info,hyper=wran
        ^^^^ decides
  it passes

error[LB001]: RUST_LOG: `wran` is not a level: `hyper=wran` is ignored
  info,hyper=wran
             ^^^^
  help: the levels are off, error, warn, info, debug, trace and notset: `info,hyper=warn`
";
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str(), ended.code), (expected, "", Some(0)));
}

#[test]
fn an_unset_root_level_is_reported() {
    let ended = explain("", "shop", "info");
    assert!(ended.stdout.contains("not set: at the root, NOTSET means WARN"), "{}", ended.stdout);
    assert_eq!(ended.code, Some(1));
    let ended = explain("shop=debug/paid", "shop::db", "debug");
    assert!(ended.stdout.contains("  it passes if its text matches `paid`\n"), "{}", ended.stdout);
    assert_eq!(ended.code, Some(0));
}

#[test]
fn a_filter_cannot_forge_output() {
    let ended = explain("info,\u{1b}[2Jx\n=warn", "a\u{1b}[2J\nb", "info");
    assert!(!ended.stdout.contains('\u{1b}'), "{:?}", ended.stdout);
    assert!(ended.stdout.starts_with("a\\u{1b}[2J\\nb at INFO\n"), "{:?}", ended.stdout);
    assert!(!ended.stdout.contains("x\n"), "{:?}", ended.stdout);
}

#[test]
fn colors_follow_the_variables() {
    let with = |variables: &[(&str, &str)]| {
        let mut command = logbridge(&["explain", "info", "shop", "info"]);
        command.envs(variables.iter().copied());
        run(command).stdout
    };
    assert!(with(&[("CLICOLOR_FORCE", "1")]).contains("\u{1b}[1;32mpass\u{1b}[0m"));
    for plain in [&[][..], &[("NO_COLOR", "1")], &[("NO_COLOR", "1"), ("CLICOLOR", "1")]] {
        assert!(!with(plain).contains('\u{1b}'), "{plain:?}");
    }
}

#[test]
fn incorrect_usage_exits_with_2() {
    let temp = std::env::temp_dir();
    let directory = temp.to_str().expect("a readable name");
    for (arguments, said) in [
        (&[][..], "Usage: logbridge <COMMAND>"),
        (&["explain", "info"], "unknown finding code `info`"),
        (&["explain", "info", "shop", "off"], "expected error, warn, info, debug or trace"),
        (&["explain", "info", "shop", "inof"], "expected error, warn, info, debug or trace"),
        (&["replay"], "<DIRECTORY>"),
        (&["replay", directory, "--timeout", "soon"], "expected a duration such as 500ms, 30s or 5m"),
        (&["replay", directory, "--timeout", "5h"], "unknown unit `h`"),
        (&["replay", directory, "--timeout", "5"], "missing unit: write 5s for seconds or 5ms for milliseconds"),
        (&["replay", directory, "--endpoint", "nope"], "error: --endpoint is invalid: `nope` is not a URL"),
        (&["reply", directory], "replay"),
    ] {
        let ended = run(logbridge(arguments));
        assert!(ended.stderr.contains(said), "{arguments:?}: {}", ended.stderr);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!ended.stderr.contains('\u{1b}'), "{arguments:?}");
    }
    let mut off = logbridge(&["replay", directory]);
    let ended = run({
        off.env("OTEL_SDK_DISABLED", "true");
        off
    });
    assert!(
        ended.stderr.starts_with("error: sending is disabled: OTEL_SDK_DISABLED is true\n  help: "),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.code, Some(2));
}

#[test]
fn help_names_the_exit_codes() {
    for arguments in [&["--help"][..], &["help", "replay"], &["explain", "-h"]] {
        let ended = run(logbridge(arguments));
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(ended.stdout.contains("Usage: logbridge"), "{}", ended.stdout);
    }
    let help = run(logbridge(&["--help"])).stdout;
    for line in ["  0  success\n", "  1  a problem was found, or the operation failed\n", "  2  incorrect usage\n"] {
        assert!(help.contains(line), "{help}");
    }
    assert!(run(logbridge(&["--version"])).stdout.contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn an_unreadable_directory_is_reported_with_help() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let file = file.to_str().expect("a readable name");
    let nowhere = format!("{file}.d");
    for verb in [&["replay"][..], &["replay", "--dry-run"], &["replay", "--json"]] {
        for (directory, said) in [(file, "is not a directory\n"), (nowhere.as_str(), "does not exist\n")] {
            let ended = run(logbridge(&[verb, &[directory]].concat()));
            assert!(
                ended.stderr.starts_with(&format!("error: `{directory}` {said}  help: pass the directory")),
                "{}",
                ended.stderr
            );
            assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{verb:?}");
        }
    }
}

fn doctor(arguments: &[&str]) -> Command {
    let mut command = logbridge(&["doctor"]);
    command.args(arguments).current_dir("/");
    command
}

#[test]
fn doctor_exits_according_to_its_findings() {
    let silent = run(doctor(&["environment"]));
    assert_eq!((silent.code, silent.stderr.as_str()), (Some(0), ""));
    assert!(silent.stdout.contains("note[LB054]") && !silent.stdout.contains("no findings"), "{}", silent.stdout);
    let mut command = doctor(&["environment"]);
    command.env("OTEL_SERVICE_NAME", "shop");
    let well = run(command);
    assert_eq!((well.code, well.stderr.as_str()), (Some(0), ""));
    assert!(well.stdout.contains("environment\n") && well.stdout.contains("  no findings\n"), "{}", well.stdout);
    let mut command = doctor(&["environment"]);
    command.env("RUST_LOG", "shop=inof");
    let ill = run(command);
    assert_eq!(ill.code, Some(1));
    assert!(ill.stdout.contains("  error[LB001]: RUST_LOG: `inof` is not a level"), "{}", ill.stdout);
    assert!(ill.stdout.contains("1 error") && ill.stdout.contains("`logbridge explain LB001`"), "{}", ill.stdout);
    // A note alone is not a failure.
    let mut command = doctor(&["environment"]);
    command.env("RUST_LOG", "shop=info");
    let noted = run(command);
    assert_eq!(noted.code, Some(0), "{}", noted.stdout);
    assert!(noted.stdout.contains("note[LB009]"), "{}", noted.stdout);
}

#[test]
fn doctor_skips_missing_stages() {
    let alone = run(doctor(&[]));
    assert_eq!((alone.code, alone.stdout.as_str()), (Some(2), ""), "{}", alone.stderr);
    assert!(alone.stderr.contains("check only `environment` or `endpoint`"), "{}", alone.stderr);
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let ended = run(doctor(&["--manifest-path", manifest]));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("not checked: neither --endpoint nor the environment names one"), "{}", ended.stdout);
}

#[test]
fn doctor_reports_incorrect_usage() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for (arguments, said) in [
        (&["project"][..], "no Cargo.toml in this directory or its parents"),
        (&["project", "--manifest-path", "/no/Cargo.toml"], "`/no/Cargo.toml`"),
        (&[], "no Cargo.toml in this directory or its parents"),
        (&["--manifest-path", manifest, "--profile", "nosuch"], "unknown profile `nosuch`"),
        (&["--manifest-path", manifest, "-p", "nosuch"], "the project has no package `nosuch`"),
        (&["--manifest-path", manifest, "--features", "tls,nosuch"], "the project has no feature `nosuch`"),
        (&["--manifest-path", manifest, "--features", "nosuch"], "default, grpc, gzip, official-appenders"),
        (&["endpoint", "--endpoint", "collector:4318"], "--endpoint"),
        (&["endpoint", "--endpoint", "http://user:s3cret@[::1"], "`http://…@[::1` is not a URL"),
        (&["nosuch"], "invalid value 'nosuch'"),
        (&["--release", "--profile", "dev"], "cannot be used with"),
    ] {
        let ended = run(doctor(arguments));
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(said) && !ended.stderr.contains("s3cret"), "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn doctor_in_json_is_one_object() {
    let mut command = doctor(&["environment", "--json"]);
    command.env("OTEL_EXPORTER_OTLP_TIMEOUT", "10");
    let ended = run(command);
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!((json["warnings"].as_u64(), json["errors"].as_u64()), (Some(1), Some(0)));
    let finding = &json["stages"][0]["findings"][0];
    for (key, value) in [
        ("code", "LB038"),
        ("name", "suspicious-unit"),
        ("severity", "warning"),
        ("verdict", "dropped"),
        ("place", "OTEL_EXPORTER_OTLP_TIMEOUT"),
    ] {
        assert_eq!(finding[key], value, "{finding}");
    }
}
