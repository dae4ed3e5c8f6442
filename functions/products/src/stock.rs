//! `PATCH /api/v1/products/{id}/stock`: add to a product's stock, or take from it.

use http::StatusCode;
use shared::caller::{Admin, SignedIn};
use shared::clock::Clock;
use shared::describe::{About, json};
use shared::function::Endpoint;
use shared::id::ProductId;
use shared::input::Fault;
use shared::products::{Product, Products};
use shared::{Error, Function, Init, Request, Response, Result, input};

use crate::fields::QuantityChange;
use crate::shown::Shown;

/// `products-stock`.
pub static FUNCTION: Function = Function::http::<ChangeStock>("products-stock");

input! {
    /// By how much.
    pub struct StockChange { quantity_change as "quantityChange": QuantityChange }
}

/// What changing a stock needs.
pub struct ChangeStock {
    products: Products,
    clock: Clock,
}

impl Endpoint for ChangeStock {
    type Caller = Admin;
    const WRITES: bool = true;
    const KEYED: bool = true;

    fn describe() -> About {
        About::new("Add to a product's stock, or take from it")
            .body::<StockChange>(json!({"quantityChange": -2}))
            .answers::<Shown<'_>>(StatusCode::OK, Shown::example())
            .fails([Error::InsufficientStock { available: 3, requested: 5 }])
            .versioned()
    }

    fn init(init: &mut Init) -> Self {
        Self { products: Products::init(init), clock: init.clock() }
    }

    async fn handle(&self, Admin(caller): Admin, request: &Request) -> Result<Response> {
        let product = self.change(&caller, request, request.product_id()?, request.json()?).await?;
        Response::tagged(request, product.version, &Shown::of(&product)?)
    }
}

impl ChangeStock {
    /// Makes the change that `request` asks for, and answers what the product is then.
    pub(crate) async fn change(
        &self,
        caller: &SignedIn,
        request: &Request,
        id: ProductId,
        change: StockChange,
    ) -> Result<Product> {
        let StockChange { quantity_change: QuantityChange(change) } = change;
        let by = request.origin().by(&caller.user_id(), "stock");
        let too_much = Fault::invalid("OUT_OF_RANGE", "would make the stock more than 2147483647");
        let too_much = too_much.at("quantityChange");
        let step =
            self.products.add_stock(id, change, &request.if_match(), self.clock.now(), &by, too_much)?;
        caller.write(vec![step]).await?;
        self.products.get(id).await?.ok_or(Error::NotFound("Product"))
    }
}
