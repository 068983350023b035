//! What a page of a list costs: SQLite is asked for the plan of every query that the programs make.

use serde_json::Value;

/// A page costs what the page has, not what the table has: it is found by an index and read in its order. All queries
/// are in `.sqlx`, those of the backend too. Source: sqlite.org/eqp.html.
#[tokio::test]
async fn no_page_is_a_scan_or_a_sort() {
    let root = tempfile::tempdir().unwrap();
    let pool = super::open(root.path()).await.unwrap();
    let (mut pages, mut slow) = (0, Vec::new());
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.sqlx")).unwrap() {
        let known: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        let query = known["query"].as_str().unwrap();
        if !query.starts_with("SELECT") || !query.contains("LIMIT") {
            continue;
        }
        pages += 1;
        let plan = format!("EXPLAIN QUERY PLAN {query}");
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(plan)).fetch_all(&pool).await.unwrap();
        // A list that was given with the query is walked as a virtual table.
        let walks = |step: &str| step.starts_with("SCAN") && !step.contains("VIRTUAL TABLE");
        let bad = |step: &str| walks(step) || step.contains("TEMP B-TREE");
        if plan.iter().any(|(_, _, _, step)| bad(step)) {
            slow.push((query.to_owned(), plan));
        }
    }
    assert!(pages > 10, "{pages}");
    assert!(slow.is_empty(), "{slow:#?}");
}
