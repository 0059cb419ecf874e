//! HTTP headers, from code and from the header variables of the specification.

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::escape::OneLine;
use crate::finding::{Finding, Severity, kind};

/// A header that is sent with each request. Its value is never shown.
#[derive(Clone, Debug)]
pub struct Header {
    pub(crate) name: HeaderName,
    /// Marked as sensitive, so `Debug` hides it.
    pub value: HeaderValue,
}

impl Header {
    /// Creates a header.
    ///
    /// # Errors
    ///
    /// Returns a text that may contain the name, but never the value.
    pub(super) fn new(name: &str, value: &str) -> Result<Self, String> {
        let name: HeaderName =
            name.trim().parse().map_err(|_| format!("`{}` is not a header name", OneLine(name.trim())))?;
        let mut value = HeaderValue::from_str(value.trim()).map_err(|_| {
            format!("the value of the header `{name}` contains a line break or another control character")
        })?;
        value.set_sensitive(true);
        Ok(Self { name, value })
    }

    /// Returns the header's name for display, unless the name may be a base64 text that lacks a name.
    pub(super) fn display_name(&self) -> &str {
        let has_value = self.value.as_bytes().iter().any(|byte| *byte != b'=');
        if has_value { self.name.as_str() } else { "(without a value)" }
    }
}

/// Parses `OTEL_EXPORTER_OTLP_HEADERS`: `key=value,key=value`, with percent-encoded values.
///
/// Findings never contain a value, neither in their text nor as a quoted source.
pub(super) fn parse_headers(variable: &str, text: &str) -> (Vec<Header>, Vec<Finding>) {
    let mut headers = Vec::new();
    let mut findings = Vec::new();
    // A piece after a credential may be the rest of it, so not even its name is shown.
    let mut follows_credential = false;
    for (index, pair) in text.split(',').map(str::trim).enumerate().filter(|(_, pair)| !pair.is_empty()) {
        let problem = |kind, severity, problem: String, help: &str| {
            Finding::new(kind, severity, variable, problem).help(help.to_owned())
        };
        let place = index + 1;
        // Header names have no colon, so a `=` after one belongs to the value.
        match pair.split_once('=').filter(|(name, _)| !name.contains(':')) {
            // The end of a base64 text looks like a name without a value.
            Some((_, value)) if follows_credential && value.trim_matches('=').is_empty() => {
                findings.push(cut_by_comma(variable, place));
            }
            None if follows_credential => findings.push(cut_by_comma(variable, place)),
            Some((name, _)) if name.starts_with(['"', '\'']) => findings.push(problem(
                &kind::HEADER_QUOTE,
                Severity::Error,
                format!("the name of header {place} begins with a quote; the header is not sent"),
                "remove the quotes: docker and systemd make them part of the value",
            )),
            Some((name, value)) => {
                match Header::new(name, &percent_decode_str(value).decode_utf8_lossy()) {
                    Ok(header) => {
                        if is_quoted(value.trim()) {
                            findings.push(problem(
                                &kind::HEADER_QUOTE,
                                Severity::Warning,
                                format!("the quotes around the value of header {place} are sent with it"),
                                "remove the quotes",
                            ));
                        }
                        if separated_by_semicolon(value) {
                            findings.push(problem(
                                &kind::BAD_HEADER,
                                Severity::Warning,
                                format!("the value of header {place} seems to contain another header after a `;`"),
                                "separate headers by commas, and write %3B for a `;` inside a value",
                            ));
                        }
                        headers.push(header);
                    }
                    Err(_) if follows_credential => findings.push(cut_by_comma(variable, place)),
                    Err(why) => findings.push(problem(
                        &kind::BAD_HEADER,
                        Severity::Error,
                        // An invalid name is not shown: it may be a key in the wrong place.
                        match name.trim().parse::<HeaderName>() {
                            Ok(_) => format!("{why}; it is not sent"),
                            Err(_) => format!("header {place} has an invalid name; it is not sent"),
                        },
                        "write key=value,key=value, values percent-encoded",
                    )),
                }
                follows_credential = is_credential(name, value);
            }
            None => {
                let (name, value) = pair.split_once(':').unwrap_or_default();
                let name = name.trim().trim_start_matches(['"', '\'']);
                let (kind, shown) = match name.parse::<HeaderName>() {
                    Ok(name) => (&kind::HEADER_COLON, format!("the header `{name}`")),
                    Err(_) => (&kind::BAD_HEADER, "one header".to_owned()),
                };
                findings.push(problem(
                    kind,
                    Severity::Error,
                    format!("{shown} is not written as `key=value`; it is not sent"),
                    "write key=value,key=value, values percent-encoded",
                ));
                follows_credential = is_credential(name, value);
            }
        }
    }
    (headers, findings)
}

