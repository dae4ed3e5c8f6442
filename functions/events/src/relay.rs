//! `events-relay`: puts on the bus what follows from the changes that the tables' streams tell.
//!
//! An event is derived from a committed change by a pure function of the item before and after, so
//! none is invented and none is lost: a change that could not be relayed comes again.

use std::time::{Duration, Instant};

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::builders::PutEventsRequestEntryBuilder;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use shared::event::{Event, SOURCE};
use shared::function::StreamReader;
use shared::log::OF_EVENT;
use shared::stream::Change;
use shared::{Error, Function, Init, Result};

use self::derive::Table;

mod derive;

/// `events-relay`.
pub static FUNCTION: Function = Function::stream::<Relay>("events-relay");

/// Entries of one `PutEvents` call at most
/// (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>).
const ENTRIES: usize = 10;

/// How long a bus that is away is tried again within one invocation.
const PATIENCE: Duration = Duration::from_secs(8);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What relaying needs.
pub struct Relay {
    eventbridge: Client,
    bus: String,
    tables: [(String, Table); 6],
}

impl StreamReader for Relay {
    fn init(init: &mut Init) -> Self {
        Self {
            eventbridge: init.eventbridge(),
            bus: init.text("EVENT_BUS_NAME"),
            tables: [
                (init.text("USERS_TABLE"), Table::Users),
                (init.text("SESSIONS_TABLE"), Table::Sessions),
                (init.text("ONE_TIME_TOKENS_TABLE"), Table::OneTimeTokens),
                (init.text("ATTEMPTS_TABLE"), Table::Attempts),
                (init.text("PRODUCTS_TABLE"), Table::Products),
                (init.text("FILES_TABLE"), Table::Files),
            ],
        }
    }

    async fn read<'a>(&self, changes: &'a [Change]) -> Result<(), (&'a Change, Error)> {
        let mut events: Vec<(&Change, Event)> = Vec::new();
        let mut poison = None;
        for change in changes {
            match self.derive(change) {
                Ok(derived) => events.extend(derived.into_iter().map(|event| (change, event))),
                Err(error) => {
                    // What came before it is still relayed.
                    poison = Some((change, error));
                    break;
                }
            }
        }
        for batch in events.chunks(ENTRIES) {
            self.put_patiently(batch).await?;
        }
        poison.map_or(Ok(()), Err)
    }
}

impl Relay {
    fn derive(&self, change: &Change) -> Result<Vec<Event>> {
        let table = self.tables.iter().find(|(name, _)| name == change.table());
        let (_, table) = table.ok_or_else(|| Error::internal(format!("no events of {}", change.source)))?;
        table.events(change)
    }

    /// Puts a batch, and what the bus has refused of it again for as long as it asks for patience: an outage of minutes must not
    /// use up the tries that Lambda gives a record. What is still refused then fails from its first change on.
    async fn put_patiently<'a>(&self, batch: &[(&'a Change, Event)]) -> Result<(), (&'a Change, Error)> {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut left: Vec<_> = batch.iter().collect();
        loop {
            let error = match self.put(&left).await {
                Ok(refused) => {
                    left = refused.iter().map(|(place, _)| left[*place]).collect();
                    let Some((_, error)) = refused.into_iter().next() else { return Ok(()) };
                    error
                }
                Err(error) => error,
            };
            let passes = matches!(error, Error::Unavailable(_) | Error::NoReply(_));
            if !passes || started.elapsed() > PATIENCE {
                return left.first().map_or(Ok(()), |(change, _)| Err((*change, error)));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Puts at most [`ENTRIES`] events on the bus; answers the places of those that it refused.
    async fn put(&self, batch: &[&(&Change, Event)]) -> Result<Vec<(usize, Error)>> {
        let entries = batch.iter().map(|(_, event)| self.entry(event)).collect::<Result<Vec<_>>>()?;
        let answer = self.eventbridge.put_events().set_entries(Some(entries)).send().await?;
        let mut refusals = Vec::new();
        for (place, ((_, event), entry)) in batch.iter().zip(answer.entries()).enumerate() {
            let (id, correlation_id) = (event.id, &event.correlation_id);
            match refused(entry) {
                Ok(()) => {
                    tracing::info!(
                        eventId = %id,
                        correlationId = correlation_id,
                        Event = event.fact.kind(),
                        Events = 1,
                        metrics = OF_EVENT,
                        "relayed"
                    );
                }
                Err(error) => refusals.push((place, error)),
            }
        }
        Ok(refusals)
    }

    /// Puts one entry on the bus.
    pub(crate) async fn put_entry(&self, entry: PutEventsRequestEntryBuilder) -> Result<()> {
        let entry = entry.event_bus_name(&self.bus).build();
        let answer = self.eventbridge.put_events().entries(entry).send().await?;
        answer.entries().iter().try_for_each(refused)
    }

    fn entry(&self, event: &Event) -> Result<PutEventsRequestEntry> {
        Ok(PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(SOURCE)
            .detail_type(event.fact.kind())
            .detail(serde_json::to_string(event).map_err(Error::internal)?)
            .build())
    }
}

/// That the bus refused an entry, if it did.
fn refused(entry: &PutEventsResultEntry) -> Result<()> {
    let Some(code) = entry.error_code() else { return Ok(()) };
    let message = entry.error_message().unwrap_or_default();
    Err(Error::unavailable(format!("event refused: {code}: {message}")))
}
