//! Renders the results of the probes as lines of text.

use super::outcome::describe;
use super::{ProbeResults, ProbeTarget};
use logbridge::internals::escape::OneLine;

/// Returns what was checked, one fact per line.
pub(super) fn observations(target: &ProbeTarget, results: &ProbeResults) -> Vec<String> {
    let default = if target.is_default { " (the default: neither code nor the environment sets one)" } else { "" };
    let mut lines = vec![format!("{} with {}{default}", target.shown, target.protocol)];
    if let Some(proxy) = &target.proxy {
        lines.push(format!("through the proxy {proxy}"));
    }
    for (address, result) in &results.connections.addresses {
        lines.push(format!("{address}: {}", result.as_ref().map_or_else(ToString::to_string, |()| "open".to_owned())));
    }
    if let Some(tls) = results.tls.as_ref().filter(|tls| tls.is_tls) {
        lines.push(format!("speaks TLS{}", tls.version.as_ref().map_or_else(String::new, |v| format!(" ({v})"))));
        if let Some(certificate) = &tls.certificate {
            lines.push(format!(
                "certificate of {}, issued by {}, for {}, valid from {} until {}",
                certificate.subject,
                certificate.issuer,
                certificate.names.join(", "),
                certificate.shown_from,
                certificate.shown_until
            ));
        }
    }
    if let Some(plaintext) = &results.plaintext {
        let server = plaintext.http1.as_ref().and_then(|head| head.server.clone());
        let server = server.map_or_else(String::new, |server| format!(" ({server})"));
        let protocols = [(plaintext.http1.is_some(), "HTTP/1.1"), (plaintext.is_http2, "HTTP/2")];
        let protocols: Vec<&str> = protocols.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
        if !protocols.is_empty() {
            lines.push(format!("speaks {} in plain text{server}", protocols.join(" and ")));
        }
    }
    let requests = &results.requests;
    let outcomes = [
        ("empty request", &requests.empty),
        ("empty request without the key", &requests.without_key),
        ("compressed request", &requests.compressed),
        ("request with one record (service logbridge-doctor)", &requests.record),
    ];
    lines.extend(
        outcomes.into_iter().filter_map(|(what, outcome)| Some(format!("{what}: {}", describe(outcome.as_ref()?)))),
    );
    // Names, certificates and answers come from the server and may contain control characters.
    lines.iter().map(|line| OneLine(line).to_string()).collect()
}
