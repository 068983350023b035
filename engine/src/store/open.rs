//! Opens the database.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

/// File name in the data root.
const FILE: &str = "sampan.db";
/// How long a statement waits for another process's (`sampan admin`) write.
const BUSY: Duration = Duration::from_secs(10);

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be opened.
    #[error("cannot open the database {}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// Its tables cannot be brought up to date.
    #[error("cannot bring the database {} up to date", .path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
}

/// Opens `sampan.db` in the data root, made and migrated if need be. WAL, synchronous NORMAL: safe against any kill;
/// who needs it to survive a power loss says `PRAGMA synchronous = FULL` on a connection of its own.
///
/// # Errors
/// [`OpenError`] with the file's path.
pub async fn open(data_root: &Path) -> Result<SqlitePool, OpenError> {
    let path = data_root.join(FILE);
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        // KiB of each connection: its tables are small, and the kernel caches the file.
        .pragma("cache_size", "-256");
    let pool = SqlitePoolOptions::new()
        .max_connections(4)
        // A file does not hang up; asking first would be one more change of threads for each statement.
        .test_before_acquire(false)
        .connect_with(options)
        .await
        .map_err(|source| OpenError::Open { path: path.clone(), source })?;
    sqlx::migrate!("../migrations").run(&pool).await.map_err(|source| OpenError::Migrate { path, source })?;
    Ok(pool)
}
