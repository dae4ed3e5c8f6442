//! `PATCH /api/v1/products/{id}/stock`: add to a product's stock, or take from it.

use http::StatusCode;
use shared::caller::{Admin, SignedIn};
use shared::clock::Clock;
use shared::describe::{About, json};
use shared::function::Endpoint;
use shared::id::ProductId;
use shared::idempotency::Answer;
use shared::input::Fault;
use shared::precondition::IfMatch;
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
        let answer = |product: &Product| Response::tagged(request, product.version, &Shown::of(product)?);
        self.change(&caller, request, request.product_id()?, request.json()?, answer).await
    }
}

impl ChangeStock {
    /// Makes the change that `request` asks for, and answers what `answer` makes of the product as it is then.
    pub(crate) async fn change<A: Answer>(
        &self,
        caller: &SignedIn,
        request: &Request,
        id: ProductId,
        change: StockChange,
        answer: impl Fn(&Product) -> Result<A>,
    ) -> Result<A> {
        let StockChange { quantity_change: QuantityChange(change) } = change;
        let now = self.clock.now();
        let by = request.origin().by(&caller.user_id(), "stock");
        let step = |if_match: &IfMatch| {
            let too_much = Fault::invalid("OUT_OF_RANGE", "would make the stock more than 2147483647");
            self.products.add_stock(id, change, if_match, now, &by, too_much.at("quantityChange"))
        };
        // Under a key the answer is kept. Where nobody else changes the product meanwhile, it is known before and
        // takes no round trip of its own afterwards.
        if caller.is_keyed()
            && let Some(product) = self.products.get(id).await?
            && request.if_match().check(product.version).is_ok()
        {
            let expected = Product { stock: product.stock + change, ..product.next(now, by.clone()) };
            let step = step(&IfMatch::Versions(vec![product.version]))?.or(Error::Changed);
            match caller.write_and_answer(vec![step], answer(&expected)?).await {
                Err(Error::Changed) => {}
                done => return done,
            }
        }
        caller.write(vec![step(&request.if_match())?]).await?;
        answer(&self.products.get(id).await?.ok_or(Error::NotFound("Product"))?)
    }
}
