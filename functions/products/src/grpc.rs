//! `POST /arcana.product.v1.ProductService/{method}`: the catalogue over gRPC-Web and Connect.
//!
//! API Gateway passes no trailers, so native gRPC needs a front that turns it into gRPC-Web: `local` has one.
//! Protocols: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>, <https://connectrpc.com/docs/protocol>.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connectrpc::envelope::HEADER_SIZE;
use connectrpc::{ConnectError, ConnectRpcBody, ConnectRpcService, Limits, Protocol, Router};
use http::{HeaderMap, HeaderValue, Method, header};
use http_body_util::{BodyExt as _, Full};
use shared::caller::ByMethod;
use shared::describe::{About, json};
use shared::function::Endpoint;
use shared::request::Origin;
use shared::{Error, Function, Init, Request, Response, Result};

use crate::proto::arcana::product::v1::ProductServiceExt as _;

mod message;
mod reply;
mod service;
mod status;

/// `products-grpc`.
pub static FUNCTION: Function = Function::http::<Grpc>("products-grpc");

/// The largest message, in bytes, before and after compression.
const MAX_MESSAGE: usize = 3 * 1024 * 1024;

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
            .own(json!({
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
        let router = Arc::new(service::Service::init(init)).register(Router::new());
        let limits = Limits::default()
            .with_max_request_body_size(MAX_MESSAGE + HEADER_SIZE)
            .with_max_message_size(MAX_MESSAGE);
        Self(ConnectRpcService::new(router).with_limits(limits))
    }

    async fn handle(&self, _: ByMethod, request: &Request) -> Result<Response> {
        let mut headers = request.headers().clone();
        let mut body = Bytes::copy_from_slice(request.body());
        let framing = Framing::of(&headers);
        match framing {
            Framing::Native => {
                let native = "gRPC needs HTTP trailers, which do not get here: use gRPC-Web or Connect";
                return framing
                    .response(ConnectError::unimplemented(native).into_http_response(&headers))
                    .await;
            }
            Framing::Text => match STANDARD.decode(&body) {
                Ok(decoded) => {
                    body = decoded.into();
                    headers
                        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc-web+proto"));
                }
                Err(_) => {
                    let malformed =
                        ConnectError::invalid_argument("the body is not what its base64 encoding says");
                    return framing.response(malformed.into_http_response(&headers)).await;
                }
            },
            Framing::Own => {}
        }
        let call = http::Request::builder().method(Method::POST).uri(&request.origin().path);
        let Ok(mut call) = call.body(Full::new(body)) else {
            let unknown = ConnectError::unimplemented("there is no such method");
            return framing.response(unknown.into_http_response(&headers)).await;
        };
        *call.headers_mut() = headers;
        call.extensions_mut().insert(request.clone());
        let answer = tower::ServiceExt::oneshot(self.0.clone(), call).await;
        framing.response(answer.unwrap_or_else(|never| match never {})).await
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

/// How the frames of a call travel.
#[derive(Clone, Copy)]
enum Framing {
    /// As the protocol has them.
    Own,
    /// In base64: gRPC-Web's text mode.
    Text,
    /// As native gRPC has them, with trailers.
    Native,
}

impl Framing {
    fn of(headers: &HeaderMap) -> Self {
        match Protocol::detect(headers) {
            Some(asked) if asked.is_text_mode => Self::Text,
            Some(asked) if asked.protocol == Protocol::Grpc => Self::Native,
            _ => Self::Own,
        }
    }

    async fn response(self, response: http::Response<ConnectRpcBody>) -> Result<Response> {
        let (mut parts, body) = response.into_parts();
        let mut body = body.collect().await.map_err(Error::internal)?.to_bytes().to_vec();
        if let Self::Text = self {
            body = STANDARD.encode(body).into_bytes();
            parts
                .headers
                .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc-web-text+proto"));
        }
        Ok(Response::from_http(http::Response::from_parts(parts, body)))
    }
}
