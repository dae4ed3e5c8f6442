//! `DELETE /api/v1/products/{id}`: take a product out of the catalogue.

use http::StatusCode;
use shared::caller::{Admin, SignedIn};
use shared::clock::Clock;
use shared::counters::Counters;
use shared::describe::About;
use shared::function::Endpoint;
use shared::id::ProductId;
use shared::idempotency::Answer;
use shared::products::Products;
use shared::{Error, Function, Init, Request, Response, Result, transaction};

/// `products-delete`.
pub static FUNCTION: Function = Function::http::<Delete>("products-delete");

/// What deleting a product needs.
pub struct Delete {
    products: Products,
    counters: Counters,
    clock: Clock,
}

impl Endpoint for Delete {
    type Caller = Admin;
    const WRITES: bool = true;

    fn describe() -> About {
        About::new("Take a product out of the catalogue").answers_nothing(StatusCode::NO_CONTENT).versioned()
    }

    fn init(init: &mut Init) -> Self {
        Self { products: Products::init(init), counters: Counters::init(init), clock: init.clock() }
    }

    async fn handle(&self, Admin(caller): Admin, request: &Request) -> Result<Response> {
        self.delete(&caller, request, request.product_id()?, || Response::empty(StatusCode::NO_CONTENT)).await
    }
}

impl Delete {
    /// Deletes the product, as `request` asks for.
    pub(crate) async fn delete<A: Answer>(
        &self,
        caller: &SignedIn,
        request: &Request,
        id: ProductId,
        answer: impl Fn() -> A,
    ) -> Result<A> {
        transaction::retry_changed(|| Box::pin(self.try_once(caller, request, id, answer()))).await
    }

    async fn try_once<A: Answer>(
        &self,
        caller: &SignedIn,
        request: &Request,
        id: ProductId,
        answer: A,
    ) -> Result<A> {
        let if_match = request.if_match();
        let product = self.products.get(id).await?.ok_or(Error::NotFound("Product"))?;
        if_match.check(product.version)?;
        let now = self.clock.now();
        let mut next = product.next(now, request.origin().by(&caller.user_id(), "delete"));
        next.delete(now);
        let steps = self.products.update(&product, &next, &if_match, &self.counters)?;
        caller.write_and_answer(steps, answer).await
    }
}
