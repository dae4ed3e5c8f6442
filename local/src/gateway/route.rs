//! Which route a request takes.
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html>)

use std::collections::BTreeMap;

use http::Method;
use percent_encoding::percent_decode_str;

/// A route of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method, or `ANY`.
    pub method: String,
    /// The path, with `{name}` for one segment and `{name+}` for all that follow, or `$default`.
    pub path: String,
}

/// The routes and where they lead.
pub struct Routes<T>(Vec<(Route, T)>);

impl Route {
    /// The route's key, as events and the template name it.
    pub fn key(&self) -> String {
        if self.path == "$default" { self.path.clone() } else { format!("{} {}", self.method, self.path) }
    }

    /// How closely the route fits, and its parameters; nothing where it does not fit. A closer fit is a
    /// greater rank: whole paths before parameters before greedy ones before `$default`, and then a
    /// method of its own before `ANY`.
    fn fits(&self, method: &Method, path: &str) -> Option<((u8, bool), BTreeMap<String, String>)> {
        let own_method = self.method == method.as_str();
        if !own_method && self.method != "ANY" {
            return None;
        }
        if self.path == "$default" {
            return Some(((0, own_method), BTreeMap::new()));
        }
        let mut parameters = BTreeMap::new();
        let mut rank = 3;
        let mut given = path.split('/');
        for wanted in self.path.split('/') {
            let parameter = wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
            match parameter.map(|name| (name, name.strip_suffix('+'))) {
                None if given.next() == Some(wanted) => {}
                None => return None,
                Some((_, Some(greedy))) => {
                    let rest: Vec<&str> = given.collect();
                    let fits = rest.iter().any(|segment| !segment.is_empty());
                    parameters.insert(greedy.to_owned(), decode(&rest.join("/")));
                    return fits.then_some(((1, own_method), parameters));
                }
                Some((name, None)) => {
                    let segment = given.next().filter(|segment| !segment.is_empty())?;
                    parameters.insert(name.to_owned(), decode(segment));
                    rank = 2;
                }
            }
        }
        given.next().is_none().then_some(((rank, own_method), parameters))
    }
}

fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

impl<T> Routes<T> {
    /// These routes.
    pub fn new(routes: Vec<(Route, T)>) -> Self {
        Self(routes)
    }

    /// The route that a request takes, its parameters, and where it leads.
    pub fn find(&self, method: &Method, path: &str) -> Option<(&Route, BTreeMap<String, String>, &T)> {
        let fitting = self.0.iter().filter_map(|(route, to)| {
            let (rank, parameters) = route.fits(method, path)?;
            Some((rank, (route, parameters, to)))
        });
        fitting.max_by_key(|(rank, _)| *rank).map(|(_, found)| found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(method: &Method, path: &str) -> Option<String> {
        let routes =
            ["GET /a/{id}", "GET /a/b", "ANY /a/b", "OPTIONS /{proxy+}", "GET /a/{id}/c", "ANY $default"];
        let routes = routes.map(|key| {
            let (method, path) = key.split_once(' ').unwrap();
            (Route { method: method.into(), path: path.into() }, ())
        });
        Routes::new(routes.into()).find(method, path).map(|(route, _, ())| route.key())
    }

    #[test]
    fn the_closest_route_is_taken() {
        assert_eq!(key(&Method::GET, "/a/b").unwrap(), "GET /a/b");
        assert_eq!(key(&Method::PUT, "/a/b").unwrap(), "ANY /a/b");
        assert_eq!(key(&Method::GET, "/a/x").unwrap(), "GET /a/{id}");
        assert_eq!(key(&Method::GET, "/a/x/c").unwrap(), "GET /a/{id}/c");
        assert_eq!(key(&Method::OPTIONS, "/a/x").unwrap(), "OPTIONS /{proxy+}");
        assert_eq!(key(&Method::GET, "/a/").unwrap(), "$default");
        assert_eq!(key(&Method::GET, "/a/b/").unwrap(), "$default");
    }

    #[test]
    fn a_parameter_is_decoded() {
        let route = Route { method: "GET".into(), path: "/a/{id}".into() };
        let routes = Routes::new(vec![(route, ())]);
        let (_, parameters, ()) = routes.find(&Method::GET, "/a/x%20y%2Fz").unwrap();
        assert_eq!(parameters["id"], "x y/z");
    }
}
