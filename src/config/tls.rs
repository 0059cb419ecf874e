//! Certificates: the roots to trust, and the client's own.

use crate::finding::kind;
use std::fmt;
use std::path::Path;

use super::Source;
use super::named_file::{never_ends, read};
use super::resolve::Resolver;
use super::route::names;
use crate::signal::Signal;

/// Where the platform's roots are read instead, as OpenSSL does it.
const PLATFORM_ROOTS: &str = "SSL_CERT_FILE";

/// Certificates, as PEM files have them.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Tls {
    /// In the place of the platform's roots.
    pub(crate) roots: Option<Vec<u8>>,
    /// Why the platform's roots are not to be read: the file that is named in their place would never end.
    pub(crate) no_platform_roots: Option<String>,
    /// The client's own certificates, and their key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for Tls {
    // The key is a secret.
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
        let roots = self.file(roots, &names!(signal, "CERTIFICATE"));
        let certificate = self.file(certificate, &names!(signal, "CLIENT_CERTIFICATE"));
        let key = self.file(key, &names!(signal, "CLIENT_KEY"));
        let alone = match (&certificate, &key) {
            (Some(_), None) => Some(("CLIENT_CERTIFICATE", "CLIENT_KEY")),
            (None, Some(_)) => Some(("CLIENT_KEY", "CLIENT_CERTIFICATE")),
            _ => None,
        };
        if let Some((there, missing)) = alone {
            let variable = format!("OTEL_EXPORTER_OTLP_{there}");
            let problem =
                format!("without OTEL_EXPORTER_OTLP_{missing} it is of no use, so no client certificate is sent");
            self.error(&kind::BAD_VALUE, &variable, &problem, "name both files, or neither");
        }
        let no_platform_roots = self.environment.get(PLATFORM_ROOTS).and_then(|path| never_ends(Path::new(path)));
        let no_platform_roots = no_platform_roots.map(|why| format!("{PLATFORM_ROOTS} cannot be read: {why}"));
        Tls { roots, no_platform_roots, identity: certificate.zip(key) }
    }

    /// The content of a file that a variable names.
    fn file(&mut self, name: &'static str, variables: &[&'static str]) -> Option<Vec<u8>> {
        let (variable, path) = self.environment.first(variables)?;
        let read = read(Path::new(path));
        let (path, source) = (path.to_owned(), Source::of(variables, variable));
        match read {
            Ok(content) => {
                self.keep(name, path, source);
                Some(content)
            }
            Err(error) => {
                let problem = format!("`{path}` cannot be read: {error}; it is ignored");
                self.error(
                    &kind::BAD_VALUE,
                    variable,
                    &problem,
                    "write the path of a PEM file that this process may read",
                );
                None
            }
        }
    }
}
