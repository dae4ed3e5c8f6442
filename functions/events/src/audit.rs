//! `events-audit`: keeps a record of every event for 90 days.

use shared::audit::{Audit as Records, Record};
use shared::clock::Clock;
use shared::event::OnBus;
use shared::function::{Consumer, Delivery};
use shared::{Function, Init, Result};

/// `events-audit`.
pub static FUNCTION: Function = Function::queue::<Audit>("events-audit");

/// What keeping records needs. It keeps no receipts: the record of an event is always the same.
pub struct Audit {
    records: Records,
    clock: Clock,
}

impl Consumer for Audit {
    type Message = OnBus;

    fn init(init: &mut Init) -> Self {
        Self { records: Records::init(init), clock: init.clock() }
    }

    async fn consume(&self, OnBus { detail: event }: OnBus, _: &Delivery) -> Result<()> {
        self.records.keep(&Record::of(&event, self.clock.now())?).await
    }
}
