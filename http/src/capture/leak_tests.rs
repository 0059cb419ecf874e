//! Generates bodies with a secret in them, and checks that the capture does not contain it. `fuzz/` includes this file.

use fastrand::Rng;
use http::{HeaderMap, HeaderValue};
use logbridge::{HttpSettings, NetworkCapture};

use super::BodyCapture;

/// The letters of secrets. Nothing else in a body has two of them in a row.
const LETTERS: &[u8] = b"QXZ";

/// What may surround a secret: everything that means something in some format.
const GARBAGE: [&str; 68] = [
    "\"",
    "'",
    "`",
    "\\",
    "\\\"",
    "\\\\\"",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "<",
    ">",
    "/",
    "</",
    "<a>",
    "<b c=\"",
    "<!--",
    "<![CDATA[",
    "]]>",
    "&",
    "&amp;",
    "&quot;",
    "=",
    ":",
    ",",
    ";",
    "|",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "%",
    "%3D",
    "%22",
    "%3A",
    "+",
    "-",
    "- ",
    "#",
    "://",
    "@",
    "é",
    "日本",
    "\u{feff}",
    "\u{0}1",
    "\\u",
    "\\u003c",
    "\\u003d",
    "\\u003a",
    "&#61;",
    "&#x3d;",
    "&#58;",
    "\"value\":",
    "name",
    "value",
    "author",
    "token",
    "password",
    "secret:",
    "\"token\":\"",
    "key=\"",
    "bearer",
    "-----BEGIN PRIVATE KEY-----",
    "1",
    "null",
];

const NAMES: [&str; 16] = [
    "password",
    "Password",
    "db_password",
    "newPassword",
    "access_token",
    "accessToken",
    "refresh-token",
    "api_key",
    "apiKey",
    "client_secret",
    "authorization",
    "sessionId",
    "card_number",
    "cvv2",
    "private_key",
    "X-Auth-Token",
];

/// How tokens of well-known issuers begin.
const PREFIXES: [&str; 6] = ["AKIA", "SG.", "eyJ", "ghp_", "npm_", "xoxb-"];

/// Checks one body that follows from the seed.
///
/// # Panics
///
/// Panics if part of the secret is in the captured text.
pub(crate) fn check(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let [before, after] = [garbage(&mut rng), garbage(&mut rng)];
    check_between(&mut rng, &before, &after);
}

/// Checks a body with a secret between two texts.
///
/// # Panics
///
/// Panics if part of the secret is in the captured text.
pub(crate) fn check_between(rng: &mut Rng, before: &str, after: &str) {
    let secret: String = (0..rng.usize(4..60)).map(|_| char::from(LETTERS[rng.usize(..LETTERS.len())])).collect();
    let (content_type, planted) = planted(rng, &secret);
    let [before, after] = [before, after].map(|text| text.replace(|c: char| LETTERS.contains(&(c as u8)), "q"));
    let body = format!("{before}{planted}{after}");
    let limit = rng.usize(1..body.len() + 50);
    let text = captured(rng, content_type, "identity", body.as_bytes(), limit).unwrap_or_default();
    assert!(text.len() <= limit);
    let leaks = text.as_bytes().windows(2).any(|pair| pair.iter().all(|byte| LETTERS.contains(byte)));
    assert!(!leaks, "`{body}` as {content_type}, limit {limit}, is captured as `{text}`");
}

