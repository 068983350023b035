//! `sampan doctor`: database, blobs, layers, indexes and the registry's records, read and compared.

use std::path::Path;

use anyhow::Context as _;
use sampan_engine::upstream::{Patience, Transport};
use sampan_engine::{doctor, host, store};

use crate::accounts::Accounts;
use crate::admin;
use crate::auth::SealingKey;
use crate::config::Config;
use crate::service::registries;

/// Examines the instance whose data lie in the data root, beside a running server or without one; `repair`: mends it, and
/// no server may run. Whether all is well now. Call it before any thread is started: it becomes the owner of the data
/// root first.
///
/// # Errors
/// Says what is wrong and what to do.
pub fn run(config: &Config, repair: bool) -> anyhow::Result<bool> {
    let data_root = admin::enter(&config.data_root)?;
    let _alone = if repair { Some(host::claim_alone(&data_root)?) } else { None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let pool = store::open(&data_root).await?;
        let repair = match repair {
            true => Some(mending(config, &data_root).await.context("read the teams' names at registries")?),
            false => None,
        };
        let report = doctor::examine(&data_root, &pool, repair).await.context("doctor");
        pool.close().await;
        report
    })?;
    for finding in &report.findings {
        println!("{finding}");
    }
    let doctor::Report { images, manifests, layers, blobs, findings } = &report;
    let verdict = match (findings.len(), report.is_sound()) {
        (0, _) => "nothing is damaged".to_owned(),
        (count, true) => format!("{count} damaged, all repaired"),
        (count, false) => format!("{count} damaged"),
    };
    println!("{images} images, {manifests} manifests, {layers} layers and {blobs} blobs: {verdict}");
    Ok(report.is_sound())
}

/// By what other registries are asked: as this instance's server would, with the names of its teams.
async fn mending(config: &Config, data_root: &Path) -> anyhow::Result<doctor::Repair> {
    // Before anything speaks TLS. It is there already only if somebody did this twice.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (accounts, sealing) = (Accounts::open(data_root).await?, SealingKey::open(data_root)?);
    let mut credentials = Vec::new();
    for team in accounts.teams().await? {
        for known in accounts.registry_credentials(team.id).await? {
            let opened = registries::kept_credentials(&accounts, &sealing, team.id, &known.registry).await?;
            credentials.push((team.id, known.registry, opened));
        }
    }
    Ok(doctor::Repair { transport: Transport::new(config.proxies.clone(), Patience::default()), credentials })
}
