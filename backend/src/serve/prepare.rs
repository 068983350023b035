//! What is done as root: claim the roots, find keeper, get the listeners, give up root.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use sampan_engine::host::{self, Claimed, HostError, Keeper};

use super::certificates::Given;
use crate::config::Config;

/// All that the server needs and could not get by itself.
#[derive(Debug)]
pub struct Prepared {
    /// Settings, the roots canonical.
    pub config: Config,
    /// Id, user, host ids.
    pub claimed: Claimed,
    /// `--http`.
    pub http: TcpListener,
    /// `--https`.
    pub https: Option<TcpListener>,
    /// The administrator's certificate for it.
    pub certificate: Option<Given>,
    /// `--docker-sock`.
    pub docker: UnixListener,
}

/// Prepares as root and gives root up. Must be called while the process has one thread.
///
/// # Errors
/// [`HostError`]; nothing runs then that did not run before, but keeper, which the next start finds.
pub fn prepare(config: Config) -> Result<Prepared, HostError> {
    host::require_root("sampan serve")?;
    let claimed = host::claim(&config.data_root, &config.state_root)?;
    let config = Config { data_root: claimed.data_root.clone(), state_root: claimed.state_root.clone(), ..config };
    let keeper = Keeper::find_or_start(&claimed, &helpers(&config)?)?;
    let http = TcpListener::from(listener(&keeper, &http_name(&config), || bind(config.http))?);
    let https = match config.https {
        Some(address) => Some(listener(&keeper, &https_name(address), || bind(address))?.into()),
        None => {
            keeper.forget(HTTPS)?;
            None
        }
    };
    let certificate = config.tls.as_ref().filter(|_| https.is_some()).map(read_certificate).transpose()?;
    let docker = UnixListener::from(listener(&keeper, &docker_name(&config), || bind_docker(&config.docker_sock))?);
    drop(keeper);
    host::enter_private_view(claimed.uid, claimed.gid, &[&claimed.data_root, &claimed.state_root])?;
    host::drop_all(claimed.uid, claimed.gid)?;
    Ok(Prepared { config, claimed, http, https, certificate, docker })
}

/// Under which name keeper has the http listener.
pub(super) fn http_name(config: &Config) -> String {
    format!("listener/http/{}", config.http)
}

/// What the names of https listeners begin with.
const HTTPS: &str = "listener/https/";

/// Under which name keeper has the https listener.
pub(super) fn https_name(address: SocketAddr) -> String {
    format!("{HTTPS}{address}")
}

fn read_certificate((certificate, key): &(PathBuf, PathBuf)) -> Result<Given, HostError> {
    let what = "read the certificate or the key of";
    Given::read(certificate, key).map_err(|source| HostError::Io { what, path: certificate.clone(), source })
}

/// Under which name keeper has the docker socket.
pub(super) fn docker_name(config: &Config) -> String {
    format!("listener/docker{}", config.docker_sock.display())
}

fn listener(
    keeper: &Keeper,
    name: &str,
    bind: impl FnOnce() -> Result<OwnedFd, HostError>,
) -> Result<OwnedFd, HostError> {
    // An address that is not served any more is let go, so that others can have it.
    let kind = format!("{}/", name.split('/').take(2).collect::<Vec<_>>().join("/"));
    for other in keeper.kept(&kind)?.into_iter().filter(|other| other != name) {
        keeper.forget(&other)?;
    }
    keeper.listener(name, bind)
}

/// What keeper is started with.
///
/// # Errors
/// [`HostError::Process`] when this program's own path cannot be found.
pub fn helpers(config: &Config) -> Result<host::Helpers, HostError> {
    let sampan = std::env::current_exe()
        .map_err(|source| HostError::Process { what: "find the path of this program", source })?;
    let runtime = sampan.with_file_name("sampan-runtime");
    let pools: Vec<String> =
        config.address_pools.iter().map(|pool| format!("{}/{}", pool.network, pool.prefix)).collect();
    let doors: Vec<String> = [Some(config.http), config.https].iter().flatten().map(ToString::to_string).collect();
    let net: Vec<OsString> = ["--http".into(), doors.join(",").into(), "--pools".into(), pools.join(",").into()].into();
    Ok(host::Helpers { sampan, runtime, net })
}

fn bind(address: SocketAddr) -> Result<OwnedFd, HostError> {
    let failed = |source| HostError::Io { what: "listen at", path: PathBuf::from(address.to_string()), source };
    Ok(TcpListener::bind(address).map_err(failed)?.into())
}

/// Anybody may connect; who they are, the kernel says, and the door decides.
fn bind_docker(path: &Path) -> Result<OwnedFd, HostError> {
    let failed = |what: &'static str| move |source| HostError::Io { what, path: path.to_path_buf(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed("make the folder of"))?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed("replace")(error)),
        _ => {}
    }
    let socket = UnixListener::bind(path).map_err(failed("listen at"))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).map_err(failed("open"))?;
    Ok(socket.into())
}
