//! `events-stock-alert`: those who run the shop are told that a product is scarce or gone.

use shared::event::{Fact, OnBus};
use shared::function::{Consumer, Delivery};
use shared::job::{EmailJob, Emails, Mail};
use shared::products::Products;
use shared::receipts::Receipts;
use shared::{Error, Function, Init, Result};

/// `events-stock-alert`.
pub static FUNCTION: Function = Function::queue::<StockAlert>("events-stock-alert");

/// What telling of a stock needs.
pub struct StockAlert {
    products: Products,
    emails: Emails,
    receipts: Receipts,
}

impl Consumer for StockAlert {
    type Message = OnBus;

    fn init(init: &mut Init) -> Self {
        Self { products: Products::init(init), emails: Emails::init(init), receipts: Receipts::init(init) }
    }

    async fn consume(&self, OnBus { detail: event }: OnBus, _: &Delivery) -> Result<()> {
        let (product_id, stock) = match event.fact {
            Fact::OutOfStock { product_id } => (product_id, 0),
            Fact::LowStock { product_id, stock } => (product_id, stock),
            other => return Err(Error::Poison(format!("a rule sent {} here", other.kind()))),
        };
        let tell = async {
            let Some(product) = self.products.get(product_id).await? else {
                tracing::info!(eventId = %event.id, "its product is gone: no mail");
                return Ok(());
            };
            let mail = Mail::StockAlert {
                product_id,
                product: product.name.try_into().map_err(Error::internal)?,
                stock,
            };
            self.emails.send(&EmailJob::of(&event, mail)).await
        };
        self.receipts.once(event.id, tell).await
    }
}
