//! Named fault points: where a test has the server die, or its disk refuse.
//!
//! Only a build with debug assertions has them; in any other each is an empty function, and no variable brings it back.
//! A feature of cargo would ask for a second build of everything beside the one that all other end-to-end tests run, and
//! could be switched on in a release by whoever unifies features; the profile cannot.
//!
//! With `SAMPAN_FAULTS` in its environment the server works with the folder `faults` of its data root:
//! ```text
//! points   all there are, one a line: `step NAME` or `write NAME`; written at the start
//! reached  the name of each point as it is passed
//! set      `NAME kill`, `NAME enospc` or `NAME eio`: what happens at that point, as long as the file is there
//! ```
//! tests/tests/faults runs through all of them, so that a point that nothing reaches is found as well.

use std::io;
use std::path::Path;

macro_rules! points {
    ($(#[$about:meta])* $group:ident $kind:literal: $($(#[$doc:meta])* $point:ident = $name:literal,)*) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $group {
            $($(#[$doc])* $point,)*
        }

        #[cfg(debug_assertions)]
        impl $group {
            const KIND: &str = $kind;
            const ALL: &[&str] = &[$($name,)*];

            const fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)*
                }
            }
        }
    };
}

points! {
    /// Something was done: the server can die here.
    Step "step":
    /// A layer lies in a folder of its own, synced.
    LayerSynced = "layer.synced",
    /// A layer has its place.
    LayerAdopted = "layer.adopted",
    /// A merged index has its place.
    RootAdopted = "root.adopted",
    /// A plain folder was unpacked.
    FolderUnpacked = "folder.unpacked",
    /// A blob has its name.
    BlobNamed = "blob.named",
    /// All files of an image are there, and no row.
    ImageStored = "image.stored",
    /// The rows of an image are there.
    ImageRecorded = "image.recorded",
    /// A name was looked up at its registry.
    PullResolved = "pull.resolved",
    /// A layer of a pull lies in the store.
    PullLanded = "pull.landed",
    /// A layer of a push is packed.
    PushPacked = "push.packed",
    /// The other side has a layer.
    PushSent = "push.sent",
    /// The other side has the manifest.
    PushGiven = "push.given",
    /// What is kept of a push lies in the store, and no row.
    PushStored = "push.stored",
    /// The rows of a push are there.
    PushRecorded = "push.recorded",
    /// An upload has its file, and no row.
    UploadBegun = "upload.begun",
    /// The bytes of an upload are a blob, and no row.
    UploadAdopted = "upload.adopted",
    /// A blob is one of the repository.
    UploadRecorded = "upload.recorded",
    /// An upload has lost its file, and not its row.
    UploadForgotten = "upload.forgotten",
    /// A manifest lies in the store, and no row.
    ManifestStored = "manifest.stored",
    /// A manifest is one of the repository.
    ManifestRecorded = "manifest.recorded",
    /// The layers of an image are blobs of the repository, and no manifest names them.
    PublishLent = "publish.lent",
    /// Names or an image are gone, and no file.
    ImageRemoved = "image.removed",
    /// Unused images are gone, and no file.
    ImagesPruned = "images.pruned",
    /// A manifest is gone, and no file.
    ManifestDeleted = "manifest.deleted",
    /// A tag is gone.
    TagDeleted = "tag.deleted",
    /// A blob is gone from its repository, and no file.
    BlobDeleted = "blob.deleted",
    /// A repository is gone, and no file.
    RepositoryDeleted = "repository.deleted",
    /// Blobs that no manifest named in time are gone, and no file.
    OrphansDeleted = "orphans.deleted",
    /// A sweep knows what may go.
    SweepMarked = "sweep.marked",
    /// Merged indexes were moved away.
    SweepRoots = "sweep.roots",
    /// Layers were moved away, and have their rows.
    SweepLayers = "sweep.layers",
    /// Plain folders have the names of removed ones.
    SweepFolders = "sweep.folders",
    /// Blobs were removed.
    SweepBlobs = "sweep.blobs",
    /// Rows of swept layers are gone, and what was moved away is there.
    SweepRows = "sweep.rows",
    /// What was moved away is gone.
    SweepRemoved = "sweep.removed",
    /// A sweep is over.
    SweepDone = "sweep.done",
}

