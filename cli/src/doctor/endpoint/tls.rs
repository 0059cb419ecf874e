//! Starts a TLS handshake and records the certificate of the server and whether it requests one from the client. No
//! application data is sent on this connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

const TIMEOUT: Duration = Duration::from_millis(3000);

/// The result of a handshake.
#[derive(Debug, Default)]
pub(crate) struct Handshake {
    /// Whether the port speaks TLS.
    pub(crate) is_tls: bool,
    pub(crate) version: Option<String>,
    /// The protocol that the server selected: `h2` or `http/1.1`.
    pub(crate) alpn: Option<String>,
    pub(crate) certificate: Option<Certificate>,
    /// Whether the server requested a client certificate.
    pub(crate) wants_client_certificate: bool,
}

/// The fields of a certificate that findings use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Certificate {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) names: Vec<String>,
    /// Seconds since 1970.
    pub(crate) valid_from: i64,
    pub(crate) valid_until: i64,
    pub(crate) shown_from: String,
    pub(crate) shown_until: String,
}

impl Certificate {
    fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress([a, b, c, d]) => Some(format!("{a}.{b}.{c}.{d}")),
            GeneralName::IPAddress(bytes) => {
                <[u8; 16]>::try_from(*bytes).ok().map(|ip| std::net::Ipv6Addr::from(ip).to_string())
            }
            _ => None,
        });
        let validity = certificate.validity();
        Some(Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            names: names.take(10).collect(),
            valid_from: validity.not_before.timestamp(),
            valid_until: validity.not_after.timestamp(),
            shown_from: validity.not_before.to_string(),
            shown_until: validity.not_after.to_string(),
        })
    }

    /// Checks whether the certificate is valid at a time.
    ///
    /// # Errors
    ///
    /// Returns the bound of the validity that the time is outside of.
    pub(crate) fn is_valid_at(&self, time: SystemTime) -> Result<(), String> {
        let now = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        match now {
            now if now < self.valid_from => Err(format!("it is not valid before {}", self.shown_from)),
            now if now > self.valid_until => Err(format!("it expired on {}", self.shown_until)),
            _ => Ok(()),
        }
    }
}

/// Accepts and records any certificate. Requests verify it on connections of their own.
#[derive(Debug)]
struct CertificateRecorder {
    provider: Arc<CryptoProvider>,
    certificate: Mutex<Option<Certificate>>,
    was_requested: Mutex<bool>,
}

impl ServerCertVerifier for CertificateRecorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.certificate.lock().unwrap_or_else(PoisonError::into_inner) = Certificate::read(end_entity);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Has no client certificate, and records that one was requested.
#[derive(Debug)]
struct NoClientCertificate(Arc<CertificateRecorder>);

impl ResolvesClientCert for NoClientCertificate {
    fn resolve(&self, _issuers: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.0.was_requested.lock().unwrap_or_else(PoisonError::into_inner) = true;
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Performs a handshake and records its results.
pub(super) async fn handshake(address: SocketAddr, host: &str) -> Handshake {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let recorder = Arc::new(CertificateRecorder {
        provider: provider.clone(),
        certificate: Mutex::default(),
        was_requested: Mutex::default(),
    });
    let Ok(builder) = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions() else {
        return Handshake::default();
    };
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(recorder.clone())
        .with_client_cert_resolver(Arc::new(NoClientCertificate(recorder.clone())));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from(host.to_owned()).unwrap_or_else(|_| ServerName::from(address.ip()));
    let ended = timeout(TIMEOUT, async {
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    })
    .await;
    let certificate = recorder.certificate.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let wants_client_certificate = *recorder.was_requested.lock().unwrap_or_else(PoisonError::into_inner);
    let mut handshake =
        Handshake { is_tls: certificate.is_some(), certificate, wants_client_certificate, ..Handshake::default() };
    match ended {
        Ok(Ok(stream)) => {
            let (_, session) = stream.get_ref();
            handshake.is_tls = true;
            handshake.version = session.protocol_version().map(|version| format!("{version:?}"));
            handshake.alpn = session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        }
        Ok(Err(error)) => handshake.is_tls |= is_alert(&error),
        Err(_elapsed) => {}
    }
    handshake
}

/// Returns whether the server sent a TLS alert, which proves that it speaks TLS.
fn is_alert(error: &std::io::Error) -> bool {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    matches!(tls, Some(Error::AlertReceived(_)))
}
