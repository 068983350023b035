//! Rows of the registry. Every query names the repository, and a repository is found by its team.

pub(crate) mod blobs;
pub(crate) mod examine;
pub(crate) mod manifests;
pub(crate) mod repositories;
pub(crate) mod tags;
pub(crate) mod uploads;

use sqlx::SqliteConnection;

/// Digests of everything that any repository has: what the sweep keeps.
pub(crate) async fn marks(connection: &mut SqliteConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"SELECT digest AS "digest!: String" FROM repository_blobs UNION SELECT digest FROM manifests"#
    )
    .fetch_all(connection)
    .await
}
