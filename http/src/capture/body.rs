//! The captured beginning of a body.

use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use logbridge::{CaptureMode, HttpSettings};

use super::content::{Charset, Coding, Content};
use super::inflate::Inflate;
use super::scan::{Rules, redact, redact_form};
use super::secret_names::is_secret;

/// How much more than the limit is collected. The redaction sees what follows the cut, so that a token that begins
/// before it is recognized.
const MARGIN: usize = 1 << 10;

/// Collects the first bytes of one body.
#[derive(Debug)]
pub(crate) struct BodyCapture {
    settings: HttpSettings,
    content: Content,
    inflate: Option<Inflate>,
    text: Vec<u8>,
    /// How many more bytes of text are collected.
    missing: usize,
    is_cut: bool,
    is_complete: bool,
    /// The length of the body by its headers, or 0 if it is unknown. A shorter body is cut.
    expected: u64,
    pushed: u64,
}

impl BodyCapture {
    /// Returns `None` if this body is not captured: if capture is off, or if the body is not textual or has an unknown
    /// charset or content coding.
    pub(crate) fn new(settings: &HttpSettings, headers: &HeaderMap) -> Option<Self> {
        let limit = settings.capture().body_limit();
        if settings.capture().mode() == CaptureMode::Off || limit == 0 {
            return None;
        }
        let content = Content::new(headers)?;
        let inflate = Inflate::new(content.coding);
        if inflate.is_none() && content.coding != Coding::Identity {
            return None;
        }
        Some(Self {
            settings: settings.clone(),
            content,
            inflate,
            text: Vec::new(),
            missing: limit.saturating_add(MARGIN),
            is_cut: false,
            is_complete: false,
            expected: expected_length(headers),
            pushed: 0,
        })
    }

    /// Adds the next part of the body. Costs one comparison once enough is collected.
    pub(crate) fn push(&mut self, data: &[u8]) {
        if self.missing == 0 {
            // Whatever follows is not in the capture.
            self.is_cut = true;
            return;
        }
        self.collect(data);
    }

    /// Takes note that the body has ended as it should. Without this call, the text is taken for cut.
    pub(crate) fn complete(&mut self) {
        self.is_complete = true;
    }

    /// Ends the capture before a part of the body that cannot be collected.
    pub(crate) fn stop(&mut self) {
        self.missing = 0;
        self.inflate = None;
        self.is_cut = true;
    }

    fn collect(&mut self, data: &[u8]) {
        self.pushed += data.len() as u64;
        if let Some(inflate) = &mut self.inflate {
            let limit = self.text.len().saturating_add(self.missing);
            let wants_more = inflate.push(data, &mut self.text, limit);
            self.missing = if wants_more { limit - self.text.len() } else { 0 };
            if !wants_more {
                // Text may be missing: after an error, and at the limit.
                self.is_cut = true;
                self.inflate = None;
            }
            return;
        }
        let taken = data.get(..self.missing).unwrap_or(data);
        self.text.extend_from_slice(taken);
        self.missing -= taken.len();
        self.is_cut |= taken.len() < data.len();
    }

    /// Returns the text without its content coding and its secrets, cut at the limit. `None` if there is no text.
    pub(crate) fn finish(self) -> Option<String> {
        // A NUL means another charset than the declared one, such as UTF-16, in which no secret would be recognized.
        if self.text.is_empty() || self.text.contains(&0) {
            return None;
        }
        let text = match self.content.charset {
            Charset::Latin1 => self.text.iter().map(|byte| char::from(*byte)).collect(),
            Charset::Utf8 => String::from_utf8_lossy(&self.text).into_owned(),
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let is_secret = |name: &str| is_secret(name) || self.settings.redacts_key(name);
        let rules =
            Rules { is_secret: &is_secret, is_cut: self.is_cut || !self.is_complete || self.pushed < self.expected };
        let redacted = if self.content.is_form { redact_form(text, rules) } else { redact(text, rules) };
        let cut = cut(&redacted, self.settings.capture().body_limit());
        (!cut.is_empty()).then(|| cut.to_owned())
    }
}

fn expected_length(headers: &HeaderMap) -> u64 {
    headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or_default()
}

/// Cuts a text at a character boundary.
pub(super) fn cut(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
