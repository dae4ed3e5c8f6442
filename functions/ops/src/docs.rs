//! `GET /docs`: the API as a page to read, made of its document. It needs no script and no other host.

use std::sync::OnceLock;

use askama::Template as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::CONTENT_SECURITY_POLICY;
use sha2::{Digest as _, Sha256};
use shared::caller::Anyone;
use shared::describe::About;
use shared::function::Endpoint;
use shared::{Error, Function, Init, Request, Response, Result, precondition};

use crate::public::{self, DOCUMENT};

mod page;
mod schema;

use page::Page;

/// `ops-docs`.
pub static FUNCTION: Function = Function::http::<Docs>("ops-docs");

/// How the page looks. A browser applies this very text and nothing else.
const STYLE: &str = include_str!("../templates/docs.css");

/// The page, once somebody has asked for it.
#[derive(Default)]
pub struct Docs {
    page: OnceLock<Rendered>,
}

struct Rendered {
    html: String,
    etag: String,
    policy: String,
}

impl Endpoint for Docs {
    type Caller = Anyone;
    const WRITES: bool = false;

    fn describe() -> About {
        About::new("Read this document as a page")
            .answers_text(StatusCode::OK, "text/html")
            .header("Cache-Control", "How long the page may be kept")
            .header("Content-Security-Policy", "Nothing but the page's own style")
            .versioned()
    }

    fn init(_: &mut Init) -> Self {
        Self::default()
    }

    async fn handle(&self, Anyone: Anyone, request: &Request) -> Result<Response> {
        let page = match self.page.get() {
            Some(page) => page,
            None => {
                let page = render()?;
                self.page.get_or_init(|| page)
            }
        };
        let response = public::answer(request, "text/html; charset=utf-8", &page.html, &page.etag);
        Ok(response.header(CONTENT_SECURITY_POLICY, &page.policy))
    }
}

fn render() -> Result<Rendered> {
    let document = serde_json::from_str(DOCUMENT).map_err(Error::internal)?;
    let html = Page::of(&document, STYLE).render().map_err(Error::internal)?;
    let style = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    Ok(Rendered { etag: precondition::etag_of(&html), html, policy })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_on_the_page() {
        let html = render().unwrap_or_else(|error| panic!("{}", error.cause())).html;
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
        let paths = document["paths"].as_object().unwrap().values();
        let operations = paths.flat_map(|path| path.as_object().unwrap().values());
        let ids: Vec<&str> =
            operations.filter_map(|operation| operation.get("operationId")?.as_str()).collect();
        assert!(ids.len() > 20, "{ids:?}");
        for id in ids {
            assert!(html.contains(&format!("id=\"{id}\"")), "{id}");
        }
    }

    #[test]
    fn every_link_of_the_page_leads_to_a_place_on_it() {
        let html = render().unwrap_or_else(|error| panic!("{}", error.cause())).html;
        for link in html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let place = link.strip_prefix('#').unwrap_or_else(|| panic!("{link} leads off the page"));
            assert!(html.contains(&format!("id=\"{place}\"")), "{link}");
        }
    }
}
