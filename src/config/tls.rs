//! TLS settings: trusted root certificates and the client's own certificate.

use std::fmt;
use std::path::Path;

use super::named_file::{blocking_reason, read};
use super::resolver::{Resolver, signal_variables};
use super::setting::SettingSource;
use crate::finding::kind;
use crate::signal::Signal;

/// Replaces the platform's root certificates, as in OpenSSL.
const PLATFORM_ROOTS: &str = "SSL_CERT_FILE";

/// Certificates in PEM format.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Tls {
    /// Root certificates that replace those of the platform.
    pub(crate) roots: Option<Vec<u8>>,
    /// Why the platform's root certificates must not be read: the file set in `SSL_CERT_FILE` would block the reader.
    pub(crate) no_platform_roots: Option<String>,
    /// The client's certificate chain and its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for Tls {
    // Hides the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("roots", &self.roots.is_some()).field("identity", &self.identity.is_some()).finish()
    }
}

impl Resolver<'_> {
    pub(super) fn tls(&mut self, signal: Signal) -> Tls {
        let [roots, certificate, key] = match signal {
            Signal::Logs => ["logs certificate", "logs client certificate", "logs client key"],
            Signal::Traces => ["spans certificate", "spans client certificate", "spans client key"],
        };
        let roots = self.file(roots, &signal_variables!(signal, "CERTIFICATE"));
        let certificate = self.file(certificate, &signal_variables!(signal, "CLIENT_CERTIFICATE"));
        let key = self.file(key, &signal_variables!(signal, "CLIENT_KEY"));
        let alone = match (&certificate, &key) {
            (Some(_), None) => Some(("CLIENT_CERTIFICATE", "CLIENT_KEY")),
            (None, Some(_)) => Some(("CLIENT_KEY", "CLIENT_CERTIFICATE")),
            _ => None,
        };
        if let Some((there, missing)) = alone {
            let variable = format!("OTEL_EXPORTER_OTLP_{there}");
            let problem = format!("OTEL_EXPORTER_OTLP_{missing} is not set, so no client certificate is sent");
            self.add_error(&kind::BAD_VALUE, &variable, &problem, "set both variables, or neither");
        }
        let no_platform_roots = self.environment.get(PLATFORM_ROOTS).and_then(|path| blocking_reason(Path::new(path)));
        let no_platform_roots = no_platform_roots.map(|why| format!("{PLATFORM_ROOTS} cannot be read: {why}"));
        Tls { roots, no_platform_roots, identity: certificate.zip(key) }
    }

    /// Reads the file that a variable names.
    fn file(&mut self, name: &'static str, variables: &[&'static str]) -> Option<Vec<u8>> {
        let (variable, path) = self.environment.first(variables)?;
        let read = read(Path::new(path));
        let (path, source) = (path.to_owned(), SettingSource::of(variables, variable));
        match read {
            Ok(content) => {
                self.add_setting(name, path, source);
                Some(content)
            }
            Err(error) => {
                let problem = format!("`{path}` cannot be read: {error}; it is ignored");
                self.add_error(&kind::BAD_VALUE, variable, &problem, "set it to the path of a readable PEM file");
                None
            }
        }
    }
}
