//! `POST /api/v1/products`: a new product, as a draft.

use http::{StatusCode, header};
use shared::caller::{Admin, SignedIn};
use shared::clock::Clock;
use shared::counters::Counters;
use shared::describe::{About, json};
use shared::function::Endpoint;
use shared::idempotency::Answer;
use shared::input::Patch;
use shared::money::{Amount, Currency, Money};
use shared::products::{Product, Products};
use shared::request::Origin;
use shared::text::{Category, Description, Name};
use shared::{Function, Init, Request, Response, Result, input, precondition};

use crate::fields::{Stock, default_currency};
use crate::shown::Shown;

/// `products-create`.
pub static FUNCTION: Function = Function::http::<Create>("products-create");

input! {
    /// What a product is made of.
    pub struct NewProduct {
        name: Name,
        description: Patch<Description>,
        price: Amount,
        currency: Option<Currency>,
        stock: Option<Stock>,
        category: Patch<Category>,
    }
}

/// What making a product needs.
pub struct Create {
    products: Products,
    counters: Counters,
    currency: Currency,
    clock: Clock,
}

impl Endpoint for Create {
    type Caller = Admin;
    const WRITES: bool = true;
    const KEYED: bool = true;

    fn describe() -> About {
        About::new("Make a product, as a draft")
            .body::<NewProduct>(
                json!({"name": "Analytical Engine", "price": 1843.50, "currency": "EUR", "stock": 3}),
            )
            .answers::<Shown<'_>>(StatusCode::CREATED, Shown::example())
            .header("Location", "Where the product is")
            .versioned()
    }

    fn init(init: &mut Init) -> Self {
        Self {
            products: Products::init(init),
            counters: Counters::init(init),
            currency: default_currency(init),
            clock: init.clock(),
        }
    }

    async fn handle(&self, Admin(caller): Admin, request: &Request) -> Result<Response> {
        let new = request.json()?;
        let answer = |product: &Product| {
            Ok(Response::json(StatusCode::CREATED, &Shown::of(product)?)?
                .header(header::LOCATION, &format!("/api/v1/products/{}", product.id))
                .header(header::ETAG, &precondition::etag(product.version)))
        };
        self.create(&caller, request.origin(), new, answer).await
    }
}

impl Create {
    /// Makes the product, and answers what `answer` makes of it.
    pub(crate) async fn create<A: Answer>(
        &self,
        caller: &SignedIn,
        origin: &Origin,
        new: NewProduct,
        answer: impl FnOnce(&Product) -> Result<A>,
    ) -> Result<A> {
        let NewProduct { name, description, price, currency, stock, category } = new;
        let price =
            Money::new(price, currency.unwrap_or(self.currency)).map_err(|fault| fault.at("price"))?;
        let stock = stock.map_or(0, |stock| stock.0);
        let by = origin.by(&caller.user_id(), "create");
        let mut product = Product::new(name.as_str().to_owned(), price, stock, self.clock.now(), by);
        product.description = description.set().map(Description::into_string);
        product.category = category.set().map(Category::into_string);
        caller.write_and_answer(self.products.insert(&product, &self.counters)?, answer(&product)?).await
    }
}
