//! Servers with one fault each, on free ports of the loopback interface. Dropping one stops it.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::cargo::Folder;
use crate::tls::server_config;

/// What a server does about what it has read.
pub(crate) enum Reply {
    /// Says this, and closes.
    Bytes(Vec<u8>),
    /// Says nothing, and keeps the connection.
    Nothing,
}

impl Reply {
    /// An answer of HTTP/1.1.
    pub(crate) fn http(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Bytes(
            format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
                .into_bytes(),
        )
    }

    /// Whatever is asked, it is taken.
    pub(crate) fn taken() -> Self {
        Self::http("200 OK", "content-type: application/x-protobuf\r\n", "")
    }
}

/// A port with something behind it.
pub(crate) struct Server {
    pub(crate) port: u16,
    _runtime: Runtime,
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

impl Server {
    /// Answers the first bytes of each connection, which are a head and its body where they are HTTP/1.1.
    pub(crate) fn raw(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let runtime = runtime();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let reply = Arc::new(reply);
        runtime.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let reply = reply.clone();
                tokio::spawn(async move {
                    let asked = read(&mut stream).await;
                    match reply(&String::from_utf8_lossy(&asked)) {
                        Reply::Bytes(bytes) => {
                            let _nobody_listens = stream.write_all(&bytes).await;
                            let _closed = stream.shutdown().await;
                        }
                        Reply::Nothing => std::future::pending().await,
                    }
                });
            }
        });
        Self { port, _runtime: runtime }
    }

    /// Ends TLS in front of a port.
    pub(crate) fn tls(identity: &Identity, to: u16, clients: Option<&Identity>) -> Self {
        let runtime = runtime();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let acceptor = TlsAcceptor::from(Arc::new(identity.server(clients)));
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let Ok(mut server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
                    let _ended = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { port, _runtime: runtime }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// A head of HTTP/1.1 with its body, or what else comes first.
async fn read(stream: &mut TcpStream) -> Vec<u8> {
    let mut asked = Vec::new();
    let mut buffer = [0; 65_536];
    loop {
        let Ok(length) = stream.read(&mut buffer).await else { return asked };
        asked.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8_lossy(&asked);
        let Some((head, _)) = text.split_once("\r\n\r\n") else {
            if length == 0 || !asked.first().is_some_and(u8::is_ascii_uppercase) {
                return asked;
            }
            continue;
        };
        let body =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if length == 0 || asked.len() >= head.len() + 4 + body.unwrap_or(0) {
            return asked;
        }
    }
}

/// A certificate that signs itself, and its key.
pub(crate) struct Identity {
    certificate: rcgen::Certificate,
    key: rcgen::KeyPair,
    folder: Folder,
}

impl Identity {
    pub(crate) fn new(name: &str, until: i32) -> Self {
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("zoo {name}"));
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let folder = Folder::new();
        std::fs::write(folder.0.join("certificate.pem"), certificate.pem()).expect("a file");
        std::fs::write(folder.0.join("key.pem"), key.serialize_pem()).expect("a file");
        Self { certificate, key, folder }
    }

    /// The file of the certificate, or of the `key`.
    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.0.join(format!("{name}.pem")).to_str().expect("text").to_owned()
    }

    fn server(&self, clients: Option<&Self>) -> ServerConfig {
        let clients = clients.map(|clients| &clients.certificate);
        server_config(&self.certificate, &self.key, clients, &["http/1.1"])
    }
}
