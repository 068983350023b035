//! The connections: one that writes, a few that read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sampan_engine::store::is_between_transactions;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::accounts::AccountsError;

/// The database file in the data root.
const FILE: &str = "sampan.db";
/// How long a statement waits for another writer (the engine, a command line beside this server).
const BUSY: Duration = Duration::from_secs(10);

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

/// Users, teams, tokens, sessions: all that lies in the database about who is who.
#[derive(Debug, Clone)]
pub struct Accounts {
    pub(in crate::accounts) read: SqlitePool,
    pub(in crate::accounts) write: SqlitePool,
    /// For what may lose a second at a power loss, so that no flush of the disk holds up the engine's writes.
    pub(in crate::accounts) write_soon: SqlitePool,
    /// Where this process reaches the data root.
    pub(in crate::accounts) data_root: PathBuf,
}

impl Accounts {
    /// Opens (and makes) the database of `data_root` and brings its schema up to date.
    ///
    /// # Errors
    /// [`AccountsError::Store`] or [`AccountsError::Migrate`].
    pub async fn open(data_root: &Path) -> Result<Self, AccountsError> {
        let options = SqliteConnectOptions::new()
            .filename(data_root.join(FILE))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .pragma("cache_size", "-256");
        let held_back = data_root.to_owned();
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            // A session, a new password: what is needed to come in and remove things.
            .before_acquire(move |_, _| {
                crate::ballast::make_room(&held_back);
                Box::pin(std::future::ready(Ok(true)))
            })
            .idle_timeout(None)
            .max_lifetime(None)
            .after_release(|connection, _| Box::pin(is_between_transactions(connection)))
            .connect_with(options.clone())
            .await?;
        MIGRATIONS.run(&write).await?;
        let read = SqlitePoolOptions::new()
            .max_connections(2)
            .min_connections(1)
            .idle_timeout(Duration::from_secs(60))
            .max_lifetime(None)
            .connect_with(options.clone().create_if_missing(false))
            .await?;
        let write_soon = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(0)
            .max_lifetime(None)
            .after_release(|connection, _| Box::pin(is_between_transactions(connection)))
            .connect_lazy_with(options.create_if_missing(false).synchronous(SqliteSynchronous::Normal));
        Ok(Self { read, write, write_soon, data_root: data_root.to_owned() })
    }

    /// Closes the connections after what runs has ended.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
        self.write_soon.close().await;
    }
}
