//! Settings of HTTP instrumentation: what is captured of requests and responses, and how it is named.
//!
//! The package `logbridge-http` reads the result through [`Bridge::http_settings`](crate::Bridge::http_settings).

use std::sync::Arc;

use super::defaults;
use super::resolver::Resolver;
use super::setting::SettingSource;
use crate::finding::{Finding, Severity, kind};
use crate::otlp::Redaction;

const MODE: &str = "LOGBRIDGE_NETWORK_CAPTURE";
const MAX_BYTES: &str = "LOGBRIDGE_NETWORK_CAPTURE_MAX_BYTES";
const HYPERDX: &str = "HYPERDX_ENABLE_ADVANCED_NETWORK_CAPTURE";
const KNOWN_METHODS: &str = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS";
const STABILITY: &str = "OTEL_SEMCONV_STABILITY_OPT_IN";

/// Which requests have their headers and bodies captured.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum CaptureMode {
    /// None. The default.
    #[default]
    Off,
    /// Headers of every request, and bodies only if the request failed: the status is 400 or above (500 or above at a
    /// server), or there was no complete response.
    Errors,
    /// Headers and bodies of every request.
    All,
}

impl CaptureMode {
    fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Errors => "errors",
            Self::All => "all",
        }
    }
}

/// One of the four lists of captured headers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum HeaderList {
    /// Request headers that a client sends.
    ClientRequest,
    /// Response headers that a client receives.
    ClientResponse,
    /// Request headers that a server receives.
    ServerRequest,
    /// Response headers that a server sends.
    ServerResponse,
}

impl HeaderList {
    const ALL: [Self; 4] = [Self::ClientRequest, Self::ClientResponse, Self::ServerRequest, Self::ServerResponse];

    fn variable(self) -> &'static str {
        match self {
            Self::ClientRequest => "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST",
            Self::ClientResponse => "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE",
            Self::ServerRequest => "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",
            Self::ServerResponse => "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE",
        }
    }

    fn setting(self) -> &'static str {
        match self {
            Self::ClientRequest => "captured client request headers",
            Self::ClientResponse => "captured client response headers",
            Self::ServerRequest => "captured server request headers",
            Self::ServerResponse => "captured server response headers",
        }
    }
}

/// What the layers of `logbridge-http` record of the headers and bodies of HTTP requests and responses.
///
/// Credentials are always redacted, whatever the lists say. Pass the value to
/// [`Builder::network_capture`](crate::Builder::network_capture).
///
/// Default: nothing is captured. Environment variables: `LOGBRIDGE_NETWORK_CAPTURE` (`off`, `errors` or `all`), and
/// `HYPERDX_ENABLE_ADVANCED_NETWORK_CAPTURE=true`, which means `all`.
///
/// ```
/// use logbridge::{HeaderList, NetworkCapture};
///
/// let capture = NetworkCapture::errors()
///     .max_body_bytes(2 << 10)
///     .headers(HeaderList::ServerRequest, ["user-agent", "x-request-id", "x-tenant-*"]);
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use = "pass it to `Builder::network_capture`"]
pub struct NetworkCapture {
    mode: CaptureMode,
    max_body_bytes: Option<usize>,
    /// Indexed by [`HeaderList`].
    headers: [Option<Vec<String>>; 4],
}

impl NetworkCapture {
    /// Captures nothing, regardless of the environment.
    pub fn off() -> Self {
        Self::default()
    }

    /// Captures the headers of every request, and the bodies of failed ones.
    pub fn errors() -> Self {
        Self { mode: CaptureMode::Errors, ..Self::default() }
    }

    /// Captures the headers and bodies of every request.
    pub fn all() -> Self {
        Self { mode: CaptureMode::All, ..Self::default() }
    }

