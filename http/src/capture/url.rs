//! Redaction of URLs, with the text that the semantic conventions prescribe.

use std::borrow::Cow;
use std::cell::LazyCell;

use http::Uri;
use logbridge::HttpSettings;

use super::escape::percent_decoded;
use super::scan::{Rules, encodes_secret, is_token};
use super::secret_names::{is_secret, may_be_secret};

/// The text that replaces secrets of URLs, as the semantic conventions prescribe.
const REDACTED: &str = "REDACTED";
const CREDENTIALS: &str = "REDACTED:REDACTED";

/// Shorter texts without punctuation are no tokens.
const MIN_TOKEN: usize = 16;

/// Returns a query whose secret values are replaced by `REDACTED`.
///
/// Borrows if nothing is secret, and does not allocate then unless something is encoded.
pub(crate) fn redacted_query<'t>(query: &'t str, settings: &HttpSettings) -> Cow<'t, str> {
    if is_plain(query, settings) {
        return Cow::Borrowed(query);
    }
    redacted_pairs(query, rules(&|name| is_hidden(settings, name)))
}

/// Returns a path whose secret segments and parameters are replaced by `REDACTED`.
///
/// Borrows if nothing is secret, and does not allocate then unless something is encoded.
pub(crate) fn redacted_path<'t>(path: &'t str, settings: &HttpSettings) -> Cow<'t, str> {
    if is_plain(path, settings) {
        return Cow::Borrowed(path);
    }
    redacted_segments(path, rules(&|name| is_hidden(settings, name)))
}

/// Returns whether a query or a path certainly has no secret, which holds for most requests and takes few instructions.
fn is_plain(text: &str, settings: &HttpSettings) -> bool {
    // Anything that may be encoded, nested or a credential is examined.
    let is_special = |byte: u8| !byte.is_ascii_alphanumeric() && !b"&=/-_.~".contains(&byte);
    !text.bytes().any(is_special) && !may_be_secret(text) && !settings.redacts_keys()
}

/// Returns a URL without credentials and secrets.
pub(crate) fn redacted_url(uri: &Uri, settings: &HttpSettings) -> String {
    let mut url = String::new();
    if let Some(scheme) = uri.scheme_str() {
        url.push_str(scheme);
        url.push_str("://");
    }
    if let Some(authority) = uri.authority() {
        match authority.as_str().rsplit_once('@') {
            None => url.push_str(authority.as_str()),
            Some((_, host)) => {
                url.push_str(CREDENTIALS);
                url.push('@');
                url.push_str(host);
            }
        }
    }
    // The path of `CONNECT host:443` is empty.
    url.push_str(&redacted_path(uri.path(), settings));
    if let Some(query) = uri.query() {
        url.push('?');
        url.push_str(&redacted_query(query, settings));
    }
    url
}

/// Redacts the text of a URL, which may be relative, invalid or have a fragment, as in a `location` header.
pub(super) fn redacted_url_text(text: &str, rules: Rules<'_>) -> String {
    let mut rest = text;
    let mut url = String::with_capacity(text.len());
    let authority = match text.find("//") {
        Some(at) if text.get(..at).is_some_and(is_scheme) => Some(at + 2),
        _ => None,
    };
    if let Some((scheme, after)) = authority.and_then(|at| text.split_at_checked(at)) {
        url.push_str(scheme);
        rest = after;
        let end = after.find(['/', '?', '#']);
        let authority = after.get(..end.unwrap_or(after.len())).unwrap_or_default();
        match authority.rfind('@') {
            Some(at) => {
                url.push_str(CREDENTIALS);
                rest = after.get(at..).unwrap_or_default();
            }
            // The `@` may come after the cut.
            None if rules.is_cut && end.is_none() => {
                url.push_str(REDACTED);
                return url;
            }
            None => {}
        }
    }
    // Fragments carry tokens too, in the implicit flow of OAuth.
    let (before, fragment) = rest.split_once('#').map_or((rest, None), |(before, after)| (before, Some(after)));
    let (path, query) = before.split_once('?').map_or((before, None), |(path, query)| (path, Some(query)));
    let whole = Rules { is_cut: false, ..rules };
    url.push_str(&redacted_segments(path, if query.or(fragment).is_some() { whole } else { rules }));
    for (delimiter, pairs, rules) in
        [('?', query, if fragment.is_some() { whole } else { rules }), ('#', fragment, rules)]
    {
        if let Some(pairs) = pairs {
            url.push(delimiter);
            url.push_str(&redacted_pairs(pairs, rules));
        }
    }
    url
}

/// Returns whether a text before `//` is a scheme with its colon, or nothing.
fn is_scheme(text: &str) -> bool {
    text.is_empty() || (text.ends_with(':') && !text.contains(['/', '?', '#']))
}

fn is_hidden(settings: &HttpSettings, name: &str) -> bool {
    is_secret(name) || settings.redacts_key(name)
}

