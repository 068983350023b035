//! Words with spawner.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxResources, Process};
use sampan_runtime::wire::VERSION;
use sampan_runtime::wire::archive::Work;
use sampan_runtime::wire::spawner::{Answer, Features, Request, Started};

use super::client::{Client, ProcessError, Sorted, Words};
use crate::owner::Owner;
use crate::volumes::Usage;

/// The protocol.
pub(crate) struct SpawnerWords;

impl Words for SpawnerWords {
    type Request = Request;
    type Answer = Answer;
    const PROCESS: &'static str = "spawner";

    fn sort(answer: Answer) -> Sorted<Answer> {
        match answer {
            Answer::Refused(refusal) => Sorted::Refused(refusal),
            answer => Sorted::Answer(answer),
        }
    }
}

/// Asks spawner. Each request is checked there again.
#[derive(Debug)]
pub struct Spawner {
    client: Client<SpawnerWords>,
    /// A second connection for what may take long, so that no start stands behind it in one queue.
    slow: Client<SpawnerWords>,
    /// A third for what may take minutes.
    unpacking: Client<SpawnerWords>,
}

const OUT_OF_TURN: ProcessError = ProcessError::OutOfTurn { process: SpawnerWords::PROCESS };

impl Spawner {
    /// Connects at the first request.
    pub fn new(state_root: &Path) -> Self {
        let client = || Client::new(state_root.join("spawner.sock"), vec![Request::Hello { version: VERSION }], None);
        Self { client: client(), slow: client(), unpacking: client() }
    }

    /// What kernel and host offer.
    pub async fn features(&self) -> Result<Features, ProcessError> {
        match self.client.ask(&Request::Hello { version: VERSION }).await? {
            Answer::Welcome { features, .. } => Ok(features),
            _ => Err(OUT_OF_TURN),
        }
    }

    async fn done(&self, request: Request) -> Result<(), ProcessError> {
        match self.client.ask(&request).await? {
            Answer::Done => Ok(()),
            _ => Err(OUT_OF_TURN),
        }
    }

    async fn done_slowly(&self, request: Request) -> Result<(), ProcessError> {
        match self.slow.ask(&request).await? {
            Answer::Done => Ok(()),
            _ => Err(OUT_OF_TURN),
        }
    }

    /// Makes the team's parent cgroup.
    pub async fn ensure_team(&self, owner: &Owner) -> Result<(), ProcessError> {
        self.done(Request::EnsureTeam { team: owner.team() }).await
    }

    /// Removes an empty team's cgroups and cradles.
    pub async fn remove_team(&self, owner: &Owner) -> Result<(), ProcessError> {
        self.done(Request::RemoveTeam { team: owner.team() }).await
    }

    /// Makes the writable layer and checks the two files.
    pub(crate) async fn create(&self, id: &str) -> Result<(), ProcessError> {
        self.done(Request::Create { id: id.into() }).await
    }

    /// Starts the main process; behind the answer a cradle of the same kind is raised for each of `next`.
    pub(crate) async fn start(&self, id: &str, next: Vec<String>) -> Result<Started, ProcessError> {
        match self.client.ask(&Request::Start { id: id.into(), next }).await? {
            Answer::Started(started) => Ok(started),
            _ => Err(OUT_OF_TURN),
        }
    }

    /// Starts one more process; gives its pid and its ends of the streams.
    pub(crate) async fn exec(
        &self,
        id: &str,
        exec: &str,
        process: Process,
        stdin: bool,
    ) -> Result<(i32, Vec<OwnedFd>), ProcessError> {
        let request = Request::Exec { id: id.into(), exec: exec.into(), process: Box::new(process), stdin };
        match self.client.call(&request, &[]).await? {
            (Answer::ExecStarted { pid }, descriptors) => Ok((pid, descriptors)),
            _ => Err(OUT_OF_TURN),
        }
    }

    /// Sends a signal to the main process.
    pub(crate) async fn signal(&self, id: &str, signal: i32) -> Result<(), ProcessError> {
        self.done(Request::Signal { id: id.into(), signal, all: false }).await
    }

