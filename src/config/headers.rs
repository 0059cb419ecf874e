//! Headers: one by one from code, and as the specification writes them in a variable.

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::escape::OneLine;
use crate::finding::{Finding, Severity, kind};

/// One header to send with each request. The value is never shown.
#[derive(Clone, Debug)]
pub struct Header {
    pub(crate) name: HeaderName,
    /// Marked sensitive, so that `Debug` hides it.
    pub value: HeaderValue,
}

/// Makes a header, with an error text that names it but does not show its value.
pub(super) fn header(name: &str, value: &str) -> Result<Header, String> {
    let name: HeaderName = name.trim().parse().map_err(|_| format!("`{}` is no header name", OneLine(name.trim())))?;
    let mut value = HeaderValue::from_str(value.trim())
        .map_err(|_| format!("the value of the header `{name}` has a line break or another control character in it"))?;
    value.set_sensitive(true);
    Ok(Header { name, value })
}

/// Headers as `OTEL_EXPORTER_OTLP_HEADERS` has them (`key=value,key=value`, values percent-encoded), and what in it
/// deserves a look. Values are neither evidence nor text.
pub(super) fn parse_headers(variable: &str, text: &str) -> (Vec<Header>, Vec<Finding>) {
    let mut headers = Vec::new();
    let mut findings = Vec::new();
    // What follows a key or a token may be the rest of it: then not even its name is shown.
    let mut follows_credential = false;
    for (index, pair) in text.split(',').map(str::trim).enumerate().filter(|(_, pair)| !pair.is_empty()) {
        let problem = |kind, severity, problem: String, help: &str| {
            Finding::new(kind, severity, variable, problem).help(help.to_owned())
        };
        let place = index + 1;
        // No name has a colon: a `=` behind one belongs to the value.
        match pair.split_once('=').filter(|(name, _)| !name.contains(':')) {
            // The end of a text in base64 looks like a name without a value.
            Some((_, value)) if follows_credential && value.trim_matches('=').is_empty() => {
                findings.push(cut_by_comma(variable, place));
            }
            None if follows_credential => findings.push(cut_by_comma(variable, place)),
            Some((name, _)) if name.starts_with(['"', '\'']) => findings.push(problem(
                &kind::HEADER_QUOTE,
                Severity::Error,
                format!("header {place} begins with a quote, which no name has; it is not sent"),
                "remove the quotes: docker and systemd keep them as part of the value",
            )),
            Some((name, value)) => {
                match header(name, &percent_decode_str(value).decode_utf8_lossy()) {
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
                                format!("the value of header {place} goes on behind a `;` with what looks like another header"),
                                "write a comma between two headers, and %3B for a `;` that belongs to a value",
                            ));
                        }
                        headers.push(header);
                    }
                    Err(_) if follows_credential => findings.push(cut_by_comma(variable, place)),
                    Err(why) => findings.push(problem(
                        &kind::BAD_HEADER,
                        Severity::Error,
                        // What is no name may be a key: nobody writes one where a name belongs but by mistake.
                        match name.trim().parse::<HeaderName>() {
                            Ok(_) => format!("{why}; it is not sent"),
                            Err(_) => format!("header {place} has a name that is none; it is not sent"),
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
    let text = format!("piece {place} looks like the rest of the value before it, which a comma cut; it is not sent");
    Finding::new(&kind::HEADER_COMMA, Severity::Warning, variable, text).help("write a comma inside a value as %2C")
}

/// Whether a value has `;name=` in it, which is no cookie.
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

/// How the header is named in lists: a text in base64 without a name in front of it looks like a name without a value.
pub(super) fn shown(header: &Header) -> &str {
    let has_value = header.value.as_bytes().iter().any(|byte| *byte != b'=');
    if has_value { header.name.as_str() } else { "(without a value)" }
}

/// Whether the same quote stands at both ends.
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
        let bad = header("x", "a\nb").expect_err("line break");
        assert!(!bad.contains("a\nb"), "{bad}");
        assert!(!format!("{headers:?}").contains("Bearer"));
    }

    /// The variable, what is sent, and what is said.
    #[test]
    fn how_headers_go_wrong() {
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
