//! Certificates: the roots to trust, and the client's own.

use crate::finding::kind;
use std::fmt;
use std::io::{self, Read as _};

use super::Source;
use super::resolve::Resolver;
use super::route::names;
use crate::signal::Signal;

/// Certificates, as PEM files have them.
#[derive(Clone, Default, Eq, PartialEq)]
pub(crate) struct Tls {
    /// In the place of the platform's roots.
    pub(crate) roots: Option<Vec<u8>>,
    /// The client's own certificates, and their key.
    pub(crate) identity: Option<(Vec<u8>, Vec<u8>)>,
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
        Tls { roots, identity: certificate.zip(key) }
    }

    /// The content of a file that a variable names.
    fn file(&mut self, name: &'static str, variables: &[&'static str]) -> Option<Vec<u8>> {
        let (variable, path) = self.environment.first(variables)?;
        let read = read(path);
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

/// No bundle of certificates is longer: the platform's roots take a quarter of it.
const MAX_BYTES: u64 = 1 << 20;

/// A whole file. What is none, and what is too long for one, is an error: a device or a pipe may never end.
fn read(path: &str) -> io::Result<Vec<u8>> {
    // Before it is opened: that alone waits for a writer where it is a pipe.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut content = Vec::new();
    std::fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    match content.len() as u64 {
        0..=MAX_BYTES => Ok(content),
        _ => Err(io::Error::other("it is longer than 1 MiB")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_files_of_some_length_are_read() {
        let folder = std::env::temp_dir().join(format!("logbridge-certificates-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = |name: &str| folder.join(name).to_str().expect("text").to_owned();
        for (length, is_read) in [(0, true), (1 << 20, true), ((1 << 20) + 1, false)] {
            std::fs::write(path("file"), vec![b'x'; length]).expect("written");
            assert_eq!(read(&path("file")).is_ok_and(|content| content.len() == length), is_read, "{length}");
        }
        assert!(read(&path("none")).is_err_and(|error| error.kind() == io::ErrorKind::NotFound));
        assert!(read(&path(".")).is_err(), "a folder");
        if cfg!(unix) {
            let error = read("/dev/zero").expect_err("endless");
            assert_eq!(error.to_string(), "it is no regular file");
        }
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
