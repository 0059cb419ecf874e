//! Redaction of URLs, with the text that the semantic conventions prescribe.

use std::borrow::Cow;

use http::Uri;

use super::escape::percent_decoded;
use super::scan::is_token;
use super::secret_names::is_secret;

/// The text that replaces secrets of URLs, as the semantic conventions prescribe.
const REDACTED: &str = "REDACTED";
const CREDENTIALS: &str = "REDACTED:REDACTED";

/// Encoded values inside encoded values are examined to this depth. Deeper ones are redacted.
const MAX_DEPTH: usize = 3;

/// Returns a query whose secret values are replaced by `REDACTED`.
///
/// Borrows and does not allocate if nothing is secret and no key is encoded.
pub(crate) fn redacted_query(query: &str) -> Cow<'_, str> {
    if !query.split('&').any(|pair| is_secret_pair(pair, 0)) {
        return Cow::Borrowed(query);
    }
    let mut redacted = String::with_capacity(query.len());
    for (index, pair) in query.split('&').enumerate() {
        if index > 0 {
            redacted.push('&');
        }
        match pair.split_once('=') {
            Some((key, _)) if is_secret_pair(pair, 0) => {
                redacted.push_str(key);
                redacted.push('=');
                redacted.push_str(REDACTED);
            }
            _ => redacted.push_str(pair),
        }
    }
    Cow::Owned(redacted)
}

/// Returns whether a pair of a query has a secret key, or a value that looks like a token or contains a secret pair.
fn is_secret_pair(pair: &str, depth: usize) -> bool {
    let Some((key, value)) = pair.split_once('=') else { return false };
    if value.is_empty() {
        return false;
    }
    is_secret(&percent_decoded(key)) || is_token(value) || {
        let decoded = percent_decoded(value);
        // The value may be a URL with a query of its own, as in `next=%2Flogin%3Ftoken%3D…`.
        matches!(decoded, Cow::Owned(_))
            && (depth >= MAX_DEPTH || decoded.split(['?', '&', '#']).any(|pair| is_secret_pair(pair, depth + 1)))
    }
}

/// Returns a URL without credentials and without the secret values of its query.
pub(crate) fn redacted_url(uri: &Uri) -> String {
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
    url.push_str(uri.path());
    if let Some(query) = uri.query() {
        url.push('?');
        url.push_str(&redacted_query(query));
    }
    url
}

/// Redacts the text of a URL, which may be relative, invalid or have a fragment, as in a `location` header.
pub(super) fn redacted_url_text(text: &str) -> String {
    let mut rest = text;
    let mut url = String::with_capacity(text.len());
    let authority = match text.find("//") {
        Some(at) if text.get(..at).is_some_and(|scheme| scheme.is_empty() || scheme.ends_with(':')) => Some(at + 2),
        _ => None,
    };
    if let Some((scheme, after)) = authority.and_then(|at| text.split_at_checked(at)) {
        url.push_str(scheme);
        rest = after;
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        if let Some(at) = after.get(..end).and_then(|authority| authority.rfind('@')) {
            url.push_str(CREDENTIALS);
            rest = after.get(at..).unwrap_or_default();
        }
    }
    // Fragments carry tokens too, in the implicit flow of OAuth.
    let (before, fragment) = rest.split_once('#').map_or((rest, None), |(before, after)| (before, Some(after)));
    let (path, query) = before.split_once('?').map_or((before, None), |(path, query)| (path, Some(query)));
    url.push_str(path);
    for (delimiter, pairs) in [('?', query), ('#', fragment)] {
        if let Some(pairs) = pairs {
            url.push(delimiter);
            url.push_str(&redacted_query(pairs));
        }
    }
    url
}

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;
