//! Redaction settings: key patterns and value expressions, from code and environment.

use std::fmt;

use super::resolver::Resolver;
use super::setting::SettingSource;
use crate::error::Error;
use crate::finding::{Finding, Severity, kind};
use crate::otlp::Redaction;

const KEYS: &str = "LOGBRIDGE_REDACT_KEYS";
const VALUES: &str = "LOGBRIDGE_REDACT_VALUES";

/// Rules that remove secrets from records and spans before they are exported.
///
/// Matching values are replaced by `[redacted]`. Rules select values by key ([`keys`](Self::keys)) or by content
/// ([`values`](Self::values)). Pass the rules to [`Builder::redact`](crate::Builder::redact).
///
/// Redaction applies to:
///
/// * the message and the attributes of every record (`log`, tracing, panics and log processors);
/// * the name, attributes, events, links and status of every span that logbridge exports;
/// * nested lists and maps at any depth.
///
/// Exported data and the debug mirror are redacted. **The console is not**: it prints what env_logger would print. Log
/// processors of the application see a record before redaction.
///
/// A key rule does not apply to the message. In `log::info!(token; "logged in with {token}")`, only a value rule finds
/// the token in the text. Targets, event names, and the attributes of scope and resource are never redacted.
///
/// By default, nothing is redacted. Rules from the environment are added to rules from code.
///
/// ```
/// use logbridge::Redact;
///
/// let redact = Redact::new().keys(["password", "*token*", "authorization"]);
/// # #[cfg(feature = "regex")]
/// let redact = redact.values([r"\b\d{4} ?\d{4} ?\d{4} ?\d{4}\b", "sk-[A-Za-z0-9]{20,}"]);
/// ```
#[derive(Clone, Default)]
#[must_use = "pass it to `Builder::redact`"]
pub struct Redact {
    keys: Vec<String>,
    values: Vec<String>,
}

impl Redact {
    /// Creates an empty set of rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// Redacts the whole value of each attribute or map entry whose key matches one of the patterns.
    ///
    /// Matching ignores case, and `*` stands for any text. A pattern matches a whole key, or whole parts of a key that
    /// are separated by dots. For example, `authorization` also matches `http.request.header.authorization`, but only
    /// `*password*` matches `old_password`.
    ///
    /// Default: none. Environment variable: `LOGBRIDGE_REDACT_KEYS`, separated by commas.
    ///
    /// An empty pattern makes [`try_init`](crate::Builder::try_init) return an error.
    pub fn keys<I: IntoIterator<Item: Into<String>>>(mut self, patterns: I) -> Self {
        self.keys.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Redacts each match of the regular expressions in messages, values and keys. Requires the feature `regex`.
    ///
    /// Only the matching part of a text is replaced. Numbers are matched in decimal notation, and a number that matches
    /// becomes a text.
    ///
    /// Default: none. Environment variable: `LOGBRIDGE_REDACT_VALUES`, a single expression.
    ///
    /// An expression that does not compile makes [`try_init`](crate::Builder::try_init) return an error. So does any
    /// expression if the feature is off.
    pub fn values<I: IntoIterator<Item: Into<String>>>(mut self, expressions: I) -> Self {
        self.values.extend(expressions.into_iter().map(Into::into));
        self
    }

    /// Adds the rules of `other`.
    pub(crate) fn and(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.values.extend(other.values);
    }
}

impl fmt::Debug for Redact {
    // An expression may be the secret itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redact").field("keys", &self.keys).field("values", &self.values.len()).finish()
    }
}

impl Resolver<'_> {
    /// Resolves the redaction rules. Returns `None` if there are none.
    pub(super) fn redaction(&mut self, code: &Redact) -> Result<Option<Redaction>, Error> {
        let mut redaction = Redaction::default();
        for pattern in &code.keys {
            redaction.add_key(pattern).map_err(|why| {
                Error::configuration(format!("`{pattern}` is not a key pattern: {why}"))
                    .with_help("`Redact::keys`: write words, such as `password` and `*token*`")
            })?;
            self.check_key("code", pattern);
        }
        for (place, expression) in code.values.iter().enumerate() {
            redaction.add_value(expression).map_err(|why| {
                Error::configuration(format!("expression {} of `Redact::values` is invalid: {why}", place + 1))
                    .with_help(help_for_values(&why))
            })?;
        }
        self.add_rule_counts(redaction.counts(), [SettingSource::Code; 2]);
        let in_code = redaction.counts();
        self.redact_keys(&mut redaction);
        self.redact_values(&mut redaction);
        let [keys, values] = redaction.counts();
        self.add_rule_counts(
            [keys - in_code[0], values - in_code[1]],
            [SettingSource::Variable(KEYS), SettingSource::Variable(VALUES)],
        );
        Ok((keys + values > 0).then_some(redaction))
    }

    /// Adds the number of rules to the settings. The rules themselves may be secrets.
    fn add_rule_counts(&mut self, counts: [usize; 2], sources: [SettingSource; 2]) {
        for ((name, count), source) in ["redacted keys", "redacted values"].into_iter().zip(counts).zip(sources) {
            if count > 0 {
                self.add_setting(name, count.to_string(), source);
            }
        }
    }

    fn redact_keys(&mut self, redaction: &mut Redaction) {
        let Some(list) = self.environment.get(KEYS) else { return };
        let mut names_any = false;
        // Empty entries come from stray commas.
        for pattern in list.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()) {
            names_any |= redaction.add_key(pattern).is_ok();
            self.check_key(KEYS, pattern);
        }
        if !names_any {
            self.add_error(
                &kind::BAD_VALUE,
                KEYS,
                "it contains no key pattern",
                "write key patterns, such as password,*token*",
            );
        }
    }

    fn redact_values(&mut self, redaction: &mut Redaction) {
        let Some(expression) = self.environment.get(VALUES) else { return };
        if let Err(why) = redaction.add_value(expression) {
            let problem = format!("it is invalid, so it redacts nothing: {why}");
            self.add_error(&kind::BAD_VALUE, VALUES, &problem, help_for_values(&why));
        }
    }

    /// Adds a finding if a key pattern looks like a regular expression, which would match nothing.
    fn check_key(&mut self, place: &str, pattern: &str) {
        let is_expression =
            pattern.starts_with(".*") || pattern.contains(['^', '$', '(', ')', '[', ']', '|', '\\', '+']);
        if is_expression {
            let text = format!("`{pattern}` looks like a regular expression, but is used as a key pattern");
            self.add_finding(
                Finding::new(&kind::KEY_EXPRESSION, Severity::Warning, place, text).help(
                    "in key patterns, only `*` has a meaning, as in *token*; regular expressions work for values",
                ),
            );
        }
    }
}

fn help_for_values(why: &str) -> &'static str {
    match why.contains("feature") {
        true => "enable the feature `regex` of logbridge in Cargo.toml, or redact by keys",
        false => "write a regular expression of the crate `regex`, such as `sk-[A-Za-z0-9]{20,}`",
    }
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
