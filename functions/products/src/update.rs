//! `PUT /api/v1/products/{id}`: change what a product is.

use http::StatusCode;
use shared::caller::{Admin, SignedIn};
use shared::clock::Clock;
use shared::counters::Counters;
use shared::describe::{About, json};
use shared::function::Endpoint;
use shared::id::ProductId;
use shared::input::Patch;
use shared::money::{Amount, Currency, Money};
use shared::products::{Product, Products, Status};
use shared::text::{Category, Description, Name};
use shared::{Error, Function, Init, Request, Response, Result, input, transaction};

use crate::fields::Stock;
use crate::shown::Shown;

/// `products-update`.
pub static FUNCTION: Function = Function::http::<Update>("products-update");

input! {
    /// What is to be otherwise; what is absent stays.
    pub struct Changes {
        name: Option<Name>,
        description: Patch<Description>,
        price: Option<Amount>,
        currency: Option<Currency>,
        stock: Option<Stock>,
        category: Patch<Category>,
        status: Option<Status>,
    }
}

/// What changing a product needs.
pub struct Update {
    products: Products,
    counters: Counters,
    clock: Clock,
}

impl Endpoint for Update {
    type Caller = Admin;
    const WRITES: bool = true;

    fn describe() -> About {
        About::new("Change what a product is")
            .detail(
                "What is absent stays as it is. `null` or an empty text clears a description or a category.",
            )
            .body::<Changes>(json!({"price": 1822.00, "category": null, "status": "ACTIVE"}))
            .answers::<Shown<'_>>(StatusCode::OK, Shown::example())
            .versioned()
    }

    fn init(init: &mut Init) -> Self {
        Self { products: Products::init(init), counters: Counters::init(init), clock: init.clock() }
    }

    async fn handle(&self, Admin(caller): Admin, request: &Request) -> Result<Response> {
        let changes = request.json()?;
        let product = self.update(&caller, request, request.product_id()?, &changes).await?;
        Response::tagged(request, product.version, &Shown::of(&product)?)
    }
}

impl Update {
    /// Makes the changes that `request` asks for, and answers what the product is then.
    pub(crate) async fn update(
        &self,
        caller: &SignedIn,
        request: &Request,
        id: ProductId,
        changes: &Changes,
    ) -> Result<Product> {
        transaction::retry_changed(|| Box::pin(self.try_once(caller, request, id, changes))).await
    }

    async fn try_once(
        &self,
        caller: &SignedIn,
        request: &Request,
        id: ProductId,
        changes: &Changes,
    ) -> Result<Product> {
        let if_match = request.if_match();
        let product = self.products.get(id).await?.ok_or(Error::NotFound("Product"))?;
        if caller.repeats() {
            return Ok(product);
        }
        if_match.check(product.version)?;
        let by = request.origin().by(&caller.user_id(), "update");
        let next = changes.apply(&product, product.next(self.clock.now(), by))?;
        if next.stock == product.stock && !next.differs_beyond_stock(&product) {
            return Ok(product);
        }
        caller.write(self.products.update(&product, &next, &if_match, &self.counters)?).await?;
        // Its stock may have been changed beside.
        self.products.get(id).await?.ok_or(Error::NotFound("Product"))
    }
}

impl Changes {
    /// `next`, which is as `product`, with these changes.
    fn apply(&self, product: &Product, next: Product) -> Result<Product> {
        let Self { name, description, price, currency, stock, category, status } = self;
        let (was, currency_was) = (product.price.amount(), product.price.currency());
        // What was not sent is not at fault.
        let blamed = if price.is_some() { "price" } else { "currency" };
        let price = Money::new(price.unwrap_or(was), currency.unwrap_or(currency_was));
        let price = price.map_err(|fault| fault.at(blamed))?;
        Ok(Product {
            name: name.as_ref().map_or(next.name, |name| name.as_str().to_owned()),
            description: description.clone().apply(next.description, Description::into_string),
            price,
            stock: stock.as_ref().map_or(next.stock, |stock| stock.0),
            category: category.clone().apply(next.category, Category::into_string),
            status: status.unwrap_or(next.status),
            ..next
        })
    }
}
