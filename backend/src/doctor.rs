//! `sampan doctor`: database, blobs, layers and indexes, read and compared.

use std::path::Path;

use anyhow::Context as _;
use sampan_engine::{doctor, host, store};

use crate::admin;

/// Examines the instance whose data lie in `data_root`, beside a running server or without one; `repair`: mends it, and
/// no server may run. Whether all is well now. Call it before any thread is started: it becomes the owner of the data
/// root first.
///
/// # Errors
/// Says what is wrong and what to do.
pub fn run(data_root: &Path, repair: bool) -> anyhow::Result<bool> {
    let data_root = admin::enter(data_root)?;
    let _alone = if repair { Some(host::claim_alone(&data_root)?) } else { None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let pool = store::open(&data_root).await?;
        let report = doctor::examine(&data_root, &pool, repair).await.context("doctor");
        pool.close().await;
        report
    })?;
    for finding in &report.findings {
        println!("{finding}");
    }
    let doctor::Report { images, layers, blobs, findings } = &report;
    let verdict = match (findings.len(), report.is_sound()) {
        (0, _) => "nothing is damaged".to_owned(),
        (count, true) => format!("{count} damaged, all repaired"),
        (count, false) => format!("{count} damaged"),
    };
    println!("{images} images, {layers} layers and {blobs} blobs: {verdict}");
    Ok(report.is_sound())
}