    /// Sets how many bytes of a body are captured, after its content coding is removed. Longer bodies are cut on a
    /// character boundary.
    ///
    /// Default: 8 KiB. Environment variable: `LOGBRIDGE_NETWORK_CAPTURE_MAX_BYTES`, in bytes or as `16KiB`.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = Some(bytes);
        self
    }

    /// Sets the headers of one list that are captured, ignoring case. `*` stands for any text.
    ///
    /// Default: headers that carry no credentials and no personal data, such as `content-type` and `user-agent`.
    /// Environment variables: `OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST`, `…_CLIENT_RESPONSE`,
    /// `…_SERVER_REQUEST` and `…_SERVER_RESPONSE`, separated by commas.
    pub fn headers<I: IntoIterator<Item: Into<String>>>(mut self, list: HeaderList, names: I) -> Self {
        if let Some(slot) = self.headers.get_mut(list as usize) {
            *slot = Some(names.into_iter().map(|name| name.into().to_ascii_lowercase()).collect());
        }
        self
    }

    /// Returns which requests are captured.
    #[must_use]
    pub fn mode(&self) -> CaptureMode {
        self.mode
    }

    /// Returns the maximum number of captured bytes of a body.
    #[must_use]
    pub fn body_limit(&self) -> usize {
        self.max_body_bytes.unwrap_or(defaults::CAPTURED_BODY)
    }

    /// Returns the names of captured headers in lower case, or `None` for the default list.
    #[must_use]
    pub fn header_names(&self, list: HeaderList) -> Option<&[String]> {
        self.headers.get(list as usize)?.as_deref()
    }
}

/// The resolved settings of HTTP instrumentation, for packages such as `logbridge-http`.
///
/// [`Bridge::http_settings`](crate::Bridge::http_settings) returns the settings of an installed logbridge. The default
/// value has the built-in defaults and captures nothing. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct HttpSettings {
    inner: Arc<Inner>,
}

#[derive(Clone, Debug, Default)]
struct Inner {
    capture: NetworkCapture,
    known_methods: Option<Vec<String>>,
    legacy_names: bool,
    redaction: Option<Redaction>,
}

impl HttpSettings {
    /// Returns what is captured.
    pub fn capture(&self) -> &NetworkCapture {
        &self.inner.capture
    }

    /// Returns these settings with another value for what is captured, such as that of a single layer. The body size and
    /// the header lists that `capture` does not set stay the same, unless `capture` is off.
    pub fn with_capture(&self, mut capture: NetworkCapture) -> Self {
        if capture.mode != CaptureMode::Off {
            let own = &self.inner.capture;
            capture.max_body_bytes = capture.max_body_bytes.or(own.max_body_bytes);
            for (list, own) in capture.headers.iter_mut().zip(&own.headers) {
                if list.is_none() {
                    list.clone_from(own);
                }
            }
        }
        Self { inner: Arc::new(Inner { capture, ..Inner::clone(&self.inner) }) }
    }

    /// Returns the request methods that appear under their own name, or `None` for the methods of RFC 9110, PATCH and
    /// QUERY. Any other method is recorded as `_OTHER`.
    ///
    /// Environment variable: `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`, separated by commas, case-sensitive.
    #[must_use]
    pub fn known_methods(&self) -> Option<&[String]> {
        self.inner.known_methods.as_deref()
    }

    /// Returns whether spans also carry the names that HyperDX's network panel reads, such as `http.url`.
    ///
    /// Environment variables: `OTEL_SEMCONV_STABILITY_OPT_IN=http/dup`, or
    /// `HYPERDX_ENABLE_ADVANCED_NETWORK_CAPTURE=true`.
    #[must_use]
    pub fn legacy_names(&self) -> bool {
        self.inner.legacy_names
    }

    /// Returns whether there are rules of [`Redact::keys`](crate::Redact::keys).
    #[must_use]
    pub fn redacts_keys(&self) -> bool {
        self.inner.redaction.as_ref().is_some_and(|redaction| redaction.counts()[0] > 0)
    }

    /// Returns whether the rules of [`Redact::keys`](crate::Redact::keys) redact values under this key.
    #[must_use]
    pub fn redacts_key(&self, key: &str) -> bool {
        self.inner.redaction.as_ref().is_some_and(|redaction| redaction.hides(key))
    }
}

