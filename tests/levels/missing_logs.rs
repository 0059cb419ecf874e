//! The causes of stage C in docs/missing-logs.md: for each one, a finding reports it, or it cannot happen.

#![allow(clippy::expect_used)] // A test may panic.

use log::Log as _;
use logbridge::levels::lint;
use logbridge::{Bridge, Builder, Console, Env, Level, LevelFilter, Otlp};

/// What a program gets whose RUST_LOG is this.
fn with(spec: &str) -> Bridge {
    let env = Env::new().filter_or("A_NAME_THAT_IS_NOT_SET", spec);
    Builder::from_env(env).otlp(Otlp::off()).console(Console::stderr()).build().expect("builds")
}

fn passes(spec: &str, target: &str, level: Level) -> bool {
    with(spec).logger().enabled(&log::Metadata::builder().target(target).level(level).build())
}

/// The codes of what is found in a filter, and the mended one.
#[track_caller]
fn found(spec: &str, code: &str, corrected: Option<&str>) {
    let findings = lint(spec);
    let finding = findings.iter().find(|finding| finding.name == code);
    let finding = finding.unwrap_or_else(|| panic!("no `{code}` in `{spec}`: {findings:?}"));
    assert_eq!(finding.corrected.as_deref(), corrected, "{finding}");
    assert!(!finding.text.is_empty() && finding.evidence == spec);
}

#[test]
fn c1_a_filter_that_nobody_set() {
    // One meaning everywhere, printed with the table and told at the first cut (`levels::the_first_cut_…`).
    assert!(passes("", "app", Level::Warn) && !passes("", "app", Level::Info));
    assert!(with("").levels().to_string().contains("NOTSET means WARN"));
}

#[test]
fn c2_a_typo_becomes_a_target() {
    found("inof", "level-as-target", Some("info"));
    found("none", "level-as-target", Some("off"));
    found("app=inof", "unknown-level", Some("app=info"));
    found("app:info", "colon", Some("app=info"));
    assert_eq!(lint("warning"), [], "a level here");
    assert!(passes("warning", "app", Level::Warn));
}

#[test]
fn c3_c4_separators() {
    found("app=info;db=debug", "separator", Some("app=info,db=debug"));
    found("info db=debug", "separator", Some("info,db=debug"));
    assert!(passes("warn, app=debug", "app", Level::Debug), "a space behind the comma is fine");
}

#[test]
fn c5_quotes_of_an_environment_file() {
    found("\"info\"", "quotes", Some("info"));
    found("'app=debug'", "quotes", Some("app=debug"));
}

#[test]
fn c6_a_hyphen_for_an_underscore() {
    found("my-app=debug", "hyphen", Some("my_app=debug"));
}

#[test]
fn c7_c23_a_prefix_that_also_hides_another_crate() {
    let bridge = with("info,opentelemetry=off");
    bridge.logger().enabled(&log::Metadata::builder().target("opentelemetry_demo").level(Level::Info).build());
    let findings = bridge.levels().findings();
    assert!(findings.iter().any(|finding| finding.name == "prefix"), "{findings:?}");
    assert!(passes("info,opentelemetry::=off", "opentelemetry_demo", Level::Info), "the way out");
    // No anti-loop filter is needed: the crate's own threads write no records (`exit::an_idle_process_…`).
}

#[test]
fn c8_the_longest_target_wins_and_explain_says_which() {
    let bridge = with("app=debug,app::x=off");
    let gate = bridge.explain("app::x", Level::Error);
    let gate = gate.stopped_before_console().expect("stopped");
    assert!(gate.why.contains("app::x=OFF"), "{}", gate.why);
}

#[test]
fn c9_c18_one_targeted_directive_leaves_the_rest_at_warn() {
    assert!(passes("app=debug", "other", Level::Warn), "not off");
    found("app=debug", "lone-directive", Some("warn,app=debug"));
}

#[test]
fn c10_what_cannot_be_used_is_told_and_the_rest_counts() {
    found("app=x=y,db=debug", "two-equals", None);
    assert!(passes("app=x=y,db=debug", "db", Level::Debug));
    assert!(Builder::new().parse_filters("app=x=y").build().is_err(), "in code it is an error");
}

#[test]
fn c11_a_target_of_its_own_is_counted_and_explained() {
    // `levels::cuts_are_counted_by_target_and_directive` has the counts.
    assert!(!with("app=debug").explain("audit", Level::Info).common.iter().all(|gate| gate.passes));
}

#[test]
fn c12_a_filter_on_the_text() {
    found("info/paid", "message-filter", None);
    found("info/a/b", "two-slashes", None);
}

#[test]
fn c13_span_directives_of_env_filter() {
    found("app[req{id=1}]=debug", "span-directive", None);
}

#[test]
fn c25_log_has_no_filter_of_its_own_and_needs_none() {
    assert_eq!(with("app=debug").logger().filter(), LevelFilter::Debug);
    assert!(!passes("app=debug", "other", Level::Info), "targets are filtered for `log` too");
}

// Causes of docs/missing-logs.md that cannot happen here, or are tested elsewhere:
//
// * C14, C15, C16 (filters and level hints of other layers): as the root, the layer filters nothing for others; as a
//   guest it has no hint and is always interested (`stale_filter.rs`, `correlation.rs`).
// * C17, C21, C22 (cached interests): changes rebuild the caches, and callsites that vary are asked each time
//   (`levels::a_call_after_a_change_obeys_it_in_both_facades`, `levels::probes_before_events_lose_none`).
// * C19, C20 (stale filter state): `stale_filter.rs`.
// * C24 (the targets of the SDK's own logs): `opentelemetry-otlp` has a hyphen, and the linter accepts it.
// * C26 (thresholds elsewhere): the SDK 0.33.1 has none, and those of a backend are outside this process.
#[test]
fn c24_the_hyphen_of_opentelemetry_is_real() {
    assert!(lint("info,opentelemetry-otlp=debug").iter().all(|finding| finding.name != "hyphen"));
}
