//! Classifies HTTP responses.
//!
//! Real receivers deviate from the specification: success may be an empty 200, the text `OK`, or JSON in response to
//! protobuf. All of these confirm delivery.

use std::error::Error;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt as _, Collected, Limited};
use hyper::body::Body;

use super::outcome::{Cause, CauseKind, Outcome, server_text};
use crate::config::redact_url;
use crate::ledger::RejectReason;
use crate::otlp::{ExportResponse, read_export_response};

/// The maximum size of a response, as the specification suggests.
pub(super) const MAX_RESPONSE_BYTES: usize = 4 << 20;

/// The maximum length of plain text, such as `OK`, that confirms delivery.
const SHORT_TEXT_BYTES: usize = 64;

/// How long to wait for the body of a rejection, which is only needed for its text.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest delay that is accepted from `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Reads the body of a rejection. Returns an empty one if it is incomplete, too long, or too slow.
///
/// It may take at most a quarter of the timeout of the whole request.
pub(super) async fn read_error_body<B>(body: B, timeout: Duration) -> Collected<Bytes>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let body = Limited::new(body, MAX_RESPONSE_BYTES).collect();
    match tokio::time::timeout(ERROR_BODY_TIMEOUT.min(timeout / 4), body).await {
        Ok(Ok(body)) => body,
        _ => Collected::default(),
    }
}

