//! Who sees which product, and for how long a cache may show it.

use http::header::{CACHE_CONTROL, VARY};
use shared::caller::Visitor;
use shared::products::{Filter, Product, Status};
use shared::{Init, Response};

/// What a caller may see of the catalogue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// What is for sale.
    Public,
    /// Everything.
    Admin,
}

impl View {
    pub(crate) fn of(caller: &Visitor) -> Self {
        if caller.is_admin() { Self::Admin } else { Self::Public }
    }

    /// Whether it has `product`.
    pub(crate) fn shows(self, product: &Product) -> bool {
        self == Self::Admin || product.is_public()
    }

    /// What of `filter` it has, if anything.
    pub(crate) fn narrow(self, filter: Filter) -> Option<Filter> {
        match (self, filter.status) {
            (Self::Admin, _) => Some(filter),
            (Self::Public, None | Some(Status::Active)) => {
                Some(Filter { status: Some(Status::Active), ..filter })
            }
            (Self::Public, Some(_)) => None,
        }
    }
}

/// How long caches may keep what everybody is shown.
pub(crate) struct Caching {
    public: String,
}

impl Caching {
    /// Reads `CATALOGUE_CACHE_SECONDS`.
    pub(crate) fn init(init: &mut Init) -> Self {
        Self { public: format!("public, max-age={}", init.number("CATALOGUE_CACHE_SECONDS")) }
    }

    /// The same response, which a cache may keep if it was asked for by nobody in particular.
    pub(crate) fn apply(&self, caller: &Visitor, response: Response) -> Response {
        let policy = if caller.0.is_none() { &self.public } else { "private, no-store" };
        response.header(CACHE_CONTROL, policy).header(VARY, "Authorization, Origin")
    }
}