fn cut_by_comma(variable: &str, place: usize) -> Finding {
    let text =
        format!("entry {place} looks like the rest of the value before it, which contains a comma; it is not sent");
    Finding::new(&kind::HEADER_COMMA, Severity::Warning, variable, text).help("write %2C for a comma inside a value")
}

/// Returns whether a value contains `;name=`, unless it looks like a cookie.
fn separated_by_semicolon(value: &str) -> bool {
    let mut pieces = value.split(';').skip(1);
    pieces.any(|piece| {
        let name = piece.split_once('=').map(|(name, _)| name.trim());
        name.is_some_and(|name| name.contains('-') || is_credential(name, "")) && !value.contains(' ')
    })
}

fn is_credential(name: &str, value: &str) -> bool {
    let begins = |word: &str| value.trim().get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let name = name.to_ascii_lowercase();
    ["auth", "cookie", "key", "password", "secret", "token"].iter().any(|word| name.contains(word))
        || ["bearer", "basic", "apikey"].into_iter().any(begins)
}

/// Returns whether a value begins and ends with the same quote.
pub(super) fn is_quoted(value: &str) -> bool {
    ['"', '\''].iter().any(|quote| value.len() > 1 && value.starts_with(*quote) && value.ends_with(*quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_percent_decoded_and_bad_ones_leave_the_others() {
        let text = "authorization=Bearer%20a%2Cb, x-a = 1 ,broken,key: value,x-b=2,b%d=1,c=%0A";
        let (headers, findings) = parse_headers("V", text);
        let seen: Vec<_> = headers.iter().map(|h| (h.name.as_str(), h.value.to_str().unwrap_or_default())).collect();
        assert_eq!(seen, [("authorization", "Bearer a,b"), ("x-a", "1"), ("x-b", "2"), ("b%d", "1"), ("c", "")]);
        let texts: Vec<_> = findings.iter().map(|finding| (finding.name, finding.text.as_str())).collect();
        assert_eq!(
            texts,
            [
                ("bad-header", "one header is not written as `key=value`; it is not sent"),
                ("header-colon", "the header `key` is not written as `key=value`; it is not sent"),
            ]
        );
        let bad = Header::new("x", "a\nb").expect_err("line break");
        assert!(!bad.contains("a\nb"), "{bad}");
        assert!(!format!("{headers:?}").contains("Bearer"));
    }

    /// The variable, the headers sent and the findings.
    #[test]
    fn suspicious_headers_become_findings() {
        for (text, sent, codes) in [
            ("authorization=Bearer s3cret,s3cret", &["authorization"][..], &["header-comma"][..]),
            ("authorization=Basic s3cret,s3cret==", &["authorization"], &["header-comma"]),
            ("x-api-key=s3cret,s3cret s3cret=x", &["x-api-key"], &["header-comma"]),
            ("authorization=Bearer s3cret,s3cret:s3cret,s3cret", &["authorization"], &["header-comma"; 2]),
            ("authorization=Bearer s3cret,x-a=1,x-b=2", &["authorization", "x-a", "x-b"], &[]),
            ("authorization: Bearer s3cret", &[], &["header-colon"]),
            ("authorization: Bearer s3cret=", &[], &["header-colon"]),
            ("Bearer s3cret=", &[], &["bad-header"]),
            ("\"authorization=s3cret\"", &[], &["header-quote"]),
            ("'authorization=s3cret,x-a=1'", &["x-a"], &["header-quote"]),
            ("authorization=\"s3cret\"", &["authorization"], &["header-quote"]),
            ("authorization=s3cret;x-tenant=1", &["authorization"], &["bad-header"]),
            ("cookie=a=1;b=2", &["cookie"], &[]),
        ] {
            let (headers, findings) = parse_headers("V", text);
            assert_eq!(headers.iter().map(|header| header.name.as_str()).collect::<Vec<_>>(), sent, "{text}");
            assert_eq!(findings.iter().map(|finding| finding.name).collect::<Vec<_>>(), codes, "{text}");
            assert!(!format!("{findings:?}").contains("s3cret"), "{findings:?}");
        }
    }
}
