//! Whatever no route takes: 404 and 405 as problem documents, and preflights.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use shared::caller::Anyone;
use shared::describe::About;
use shared::function::Endpoint;
use shared::{Error, Function, Init, Request, Response, Result};

/// `ops-fallback`.
pub static FUNCTION: Function = Function::http::<Fallback>("ops-fallback");

/// Method and path of every route of the template.
const ROUTES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/routes.rs"));

/// Needs nothing: the routes are compiled in.
pub struct Fallback;

impl Endpoint for Fallback {
    type Caller = Anyone;
    const WRITES: bool = false;

    fn describe() -> About {
        About::new("Answer whatever no route takes").fails([Error::MethodNotAllowed("GET, POST".to_owned())])
    }

    fn init(_: &mut Init) -> Self {
        Self
    }

    async fn handle(&self, Anyone: Anyone, request: &Request) -> Result<Response> {
        let origin = request.origin();
        // The headers of a preflight's answer are API Gateway's, from the template's CORS.
        if origin.method == Method::OPTIONS {
            return Ok(Response::empty(StatusCode::NO_CONTENT));
        }
        let allowed = methods(&origin.path);
        if allowed.is_empty() {
            Err(Error::NotFound("Route"))
        } else {
            Err(Error::MethodNotAllowed(allowed.join(", ")))
        }
    }
}

/// The methods that the routes matching `path` take.
fn methods(path: &str) -> Vec<&'static str> {
    let of = ROUTES.iter().filter(|(_, route)| matches(route, path)).map(|(method, _)| *method);
    // Two routes may match, `/products/search` and `/products/{id}`.
    of.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether `path` is of the form of `route`, where `{name}` stands for one segment.
fn matches(route: &str, path: &str) -> bool {
    let (mut route, mut path) = (route.split('/'), path.split('/'));
    loop {
        match (route.next(), path.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given))
                if wanted == given || (wanted.starts_with('{') && !given.is_empty()) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_path_names_its_methods() {
        assert_eq!(methods("/api/v1/auth/login"), ["POST"]);
        assert_eq!(methods("/api/v1/auth/login/"), [""; 0]);
        assert_eq!(methods("/nothing/here"), [""; 0]);
    }

    #[test]
    fn a_parameter_stands_for_one_segment() {
        assert!(matches("/files/{id}/download", "/files/1/download"));
        assert!(!matches("/files/{id}", "/files/"));
        assert!(!matches("/files/{id}", "/files/1/2"));
    }
}
