use super::super::{BuilderSettings, Config, Environment};
use super::*;

fn resolve<const N: usize>(code: Redact, variables: [(&str, &str); N]) -> Result<Config, Error> {
    BuilderSettings { redact: code, ..BuilderSettings::default() }.resolve(&Environment::from(variables))
}

fn counts(config: &Config) -> Option<[usize; 2]> {
    config.redaction.as_ref().map(Redaction::counts)
}

fn codes(config: &Config) -> Vec<&'static str> {
    config.findings.iter().map(|finding| finding.name).collect()
}

#[test]
fn off_by_default() {
    assert_eq!(counts(&resolve(Redact::new(), []).unwrap()), None);
}

#[test]
fn the_environment_comes_on_top_of_code() {
    let config = resolve(Redact::new().keys(["password"]), [(KEYS, " *token* , authorization,,")]).unwrap();
    assert_eq!((counts(&config), codes(&config)), (Some([3, 0]), vec![]));
    let shown = super::super::settings_table(&config.settings);
    assert!(shown.contains("redacted keys") && shown.contains(KEYS) && !shown.contains("token"), "{shown}");
}

#[cfg(feature = "regex")]
#[test]
fn invalid_rules_are_reported_and_the_others_apply() {
    let config = resolve(Redact::new().values(["4[0-9]+"]), [(KEYS, ","), (VALUES, "hunter2(")]).unwrap();
    assert_eq!((counts(&config), codes(&config)), (Some([0, 1]), vec!["bad-value"; 2]));
    let finding = config.findings.iter().find(|finding| finding.place == VALUES).unwrap().to_string();
    assert!(finding.contains("unclosed group") && !finding.contains("hunter2"), "{finding}");
    let config = resolve(Redact::new(), [(VALUES, r"^\d{4}$|sk-[a-z]{3,}")]).unwrap();
    assert_eq!((counts(&config), codes(&config)), (Some([0, 1]), vec![]));
    let error = resolve(Redact::new().values(["a", "hunter2("]), []).unwrap_err();
    assert!(error.is_configuration() && error.help().is_some());
    assert_eq!(error.to_string(), "expression 2 of `Redact::values` is invalid: unclosed group");
}

#[cfg(not(feature = "regex"))]
#[test]
fn without_the_feature_values_name_it() {
    let error = resolve(Redact::new().values(["a"]), []).unwrap_err();
    assert!(error.to_string().contains("`regex`") && error.help().is_some_and(|help| help.contains("Cargo.toml")));
    let config = resolve(Redact::new(), [(KEYS, "a"), (VALUES, "b")]).unwrap();
    assert_eq!((counts(&config), codes(&config)), (Some([1, 0]), vec!["bad-value"]));
    assert!(config.findings[0].text.contains("`regex`"), "{}", config.findings[0]);
}

#[test]
fn an_empty_key_in_code_is_an_error_and_an_expression_among_keys_a_warning() {
    assert!(resolve(Redact::new().keys(["a", " "]), []).is_err_and(|error| error.is_configuration()));
    let config = resolve(Redact::new().keys(["^pass"]), [(KEYS, ".*token.*,db.*")]).unwrap();
    assert_eq!((counts(&config), codes(&config)), (Some([3, 0]), vec!["key-expression"; 2]));
}

#[test]
fn debug_output_shows_no_expression() {
    let shown = format!("{:?}", Redact::new().keys(["password"]).values(["hunter2"]));
    assert!(shown.contains("password") && !shown.contains("hunter2"), "{shown}");
}
