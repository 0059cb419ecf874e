//! A server of hyper without a framework: upgrades, tunnels, and responses without body.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use logbridge::testing::Value;
use logbridge_http::ServerLayer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::{Layer as _, service_fn};

use crate::support::{DEADLINE, World, get};

pub(crate) fn all() -> Vec<crate::Case> {
    crate::cases![upgrades: a_connection_that_is_upgraded, a_response_without_content, a_tunnel].into()
}

/// Echoes four bytes after the response, if the client changes the protocol or asks for a tunnel.
async fn answer(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut response = Response::new(Empty::new());
    if request.headers().contains_key("upgrade") {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert("connection", "upgrade".parse().unwrap());
        response.headers_mut().insert("upgrade", "echo".parse().unwrap());
    } else if request.method() != Method::CONNECT {
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        let mut buffer = [0; 4];
        stream.read_exact(&mut buffer).await.unwrap();
        stream.write_all(&buffer).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    Ok(response)
}

fn serve(world: &World) -> SocketAddr {
    let listener = world.runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let service = TowerToHyperService::new(ServerLayer::new().layer(service_fn(answer)));
    drop(world.runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            drop(tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                server.serve_connection_with_upgrades(TokioIo::new(stream), service).await
            }));
        }
    }));
    address
}

/// Sends the head of a request and, after the head of the response, four bytes. Returns the first line and the echo.
fn exchange(address: SocketAddr, head: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(format!("{head}\r\nhost: shop.example\r\n\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
    stream.write_all(b"ping").unwrap();
    let mut echo = String::new();
    stream.read_to_string(&mut echo).unwrap();
    (String::from_utf8(answer).unwrap().lines().next().unwrap().to_owned(), echo)
}

fn a_connection_that_is_upgraded() {
    let world = World::new();
    let head = "GET /socket HTTP/1.1\r\nconnection: upgrade\r\nupgrade: echo";
    let (line, echo) = exchange(serve(&world), head);
    assert_eq!((line.as_str(), echo.as_str()), ("HTTP/1.1 101 Switching Protocols", "ping"));
    let span = world.span();
    assert_eq!(span.attribute("http.response.status_code"), Some(&Value::from(101)));
    assert_eq!((span.name.as_str(), span.status_code, span.attribute("error.type")), ("GET", 0, None));
}

fn a_tunnel() {
    let world = World::new();
    let (line, echo) = exchange(serve(&world), "CONNECT shop.example:443 HTTP/1.1");
    assert_eq!((line.as_str(), echo.as_str()), ("HTTP/1.1 200 OK", "ping"));
    let span = world.span();
    assert_eq!((span.name.as_str(), span.status_code, span.attribute("error.type")), ("CONNECT", 0, None));
    assert_eq!(span.attribute("server.address"), Some(&Value::from("shop.example")));
    assert_eq!(span.attribute("server.port"), Some(&Value::from(443)));
}

fn a_response_without_content() {
    let world = World::new();
    assert!(get(serve(&world), "/", &[]).starts_with("HTTP/1.1 204"));
    let span = world.span();
    assert_eq!(span.attribute("http.response.status_code"), Some(&Value::from(204)));
    assert_eq!((span.status_code, span.attribute("error.type")), (0, None));
}
