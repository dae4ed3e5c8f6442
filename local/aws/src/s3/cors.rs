//! CORS of a bucket (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html>).

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use s3s::dto::CORSRule;
use serde::{Deserialize, Serialize};

/// One rule of a bucket's CORS.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CorsRule {
    origins: Vec<String>,
    methods: Vec<String>,
    headers: Vec<String>,
    expose: Vec<String>,
    max_age: Option<i32>,
}

/// Whether `pattern`, with one `*` at most, covers `text`.
fn covers(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern.eq_ignore_ascii_case(text),
        Some((before, after)) => {
            let (text, before, after) =
                (text.to_ascii_lowercase(), before.to_ascii_lowercase(), after.to_ascii_lowercase());
            text.len() >= before.len() + after.len() && text.starts_with(&before) && text.ends_with(&after)
        }
    }
}

/// The first rule that lets a page of the request's origin use `method`.
pub(super) fn rule_for<'a>(
    rules: &'a [CorsRule],
    headers: &HeaderMap,
    method: &str,
) -> Option<(&'a CorsRule, String)> {
    let origin = headers.get(header::ORIGIN)?.to_str().ok()?.to_owned();
    let lets = |rule: &&CorsRule| {
        rule.origins.iter().any(|pattern| covers(pattern, &origin))
            && rule.methods.iter().any(|known| known == method)
    };
    rules.iter().find(lets).map(|rule| (rule, origin))
}

pub(super) fn preflight(rules: &[CorsRule], headers: &HeaderMap) -> Response {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (method, asked) =
        (text(header::ACCESS_CONTROL_REQUEST_METHOD), text(header::ACCESS_CONTROL_REQUEST_HEADERS));
    let mut response = Response::new(Body::empty());
    let found = rule_for(rules, headers, method).filter(|(rule, _)| {
        let mut names = asked.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.all(|name| rule.headers.iter().any(|pattern| covers(pattern, name)))
    });
    let Some((rule, origin)) = found else {
        *response.status_mut() = StatusCode::FORBIDDEN;
        return response;
    };
    let answer = response.headers_mut();
    rule.allow(&origin, answer);
    put(answer, header::ACCESS_CONTROL_ALLOW_METHODS, &rule.methods.join(", "));
    put(answer, header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
    let max_age = rule.max_age.map(|seconds| seconds.to_string()).unwrap_or_default();
    put(answer, header::ACCESS_CONTROL_MAX_AGE, &max_age);
    response
}

/// Sets a header that has something to say.
fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Some(value) = HeaderValue::from_str(value).ok().filter(|value| !value.is_empty()) {
        headers.insert(name, value);
    }
}

impl CorsRule {
    pub(super) fn of(rule: CORSRule) -> Self {
        Self {
            origins: rule.allowed_origins,
            methods: rule.allowed_methods,
            headers: rule.allowed_headers.unwrap_or_default(),
            expose: rule.expose_headers.unwrap_or_default(),
            max_age: rule.max_age_seconds,
        }
    }

    /// Lets a page of `origin` see the answer.
    pub(super) fn allow(&self, origin: &str, headers: &mut HeaderMap) {
        let any = self.origins.iter().any(|pattern| pattern == "*");
        put(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, if any { "*" } else { origin });
        put(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, &self.expose.join(", "));
        put(headers, header::VARY, "Origin, Access-Control-Request-Headers, Access-Control-Request-Method");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_its_star_stands_for() {
        for (pattern, text, covered) in [
            ("*", "https://app.example.com", true),
            ("https://*.example.com", "https://app.example.com", true),
            ("https://*.example.com", "https://example.com", false),
            ("https://app.example.com", "https://app.example.com", true),
            ("https://app.example.com", "https://app.example.com.evil.org", false),
            ("x-amz-*", "X-Amz-Checksum-Sha256", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(covers(pattern, text), covered, "{pattern} {text}");
        }
    }
}
