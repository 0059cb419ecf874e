//! HTTPS with the platform's roots or with roots from a variable: certificates that are trusted, not trusted, or for
//! another host, and a server that requires a client certificate.
//!
//! SSL_CERT_FILE sets the platform's roots, and a process reads it once. So the client is a child process, which runs
//! this test program again.

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

use crate::grpc::{GrpcServer, Says};
use crate::server::server_config;

const ENDPOINT: &str = "TLS_ENDPOINT";

#[test]
#[ignore = "the child of the other tests"]
fn child() {
    let bridge = Builder::from_default_env()
        .otlp(Otlp::to(std::env::var(ENDPOINT).expect("started by another test")))
        .console(Console::off())
        .build()
        .expect("builds");
    let args = format_args!("over TLS");
    bridge.logger().log(&log::Record::builder().args(args).level(log::Level::Error).target("tls").build());
    bridge.flush(Duration::from_secs(3)).expect("delivered");
}

/// A certificate that signs itself, and its key, in memory and as the files that a variable names.
struct Identity {
    certificate: rcgen::Certificate,
    key: rcgen::KeyPair,
    certificate_file: PathBuf,
    key_file: PathBuf,
}

impl Identity {
    fn new(name: &str, unique: u16) -> Self {
        Self::until(name, unique, 4096)
    }

    fn until(name: &str, unique: u16, year: i32) -> Self {
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("logbridge test {name}"));
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let file = |what: &str| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{unique}.{what}.pem"));
        let (certificate_file, key_file) = (file("certificate"), file("key"));
        std::fs::write(&certificate_file, certificate.pem()).expect("a file");
        std::fs::write(&key_file, key.serialize_pem()).expect("a file");
        Self { certificate, key, certificate_file, key_file }
    }
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
        Self::before(receiver.port(), name, None)
    }

    /// With `clients`, only those that show this certificate get in.
    fn before(port: u16, name: &str, clients: Option<&Identity>) -> Self {
        Self::with(Identity::new(name, port), port, clients)
    }

    fn with(identity: Identity, port: u16, clients: Option<&Identity>) -> Self {
        let clients = clients.map(|clients| &clients.certificate);
        // A client that offers only HTTP/1.1 gets that.
        let config = server_config(&identity.certificate, &identity.key, clients, &["h2", "http/1.1"]);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let listens_on = listener.local_addr().expect("an address").port();
        runtime.spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), port));
        Self { port: listens_on, roots: identity.certificate_file, _runtime: runtime }
    }

    fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.port)
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
    run_child_with(endpoint, &[("SSL_CERT_FILE", roots)])
}

fn run_child_with(endpoint: &str, files: &[(&str, &PathBuf)]) -> Output {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "tls::child", "--ignored", "--nocapture"])
        .env(ENDPOINT, endpoint)
        .env_remove("SSL_CERT_FILE")
        .env_remove("SSL_CERT_DIR")
        .envs(files.iter().copied())
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
    let output = run_child(&front.endpoint(), &front.roots);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(receiver.logs().iter().map(|log| log.message()).collect::<Vec<_>>(), ["over TLS"]);
}

#[test]
fn an_unknown_issuer_and_a_wrong_host_get_nothing_and_are_named() {
    let receiver = Receiver::start().expect("a receiver");
    let (front, other) = (TlsFront::start(&receiver, "localhost"), TlsFront::start(&receiver, "elsewhere.example"));
    let unknown = run_child(&front.endpoint(), &other.roots);
    assert!(!unknown.status.success());
    assert!(stderr(&unknown).contains("TLS: invalid peer certificate: UnknownIssuer"), "{}", stderr(&unknown));
    let wrong_host = run_child(&other.endpoint(), &other.roots);
    assert!(!wrong_host.status.success());
    let text = stderr(&wrong_host);
    assert!(text.contains("TLS: invalid peer certificate") && text.contains("localhost"), "{text}");
    assert!(receiver.requests().is_empty());
}

