use crate::config::{BuilderSettings, Config, Environment, Otlp};

/// The URLs of records and spans, including the query.
fn urls(config: &Config) -> [Option<String>; 2] {
    let logs = config.otlp.delivery.as_ref().map(|delivery| &delivery.route);
    let spans = config.span.delivery.as_ref().map(|delivery| &delivery.route);
    [logs, spans].map(|route| route.map(|route| route.endpoint.uri().to_string()))
}

fn resolve(vars: &[(&str, &str)]) -> Config {
    let environment = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    BuilderSettings::default().resolve(&environment).expect("a bad variable is never an error")
}

/// The base URL and the URLs of both signals. `None` means that it is invalid and the default is used.
const BASES: [(&str, Option<[&str; 2]>); 23] = [
    ("http://h:4318", Some(["http://h:4318/v1/logs", "http://h:4318/v1/traces"])),
    ("http://h:4318/", Some(["http://h:4318/v1/logs", "http://h:4318/v1/traces"])),
    ("https://h/otlp", Some(["https://h/otlp/v1/logs", "https://h/otlp/v1/traces"])),
    ("https://h/otlp/", Some(["https://h/otlp/v1/logs", "https://h/otlp/v1/traces"])),
    ("http://h/a/b?tenant=x", Some(["http://h/a/b/v1/logs?tenant=x", "http://h/a/b/v1/traces?tenant=x"])),
    ("http://h?tenant=x", Some(["http://h/v1/logs?tenant=x", "http://h/v1/traces?tenant=x"])),
    // The path is doubled, as specified, and the linter reports that.
    ("http://h/v1/logs", Some(["http://h/v1/logs/v1/logs", "http://h/v1/logs/v1/traces"])),
    ("HTTP://H:4318", Some(["http://H:4318/v1/logs", "http://H:4318/v1/traces"])),
    ("HttpS://h", Some(["https://h/v1/logs", "https://h/v1/traces"])),
    ("http://[::1]:4318", Some(["http://[::1]:4318/v1/logs", "http://[::1]:4318/v1/traces"])),
    ("http://127.0.0.1", Some(["http://127.0.0.1/v1/logs", "http://127.0.0.1/v1/traces"])),
    ("localhost:4318", None),
    ("127.0.0.1:4318", None),
    ("//h:4318", None),
    ("/var/run/otel.sock", None),
    ("unix:///var/run/otel.sock", None),
    ("http://", None),
    ("http:///v1/logs", None),
    ("http://h:", Some(["http://h:/v1/logs", "http://h:/v1/traces"])),
    ("http://h:port", None),
    ("http://u@h:43189", Some(["http://u@h:43189/v1/logs", "http://u@h:43189/v1/traces"])),
    ("http://h:431800", None),
    ("http://h/a b", None),
];

#[test]
fn a_base_url_gets_the_path_of_each_signal() {
    for (base, expected) in BASES {
        let config = resolve(&[("OTEL_EXPORTER_OTLP_ENDPOINT", base), ("HYPERDX_API_ENDPOINT", "http://next")]);
        let bad = config.findings.iter().filter(|finding| finding.name == "bad-url").count();
        let next = ["http://next/v1/logs", "http://next/v1/traces"];
        assert_eq!(urls(&config), expected.unwrap_or(next).map(|url| Some(url.to_owned())), "{base}");
        assert_eq!(bad, usize::from(expected.is_none()), "{base}: said once");
        let code = BuilderSettings { otlp: Some(Otlp::to(base)), ..BuilderSettings::default() }
            .resolve(&Environment::default());
        assert_eq!(code.ok().map(|config| urls(&config)), expected.map(|urls| urls.map(|url| Some(url.to_owned()))));
    }
}

#[test]
fn a_url_for_one_signal_stays_as_it_is() {
    for (url, expected) in [
        ("http://h:4318/v1/logs", Some("http://h:4318/v1/logs")),
        ("http://h:4318/in/", Some("http://h:4318/in/")),
        ("http://h:4318/in?tenant=x", Some("http://h:4318/in?tenant=x")),
        ("http://h:4318", Some("http://h:4318/")),
        ("http://h:4318/", Some("http://h:4318/")),
        ("HTTP://h/in", Some("http://h/in")),
        ("http://[fe80::1]:4318/in", Some("http://[fe80::1]:4318/in")),
        ("h:4318/v1/logs", None),
        ("unix:///var/run/otel.sock", None),
    ] {
        for (variable, index) in [("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", 0), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", 1)] {
            let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://next");
            let config = resolve(&[(variable, url), general]);
            let next = ["http://next/v1/logs", "http://next/v1/traces"];
            let mut all = next.map(|url| Some(url.to_owned()));
            all[index] = Some(expected.unwrap_or(next[index]).to_owned());
            assert_eq!(urls(&config), all, "{variable}={url}");
            let bad = config.findings.iter().any(|finding| finding.name == "bad-url" && finding.place == variable);
            assert_eq!(bad, expected.is_none(), "{variable}={url}");
        }
    }
}
