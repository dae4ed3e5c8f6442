//! The deployed stack that functions are measured against, with somebody and something in it.

use std::collections::BTreeMap;

use local::{Bundle, Options};
use serde_json::{Value, json};

use crate::tls::Front;
use crate::{Error, Result};

/// The password of whoever calls.
pub(crate) const PASSWORD: &str = "bench-passphrase-of-nobody";
/// Products in the catalogue.
const PRODUCTS: u64 = 200;

/// A bundle with TLS in front of its cloud.
pub(crate) struct Stack {
    bundle: Bundle,
    front: Front,
    client: reqwest::Client,
}

impl Stack {
    /// Starts it and fills the catalogue.
    pub(crate) async fn start() -> Result<Self> {
        // What is measured is invoked by nobody else; search alone needs what follows from a product.
        let held = local::functions().map(|function| function.name.to_owned());
        let options = Options {
            held: held.filter(|name| name != "products-index").collect(),
            // As often as anybody likes.
            parameters: ["RegistrationsPerAddress", "FileQuotaFiles"]
                .map(|limit| (limit.to_owned(), "1000000".to_owned()))
                .into(),
            ..Options::default()
        };
        Self::on(Bundle::start(options).await?).await
    }

    /// Fills the catalogue of `bundle`.
    pub(crate) async fn on(bundle: Bundle) -> Result<Self> {
        let cloud = bundle.aws_url().trim_start_matches("http://").parse()?;
        let front = Front::before(cloud).await?;
        let aws = local::aws_at(bundle.aws_url());
        local::seed::fill(&aws, 0..PRODUCTS, || {}).await.map_err(|error| error.cause())?;
        Ok(Self { bundle, front, client: reqwest::Client::new() })
    }

    /// Where the API is.
    pub(crate) fn url(&self) -> String {
        self.bundle.api_url()
    }

    /// The certificate that the cloud's chain ends with, in a file.
    pub(crate) fn root(&self) -> String {
        self.front.root()
    }

    /// A request to the API; answers the body of what was answered.
    pub(crate) async fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}{path}", self.bundle.api_url());
        let mut request =
            self.client.request(method.parse()?, url).header("content-type", "application/json");
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            return Err(format!("{method} {path} was answered {status}: {text}").into());
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// Registers somebody.
    pub(crate) async fn register(&self, email: &str) -> Result<()> {
        let account = json!({"name": "Ada", "email": email, "password": PASSWORD});
        self.call("POST", "/api/v1/auth/register", &account).await.map(drop)
    }

    /// Registers an admin and logs them in; answers the access token.
    pub(crate) async fn admin(&self, email: &str) -> Result<String> {
        self.register(email).await?;
        self.call("POST", "/_local/invoke/users-grant-role", &json!({"email": email, "role": "admin"}))
            .await?;
        let login = json!({"email": email, "password": PASSWORD});
        let session = self.call("POST", "/api/v1/auth/login", &login).await?;
        Ok(session["accessToken"].as_str().ok_or("no access token")?.to_owned())
    }

    /// Waits until search has the whole catalogue.
    pub(crate) async fn indexed(&self) -> Result<()> {
        for _ in 0..600 {
            let found = self.call("GET", "/api/v1/products/search?q=000200", &Value::Null).await?;
            if found.as_array().is_some_and(|found| !found.is_empty()) {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        Err("the catalogue was not indexed within a minute".into())
    }

    /// The environment that a function has at AWS, but for where its cloud is.
    pub(crate) fn environment(&self, function: &str) -> Result<(BTreeMap<String, String>, u32)> {
        let found = self.bundle.specifications().iter().find(|known| known.name == function);
        let found =
            found.ok_or_else(|| -> Error { format!("the template has no function {function}").into() })?;
        let mut environment = found.environment.clone();
        environment.insert("AWS_ENDPOINT_URL".to_owned(), self.front.url());
        environment.insert("SSL_CERT_FILE".to_owned(), self.front.roots());
        Ok((environment, found.memory_mb))
    }

    /// Stops it.
    pub(crate) async fn stop(self) {
        self.bundle.stop().await;
    }
}
