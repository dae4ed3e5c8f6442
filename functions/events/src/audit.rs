//! `events-audit`: keeps a record of every event for 90 days.

use serde::Deserialize;
use shared::audit::{Audit as Records, Happened, Record};
use shared::clock::Clock;
use shared::function::{Consumer, Delivery, Label, Message};
use shared::{Function, Init, Result};

/// `events-audit`.
pub static FUNCTION: Function = Function::queue::<Audit>("events-audit");

/// Any event, as a queue gets it from EventBridge.
#[derive(Deserialize)]
pub struct Told {
    detail: Happened,
}

impl Message for Told {
    fn label(&self) -> Label {
        let Happened { id, correlation_id, .. } = &self.detail;
        Label { kind: "event", id: *id, correlation_id: correlation_id.clone() }
    }
}

/// What keeping records needs. It keeps no receipts: the record of an event is always the same.
pub struct Audit {
    records: Records,
    clock: Clock,
}

impl Consumer for Audit {
    type Message = Told;

    fn init(init: &mut Init) -> Self {
        Self { records: Records::init(init), clock: init.clock() }
    }

    async fn consume(&self, Told { detail: event }: Told, _: &Delivery) -> Result<()> {
        self.records.keep(&Record::of(event, self.clock.now())).await
    }
}
