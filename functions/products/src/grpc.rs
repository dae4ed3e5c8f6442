//! `POST /arcana.product.v1.ProductService/{method}`: the catalogue over gRPC-Web and Connect.
//!
//! API Gateway passes no trailers, so native gRPC needs a front that turns it into gRPC-Web: `local` has one.
//! Protocols: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>, <https://connectrpc.com/docs/protocol>.

use std::sync::Arc;

use bytes::Bytes;
use connectrpc::envelope::HEADER_SIZE;
use connectrpc::{ConnectError, ConnectRpcService, Dispatcher as _, Limits, Router};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use http_body_util::Full;
use shared::caller::ByMethod;
use shared::describe::{About, json};
use shared::function::Endpoint;
use shared::request::Origin;
use shared::{Error, Function, Init, Request, Response, Result};
use tower::ServiceExt as _;

use self::framing::Framing;
use self::malformed::Malformed;
use self::service::Service;
use crate::proto::arcana::product::v1::{PRODUCT_SERVICE_SERVICE_NAME, ProductServiceExt as _};

mod framing;
mod malformed;
mod message;
mod reply;
mod service;
mod status;

/// `products-grpc`.
pub static FUNCTION: Function = Function::http::<Grpc>("products-grpc");

/// The largest message, in bytes, before and after compression.
const MAX_MESSAGE: usize = 3 * 1024 * 1024;

/// How long the sender waits.
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// The same over Connect.
const CONNECT_TIMEOUT: HeaderName = HeaderName::from_static("connect-timeout-ms");

/// What answering calls needs.
pub struct Grpc(ConnectRpcService);

impl Endpoint for Grpc {
    type Caller = ByMethod;
    const WRITES: bool = true;
    const KEYED: bool = true;

    fn describe() -> About {
        let message = json!({"type": "object", "description": "The method's message, in protobuf's JSON"});
        let frames = json!({"type": "string", "contentMediaType": "application/octet-stream"});
        let content = json!({
            "application/json": {"schema": message, "example": {"q": "engine", "limit": 5}},
            "application/proto": {"schema": frames},
            "application/grpc-web+proto": {"schema": frames},
            "application/grpc-web-text+proto": {"schema": frames},
        });
        let mut answer = content.clone();
        answer["application/json"]["example"] = json!({"products": [], "incomplete": false});
        let error = json!({"type": "object", "required": ["code"], "properties": {
            "code": {"type": "string"}, "message": {"type": "string"}, "details": {"type": "array"},
        }});
        About::new("Call a method of the catalogue, over gRPC-Web or Connect")
            .detail(
                "`method` is `GetProduct`, `ListProducts`, `SearchProducts`, `CreateProduct`, `UpdateProduct`, \
                `UpdateStock` or `DeleteProduct`: what they take and answer is in \
                `functions/products/proto/arcana/product/v1/product_service.proto`. The methods that write want an \
                admin's token.",
            )
            .operation(json!({
                "requestBody": {"required": true, "content": content},
                "responses": {
                    "200": {"description": "What the method answers; over gRPC-Web its errors too", "content": answer},
                    "415": {"description": "Another content type"},
                    "default": {
                        "description": "An error, over Connect",
                        "content": {"application/json": {"schema": error, "example": {
                            "code": "not_found", "message": "Product not found", "details": [],
                        }}},
                    },
                },
            }))
    }

    fn init(init: &mut Init) -> Self {
        let service = Arc::new(Service::init(init));
        let router = Arc::clone(&service).register(Router::new());
        let limits = Limits::default()
            .with_max_request_body_size(MAX_MESSAGE + HEADER_SIZE)
            .with_max_message_size(MAX_MESSAGE);
        Self(ConnectRpcService::new(router).with_limits(limits).with_interceptor(Malformed(service)))
    }

    async fn handle(&self, _: ByMethod, request: &Request) -> Result<Response> {
        let mut headers = request.headers().clone();
        framing::fold_case(&mut headers);
        let framing = Framing::of(&headers);
        let answer = match self.call(request, headers.clone(), framing) {
            Ok(call) => self.0.clone().oneshot(call).await.unwrap_or_else(|never| match never {}),
            Err(refusal) => refusal.into_http_response(&headers),
        };
        framing.response(answer).await
    }

    async fn refuse(error: &Error, origin: &Origin) -> Response {
        let content_type = HeaderValue::from_str(&origin.content_type).ok();
        let headers: HeaderMap =
            content_type.map(|value| (header::CONTENT_TYPE, value)).into_iter().collect();
        let response = status::of(error).into_http_response(&headers);
        Framing::of(&headers)
            .response(response)
            .await
            .unwrap_or_else(|error| Response::problem(&error, origin))
    }
}

impl Grpc {
    /// The call that a request holds.
    fn call(
        &self,
        request: &Request,
        mut headers: HeaderMap,
        framing: Framing,
    ) -> Result<http::Request<Full<Bytes>>, ConnectError> {
        let body = framing.unwrap(&mut headers, request.body())?;
        // What no method is called may be no URI either.
        let method = request.method_name().unwrap_or_else(|| "-".to_owned());
        let path = format!("{PRODUCT_SERVICE_SERVICE_NAME}/{method}");
        if self.0.dispatcher().lookup(&path).is_some_and(|method| !method.idempotent) {
            // A write that was begun comes to its end: dropped half-way, it would leave its key claimed and its caller
            // in doubt. Clients watch their deadlines themselves.
            for timeout in [&GRPC_TIMEOUT, &CONNECT_TIMEOUT] {
                headers.remove(timeout);
            }
        }
        let call =
            http::Request::builder().method(Method::POST).uri(format!("/{path}")).body(Full::new(body));
        let mut call = call.map_err(|error| status::of(&Error::internal(error)))?;
        *call.headers_mut() = headers;
        call.extensions_mut().insert(request.clone());
        Ok(call)
    }
}
