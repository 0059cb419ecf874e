//! What is redacted: patterns of keys and of values, from code and the environment.

use std::fmt;

use super::SettingSource;
use super::resolve::Resolver;
use crate::error::Error;
use crate::finding::{Finding, Severity, kind};
use crate::otlp::Redaction;

const KEYS: &str = "LOGBRIDGE_REDACT_KEYS";
const VALUES: &str = "LOGBRIDGE_REDACT_VALUES";

/// What is taken out of records and spans before they are shipped: values by their key, and pieces of text by themselves.
///
/// `[redacted]` stands in their place. It applies to the message and the attributes of every record, whatever its source
/// (`log`, tracing, panics, log processors), and to the name, attributes, events, links and status of each span that
/// logbridge exports, lists and maps at every depth included; to what is sent, and to the debug mirror. **The console
/// prints what env_logger would have printed**, and log processors of the application see a record before this does.
///
/// A key says nothing of the message: where `log::info!(token; "logged in with {token}")` repeats a value in the text, only
/// a pattern of values finds it there. Targets, names of events, and the attributes of scope and resource stay as they are.
///
/// Nothing is redacted by default. What the environment names comes on top of what code names.
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
    /// Redacts nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Redacts the whole value of each attribute, and of each entry of a nested map, with such a key. Default:
    /// `LOGBRIDGE_REDACT_KEYS`, separated by commas, else none.
    ///
    /// A pattern is a word in any case, in which a `*` stands for anything. It matches a whole key, and whole parts of a key
    /// with dots: `authorization` matches `http.request.header.authorization` too, but only `*password*` matches
    /// `old_password`. An empty one makes `try_init` return an error.
    pub fn keys<I: IntoIterator<Item: Into<String>>>(mut self, patterns: I) -> Self {
        self.keys.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Redacts what such a regular expression matches, and only that, in messages, values and keys. Default:
    /// `LOGBRIDGE_REDACT_VALUES`, one expression, else none. Feature `regex`.
    ///
    /// Numbers are looked through as they are written in decimal, and become text where they match. An expression that
    /// cannot be compiled, and any where the feature is off, makes `try_init` return an error.
    pub fn values<I: IntoIterator<Item: Into<String>>>(mut self, expressions: I) -> Self {
        self.values.extend(expressions.into_iter().map(Into::into));
        self
    }

    /// The same with what another one redacts.
    pub(crate) fn and(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.values.extend(other.values);
    }
}

impl fmt::Debug for Redact {
    // Somebody may have written the secret itself as an expression.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redact").field("keys", &self.keys).field("values", &self.values.len()).finish()
    }
}

impl Resolver<'_> {
    /// What is redacted; `None` for nothing. What cannot be used is an error in code and a finding in the environment.
    pub(super) fn redaction(&mut self, code: &Redact) -> Result<Option<Redaction>, Error> {
        let mut redaction = Redaction::default();
        for pattern in &code.keys {
            redaction.add_key(pattern).map_err(|why| {
                Error::configuration(format!("`{pattern}` is no pattern of keys: {why}"))
                    .with_help("`Redact::keys`: write words, such as `password` and `*token*`")
            })?;
            self.check_key("code", pattern);
        }
        for (place, expression) in code.values.iter().enumerate() {
            redaction.add_value(expression).map_err(|why| {
                Error::configuration(format!("expression {} of `Redact::values` cannot be used: {why}", place + 1))
                    .with_help(help_for_values(&why))
            })?;
        }
        self.keep_counts(redaction.counts(), [SettingSource::Code; 2]);
        let in_code = redaction.counts();
        self.redact_keys(&mut redaction);
        self.redact_values(&mut redaction);
        let [keys, values] = redaction.counts();
        self.keep_counts(
            [keys - in_code[0], values - in_code[1]],
            [SettingSource::Variable(KEYS), SettingSource::Variable(VALUES)],
        );
        Ok((keys + values > 0).then_some(redaction))
    }

    /// How many, not which: the settings are shown.
    fn keep_counts(&mut self, counts: [usize; 2], sources: [SettingSource; 2]) {
        for ((name, count), source) in ["redacted keys", "redacted values"].into_iter().zip(counts).zip(sources) {
            if count > 0 {
                self.add_setting(name, count.to_string(), source);
            }
        }
    }

    fn redact_keys(&mut self, redaction: &mut Redaction) {
        let Some(list) = self.environment.get(KEYS) else { return };
        let mut names_any = false;
        // A comma too many names nothing.
        for pattern in list.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()) {
            names_any |= redaction.add_key(pattern).is_ok();
            self.check_key(KEYS, pattern);
        }
        if !names_any {
            self.add_error(&kind::BAD_VALUE, KEYS, "it names no key", "write words, such as password,*token*");
        }
    }

    fn redact_values(&mut self, redaction: &mut Redaction) {
        let Some(expression) = self.environment.get(VALUES) else { return };
        if let Err(why) = redaction.add_value(expression) {
            let problem = format!("it cannot be used, and no value is redacted by it: {why}");
            self.add_error(&kind::BAD_VALUE, VALUES, &problem, help_for_values(&why));
        }
    }

    /// A regular expression among the keys matches nothing that anybody has in mind.
    fn check_key(&mut self, place: &str, pattern: &str) {
        let is_expression =
            pattern.starts_with(".*") || pattern.contains(['^', '$', '(', ')', '[', ']', '|', '\\', '+']);
        if is_expression {
            let text = format!("`{pattern}` looks like a regular expression, and is read as a word");
            self.add_finding(
                Finding::new(&kind::KEY_EXPRESSION, Severity::Warning, place, text)
                    .help("a pattern of keys knows `*` only, such as *token*; regular expressions are for values"),
            );
        }
    }
}

fn help_for_values(why: &str) -> &'static str {
    match why.contains("feature") {
        true => "switch the feature `regex` of logbridge on in Cargo.toml, or redact by keys",
        false => "write a regular expression of the crate `regex`, such as `sk-[A-Za-z0-9]{20,}`",
    }
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
