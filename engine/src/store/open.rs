//! Opens the database.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, SqliteConnection, SqlitePool};

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
        .max_connections(2)
        // A file does not hang up; asking first would be one more change of threads for each statement.
        .test_before_acquire(false)
        .after_release(|connection, _| Box::pin(is_between_transactions(connection)))
        .connect_with(options)
        .await
        .map_err(|source| OpenError::Open { path: path.clone(), source })?;
    sqlx::migrate!("../migrations").run(&pool).await.map_err(|source| OpenError::Migrate { path, source })?;
    Ok(pool)
}

/// One more connection to the same database, for the short statements of containers and volumes: they stand in one queue
/// and share a cache, where several connections would wait for each other's lock by sleeping and read anew what another
/// wrote.
///
/// # Errors
/// When it cannot be opened.
pub(crate) async fn single(pool: &SqlitePool) -> Result<SqlitePool, sqlx::Error> {
    single_with(pool, SqliteSynchronous::Normal).await
}

/// The same with a choice: FULL is for what must survive a power loss.
///
/// # Errors
/// When it cannot be opened.
pub(crate) async fn single_with(pool: &SqlitePool, synchronous: SqliteSynchronous) -> Result<SqlitePool, sqlx::Error> {
    SqlitePoolOptions::new()
        .max_connections(1)
        .test_before_acquire(false)
        .after_release(|connection, _| Box::pin(is_between_transactions(connection)))
        .connect_with(pool.connect_options().as_ref().clone().synchronous(synchronous))
        .await
}

/// Whether a connection that comes back to its pool can be used again. A commit that failed for want of space was rolled
/// back by SQLite itself; sqlx counts its transaction as open from then on and would begin no other one.
///
/// # Errors
/// When the connection broke.
pub async fn is_between_transactions(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    if !connection.is_in_transaction() {
        return Ok(true);
    }
    // The rollback of a dropped transaction may still be under way: the answer comes behind it.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_itself_leaves_the_next_one_its_connection() {
        let folder = tempfile::tempdir().unwrap();
        let pool = open(folder.path()).await.unwrap();
        sqlx::query("CREATE TABLE one (value INTEGER UNIQUE)").execute(&pool).await.unwrap();
        let mut transaction = pool.begin().await.unwrap();
        // As when there is no space: the statement fails and takes the transaction with it.
        let twice = sqlx::query("INSERT OR ROLLBACK INTO one VALUES (1), (1)").execute(&mut *transaction).await;
        assert!(twice.is_err());
        drop(transaction);
        // Its connection is among them.
        let mut connections = futures_util::future::try_join_all((0..2).map(|_| pool.acquire())).await.unwrap();
        for connection in &mut connections {
            connection.begin_with("BEGIN").await.unwrap().rollback().await.unwrap();
        }
    }
}
