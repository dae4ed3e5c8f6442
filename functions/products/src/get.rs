//! `GET /api/v1/products/{id}`: one product.

use http::StatusCode;
use shared::caller::Visitor;
use shared::describe::About;
use shared::function::Endpoint;
use shared::id::ProductId;
use shared::products::{Product, Products};
use shared::{Error, Function, Init, Request, Response, Result};

use crate::shown::Shown;
use crate::visible::{Caching, View};

/// `products-get`.
pub static FUNCTION: Function = Function::http::<Get>("products-get");

/// What reading a product needs.
pub struct Get {
    products: Products,
    caching: Caching,
}

impl Endpoint for Get {
    type Caller = Visitor;
    const WRITES: bool = false;

    fn describe() -> About {
        About::new("Read a product")
            .detail("Everybody sees active ones, admins see all.")
            .answers::<Shown<'_>>(StatusCode::OK, Shown::example())
            .header("Cache-Control", "How long the answer may be kept, where nobody in particular asks")
            .versioned()
    }

    fn init(init: &mut Init) -> Self {
        Self { products: Products::init(init), caching: Caching::init(init) }
    }

    async fn handle(&self, caller: Visitor, request: &Request) -> Result<Response> {
        let product = self.product(View::of(&caller), request.product_id()?).await?;
        let response = Response::tagged(request, product.version, &Shown::of(&product)?)?;
        Ok(self.caching.apply(&caller, response))
    }
}

impl Get {
    /// The product, if `view` has it.
    pub(crate) async fn product(&self, view: View, id: ProductId) -> Result<Product> {
        let product = self.products.get(id).await?.filter(|product| view.shows(product));
        product.ok_or(Error::NotFound("Product"))
    }
}
