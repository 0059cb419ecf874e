use super::*;
use Severity::{Error, Note, Warning};

/// Name, severity, bytes and correction of a finding.
type Expected<'a> = (&'a str, Severity, Range<usize>, Option<&'a str>);

#[track_caller]
fn check(spec: &str, expected: &[Expected<'_>]) {
    let found = lint(spec);
    let found: Vec<Expected<'_>> =
        found.iter().map(|f| (f.name, f.severity, f.position.clone(), f.corrected.as_deref())).collect();
    assert_eq!(found, expected, "{spec:?}");
}

/// Checks one finding about a piece after `warn,`, which sets the root and so avoids `lone-directive`.
#[track_caller]
fn one(piece: &str, code: &str, severity: Severity, position: Range<usize>, corrected: Option<&str>) {
    let corrected = corrected.map(|corrected| format!("warn,{corrected}"));
    check(&format!("warn,{piece}"), &[(code, severity, position.start + 5..position.end + 5, corrected.as_deref())]);
}

#[test]
fn the_number_of_findings_is_bounded() {
    for piece in ["a=b,", "a=info,", "x\"y,"] {
        let found = lint(&piece.repeat(20_000));
        assert!(!found.is_empty() || piece == "a=info,", "{piece}");
        assert!(found.len() <= MAX_FINDINGS + 1, "{piece}: {}", found.len());
    }
    let many: String = (0..5_000).map(|number| format!("crate_{number}=info,")).collect();
    assert!(lint(&format!("warn,{many}")).len() <= MAX_FINDINGS);
}

#[test]
fn valid_filters_have_no_findings() {
    for spec in [
        "",
        " ",
        ",",
        "info",
        "INFO",
        "warning",
        "notset",
        "info, app=debug ,db=off",
        "info,app = debug,app::db=",
        "info,app::mod1,warp,tracy=debug",
        "warn,opentelemetry-otlp=off,opentelemetry_sdk=debug",
        "info,app=debug,app::db=trace",
        "off,é=debug",
    ] {
        check(spec, &[]);
    }
}

#[test]
fn unknown_levels() {
    for (level, meant) in [
        ("inof", Some("info")),
        ("INOF", Some("info")),
        ("wran", Some("warn")),
        ("debgu", Some("debug")),
        ("tarce", Some("trace")),
        ("none", Some("off")),
        ("verbose", Some("trace")),
        ("all", Some("trace")),
        ("fatal", Some("error")),
        ("critical", Some("error")),
        ("notice", Some("info")),
        ("0", Some("off")),
        ("3", Some("info")),
        ("6", None),
        ("x", None),
        ("mydebugs", None),
    ] {
        let corrected = meant.map(|meant| format!("app={meant},db=debug"));
        let end = 4 + level.len();
        one(&format!("app={level},db=debug"), "unknown-level", Error, 4..end, corrected.as_deref());
    }
    check("app=inof", &[("unknown-level", Error, 4..8, Some("app=info"))]);
    one("app = inof", "unknown-level", Error, 6..10, Some("app = info"));
}

#[test]
fn levels_as_targets() {
    for (word, meant) in [
        ("inof", Some("info")),
        ("wran", Some("warn")),
        ("debgu", Some("debug")),
        ("none", Some("off")),
        ("all", Some("trace")),
        ("verbose", Some("trace")),
        ("4", Some("debug")),
        ("6", None),
    ] {
        if meant.is_some() {
            check(word, &[("level-as-target", Warning, 0..word.len(), meant)]);
        }
        let corrected = meant.map(|meant| format!("{meant},app=debug"));
        one(&format!("{word},app=debug"), "level-as-target", Warning, 0..word.len(), corrected.as_deref());
    }
}

#[test]
fn wrong_separators() {
    check("app=info;db=debug", &[("separator", Error, 8..9, Some("app=info,db=debug"))]);
    one("app=info;db=debug", "separator", Error, 8..9, Some("app=info,db=debug"));
    check("info db=debug", &[("separator", Warning, 4..5, Some("info,db=debug"))]);
    check("info;", &[("separator", Warning, 4..5, Some("info"))]);
    one("app=info | db=debug", "separator", Error, 8..11, Some("app=info,db=debug"));
    one("app=info\ndb=debug\n", "separator", Error, 8..9, Some("app=info,db=debug\n"));
    one("app=info; db = debug x", "separator", Error, 8..10, Some("app=info,db=debug,x"));
    one("a b,c=info", "separator", Warning, 1..2, Some("a,b,c=info"));
}

#[test]
fn quotes() {
    check("\"info\"", &[("quotes", Error, 0..6, Some("info"))]);
    check(" 'app=debug,db=inof' ", &[("quotes", Error, 1..20, Some(" app=debug,db=inof "))]);
    check("“info”", &[("quotes", Error, 0..10, Some("info"))]);
    one("'app=debug'", "quotes", Error, 0..11, Some("app=debug"));
    one("app=\"debug\"", "quotes", Error, 0..11, Some("app=debug"));
    check(
        "'info','app=debug'",
        &[("quotes", Error, 0..6, Some("info,'app=debug'")), ("quotes", Error, 7..18, Some("'info',app=debug"))],
    );
}

#[test]
fn targets_that_no_module_has() {
    one("my-app=debug", "hyphen", Warning, 0..6, Some("my_app=debug"));
    one("my-app::a-b", "hyphen", Warning, 0..11, Some("my_app::a_b"));
    one("MyApp::Db=debug", "uppercase", Note, 0..5, Some("myapp::Db=debug"));
    check("warn,app::Db=debug", &[]);
}

#[test]
fn two_equals() {
    one("a=b=c", "two-equals", Error, 3..4, None);
    one("app==debug", "two-equals", Error, 4..5, Some("app=debug"));
    one("info=app=debug", "two-equals", Error, 8..9, Some("info,app=debug"));
    one("app=info=debug", "two-equals", Error, 8..9, None);
}

#[test]
fn colons() {
    one("app:debug", "colon", Error, 3..4, Some("app=debug"));
    one("app: debug", "colon", Error, 3..4, Some("app=debug"));
    one("app::info", "colon", Warning, 3..5, Some("app=info"));
    one("app::db::Trace", "colon", Warning, 7..9, Some("app::db=Trace"));
    check("::info", &[("colon", Warning, 0..2, Some("info"))]);
}

#[test]
fn span_directives() {
    for piece in ["[span{field=value}]=info", "[span{a=1,b=\"x y\"}]=info", "app[span]=debug", "[{field}]", "[span{a=1"]
    {
        one(piece, "span-directive", Error, 0..piece.len(), None);
        one(&format!("{piece},x=info"), "span-directive", Error, 0..piece.len(), None);
        assert_eq!(parse(piece).located, []);
    }
}

#[test]
fn stars() {
    check("*=info", &[("star", Warning, 0..1, Some("info"))]);
    check("*", &[("star", Warning, 0..1, Some("trace"))]);
    one("app::*=debug", "star", Warning, 0..6, Some("app=debug"));
    one("app.*", "star", Warning, 0..5, Some("app"));
    one("a*b=debug", "star", Warning, 0..3, None);
    check("*=inof", &[("star", Warning, 0..1, Some("info")), ("unknown-level", Error, 2..6, Some("*=info"))]);
}

#[test]
fn the_root_and_other_directives() {
    check("app=debug", &[("lone-directive", Note, 0..0, Some("warn,app=debug"))]);
    assert!(
        lint_parsed("LOGBRIDGE_OTLP_LEVEL", &parse("app=debug")).is_empty(),
        "an unset root has another meaning there"
    );
    one("opentelemetry=off,opentelemetry_demo=debug", "prefix", Note, 0..13, None);
    one("app=off,app=debug", "repeated", Note, 0..7, Some("app=debug"));
    check("info,debug,app", &[("repeated", Note, 0..4, Some("debug,app"))]);
    check(
        "a,info,a=warn,a=off",
        &[("repeated", Note, 0..1, Some("info,a=warn,a=off")), ("repeated", Note, 7..13, Some("a,info,a=off"))],
    );
}

#[test]
fn compiled_out_levels() {
    let found = lint_with_max("filter", &parse("info,app=debug,db"), LevelFilter::Info);
    let found: Vec<_> = found.iter().map(|f| (f.name, f.severity, f.position.clone(), &f.corrected)).collect();
    assert_eq!(found, [("compiled-out", Warning, 9..14, &None)]);
    assert_eq!(lint_with_max("filter", &parse("trace"), LevelFilter::Debug)[0].position, 0..5);
}

#[test]
fn filters_on_messages() {
    let (usable, path) = if cfg!(feature = "regex") { (Note, Warning) } else { (Error, Error) };
    check("info/paid", &[("message-filter", usable, 4..9, None)]);
    check("info/", &[("message-filter", usable, 4..5, None)]);
    check("info/a(b", &[("message-filter", Error, 4..8, None)]);
    check("info,app/db=debug", &[("message-filter", path, 8..17, Some("info,app::db=debug"))]);
    check("info/a/b", &[("two-slashes", Error, 6..7, None)]);
    check("app/db/pool=debug", &[("two-slashes", Error, 6..7, Some("app::db::pool=debug"))]);
}

#[test]
fn a_finding_has_all_parts() {
    let finding = &lint("warn,app=inof")[0];
    assert_eq!(
        finding.to_string(),
        "error[LB001]: filter: `inof` is not a level: `app=inof` is ignored\n  warn,app=inof\n           ^^^^\n  \
         help: the levels are off, error, warn, info, debug, trace and notset: `warn,app=info`"
    );
    assert_eq!(lint_parsed("RUST_LOG", &parse("warn,a=b=c"))[0].place, "RUST_LOG");
}

/// Returns random text, mostly of pieces that have a meaning in filters.
fn random(rng: &mut fastrand::Rng) -> String {
    const PIECES: [&str; 36] = [
        ",", ",", ",", "=", "=", ":", "::", ";", "|", " ", "\n", "/", "*", "\"", "'", "[", "]", "{", "}", "-", "é",
        "”", "\u{a0}", "日本", "İ", "app", "app_db", "App", "info", "inof", "none", "debug", "off", "6", "warn", "🦀",
    ];
    (0..rng.usize(..12))
        .map(|_| match rng.u8(..10) {
            0 => rng.char(..).to_string(),
            _ => PIECES[rng.usize(..PIECES.len())].to_owned(),
        })
        .collect()
}

#[test]
fn any_text_can_be_linted_and_corrected() {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut corrections = 0;
    for _ in 0..30_000 {
        let spec = random(&mut rng);
        let found = lint(&spec);
        assert!(found.is_sorted_by_key(|f| f.position.start), "{spec:?}");
        for finding in &found {
            assert!(spec.get(finding.position.clone()).is_some(), "{spec:?} {finding:?}");
            assert_ne!(finding.corrected.as_deref(), Some(spec.as_str()), "{finding:?}");
        }
        for pair in found.windows(2) {
            assert!((pair[0].name, &pair[0].position) != (pair[1].code, &pair[1].position), "{spec:?}");
        }
        // Each ignored piece has a finding.
        for problem in parse(&spec).problems.iter().filter(|problem| !problem.text.starts_with('/')) {
            let covers = |f: &Finding| f.position.start < problem.span.end && problem.span.start < f.position.end;
            assert!(found.iter().any(|f| f.severity == Error && covers(f)), "{spec:?} {problem:?} {found:?}");
        }
        let bad: Vec<&Finding> = found.iter().filter(|f| f.severity > Note).collect();
        if let [only] = bad.as_slice()
            && let Some(corrected) = &only.corrected
        {
            corrections += 1;
            assert!(lint(corrected).iter().all(|f| f.name != only.code), "{spec:?} {corrected:?} {only:?}");
        }
    }
    assert!(corrections > 1_000, "{corrections}");
}
