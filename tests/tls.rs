//! HTTPS with the platform's roots: a certificate that is trusted, one that is not, and one for another host.
//!
//! Which roots are the platform's is said by SSL_CERT_FILE, which a process reads once: the client is a child, this test
//! program again.

#![allow(clippy::expect_used, clippy::disallowed_methods)] // A test may panic, and tells its child where to send.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use log::Log as _;
use logbridge::testing::Receiver;
use logbridge::{Builder, Console, Otlp};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, ServerConfig};

const ENDPOINT: &str = "TLS_ENDPOINT";

#[test]
#[ignore = "the child of the other tests"]
fn child() {
    let bridge = Builder::new()
        .otlp(Otlp::to(std::env::var(ENDPOINT).expect("started by another test")))
        .console(Console::off())
        .build()
        .expect("builds");
    let args = format_args!("over TLS");
    bridge.logger().log(&log::Record::builder().args(args).level(log::Level::Error).target("tls").build());
    bridge.flush(Duration::from_secs(3)).expect("delivered");
}

/// Ends TLS in front of a receiver. Dropping the runtime ends it.
struct TlsFront {
    port: u16,
    /// The certificate that signs itself, for a client that trusts it.
    roots: PathBuf,
    _runtime: tokio::runtime::Runtime,
}

impl TlsFront {
    fn start(receiver: &Receiver, name: &str) -> Self {
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("logbridge test {name}"));
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let roots = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.pem", receiver.port()));
        std::fs::write(&roots, certificate.pem()).expect("a file");
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key))
            .expect("a configuration");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        runtime.spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), receiver.port()));
        Self { port, roots, _runtime: runtime }
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, to: u16) {
    while let Ok((client, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A handshake that the client refuses is what some of the tests are about.
            let Ok(mut client) = acceptor.accept(client).await else { return };
            let Ok(mut server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
            let _ended = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

fn run_child(endpoint: &str, roots: &PathBuf) -> Output {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(ENDPOINT, endpoint)
        .env("SSL_CERT_FILE", roots)
        .env_remove("SSL_CERT_DIR")
        .output()
        .expect("the child runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_trusted_endpoint_gets_its_records() {
    let receiver = Receiver::start().expect("a receiver");
    let front = TlsFront::start(&receiver, "localhost");
    let output = run_child(&format!("https://localhost:{}", front.port), &front.roots);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(receiver.logs().iter().map(|log| log.message()).collect::<Vec<_>>(), ["over TLS"]);
}

#[test]
fn an_unknown_issuer_and_a_wrong_host_get_nothing_and_are_named() {
    let receiver = Receiver::start().expect("a receiver");
    let (front, other) = (TlsFront::start(&receiver, "localhost"), TlsFront::start(&receiver, "elsewhere.example"));
    let unknown = run_child(&format!("https://localhost:{}", front.port), &other.roots);
    assert!(!unknown.status.success());
    assert!(stderr(&unknown).contains("TLS: invalid peer certificate: UnknownIssuer"), "{}", stderr(&unknown));
    let wrong_host = run_child(&format!("https://localhost:{}", other.port), &other.roots);
    assert!(!wrong_host.status.success());
    let text = stderr(&wrong_host);
    assert!(text.contains("TLS: invalid peer certificate") && text.contains("localhost"), "{text}");
    assert!(receiver.requests().is_empty());
}

#[test]
fn tls_to_a_plain_port_says_so() {
    let receiver = Receiver::start().expect("a receiver");
    let front = TlsFront::start(&receiver, "localhost");
    let output = run_child(&receiver.endpoint().replace("http://", "https://"), &front.roots);
    assert!(!output.status.success());
    assert!(stderr(&output).contains("this port does not speak TLS"), "{}", stderr(&output));
}
