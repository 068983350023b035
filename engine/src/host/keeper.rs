//! Finding keeper or starting it, and the sockets it keeps over restarts of the server.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sampan_runtime::wire::VERSION;
use sampan_runtime::wire::keeper::{Answer, Request, Role};
use sampan_runtime::wire::socket::Connection;

use super::{Claimed, HostError};

/// How long a new keeper and its helpers may take. An emulated machine is slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// What keeper and its helpers are told at their start.
#[derive(Debug, Clone)]
pub struct Helpers {
    /// `sampan` itself: its `net` role, and the role that enters a scope.
    pub sampan: PathBuf,
    /// `sampan-runtime` beside it.
    pub runtime: PathBuf,
    /// Further words for `sampan net`: `--http …`, `--pools …`.
    pub net: Vec<OsString>,
}

/// A connection to keeper, before the server has its own.
#[derive(Debug)]
pub struct Keeper {
    connection: Connection,
    path: PathBuf,
    /// Whether it was started just now.
    pub is_new: bool,
}

impl Keeper {
    /// The keeper of the instance; started when none answers.
    ///
    /// # Errors
    /// [`HostError::NoRuntime`], [`HostError::Keeper`].
    pub fn find_or_start(claimed: &Claimed, helpers: &Helpers) -> Result<Self, HostError> {
        if let Some(keeper) = Self::find(&claimed.state_root)? {
            keeper.helpers_listen(&claimed.state_root)?;
            return Ok(keeper);
        }
        if !helpers.runtime.is_file() {
            return Err(HostError::NoRuntime { path: helpers.runtime.clone() });
        }
        start(claimed, helpers)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(mut keeper) = Self::find(&claimed.state_root)? {
                keeper.is_new = true;
                keeper.helpers_listen(&claimed.state_root)?;
                return Ok(keeper);
            }
            if Instant::now() > deadline {
                let log = claimed.state_root.join("keeper.log");
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                let reason = said.lines().last().unwrap_or("it did not start").to_owned();
                return Err(HostError::Keeper { path: claimed.state_root.join("keeper.sock"), reason });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The keeper that listens in the state root, if one does.
    ///
    /// # Errors
    /// [`HostError::Keeper`] when it listens and does not understand.
    pub fn find(state_root: &Path) -> Result<Option<Self>, HostError> {
        let path = state_root.join("keeper.sock");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Ok(connection) = Connection::connect(&path) else { return Ok(None) };
            let keeper = Self { connection, path: path.clone(), is_new: false };
            match keeper.ask(&Request::Hello { version: VERSION, role: Role::Serve }, &[]) {
                Ok((Answer::Welcome { .. }, _)) => return Ok(Some(keeper)),
                Ok((other, _)) => return Err(keeper.confused(&other)),
                Err(error) if Instant::now() > deadline => return Err(error),
                // It is ending: when its socket is gone too, there is none.
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Waits until spawner and net listen.
    fn helpers_listen(&self, state_root: &Path) -> Result<(), HostError> {
        let deadline = Instant::now() + PATIENCE;
        for name in ["spawner.sock", "net.sock"] {
            let path = state_root.join(name);
            while Connection::connect(&path).is_err() {
                if Instant::now() > deadline {
                    let log = std::fs::read_to_string(state_root.join("keeper.log")).unwrap_or_default();
                    let reason = format!("nobody listens at {}: {}", path.display(), log.lines().last().unwrap_or(""));
                    return Err(HostError::Keeper { path: self.path.clone(), reason });
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(())
    }

    /// The socket kept under `name`, else what `bind` makes, which is kept from now on.
    ///
    /// # Errors
    /// [`HostError`] of `bind`, or [`HostError::Keeper`].
    pub fn listener(
        &self,
        name: &str,
        bind: impl FnOnce() -> Result<OwnedFd, HostError>,
    ) -> Result<OwnedFd, HostError> {
        let (answer, mut kept) = self.ask(&Request::Get { name: name.to_owned() }, &[])?;
        if let (Answer::Kept, Some(socket)) = (&answer, kept.pop()) {
            return Ok(socket);
        }
        let socket = bind()?;
        match self.ask(&Request::Put { name: name.to_owned() }, &[socket.as_fd()])? {
            (Answer::Done, _) => Ok(socket),
            (other, _) => Err(self.confused(&other)),
        }
    }

    /// Closes kept sockets whose names begin so.
    ///
    /// # Errors
    /// [`HostError::Keeper`].
    pub fn forget(&self, prefix: &str) -> Result<(), HostError> {
        self.ask(&Request::Drop { prefixes: vec![prefix.to_owned()] }, &[]).map(drop)
    }

    /// Names of what is kept.
    ///
    /// # Errors
    /// [`HostError::Keeper`].
    pub fn kept(&self, prefix: &str) -> Result<Vec<String>, HostError> {
        match self.ask(&Request::List { prefix: prefix.to_owned() }, &[])? {
            (Answer::Names { names }, _) => Ok(names),
            (other, _) => Err(self.confused(&other)),
        }
    }

    /// Ends all helpers and keeper.
    ///
    /// # Errors
    /// [`HostError::Keeper`] while a container lives.
    pub fn shut_down(&self) -> Result<(), HostError> {
        match self.ask(&Request::Shutdown, &[]) {
            Ok((Answer::Refused(refusal), _)) => {
                Err(HostError::Keeper { path: self.path.clone(), reason: refusal.message })
            }
            // Gone before its answer was read is gone all the same.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn ask(
        &self,
        request: &Request,
        descriptors: &[std::os::fd::BorrowedFd<'_>],
    ) -> Result<(Answer, Vec<OwnedFd>), HostError> {
        let failed = |reason: String| HostError::Keeper { path: self.path.clone(), reason };
        self.connection.send(request, descriptors).map_err(|error| failed(error.to_string()))?;
        loop {
            match self.connection.receive::<Answer>().map_err(|error| failed(error.to_string()))? {
                // News for the server that follows; its own connection is told again.
                Some((Answer::Ended { .. }, _)) => {}
                Some(answer) => return Ok(answer),
                None => return Err(failed("it hung up".to_owned())),
            }
        }
    }

    fn confused(&self, answer: &Answer) -> HostError {
        HostError::Keeper { path: self.path.clone(), reason: format!("it said {answer:?}") }
    }
}

/// Starts guard, and by it keeper, in a session of its own, through the role of `sampan` that enters a scope first.
fn start(claimed: &Claimed, helpers: &Helpers) -> Result<(), HostError> {
    let log = claimed.state_root.join("keeper.log");
    let said =
        OpenOptions::new().create(true).append(true).mode(0o600).open(&log).map_err(HostError::io("write", &log))?;
    let also = said.try_clone().map_err(HostError::io("write", &log))?;
    let mut command = Command::new(&helpers.sampan);
    command.args(["keep", &claimed.instance]).arg(&helpers.runtime).arg("guard");
    command.arg("--data-root").arg(&claimed.data_root).arg("--state-root").arg(&claimed.state_root);
    command.args(["--instance", &claimed.instance, "--cgroup-parent", &format!("sampan-{}", claimed.instance)]);
    command.args(["--uid", &claimed.uid.to_string(), "--gid", &claimed.gid.to_string()]);
    command.arg("--sampan").arg(&helpers.sampan).arg("--").args(&helpers.net);
    // What systemd told the server is not for it.
    command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
    command.current_dir("/").stdin(Stdio::null()).stdout(said).stderr(also);
    // Not our child for long: it makes itself a session and is taken over by init when the server ends.
    let child = command.spawn().map_err(HostError::io("start", &helpers.sampan))?;
    drop(child);
    Ok(())
}
