//! API Gateway's CORS: its headers are the template's, whatever a function answers.
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html>)

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde_json::Value;

use crate::template::number;

/// The CORS configuration of an API.
#[derive(Default)]
pub struct Cors {
    origins: Vec<String>,
    methods: String,
    headers: String,
    expose: String,
    max_age: String,
}

impl Cors {
    /// Reads a resolved `CorsConfiguration`.
    pub fn read(configuration: &Value) -> Self {
        let list = |name: &str| -> Vec<String> {
            let values = configuration[name].as_array().into_iter().flatten();
            values.filter_map(Value::as_str).map(ToOwned::to_owned).collect()
        };
        Self {
            origins: list("AllowOrigins"),
            methods: list("AllowMethods").join(","),
            headers: list("AllowHeaders").join(","),
            expose: list("ExposeHeaders").join(","),
            max_age: number::<u64>(&configuration["MaxAge"]).map(|age| age.to_string()).unwrap_or_default(),
        }
    }

    /// Puts the configured headers on the response to a request from another origin.
    pub fn apply(&self, method: &Method, request: &HeaderMap, response: &mut HeaderMap) {
        // A function's own are dropped.
        let own: Vec<HeaderName> =
            response.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
        for name in own {
            response.remove(name);
        }
        let Some(origin) = request.get(header::ORIGIN) else { return };
        let allowed =
            self.origins.iter().find(|allowed| *allowed == "*" || allowed.as_bytes() == origin.as_bytes());
        let Some(allowed) = allowed else { return };
        let mut put = |name: HeaderName, value: &str| {
            if let Some(value) = HeaderValue::from_str(value).ok().filter(|value| !value.is_empty()) {
                response.insert(name, value);
            }
        };
        put(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if allowed != "*" {
            put(header::VARY, "Origin");
        }
        if super::is_preflight(method, request) {
            put(header::ACCESS_CONTROL_ALLOW_METHODS, &self.methods);
            put(header::ACCESS_CONTROL_ALLOW_HEADERS, &self.headers);
            put(header::ACCESS_CONTROL_MAX_AGE, &self.max_age);
        } else {
            put(header::ACCESS_CONTROL_EXPOSE_HEADERS, &self.expose);
        }
    }
}