#[test]
fn an_expired_certificate_is_named() {
    let receiver = Receiver::start().expect("a receiver");
    let expired = Identity::until("localhost", receiver.port(), 2020);
    let front = TlsFront::with(expired, receiver.port(), None);
    let text = stderr(&run_child(&front.endpoint(), &front.roots));
    assert!(text.contains("TLS: invalid peer certificate: certificate expired"), "{text}");
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

#[test]
fn roots_that_a_variable_names_replace_those_of_the_platform() {
    let receiver = Receiver::start().expect("a receiver");
    let (front, other) = (TlsFront::start(&receiver, "localhost"), Identity::new("elsewhere.example", receiver.port()));
    let trusted = run_child_with(&front.endpoint(), &[("OTEL_EXPORTER_OTLP_CERTIFICATE", &front.roots)]);
    assert!(trusted.status.success(), "{}", stderr(&trusted));
    assert_eq!(receiver.logs().len(), 1);
    let files = [
        ("SSL_CERT_FILE", &front.roots),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", &front.roots),
        ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", &other.certificate_file),
    ];
    let replaced = run_child_with(&front.endpoint(), &files);
    assert!(stderr(&replaced).contains("UnknownIssuer"), "{}", stderr(&replaced));
    assert_eq!(receiver.logs().len(), 1);
}

#[test]
fn a_server_that_asks_for_a_certificate_gets_one() {
    let receiver = Receiver::start().expect("a receiver");
    let client = Identity::new("client", receiver.port());
    let front = TlsFront::before(receiver.port(), "localhost", Some(&client));
    let roots = ("OTEL_EXPORTER_OTLP_CERTIFICATE", &front.roots);
    let certificate = ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &client.certificate_file);
    let key = ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &client.key_file);

    let without = run_child_with(&front.endpoint(), &[roots]);
    assert!(stderr(&without).contains("CertificateRequired"), "{}", stderr(&without));
    let half = run_child_with(&front.endpoint(), &[roots, certificate]);
    let told = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: OTEL_EXPORTER_OTLP_CLIENT_KEY is not set";
    assert!(stderr(&half).contains(told), "{}", stderr(&half));
    assert!(receiver.requests().is_empty());

    let with = run_child_with(&front.endpoint(), &[roots, certificate, key]);
    assert!(with.status.success(), "{}", stderr(&with));
    assert_eq!(receiver.logs().len(), 1);
}

#[test]
fn certificate_files_that_cannot_be_used_are_told() {
    let receiver = Receiver::start().expect("a receiver");
    let front = TlsFront::start(&receiver, "localhost");
    let missing = PathBuf::from("no-such-directory/roots.pem");
    let files = [("SSL_CERT_FILE", &front.roots), ("OTEL_EXPORTER_OTLP_CERTIFICATE", &missing)];
    let output = run_child_with(&front.endpoint(), &files);
    assert!(stderr(&output).contains("`no-such-directory/roots.pem` cannot be read"), "{}", stderr(&output));
    assert!(output.status.success(), "a file that is not there disables only itself: {}", stderr(&output));

    let no_certificate = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let output = run_child_with(&front.endpoint(), &[("OTEL_EXPORTER_OTLP_CERTIFICATE", &no_certificate)]);
    assert!(!output.status.success());
    let text = stderr(&output);
    assert!(text.contains("the file of OTEL_EXPORTER_OTLP_CERTIFICATE contains no certificate"), "{text}");
}

#[test]
fn grpc_speaks_tls_and_shows_its_certificate() {
    let server = GrpcServer::start(&[Says::Ok]);
    let port = server.port();
    let client = Identity::new("grpc-client", port);
    let front = TlsFront::before(port, "localhost", Some(&client));
    let protocol = PathBuf::from("grpc");
    let all = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", &protocol),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", &front.roots),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &client.certificate_file),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &client.key_file),
    ];
    // Without a scheme gRPC is encrypted.
    let with = run_child_with(&format!("localhost:{}", front.port), &all);
    assert!(with.status.success(), "{}", stderr(&with));
    let without = stderr(&run_child_with(&front.endpoint(), &all[..2]));
    // The alert may get lost behind the end of the connection.
    let is_told = ["CertificateRequired", "asks for a client certificate"].iter().any(|text| without.contains(text));
    assert!(is_told, "{without}");
    let untrusted = run_child_with(&front.endpoint(), &all[..1]);
    assert!(stderr(&untrusted).contains("UnknownIssuer"), "{}", stderr(&untrusted));
    assert_eq!(server.seen().len(), 1);
}