impl Resolver<'_> {
    /// Resolves the settings of HTTP instrumentation.
    pub(super) fn http(&mut self, code: Option<&NetworkCapture>, redaction: Option<&Redaction>) -> HttpSettings {
        let hyperdx = self.bool_variable(HYPERDX).is_some_and(|(wanted, _)| wanted);
        let named = self.capture_mode();
        let (mode, source) = match code {
            Some(code) => (code.mode, SettingSource::Code),
            None => match (named, hyperdx) {
                (Some(mode), _) => (mode, SettingSource::Variable(MODE)),
                (None, true) => (CaptureMode::All, SettingSource::Variable(HYPERDX)),
                (None, false) => (CaptureMode::Off, SettingSource::BuiltIn),
            },
        };
        self.add_setting("network capture", mode.name(), source);
        let in_code = code.cloned().unwrap_or_default();
        // A header list alone captures headers, as in other languages, unless capture is switched off by name.
        let is_forbidden = mode == CaptureMode::Off && source != SettingSource::BuiltIn;
        let headers = HeaderList::ALL.map(|list| self.header_list(list, &in_code)).map(|list| match is_forbidden {
            true => None,
            false => list,
        });
        // A layer may capture although the others do not.
        let is_set = in_code.max_body_bytes.is_some() || self.environment.get(MAX_BYTES).is_some();
        let max_body_bytes = match mode {
            CaptureMode::Off if !is_set => None,
            _ => Some(self.size_setting(
                "captured body bytes",
                in_code.max_body_bytes,
                MAX_BYTES,
                defaults::CAPTURED_BODY,
                0,
            )),
        };
        let legacy_names = self.legacy_names(hyperdx);
        HttpSettings {
            inner: Arc::new(Inner {
                capture: NetworkCapture { mode, max_body_bytes, headers },
                known_methods: self.environment.get(KNOWN_METHODS).map(names),
                legacy_names,
                redaction: redaction.cloned(),
            }),
        }
    }

    fn capture_mode(&mut self) -> Option<CaptureMode> {
        let value = self.environment.get(MODE)?;
        match value.to_ascii_lowercase().as_str() {
            "off" | "none" | "false" => Some(CaptureMode::Off),
            "errors" => Some(CaptureMode::Errors),
            "all" => Some(CaptureMode::All),
            _ => {
                let problem = format!("`{value}` is not a capture mode, so it is ignored");
                self.add_error(&kind::UNKNOWN_VALUE, MODE, &problem, "write off, errors or all");
                None
            }
        }
    }

    fn header_list(&mut self, list: HeaderList, code: &NetworkCapture) -> Option<Vec<String>> {
        let (names, source) = match code.header_names(list) {
            Some(names) => (names.to_vec(), SettingSource::Code),
            None => {
                let value = self.environment.get(list.variable())?;
                (names(&value.to_ascii_lowercase()), SettingSource::Variable(list.variable()))
            }
        };
        for name in &names {
            if name.contains(['^', '$', '(', ')', '[', ']', '|', '\\', '+']) || name.contains(".*") {
                let text = format!("`{name}` looks like a regular expression, but is used as the name of a header");
                self.add_finding(
                    Finding::new(&kind::KEY_EXPRESSION, Severity::Warning, source.to_string(), text)
                        .help("write names of headers; only `*` has a meaning, as in x-tenant-*"),
                );
            }
        }
        self.add_setting(list.setting(), names.join(", "), source);
        Some(names)
    }

    /// Reads the categories of `OTEL_SEMCONV_STABILITY_OPT_IN`. Other libraries know more of them.
    fn legacy_names(&mut self, hyperdx: bool) -> bool {
        let opts_in =
            self.environment.get(STABILITY).is_some_and(|list| list.split(',').any(|entry| entry.trim() == "http/dup"));
        let source = match (opts_in, hyperdx) {
            (true, _) => SettingSource::Variable(STABILITY),
            (false, true) => SettingSource::Variable(HYPERDX),
            (false, false) => return false,
        };
        self.add_setting("HTTP attribute names", "stable and legacy", source);
        true
    }
}

/// Splits a list at its commas.
fn names(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
#[path = "network_capture_tests.rs"]
mod tests;