fn rules<'r>(is_secret: &'r dyn Fn(&str) -> bool) -> Rules<'r> {
    Rules { is_secret, is_cut: false }
}

fn redacted_pairs<'t>(query: &'t str, rules: Rules<'_>) -> Cow<'t, str> {
    let has_state = LazyCell::new(|| has_pair(query, "state="));
    redacted_pieces(query, '&', rules, |piece, rules| match piece.strip_prefix("code=") {
        Some(code) if !code.is_empty() && *has_state => Some(piece.len() - code.len()),
        _ => secret_start(piece, rules),
    })
}

fn redacted_segments<'t>(path: &'t str, rules: Rules<'_>) -> Cow<'t, str> {
    redacted_pieces(path, '/', rules, |segment, rules| {
        // A URL in a path: `/proxy/https://user:password@host/`.
        let is_authority = || segment.split_once('@').is_some_and(|(user, _)| user.contains(':'));
        if is_suspicious(segment) && is_authority() { Some(0) } else { secret_start(segment, rules) }
    })
}

/// Replaces each piece between delimiters from where it is secret.
fn redacted_pieces<'t>(
    text: &'t str,
    delimiter: char,
    rules: Rules<'_>,
    secret_start: impl Fn(&str, Rules<'_>) -> Option<usize>,
) -> Cow<'t, str> {
    let mut redacted = String::new();
    let (mut taken, mut start) = (0, 0);
    for piece in text.split(delimiter) {
        let end = start + piece.len();
        let rules = Rules { is_cut: rules.is_cut && end == text.len(), ..rules };
        if let Some(secret) = secret_start(piece, rules) {
            redacted.push_str(text.get(taken..start + secret).unwrap_or_default());
            redacted.push_str(REDACTED);
            taken = end;
        }
        start = end + 1;
    }
    if taken == 0 {
        return Cow::Borrowed(text);
    }
    redacted.push_str(text.get(taken..).unwrap_or_default());
    Cow::Owned(redacted)
}

/// Returns where a secret begins in a piece of a URL. Some servers split pairs at `;` too. What follows a secret belongs
/// to it for those that do not, so that it is replaced to the end of the piece.
fn secret_start(piece: &str, rules: Rules<'_>) -> Option<usize> {
    if piece.is_empty() {
        return None;
    }
    let mut start = 0;
    let mut secret = None;
    for pair in piece.split(';') {
        let rules = Rules { is_cut: rules.is_cut && start + pair.len() == piece.len(), ..rules };
        if let Some(at) = secret_of_pair(pair, rules) {
            secret = Some(start + at);
            break;
        }
        start += pair.len() + 1;
    }
    // The value may be JSON or a URL that contains `;`.
    let before = piece.get(..secret.unwrap_or(piece.len())).unwrap_or_default();
    if before.contains(';') {
        let value = before.find('=').map_or(0, |at| at + 1);
        if contains_secret(before.get(value..).unwrap_or_default(), Rules { is_cut: false, ..rules }) {
            secret = Some(value);
        }
    }
    secret
}

/// Returns where the secret of a pair begins: at its value if the key is secret, or else where it is found.
fn secret_of_pair(pair: &str, rules: Rules<'_>) -> Option<usize> {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    if value.is_empty() {
        return contains_secret(pair, rules).then_some(0);
    }
    if (rules.is_secret)(&percent_decoded(key)) {
        return Some(key.len() + 1);
    }
    let is_secret_key = || contains_secret(key, Rules { is_cut: false, ..rules });
    if is_secret_key() { Some(0) } else { contains_secret(value, rules).then_some(key.len() + 1) }
}

/// Returns whether a text, once decoded, contains a token, credentials, or a secret under its name.
fn contains_secret(text: &str, rules: Rules<'_>) -> bool {
    if !is_suspicious(text) && !rules.is_cut {
        return contains_token(text);
    }
    // The code of OAuth is a secret, but the name says so only beside another one.
    let has_code = |decoded: &str| has_pair(decoded, "code=") && has_pair(decoded, "state=");
    encodes_secret(text, rules, 0) || (text.contains("code") && has_code(&percent_decoded(text)))
}

/// Returns whether a text has punctuation that other secrets than tokens need. Most texts have none.
fn is_suspicious(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, b'%' | b'+' | b':' | b'=' | b',' | b'"' | b'<' | b'{' | b' '))
}

/// Returns whether a word of a text begins as a token of a well-known form does.
fn contains_token(text: &str) -> bool {
    let mut is_inside_word = false;
    text.len() >= MIN_TOKEN
        && text.bytes().enumerate().any(|(at, byte)| {
            let begins = byte.is_ascii_alphabetic() && !is_inside_word;
            is_inside_word = byte.is_ascii_alphanumeric();
            begins && text.get(at..).is_some_and(is_token)
        })
}

fn has_pair(text: &str, start: &str) -> bool {
    text.split(['?', '#', '&', ';']).any(|pair| pair.starts_with(start))
}

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;
