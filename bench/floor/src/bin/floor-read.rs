//! A function that reads one item of DynamoDB, by the client that all functions have, and looks at nothing: what of
//! `products-get` is AWS's SDK.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_http::{Body, Error, Request, RequestExt as _, Response, service_fn};
use shared::aws::{Aws, Environment};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let aws = Aws::new(Environment {
        region: std::env::var("AWS_REGION")?,
        access_key_id: std::env::var("AWS_ACCESS_KEY_ID")?,
        secret_access_key: std::env::var("AWS_SECRET_ACCESS_KEY")?,
        session_token: std::env::var("AWS_SESSION_TOKEN").ok(),
        endpoint: std::env::var("AWS_ENDPOINT_URL").ok(),
    });
    let (client, table) = (&aws.dynamodb(), &std::env::var("PRODUCTS_TABLE")?);
    lambda_http::run(service_fn(async |request| read(client, table, request).await)).await
}

async fn read(client: &Client, table: &str, request: Request) -> Result<Response<Body>, Error> {
    let parameters = request.path_parameters();
    let id = AttributeValue::S(parameters.first("id").ok_or("no id")?.to_owned());
    let read = client.get_item().table_name(table).key("id", id).send().await?;
    let item = read.item.ok_or("no such item")?;
    Ok(Response::new(Body::Text(format!("{} attributes", item.len()))))
}
