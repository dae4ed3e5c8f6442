//! `GET /api/v1/products/{id}`: one product.

use http::StatusCode;
use shared::caller::Visitor;
use shared::describe::About;
use shared::function::Endpoint;
use shared::products::Products;
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

    async fn handle(&self, caller: Visitor, request: Request) -> Result<Response> {
        let product = self.products.get(request.product_id()?).await?;
        let seen = product.filter(|product| View::of(&caller).shows(product));
        let product = seen.ok_or(Error::NotFound("Product"))?;
        let response = Response::tagged(&request, product.version, &Shown::of(&product)?)?;
        Ok(self.caching.apply(&caller, response))
    }
}