/// Captures a body that arrives in random pieces.
pub(crate) fn captured(
    rng: &mut Rng,
    content_type: &'static str,
    coding: &'static str,
    body: &[u8],
    limit: usize,
) -> Option<String> {
    let settings = HttpSettings::default().with_capture(NetworkCapture::all().max_body_bytes(limit));
    let headers = [(http::header::CONTENT_TYPE, content_type), (http::header::CONTENT_ENCODING, coding)];
    let headers = HeaderMap::from_iter(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
    let mut capture = BodyCapture::new(&settings, &headers)?;
    // A body may be aborted anywhere.
    let end = if rng.bool() { body.len() } else { rng.usize(..=body.len()) };
    let mut rest = &body[..end];
    while !rest.is_empty() {
        let (frame, after) = rest.split_at(rng.usize(1..=rest.len()));
        capture.push(frame);
        rest = after;
    }
    if end == body.len() {
        capture.complete();
    }
    capture.finish()
}

/// Returns a content type, and a text with the secret under a secret name.
fn planted(rng: &mut Rng, secret: &str) -> (&'static str, String) {
    let name = NAMES[rng.usize(..NAMES.len())];
    let space = ["", "", " ", "\n  "][rng.usize(..4)];
    let json = "application/json";
    match rng.u8(..21) {
        0 => (json, format!("{{\"{name}\"{space}:{space}\"{secret}\"}}")),
        1 => (json, format!("{{\"{name}\":\"a\\\"b,c:}}{secret}\",\"n\":1}}")),
        2 => (json, format!("{{\"{name}\":{space}[\"{secret}\",{{\"a\":\"]{secret}\"}}],\"n\":1}}")),
        3 => (json, format!("{{\"{name}\":{{\"a\":\"}}\\\"\",\"b\":\"{secret}\"}}}}")),
        4 => (json, format!("{{\"{}\":\"{secret}\"}}", escaped(rng, name))),
        5 => (json, format!("{{\"body\":\"{{\\\"{name}\\\":{space}\\\"{secret}\\\"}}\"}}")),
        6 => (json, format!("{{'{name}':{space}'{secret}', 'n':1}}")),
        7 => (json, format!("{{{name}: {secret}, n: 1}}")),
        8 => ("text/plain", format!("\n{name}={secret} and {secret}\n")),
        9 => ("text/plain", format!("\n{name}: {secret}, {secret}\n")),
        10 => ("application/yaml", format!("\n{name}: |\n  {secret}\n  {secret}\nn: 1\n")),
        11 => ("text/xml", format!(" <{name}>{secret}</{name}> ")),
        12 => ("text/xml", format!(" <a {name}=\"{secret}\"/> ")),
        13 => ("text/plain", format!(" Bearer {secret} ")),
        14 => ("text/plain", format!(" https://{secret}:{secret}@host/ ")),
        15 => {
            (json, format!("{{\"a\":\"{}{}{secret}\",\"n\":1}}", PREFIXES[rng.usize(..PREFIXES.len())], "0".repeat(30)))
        }
        16 => (json, format!("{{\"url\":\"https:\\/\\/me:{secret}@host\\/\"}}")),
        17 => (json, format!("{{\"a\":\"b\\u003d1\\u0026{name}\\u003d{secret}\",\"n\":1}}")),
        18 => ("text/xml", format!(" <a>{name}{}{secret}</a> ", ["&#61;", "&#x3d;", "&#58;"][rng.usize(..3)])),
        19 => ("application/x-www-form-urlencoded", format!("&{}={secret}&", percent_encoded(rng, name))),
        _ => ("application/x-www-form-urlencoded", format!("&a=%7B%22{name}%22%3A%22{secret}%22%7D&")),
    }
}

fn garbage(rng: &mut Rng) -> String {
    let mut garbage: String = (0..rng.usize(..12)).map(|_| GARBAGE[rng.usize(..GARBAGE.len())]).collect();
    if rng.u8(..4) == 0 {
        garbage = garbage.repeat(rng.usize(1..80));
    }
    garbage
}

fn escaped(rng: &mut Rng, name: &str) -> String {
    let escape = |c: char| if rng.bool() { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    name.chars().map(escape).collect()
}

fn percent_encoded(rng: &mut Rng, name: &str) -> String {
    let encode = |c: char| if rng.bool() { format!("%{:02x}", u32::from(c)) } else { c.to_string() };
    name.chars().map(encode).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_secret_never_appears_whatever_surrounds_it() {
        (0..20_000).for_each(super::check);
    }
}
