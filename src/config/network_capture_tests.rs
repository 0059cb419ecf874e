use super::*;
use crate::config::{BuilderSettings, Environment};

fn resolve<const N: usize>(code: Option<NetworkCapture>, variables: [(&str, &str); N]) -> (HttpSettings, Vec<String>) {
    let settings = BuilderSettings { network_capture: code, ..BuilderSettings::default() };
    let config = settings.resolve(&Environment::from(variables)).unwrap();
    let findings = config.findings.iter().map(|finding| finding.to_string()).collect();
    (config.http, findings)
}

fn mode<const N: usize>(code: Option<NetworkCapture>, variables: [(&str, &str); N]) -> CaptureMode {
    let (settings, findings) = resolve(code, variables);
    assert!(findings.is_empty(), "{findings:?}");
    settings.capture().mode()
}

#[test]
fn code_overrides_our_variable_which_overrides_hyperdx() {
    let (ours, theirs) = (("LOGBRIDGE_NETWORK_CAPTURE", "Errors"), (HYPERDX, "1"));
    assert_eq!(mode(None, []), CaptureMode::Off);
    assert_eq!(mode(None, [theirs]), CaptureMode::All);
    assert_eq!(mode(None, [(HYPERDX, "false")]), CaptureMode::Off);
    assert_eq!(mode(None, [ours, theirs]), CaptureMode::Errors);
    assert_eq!(mode(Some(NetworkCapture::off()), [ours, theirs]), CaptureMode::Off);
    assert_eq!(mode(Some(NetworkCapture::all()), [("LOGBRIDGE_NETWORK_CAPTURE", "off")]), CaptureMode::All);
}

#[test]
fn invalid_values_are_reported_and_ignored() {
    let (settings, findings) = resolve(None, [(MODE, "everything"), (MAX_BYTES, "8 apples"), (HYPERDX, "on")]);
    assert_eq!(settings.capture().mode(), CaptureMode::All, "the other variable still works");
    assert_eq!(settings.capture().body_limit(), 8 << 10);
    assert_eq!(findings.len(), 2, "{findings:?}");
    let (_, findings) = resolve(None, [(HeaderList::ServerRequest.variable(), ".*")]);
    assert!(findings[0].contains("regular expression"), "{findings:?}");
}

#[test]
fn header_lists_come_from_code_or_their_variables() {
    let list = HeaderList::ServerRequest;
    let variable = [(list.variable(), " X-Tenant , ,User-Agent"), (MODE, "all")];
    let (settings, _) = resolve(None, variable);
    assert_eq!(settings.capture().header_names(list).unwrap(), ["x-tenant", "user-agent"]);
    assert_eq!(settings.capture().header_names(HeaderList::ServerResponse), None);
    let (settings, _) = resolve(Some(NetworkCapture::errors().headers(list, ["Accept"])), variable);
    assert_eq!(settings.capture().header_names(list).unwrap(), ["accept"]);
}

#[test]
fn a_header_list_alone_captures_headers_unless_capture_is_off_by_name() {
    let list = HeaderList::ClientResponse;
    let (settings, _) = resolve(None, [(list.variable(), "etag")]);
    assert_eq!(
        (settings.capture().mode(), settings.capture().header_names(list).unwrap()),
        (CaptureMode::Off, &["etag".to_owned()][..])
    );
    for off in [
        resolve(None, [(list.variable(), "etag"), (MODE, "off")]),
        resolve(Some(NetworkCapture::off()), [(list.variable(), "etag")]),
    ] {
        assert_eq!(off.0.capture().header_names(list), None);
    }
}

#[test]
fn the_names_of_hyperdx_are_written_on_request() {
    assert!(!resolve(None, []).0.legacy_names());
    assert!(!resolve(None, [(STABILITY, "http,database/dup")]).0.legacy_names());
    assert!(resolve(None, [(STABILITY, "gen_ai_latest_experimental, http/dup")]).0.legacy_names());
    assert!(resolve(None, [(HYPERDX, "true")]).0.legacy_names());
}

#[test]
fn the_rules_of_redact_apply_to_keys_of_bodies() {
    let (settings, _) = resolve(None, [("LOGBRIDGE_REDACT_KEYS", "iban,*card*")]);
    assert!(settings.redacts_key("IBAN") && settings.redacts_key("creditCardNumber") && !settings.redacts_key("name"));
    assert!(!HttpSettings::default().redacts_key("iban"));
}