    /// Sends a signal to a process started by exec.
    pub(crate) async fn signal_exec(&self, id: &str, exec: &str, signal: i32) -> Result<(), ProcessError> {
        self.done(Request::SignalExec { id: id.into(), exec: exec.into(), signal }).await
    }

    /// Freezes all processes.
    pub(crate) async fn pause(&self, id: &str) -> Result<(), ProcessError> {
        self.done(Request::Pause { id: id.into() }).await
    }

    /// Thaws them.
    pub(crate) async fn unpause(&self, id: &str) -> Result<(), ProcessError> {
        self.done(Request::Unpause { id: id.into() }).await
    }

    /// Changes limits of a running container.
    pub(crate) async fn update(&self, id: &str, resources: LinuxResources) -> Result<(), ProcessError> {
        self.done(Request::Update { id: id.into(), resources: Box::new(resources) }).await
    }

    /// Lets go of namespaces, mounts and cgroups.
    pub(crate) async fn release(&self, id: &str) -> Result<(), ProcessError> {
        self.done_slowly(Request::Release { id: id.into() }).await
    }

    /// Removes the writable layer.
    pub(crate) async fn remove(&self, id: &str) -> Result<(), ProcessError> {
        self.done_slowly(Request::Remove { id: id.into() }).await
    }

    /// Makes `volumes/<id>/data`.
    pub(crate) async fn create_volume(&self, id: &str) -> Result<(), ProcessError> {
        self.done(Request::CreateVolume { id: id.into() }).await
    }

    /// Removes `volumes/<id>`.
    pub(crate) async fn remove_volume(&self, id: &str) -> Result<(), ProcessError> {
        self.done_slowly(Request::RemoveVolume { id: id.into() }).await
    }

    /// Unpacks one layer's tar into a plain folder over those of the layers `below`, top first; all relative to the data
    /// root.
    pub(crate) async fn unpack(&self, tar: OwnedFd, target: &Path, below: &[PathBuf]) -> Result<(), ProcessError> {
        let request = Request::Unpack { target: target.into(), below: below.to_vec() };
        match self.unpacking.call(&request, &[tar]).await? {
            (Answer::Done, _) => Ok(()),
            _ => Err(OUT_OF_TURN),
        }
    }

    /// Removes a folder made by `unpack`.
    pub async fn remove_layer(&self, target: &Path) -> Result<(), ProcessError> {
        self.done_slowly(Request::RemoveLayer { target: target.into() }).await
    }

    /// Bytes and files of a folder beneath the data root.
    pub async fn usage(&self, target: &Path) -> Result<Usage, ProcessError> {
        match self.slow.ask(&Request::Usage { target: target.into() }).await? {
            Answer::Usage { bytes, files } => Ok(Usage { bytes, files }),
            _ => Err(OUT_OF_TURN),
        }
    }

    /// Sends a child to a container's files. It has the descriptors: its end of a connection to us, and of a pipe where a
    /// stream flows.
    pub(crate) async fn files(&self, id: &str, work: Work, descriptors: &[OwnedFd]) -> Result<(), ProcessError> {
        match self.client.call(&Request::Files { id: id.into(), work }, descriptors).await? {
            (Answer::Done, _) => Ok(()),
            _ => Err(OUT_OF_TURN),
        }
    }

    /// Kinds and numbers of the namespaces of a running container's main process.
    pub(crate) async fn namespaces(&self, id: &str) -> Result<Vec<(String, u64)>, ProcessError> {
        match self.client.ask(&Request::Namespaces { id: id.into() }).await? {
            Answer::Namespaces { numbers } => Ok(numbers),
            _ => Err(OUT_OF_TURN),
        }
    }

    /// Host pids of all processes of a container.
    pub(crate) async fn processes(&self, id: &str) -> Result<Vec<i32>, ProcessError> {
        match self.client.ask(&Request::Processes { id: id.into() }).await? {
            Answer::Pids { pids } => Ok(pids),
            _ => Err(OUT_OF_TURN),
        }
    }
}
