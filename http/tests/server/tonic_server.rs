//! A server and a client of tonic over HTTP/2.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Uri;
use logbridge::testing::{ReceivedSpan, Value};
use logbridge_http::{ClientLayer, ServerLayer};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Code, Request, Response, Status};
use tower::{Service, ServiceBuilder, service_fn};

use crate::plain_codec::Plain;
use crate::support::{World, block_on, text};

pub(crate) fn all() -> Vec<crate::Case> {
    crate::cases![tonic_server:
        calls_have_a_client_and_a_server_span,
        errors_of_the_caller_are_no_errors_of_the_server,
        methods_that_the_server_does_not_know,
    ]
    .into()
}

/// What a generated server does, without a file of Protocol Buffers.
#[derive(Clone)]
struct Orders;

impl NamedService for Orders {
    const NAME: &'static str = "shop.Orders";
}

async fn place(request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
    tracing::info!("placed");
    match request.get_ref().as_ref() {
        b"book" => Ok(Response::new(Bytes::from_static(b"ok"))),
        _ => Err(Status::not_found("no such article")),
    }
}

impl Service<http::Request<Body>> for Orders {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            match request.uri().path() {
                "/shop.Orders/Place" => Ok(tonic::server::Grpc::new(Plain).unary(service_fn(place), request).await),
                _ => Ok(Status::unimplemented("").into_http()),
            }
        })
    }
}

/// Makes a call, and returns its answer with the spans of the client and the server.
fn call(world: &World, method: &'static str, message: &'static str) -> (Result<Bytes, Status>, [ReceivedSpan; 2]) {
    let incoming = block_on(world, async { TcpIncoming::bind("127.0.0.1:0".parse().unwrap()) }).unwrap();
    let origin: Uri = format!("http://{}", incoming.local_addr().unwrap()).parse().unwrap();
    let server = Server::builder().layer(ServerLayer::new()).add_service(Orders);
    drop(world.runtime.spawn(server.serve_with_incoming(incoming)));
    let answer = block_on(world, async {
        let channel = Endpoint::from(origin.clone()).connect_lazy();
        let channel = ServiceBuilder::new().layer(ClientLayer::new()).service(channel);
        let mut client = tonic::client::Grpc::with_origin(channel, origin);
        client.ready().await.unwrap();
        let request = Request::new(Bytes::from_static(message.as_bytes()));
        client.unary(request, method.parse().unwrap(), Plain).await.map(Response::into_inner)
    });
    let mut spans = world.spans(2);
    spans.sort_by_key(|span| span.kind_name() == "server");
    let spans: [ReceivedSpan; 2] = spans.try_into().unwrap();
    assert_eq!(spans[1].parent_span_id, spans[0].span_id, "one trace: {spans:#?}");
    (answer, spans)
}

fn calls_have_a_client_and_a_server_span() {
    let world = World::new();
    let (answer, spans) = call(&world, "/shop.Orders/Place", "book");
    assert_eq!(answer.unwrap(), "ok");
    for span in &spans {
        assert_eq!((span.name.as_str(), span.status_code), ("shop.Orders/Place", 0));
        assert_eq!(text(span, "rpc.response.status_code"), "OK");
        assert_eq!(span.attribute("server.address"), Some(&Value::from("127.0.0.1")));
        assert!(!span.attributes.keys().any(|key| key.starts_with("http.")), "{span:#?}");
    }
    assert_eq!(world.logs("placed")[0].span_id, spans[1].span_id);
}

fn errors_of_the_caller_are_no_errors_of_the_server() {
    let world = World::new();
    let (answer, [client, server]) = call(&world, "/shop.Orders/Place", "none");
    assert_eq!(answer.unwrap_err().code(), Code::NotFound);
    assert_eq!((client.status_code, text(&client, "error.type").as_str()), (2, "NOT_FOUND"));
    assert_eq!((server.status_code, server.attribute("error.type")), (0, None));
    assert_eq!(text(&server, "rpc.response.status_code"), "NOT_FOUND");
}

fn methods_that_the_server_does_not_know() {
    let world = World::new();
    // tonic itself answers for an unknown service.
    let (answer, [_, server]) = call(&world, "/shop.Unknown/Place", "book");
    assert_eq!(answer.unwrap_err().code(), Code::Unimplemented);
    assert_eq!((server.name.as_str(), text(&server, "error.type").as_str()), ("grpc", "UNIMPLEMENTED"));
    assert_eq!(text(&server, "rpc.method_original"), "shop.Unknown/Place");
}