/// Returns the outcome of a request with this response.
pub(super) fn classify(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Outcome {
    if status.is_success() {
        return success(status, headers, body);
    }
    let cause =
        |kind, what: &str| Cause::new(kind, describe(status, what, headers, body)).with_status(Some(status.as_u16()));
    let rejected = |reason, kind, what: &str| Outcome::Rejected { reason, cause: cause(kind, what) };
    match status.as_u16() {
        429 | 502..=504 => {
            Outcome::Retry { cause: cause(CauseKind::Busy, "try again later"), after: retry_after(headers) }
        }
        400 => rejected(RejectReason::Malformed, CauseKind::Rejected, "it could not read the request"),
        401 | 403 => rejected(RejectReason::Auth, CauseKind::Auth, "it refused the credentials"),
        404 | 405 => rejected(RejectReason::NotFound, CauseKind::NotFound, "no receiver for this signal at this path"),
        407 => rejected(RejectReason::Auth, CauseKind::Proxy, "the proxy refused the credentials"),
        413 => rejected(RejectReason::TooLarge, CauseKind::TooLarge, "the request is too large for it"),
        300..=399 => {
            let code = status.as_u16();
            let text = match headers.get(header::LOCATION).and_then(|to| to.to_str().ok()) {
                Some(to) => {
                    // The fragment is removed last, since a password may contain `#`.
                    let to = redact_url(to);
                    let to = server_text(to.split('#').next().unwrap_or_default());
                    format!("it redirects to {to} ({code}), which is never followed")
                }
                None => format!("it answered {code}, a redirect, without saying where to"),
            };
            let cause = Cause::new(CauseKind::Redirect, text).with_status(Some(status.as_u16()));
            Outcome::Rejected { reason: RejectReason::Redirect, cause }
        }
        _ => rejected(RejectReason::OtherStatus, CauseKind::Rejected, "it refused"),
    }
}

fn success(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Outcome {
    let content_type = content_type(headers);
    let response = match content_type {
        _ if body.is_empty() => Some(ExportResponse::default()),
        "application/json" => read_json(body),
        "application/x-protobuf" => read_export_response(body),
        // Text such as `OK`. A page is longer or contains a tag.
        _ if body.len() <= SHORT_TEXT_BYTES && !body.contains(&b'<') && std::str::from_utf8(body).is_ok() => {
            Some(ExportResponse::default())
        }
        _ => None,
    };
    match response {
        Some(response) => Outcome::confirmed(response),
        None => {
            let kind = if content_type.is_empty() {
                "bytes without a content type".to_owned()
            } else {
                server_text(content_type)
            };
            let encoding =
                headers.get(header::CONTENT_ENCODING).map(|encoding| encoding.to_str().unwrap_or("something"));
            // Compression was not requested, so the client does not decompress.
            let encoding =
                encoding.map_or_else(String::new, |encoding| format!(" compressed with {}", server_text(encoding)));
            let is_plausible = kind.starts_with("application/");
            let which = if is_plausible { " and a body that is not" } else { ", which is not" };
            let text = format!("it answered {} with {kind}{encoding}{which} an OTLP response", status.as_u16());
            Outcome::Unconfirmed { cause: Cause::new(CauseKind::NotOtlp, text).with_status(Some(status.as_u16())) }
        }
    }
}

fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().unwrap_or("").trim()
}

fn read_json(body: &[u8]) -> Option<ExportResponse> {
    let json: serde_json::Value = serde_json::from_slice(body).ok()?;
    let object = json.as_object()?;
    let partial = match object.get("partialSuccess") {
        None | Some(serde_json::Value::Null) => return Some(ExportResponse::default()),
        Some(partial) => partial.as_object()?,
    };
    let rejected = match partial.get("rejectedLogRecords").or_else(|| partial.get("rejectedSpans")) {
        None | Some(serde_json::Value::Null) => 0,
        Some(serde_json::Value::Number(number)) => count(&number.to_string())?,
        Some(serde_json::Value::String(text)) => count(text)?,
        // An unknown number was rejected.
        Some(_) => return None,
    };
    let message = partial.get("errorMessage").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    Some(ExportResponse { rejected, message })
}

/// Parses a number of items, which JSON may also write as `3.0` or `3e0`.
fn count(text: &str) -> Option<u64> {
    // Larger integers are not all representable as `f64`.
    const EXACT: f64 = (1_u64 << f64::MANTISSA_DIGITS) as f64;
    text.parse().ok().or_else(|| {
        let float: f64 = text.parse().ok()?;
        ((0.0..=EXACT).contains(&float) && float.fract() == 0.0).then_some(float as u64)
    })
}

/// Returns the status, its meaning, and the text of the server unless it is binary or HTML.
fn describe(status: StatusCode, what: &str, headers: &HeaderMap, body: &[u8]) -> String {
    let reason = status.canonical_reason().map(|reason| format!(" {reason}")).unwrap_or_default();
    let said = match content_type(headers) {
        "application/x-protobuf" | "application/grpc" => String::new(),
        _ => server_text(&String::from_utf8_lossy(body)),
    };
    let said = if said.is_empty() || said.contains('<') { String::new() } else { format!(": \"{said}\"") };
    format!("it answered {}{reason} ({what}){said}", status.as_u16())
}

/// Returns the number of seconds by which the `Date` header is ahead of `now`.
pub(super) fn clock_offset(headers: &HeaderMap, now: SystemTime) -> Option<i64> {
    let date = httpdate::parse_http_date(headers.get(header::DATE)?.to_str().ok()?).ok()?;
    Some(match date.duration_since(now) {
        Ok(ahead) => ahead.as_secs() as i64,
        Err(behind) => -(behind.duration().as_secs() as i64),
    })
}

/// Returns the delay of the `Retry-After` header, which is in seconds or a date. It is at most an hour.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    // A date in the past means no delay.
    Some(at.duration_since(SystemTime::now()).unwrap_or_default().min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Outcome {
        let headers =
            headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)));
        classify(StatusCode::from_u16(status).expect("a status"), &headers.collect(), body.as_bytes())
    }

    #[test]
    fn untidy_successes_confirm_and_pages_do_not() {
        let json = ("content-type", "application/json; charset=utf-8");
        for (headers, body) in [
            (&[][..], ""),
            (&[("content-type", "application/x-protobuf")], ""),
            (&[json], "{}"),
            (&[json], r#"{"partialSuccess":{}}"#),
            (&[("content-type", "text/plain")], "OK"),
            (&[("content-type", "text/html")], "OK"),
            (&[], "ok\n"),
        ] {
            assert_eq!(answer(200, headers, body), Outcome::Delivered, "{body}");
        }
        for (content_type, body) in [
            ("text/html", "<!doctype html><html>sign in</html>"),
            ("application/x-protobuf", "<html>"),
            ("application/json", "sign in"),
            ("text/plain", "a text that is far too long to be a short word of confirmation by any receiver"),
        ] {
            assert!(
                matches!(answer(200, &[("content-type", content_type)], body), Outcome::Unconfirmed { .. }),
                "{body}"
            );
        }
    }

    #[test]
    fn partial_success_in_json_with_numbers_as_text_or_not() {
        for number in ["3", "\"3\"", "3.0", "3e0", "\"3.0\"", "0.3e1"] {
            let body = format!(r#"{{"partialSuccess":{{"rejectedLogRecords":{number},"errorMessage":"old"}}}}"#);
            let headers = [("content-type", "application/json")];
            assert_eq!(answer(200, &headers, &body), Outcome::Partial { rejected: 3, message: "old".to_owned() });
        }
    }

    #[test]
    fn partial_success_with_a_number_that_cannot_be_read_confirms_nothing() {
        for number in ["-1", "2.5", "\"many\"", "true", "[3]", "1e300", "\"\"", "\"nan\"", "-0.5"] {
            let body = format!(r#"{{"partialSuccess":{{"rejectedLogRecords":{number},"errorMessage":"old"}}}}"#);
            let outcome = answer(200, &[("content-type", "application/json")], &body);
            assert!(matches!(outcome, Outcome::Unconfirmed { .. }), "{number}: {outcome:?}");
        }
        let body = r#"{"partialSuccess":{"rejectedSpans":null}}"#;
        assert_eq!(answer(200, &[("content-type", "application/json")], body), Outcome::Delivered);
    }

    #[test]
    fn a_redirect_shows_no_secret() {
        let Outcome::Rejected { cause, .. } = answer(302, &[("location", "http://u:s3cret@x/y?k=s3cret#s3cret")], "")
        else {
            panic!("refused")
        };
        assert_eq!(cause.text, "it redirects to http://…@x/y?… (302), which is never followed");
    }

    #[test]
    fn statuses() {
        for (status, reason) in [
            (400, RejectReason::Malformed),
            (401, RejectReason::Auth),
            (403, RejectReason::Auth),
            (404, RejectReason::NotFound),
            (413, RejectReason::TooLarge),
            (418, RejectReason::OtherStatus),
            (500, RejectReason::OtherStatus),
            (307, RejectReason::Redirect),
        ] {
            assert!(matches!(answer(status, &[], ""), Outcome::Rejected { reason: r, .. } if r == reason), "{status}");
        }
        for status in [429, 502, 503, 504] {
            assert!(matches!(answer(status, &[], ""), Outcome::Retry { after: None, .. }), "{status}");
        }
        let Outcome::Retry { after, .. } = answer(503, &[("retry-after", "7")], "busy") else { panic!("retry") };
        assert_eq!(after, Some(Duration::from_secs(7)));
    }

    #[test]
    fn the_servers_words_are_quoted_when_they_are_words() {
        let Outcome::Rejected { cause, .. } = answer(401, &[("content-type", "text/plain")], "bad key\n") else {
            panic!("refused")
        };
        assert_eq!(cause.text, "it answered 401 Unauthorized (it refused the credentials): \"bad key\"");
        let Outcome::Rejected { cause, .. } = answer(404, &[], "<html>nope</html>") else { panic!("refused") };
        assert_eq!(cause.text, "it answered 404 Not Found (no receiver for this signal at this path)");
    }

    #[test]
    fn dates() {
        for (date, passed) in [("Sun, 06 Nov 1994 08:49:37 GMT", true), ("Fri, 31 Dec 9999 23:59:59 GMT", false)] {
            let Outcome::Retry { after, .. } = answer(503, &[("retry-after", date)], "") else { panic!("retry") };
            assert_eq!(after, Some(if passed { Duration::ZERO } else { Duration::from_secs(3600) }), "{date}");
        }
        assert!(matches!(answer(503, &[("retry-after", "tomorrow")], ""), Outcome::Retry { after: None, .. }));
    }
}
