//! A function that answers every request with a greeting: what `bench` holds all others against.

use lambda_http::{Body, Error, Request, Response, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_http::run(service_fn(greet)).await
}

async fn greet(_: Request) -> Result<Response<Body>, Error> {
    Ok(Response::new(Body::Text("Hello, world".to_owned())))
}