points! {
    /// Something is about to be written: the disk can refuse here, and the server die.
    #[expect(clippy::enum_variant_names, reason = "some points are the writing of a thing, as others are its beginning")]
    Write "write":
    /// The next piece of a layer's tar.
    LayerTar = "layer.tar",
    /// The data of sparse files.
    LayerSparse = "layer.sparse",
    /// A layer's index.
    LayerIndex = "layer.index",
    /// A layer's facts.
    LayerFacts = "layer.facts",
    /// A layer to its place.
    LayerAdopt = "layer.adopt",
    /// A merged index.
    RootWrite = "root.write",
    /// A merged index to its place.
    RootAdopt = "root.adopt",
    /// Folders of layers and merged indexes to the disk.
    RootSync = "root.sync",
    /// A file for a blob.
    BlobBegin = "blob.begin",
    /// The next piece of a blob.
    BlobWrite = "blob.write",
    /// A blob to the disk.
    BlobSync = "blob.sync",
    /// A blob to its name.
    BlobName = "blob.name",
    /// The rows of an image.
    ImageRows = "image.rows",
    /// What served a pull.
    PullServed = "pull.served",
    /// A packed layer.
    PushPack = "push.pack",
    /// A copy of the configuration, to be sent.
    PushConfiguration = "push.configuration",
    /// The rows of a push.
    PushRows = "push.rows",
    /// A file for an upload.
    UploadBegin = "upload.begin",
    /// The row of an upload.
    UploadRow = "upload.row",
    /// The next piece of an upload.
    UploadWrite = "upload.write",
    /// An upload to the disk.
    UploadSync = "upload.sync",
    /// The rows of an upload that is complete.
    UploadRows = "upload.rows",
    /// The rows of a manifest.
    ManifestRows = "manifest.rows",
    /// The rows of an image's layers in a repository.
    PublishRows = "publish.rows",
    /// The row of a blob from another repository.
    MountRow = "mount.row",
    /// A name for an image.
    TagRow = "tag.row",
    /// The rows of an image that goes.
    RemoveRows = "remove.rows",
    /// The rows of unused images that go.
    PruneRows = "prune.rows",
    /// The row of a manifest that goes.
    ManifestDelete = "manifest.delete",
    /// The row of a tag that goes.
    TagDelete = "tag.delete",
    /// The row of a blob that goes.
    BlobDelete = "blob.delete",
    /// The row of a repository that goes.
    RepositoryDelete = "repository.delete",
    /// A sweep's folder for what it moves away.
    SweepFolder = "sweep.folder",
}

/// The server dies here when a test wants that.
#[inline]
pub(crate) fn step(point: Step) {
    #[cfg(debug_assertions)]
    armed::pass(point.name());
    let _ = point;
}

/// The same, or the disk refuses.
#[inline]
pub(crate) fn write(point: Write) -> io::Result<()> {
    #[cfg(debug_assertions)]
    if let Some(code) = armed::pass(point.name()) {
        return Err(io::Error::from_raw_os_error(code));
    }
    let _ = point;
    Ok(())
}

/// The same for what the database writes.
#[inline]
pub(crate) fn rows(point: Write) -> sqlx::Result<()> {
    Ok(write(point)?)
}

/// Looks whether a test wants faults of the server that works on this data root.
#[inline]
pub(crate) fn arm(data_root: &Path) {
    #[cfg(debug_assertions)]
    armed::arm(data_root);
    let _ = data_root;
}

#[cfg(debug_assertions)]
mod armed {
    use std::fs;
    use std::io::Write as _;
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;

    use super::{Step, Write};

    const VARIABLE: &str = "SAMPAN_FAULTS";

    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();

    pub(super) fn arm(data_root: &Path) {
        let wanted = std::env::var_os(VARIABLE).map(|_| data_root.join("faults"));
        if let Some(folder) = FOLDER.get_or_init(|| wanted) {
            let line = |kind: &str, name: &&str| format!("{kind} {name}\n");
            let steps = Step::ALL.iter().map(|name| line(Step::KIND, name));
            let all: String = steps.chain(Write::ALL.iter().map(|name| line(Write::KIND, name))).collect();
            let told = fs::create_dir_all(folder).and_then(|()| fs::write(folder.join("points"), all));
            if let Err(error) = told {
                tracing::error!(%error, "the names of the fault points cannot be written");
            }
        }
    }

    /// What the disk says, when it is to refuse.
    pub(super) fn pass(name: &str) -> Option<i32> {
        let folder = FOLDER.get()?.as_ref()?;
        let reached = fs::File::options().create(true).append(true).open(folder.join("reached"));
        // One write, so that names of several threads do not mix.
        if let Err(error) = reached.and_then(|mut file| file.write_all(format!("{name}\n").as_bytes())) {
            tracing::error!(%error, name, "a fault point cannot be noted");
        }
        let set = fs::read_to_string(folder.join("set")).ok()?;
        match set.trim().split_once(' ') {
            Some((wanted, "kill")) if wanted == name => die(),
            Some((wanted, "enospc")) if wanted == name => Some(libc::ENOSPC),
            Some((wanted, "eio")) if wanted == name => Some(libc::EIO),
            _ => None,
        }
    }

    /// As `kill -9` does: nothing is cleaned up, nobody is told.
    fn die() -> ! {
        let killed = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        tracing::error!(?killed, "a fault point could not end the server");
        std::process::abort();
    }
}
