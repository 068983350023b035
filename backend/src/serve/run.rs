//! The server: engine, accounts and doors, until it is told to end.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::web::Data;
use anyhow::Context as _;
use futures_util::future::{join_all, try_join_all};
use sampan_engine::images::StorageBackend;
use sampan_engine::{Engine, Settings};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Prepared;
use super::certificates::Certificates;
use super::prepare::{docker_name, http_name, https_name};
use crate::accounts::{Accounts, IdRange};
use crate::app::App;
use crate::auth::setup;
use crate::ballast;
use crate::config::{Config, Storage};
use crate::{doors, service};

/// Threads of the engine and the docker door. The work is waiting, what computes goes to the blocking pool, and a
/// profile of short requests showed mostly changes of threads.
const WORKERS: usize = 1;
/// How often ballast that was given back is looked after.
const BALLAST_ROUND: Duration = Duration::from_secs(10);

const DAY: Duration = Duration::from_secs(86_400);

/// Serves until SIGTERM or SIGINT. Containers go on; when none runs or waits for a restart, the helpers end too.
///
/// # Errors
/// When a store cannot be opened or a helper does not answer.
pub fn run(prepared: Prepared) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_stack_size(1 << 20)
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(serve(prepared))
}

async fn serve(prepared: Prepared) -> anyhow::Result<()> {
    // Before anything that takes a while, so that a signal is never lost.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let Prepared { config, claimed, http, https, certificate, docker } = prepared;
    let accounts = Accounts::open(&config.data_root).await.context("open the database")?;
    let range = IdRange { first: claimed.ids.first_of_teams(), teams: claimed.ids.teams() };
    accounts.record_id_ranges(&[range]).await.context("record the host ids")?;
    let settings = Settings {
        data_root: config.data_root.clone(),
        state_root: config.state_root.clone(),
        instance: claimed.instance.clone(),
        storage: storage(config.storage),
        cradles: config.cradles as usize,
        proxies: config.proxies.clone(),
    };
    let pool = sampan_engine::store::open(&config.data_root).await.context("open the engine's database")?;
    let engine = Engine::open(settings, pool).await.context("open the engine")?;
    engine.keep(http_name(&config), http.try_clone().context("copy a socket")?.into());
    engine.keep(docker_name(&config), docker.try_clone().context("copy a socket")?.into());
    if let Some((https, address)) = https.as_ref().zip(config.https) {
        engine.keep(https_name(address), https.try_clone().context("copy a socket")?.into());
    }
    let https = match https {
        Some(https) => {
            let certificates = Certificates::open(&config, certificate).context("prepare TLS")?;
            Some((https, certificates))
        }
        None => None,
    };
    let ballast = tokio::spawn(keep_ballast(config.data_root.clone()));
    let (app, audit) = App::open(config, engine.clone(), accounts).await.context("open the accounts")?;
    let app = Arc::new(app);
    greet(&app).await?;

    let stop = CancellationToken::new();
    docker.set_nonblocking(true)?;
    let docker = tokio::net::UnixListener::from_std(docker)?;
    let docker = tokio::spawn(doors::docker::serve(app.clone(), docker, stop.clone()));
    let pages = std::thread::Builder::new().name("http".into()).spawn({
        let (app, stop) = (Data::from(app.clone()), stop.clone());
        move || serve_http(app, http, https, &stop)
    })?;

    let rounds = tokio::spawn(service::registry_rounds::run(app.clone(), stop.clone()));

    // To systemd, where the unit says Type=notify; nobody listens elsewhere.
    sd_notify::notify(&[NotifyState::Ready]).context("tell systemd that the server is ready")?;

    let orphaned = tokio::select! {
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
        () = engine.orphaned() => true,
    };
    tracing::info!("the server ends");
    stop.cancel();
    ballast.abort();
    app.operations.cancel_all();
    docker.await.context("end the docker door")?;
    rounds.await.context("end the registry's rounds")?;
    tokio::task::spawn_blocking(move || pages.join())
        .await?
        .map_err(|_| anyhow::anyhow!("the http door panicked"))??;
    let closed = engine.close().await.context("end the engine");
    drop(app);
    audit.await.context("write the audit trail")?;
    anyhow::ensure!(
        !orphaned,
        "keeper and guard, which hold the containers, were killed: containers go on, start the server again"
    );
    closed
}

/// Holds room on the disk back, and again some time after it was given back.
async fn keep_ballast(data_root: PathBuf) {
    let mut rounds = tokio::time::interval(BALLAST_ROUND);
    loop {
        rounds.tick().await;
        let data_root = data_root.clone();
        let filled = tokio::task::spawn_blocking(move || ballast::fill(&data_root)).await;
        if let Err(error) = filled.map_err(std::io::Error::other).and_then(|filled| filled) {
            tracing::warn!(%error, "no room on the disk is held back for when it is full");
        }
    }
}

/// The http door on a thread and runtime of its own: actix's services belong to one thread.
fn serve_http(
    app: Data<App>,
    http: TcpListener,
    https: Option<(TcpListener, Arc<Certificates>)>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    actix_web::rt::System::new().block_on(async {
        let mut servers = vec![doors::http::server(app.clone(), http)?];
        if let Some((listener, certificates)) = https {
            servers.push(doors::https::server(app, listener, certificates.clone().server_config()?)?);
            actix_web::rt::spawn(renew(certificates));
        }
        let handles: Vec<_> = servers.iter().map(Server::handle).collect();
        let mut served = std::pin::pin!(try_join_all(servers));
        tokio::select! {
            done = &mut served => return Ok(done.map(drop)?),
            () = stop.cancelled() => {}
        }
        tokio::join!(join_all(handles.iter().map(|handle| handle.stop(true))), served).1?;
        Ok(())
    })
}

/// Looks once a day whether the certificate must be made anew.
async fn renew(certificates: Arc<Certificates>) {
    loop {
        tokio::time::sleep(DAY).await;
        if let Err(error) = certificates.renew() {
            tracing::error!(error = format!("{error:#}"), "the certificate cannot be made anew");
        }
    }
}

fn storage(asked: Storage) -> Option<StorageBackend> {
    match asked {
        Storage::Auto => None,
        Storage::Erofs => Some(StorageBackend::Erofs),
        Storage::Folders => Some(StorageBackend::Folders),
    }
}

/// What a person at the console needs: address, setup token while nobody has an account, the line for docker.
async fn greet(app: &App) -> anyhow::Result<()> {
    let Config { http, https, docker_sock, public_url, .. } = &app.config;
    let address = public_url.clone().unwrap_or_else(|| format!("http://{http}"));
    println!("Sampan {} at {address}", env!("CARGO_PKG_VERSION"));
    if let Some(https) = https {
        println!("Also at https://{https}");
    }
    if let Some(token) = setup::issue(app).await.context("make the setup token")? {
        println!("First run: {address}/setup");
        println!("Setup token: {}", token.expose());
    }
    println!("docker context create sampan --docker host=unix://{}", docker_sock.display());
    Ok(())
}
