//! `GET /api/v1/products`: the catalogue, newest first.

use futures_util::future::try_join;
use http::StatusCode;
use shared::caller::Visitor;
use shared::counters::Counters;
use shared::describe::{About, json};
use shared::function::Endpoint;
use shared::page::{Listed, Number, Page, Size};
use shared::products::{Filter, Product, Products, Status};
use shared::text::Category;
use shared::{Function, Init, Request, Response, Result, input};

use crate::shown::Shown;
use crate::visible::{Caching, View};

/// `products-list`.
pub static FUNCTION: Function = Function::http::<List>("products-list");

input! {
    /// Which products, and which page of them.
    pub struct Parameters {
        page: Option<Number>,
        size: Option<Size>,
        /// The `nextCursor` of the page before, in place of `page`
        cursor: Option<String>,
        category: Option<Category>,
        status: Option<Status>,
    }
}

/// What listing products needs.
pub struct List {
    products: Products,
    counters: Counters,
    caching: Caching,
}

impl Endpoint for List {
    type Caller = Visitor;
    const WRITES: bool = false;

    fn describe() -> About {
        About::new("List the products, newest first")
            .detail("Everybody sees active ones, admins see all; who asks for others sees an empty page.")
            .query::<Parameters>()
            .answers::<Listed<Shown<'_>>>(
                StatusCode::OK,
                json!({"data": [Shown::example()], "page": 0, "size": 10, "total": 1, "nextCursor": null}),
            )
            .header("Cache-Control", "How long the answer may be kept, where nobody in particular asks")
            .versioned()
    }

    fn init(init: &mut Init) -> Self {
        Self { products: Products::init(init), counters: Counters::init(init), caching: Caching::init(init) }
    }

    async fn handle(&self, caller: Visitor, request: &Request) -> Result<Response> {
        let Found { page, products, total, next } = self.page(View::of(&caller), request.query()?).await?;
        let data: Vec<_> = products.iter().map(Shown::of).collect::<Result<_>>()?;
        let response =
            Response::json(StatusCode::OK, &page.answer(data, total, next))?.tagged_by_body(request);
        Ok(self.caching.apply(&caller, response))
    }
}

/// A page of products.
pub(crate) struct Found {
    pub(crate) page: Page,
    pub(crate) products: Vec<Product>,
    /// How many there are on all pages.
    pub(crate) total: i64,
    /// The cursor of the next page, if there is one.
    pub(crate) next: Option<String>,
}

impl List {
    /// The page that is asked for of what `view` has.
    pub(crate) async fn page(&self, view: View, parameters: Parameters) -> Result<Found> {
        let Parameters { page, size, cursor, category, status } = parameters;
        let asked = Filter { status, category: category.map(Category::into_string) };
        // A cursor belongs to what it was asked for with.
        let page = Page::of(page, size, cursor.as_deref(), format!("products {asked:?}"))?;
        match view.narrow(asked) {
            None => Ok(Found { page, products: Vec::new(), total: 0, next: None }),
            Some(filter) => self.read(page, filter).await,
        }
    }

    async fn read(&self, page: Page, filter: Filter) -> Result<Found> {
        // One more than asked for tells whether there is a next page.
        let ids = self.products.ids(&filter, page.after, page.skip, page.size + 1);
        let (ids, total) = try_join(ids, self.products.count(&filter, &self.counters)).await?;
        let (ids, next) = page.cut(ids);
        let mut products = self.products.get_all(&ids).await?;
        // The index may lag behind the products.
        products.retain(|product| filter.takes(product));
        Ok(Found { page, products, total, next })
    }
}
