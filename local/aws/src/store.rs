//! Where the emulated services keep their state: one SQLite database.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// One SQLite database that all small services share, so that one transaction
/// may span several of them (an event and the message that it becomes).
///
/// In WAL mode with `synchronous = NORMAL` a commit survives kill -9 of the
/// process, though not always a power cut: right for a laptop.
#[derive(Clone)]
pub struct Store {
    connection: Arc<Mutex<Connection>>,
}

impl Store {
    /// Opens or makes the database file at `path`.
    pub fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(Self::of(connection))
    }

    /// A database that is gone with the process.
    pub fn memory() -> rusqlite::Result<Self> {
        Ok(Self::of(Connection::open_in_memory()?))
    }

    fn of(connection: Connection) -> Self {
        Self { connection: Arc::new(Mutex::new(connection)) }
    }

    /// Makes a service's tables (`CREATE TABLE IF NOT EXISTS ...`).
    pub fn migrate(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).execute_batch(sql)
    }

    /// Runs `work` in one transaction: committed if it answers `Ok`, rolled back otherwise.
    ///
    /// The store is locked meanwhile, so `work` does no waiting and never calls `transaction` again.
    pub fn transaction<T, E: From<rusqlite::Error>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let answer = work(&transaction)?;
        transaction.commit()?;
        Ok(answer)
    }
}
