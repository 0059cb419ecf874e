//! The layer, and its settings.

use std::error::Error;
use std::marker::PhantomData;
use std::sync::Arc;

use logbridge::NetworkCapture;
use tower_layer::Layer;

use super::failure::inspect;
use super::options::{KeepsRequestBody, Options, WrapsRequestBody};
use super::service::ClientService;

/// Makes one client span per request of a `tower` service over `http::Request`, such as hyper-util's client or a tonic
/// channel.
///
/// The span has the [stable HTTP semantic conventions][http], or those of [RPC][rpc] if the content type is
/// `application/grpc`. It begins with the call, and ends when the response body ends, fails or is dropped. The request
/// carries `traceparent`, `tracestate` and `baggage`, written by the installed propagator. Headers that the request
/// already has are replaced. If the level of spans excludes this span, the request carries the context of the caller.
///
/// Status 400 and above is an error, and so is a request without a complete response. `error.type` is then the
/// status, the gRPC status, `missing_grpc_status`, `connect`, `timeout`, `connection_closed`, `invalid_response`, `request_body`, `request_canceled` if
/// the caller dropped the future, or the name of the error's type. A response body that is dropped is no error.
///
/// The bodies, their errors and the errors of the service keep their types, except that the response body is wrapped.
///
/// # Examples
///
/// hyper-util's client. Its body type is [`ClientRequestBody`](crate::ClientRequestBody) only if
/// [`wrap_request_body`](Self::wrap_request_body) was called.
///
/// ```
/// use http_body_util::Empty;
/// use hyper_util::client::legacy::Client;
/// use hyper_util::rt::TokioExecutor;
/// use logbridge_http::ClientLayer;
/// use tower::{ServiceBuilder, ServiceExt as _};
///
/// # async fn send() -> Result<(), Box<dyn std::error::Error>> {
/// let client = ServiceBuilder::new()
///     .layer(ClientLayer::new())
///     .service(Client::builder(TokioExecutor::new()).build_http());
/// let request = http::Request::get("http://api.example/").body(Empty::<bytes::Bytes>::new())?;
/// let response = client.oneshot(request).await?;
/// # Ok(())
/// # }
/// ```
///
/// A tonic channel. With `with_origin`, the span has `server.address`, because a channel adds the origin only later.
///
/// ```
/// use logbridge_http::{ClientLayer, ClientService};
/// use tonic::transport::{Channel, Endpoint};
/// use tower::ServiceBuilder;
///
/// # struct GreeterClient<T>(T);
/// # impl<T> GreeterClient<T> {
/// #     fn with_origin(service: T, _: http::Uri) -> Self {
/// #         Self(service)
/// #     }
/// # }
/// fn connect(origin: http::Uri) -> GreeterClient<ClientService<Channel>> {
///     let channel = Endpoint::from(origin.clone()).connect_lazy();
///     let layer = ClientLayer::new().inspect_errors::<tonic::transport::Error>();
///     GreeterClient::with_origin(ServiceBuilder::new().layer(layer).service(channel), origin)
/// }
/// ```
///
/// [http]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span
/// [rpc]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
#[derive(Debug)]
#[must_use = "add it to a service"]
pub struct ClientLayer<M = KeepsRequestBody> {
    options: Options,
    mode: PhantomData<M>,
}

impl ClientLayer {
    /// Creates a layer with the settings of the installed logbridge, which may be installed later.
    pub fn new() -> Self {
        Self { options: Options::default(), mode: PhantomData }
    }

    /// Wraps request bodies, so that they can be captured. The service inside must accept a
    /// [`ClientRequestBody`](crate::ClientRequestBody).
    ///
    /// Default: request bodies keep their type, because many clients accept only one, and are not captured.
    ///
    /// # Examples
    ///
    /// A service that accepts only one body type:
    ///
    /// ```
    /// use axum::body::Body;
    /// use http::Request;
    /// use logbridge_http::{ClientLayer, ClientRequestBody};
    /// use tower::ServiceBuilder;
    ///
    /// # fn wrap<S: tower::Service<Request<Body>>>(client: S) {
    /// let client = ServiceBuilder::new()
    ///     .layer(ClientLayer::new().wrap_request_body())
    ///     .map_request(|request: Request<ClientRequestBody<Body>>| request.map(Body::new))
    ///     .service(client);
    /// # }
    /// ```
    pub fn wrap_request_body(self) -> ClientLayer<WrapsRequestBody> {
        ClientLayer { options: self.options, mode: PhantomData }
    }
}

impl<M> ClientLayer<M> {
    /// Sets what this layer captures of requests and responses. The body size and the header lists that the value does
    /// not set come from the settings of the installed logbridge.
    ///
    /// Default: the setting of the installed logbridge, which is nothing unless
    /// [`Builder::network_capture`](logbridge::Builder::network_capture) or `LOGBRIDGE_NETWORK_CAPTURE` says otherwise.
    pub fn capture(mut self, capture: NetworkCapture) -> Self {
        self.options.settings.set_capture(capture);
        self
    }

    /// Names failures after the causes of errors of the type `E`, which is the service's error type.
    ///
    /// This is not necessary for boxed errors, and those of hyper and hyper-util. Without it, `error.type` is the name
    /// of any other type.
    pub fn inspect_errors<E: Error + 'static>(mut self) -> Self {
        self.options.inspect = Some(inspect::<E>);
        self
    }
}

impl<M> Clone for ClientLayer<M> {
    fn clone(&self) -> Self {
        Self { options: self.options.clone(), mode: PhantomData }
    }
}

impl Default for ClientLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, M> Layer<S> for ClientLayer<M> {
    type Service = ClientService<S, M>;

    fn layer(&self, inner: S) -> ClientService<S, M> {
        ClientService::new(inner, Arc::new(self.options.clone()))
    }
}
