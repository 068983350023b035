//! The read-only layers of images, mounted once for each team and shared by its containers.
//!
//! On kernels that can (6.15 and later) every mount stays detached and is kept by descriptor. Elsewhere it is attached in
//! the private mount namespace under [`space::LAYERS`] and given to overlayfs by that name.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{OFlags, fstat};
use rustix::mount::{
    FsOpenFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsopen, unmount,
};

use super::attach::{attach, explained, mount_context};
use super::{mount_points, resolve};
use crate::failure::{Doing, refusal};
use crate::sandbox::Root;
use crate::space;
use crate::sys::mounts::{Attributes, NO_DEVICES, READ_ONLY, copy_tree, set_attributes};
use crate::user_namespace::{self, Mappings};
use crate::wire::{Refusal, RefusalKind};

/// So many mounts that nobody uses are kept: each is copied at every birth where it needs a name.
const MANY: usize = 64;

/// A mount that is kept.
#[derive(Debug)]
pub struct Layer {
    /// Its root.
    pub folder: OwnedFd,
    /// Where it is attached, on kernels that need a name.
    pub name: Option<PathBuf>,
}

impl Drop for Layer {
    fn drop(&mut self) {
        if let Some(name) = &self.name
            && let Err(error) = unmount(name, UnmountFlags::DETACH).and_then(|()| rustix::fs::rmdir(name))
        {
            eprintln!("spawner: cannot let go of {}: {error}", name.display());
        }
    }
}

/// The lower layers of one image for one team, top first.
#[derive(Debug)]
pub struct Lowers {
    /// The mounts.
    pub layers: Vec<Layer>,
    /// What containers mount on, over them all; none where it could not be made.
    points: Option<Layer>,
    /// One of the image's files, to see whether it was removed.
    witness: OwnedFd,
}

impl Lowers {
    /// Whether this is what now has the names of `root`: a folder may have been removed and made again, and a mount of
    /// the old one would show an empty image. An index shows the same as long as it is mounted.
    fn is_of(&self, root: &Root, data: BorrowedFd<'_>) -> Result<bool, Refusal> {
        let Root::Folders { lowers } = root else { return Ok(true) };
        for (path, layer) in lowers.iter().zip(&self.layers) {
            let doing = || format!("look at the layer {}", path.display());
            let named = fstat(open_layer(data, path, OFlags::PATH | OFlags::DIRECTORY)?).doing(doing)?;
            let mounted = fstat(&layer.folder).doing(doing)?;
            if (named.st_dev, named.st_ino) != (mounted.st_dev, mounted.st_ino) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What lies below a container's own layer, top first.
    pub fn all(&self) -> impl Iterator<Item = &Layer> {
        self.points.iter().chain(&self.layers)
    }

    /// Whether any of it was removed.
    fn is_removed(&self) -> bool {
        let folders = self.layers.iter().map(|layer| &layer.folder);
        folders.chain([&self.witness]).any(|one| fstat(one).is_ok_and(|found| found.st_nlink == 0))
    }
}

/// What a team's mounts need.
#[derive(Debug)]
pub struct Shift {
    /// A user namespace with the team's mapping.
    pub namespace: OwnedFd,
    /// `containers/`, ids shifted.
    pub containers: Layer,
}

/// All that is mounted.
#[derive(Debug)]
pub struct Layers {
    /// Mounts can be kept detached and given by descriptor.
    pub detached: bool,
    lowers: HashMap<(Root, Option<u32>), Rc<Lowers>>,
    shifts: HashMap<u32, Rc<Shift>>,
    next_name: u64,
}

impl Layers {
    /// Nothing is mounted yet.
    pub fn new(detached: bool) -> Self {
        Self { detached, lowers: HashMap::new(), shifts: HashMap::new(), next_name: 0 }
    }

    /// The shift of the team whose range starts at `base`.
    ///
    /// # Errors
    /// `Unsupported` when the data root's file system cannot shift ids.
    pub fn shift(&mut self, base: u32, data: BorrowedFd<'_>) -> Result<Rc<Shift>, Refusal> {
        if let Some(shift) = self.shifts.get(&base) {
            return Ok(shift.clone());
        }
        let namespace = user_namespace::make(&Mappings::team(base), false)
            .doing(|| "make the team's user namespace".to_owned())?
            .user;
        let attributes = Attributes { set: NO_DEVICES, idmap: Some(namespace.as_fd()), ..Attributes::default() };
        let containers = copy_tree(data, Path::new("containers"), attributes, false)
            .map_err(|error| not_shifted("the data root", &error))?;
        let shift = Rc::new(Shift { namespace, containers: self.keep(containers)? });
        self.shifts.insert(base, shift.clone());
        Ok(shift)
    }

    /// Forgets a team.
    pub fn forget_team(&mut self, base: u32) {
        self.lowers.retain(|(_, team), _| *team != Some(base));
        self.shifts.remove(&base);
    }

    /// The lower layers of `root`, shifted for the team at `base` (`None`: as they are).
    ///
    /// # Errors
    /// `NotFound` when a layer is missing, `Unsupported` when the kernel cannot mount it.
    pub fn lowers(&mut self, root: &Root, base: Option<u32>, data: BorrowedFd<'_>) -> Result<Rc<Lowers>, Refusal> {
        let key = (root.clone(), base);
        if let Some(lowers) = self.lowers.get(&key)
            && lowers.is_of(root, data)?
        {
            return Ok(lowers.clone());
        }
        let shift = base.map(|base| self.shift(base, data)).transpose()?;
        let namespace = shift.as_ref().map(|shift| shift.namespace.as_fd());
        let mut lowers = match root {
            Root::Erofs { index, devices } => self.erofs(index, devices, namespace, data)?,
            Root::Folders { lowers } => self.folders(lowers, namespace, data)?,
            Root::Ready { .. } => {
                return Err(refusal(RefusalKind::Invalid, "a container of the engine needs layers"));
            }
        };
        lowers.points = self.points(&lowers.layers, base);
        let lowers = Rc::new(lowers);
        self.lowers.insert(key, lowers.clone());
        Ok(lowers)
    }

    /// Lets go of images that were removed and of what no container uses when there is much of it.
    pub fn tidy(&mut self) {
        let many = self.lowers.values().map(|lowers| lowers.layers.len()).sum::<usize>() > MANY;
        self.lowers.retain(|_, lowers| Rc::strong_count(lowers) > 1 || !(many || lowers.is_removed()));
    }

    /// Without them each start makes its own, which takes longer and no more.
    fn points(&mut self, layers: &[Layer], base: Option<u32>) -> Option<Layer> {
        let made = mount_points::make(layers, base.unwrap_or(0)).doing(|| "make the mount points".to_owned());
        match made.and_then(|folder| self.keep(folder)) {
            Ok(points) => Some(points),
            Err(refusal) => {
                eprintln!("spawner: {refusal}");
                None
            }
        }
    }

    fn erofs(
        &mut self,
        index: &Path,
        devices: &[PathBuf],
        shift: Option<BorrowedFd<'_>>,
        data: BorrowedFd<'_>,
    ) -> Result<Lowers, Refusal> {
        let witness = open_layer(data, index, OFlags::RDONLY)?;
        let tars: Vec<OwnedFd> =
            devices.iter().map(|path| open_layer(data, path, OFlags::RDONLY)).collect::<Result<_, _>>()?;
        let mount =
            mount_erofs(witness.as_fd(), &tars, READ_ONLY | NO_DEVICES).map_err(|error| not_mounted(index, &error))?;
        if let Some(namespace) = shift {
            // It has no other user yet, so it can be shifted as it is.
            let attributes = Attributes { idmap: Some(namespace), ..Attributes::default() };
            set_attributes(mount.as_fd(), attributes, false).map_err(|error| not_shifted("EROFS", &error))?;
        }
        Ok(Lowers { layers: vec![self.keep(mount)?], points: None, witness })
    }

    fn folders(
        &mut self,
        folders: &[PathBuf],
        shift: Option<BorrowedFd<'_>>,
        data: BorrowedFd<'_>,
    ) -> Result<Lowers, Refusal> {
        let mut layers = Vec::new();
        let mut witness = None;
        for path in folders {
            let folder = open_layer(data, path, OFlags::PATH | OFlags::DIRECTORY)?;
            let attributes = Attributes { set: READ_ONLY | NO_DEVICES, idmap: shift, ..Attributes::default() };
            let copy = copy_tree(folder.as_fd(), Path::new(""), attributes, false)
                .map_err(|error| not_shifted("the data root", &error))?;
            layers.push(self.keep(copy)?);
            witness = Some(folder);
        }
        match witness {
            Some(witness) => Ok(Lowers { layers, points: None, witness }),
            None => Err(refusal(RefusalKind::Invalid, "an image without layers cannot be a root")),
        }
    }

    /// Keeps a detached mount, attached by a name where the kernel needs one.
    ///
    /// # Errors
    /// As the calls.
    pub fn keep(&mut self, folder: OwnedFd) -> Result<Layer, Refusal> {
        if self.detached {
            return Ok(Layer { folder, name: None });
        }
        self.keep_by_name(folder)
    }

    /// Keeps a detached mount attached by a name, as a copy from another mount namespace has to be: while detached, only
    /// a caller in that one can copy it again.
    ///
    /// # Errors
    /// As the calls.
    pub fn keep_by_name(&mut self, folder: OwnedFd) -> Result<Layer, Refusal> {
        self.next_name += 1;
        let name = Path::new(space::LAYERS).join(self.next_name.to_string());
        let doing = || "attach a layer".to_owned();
        rustix::fs::mkdir(&name, rustix::fs::Mode::from_raw_mode(0o755)).doing(doing)?;
        let place = resolve::without_links(rustix::fs::CWD, &name).doing(doing)?;
        attach(folder.as_fd(), place.as_fd()).doing(doing)?;
        Ok(Layer { folder, name: Some(name) })
    }
}

/// A detached mount of an EROFS index with its tars as devices, bottom to top, read past the page cache of the files
/// (`directio`: else every page is cached twice).
///
/// # Errors
/// `ENOTBLK` where the kernel cannot mount files: before Linux 6.12, or when the files lie on an overlay.
pub fn mount_erofs(index: BorrowedFd<'_>, tars: &[OwnedFd], attributes: u64) -> std::io::Result<OwnedFd> {
    let context = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    // The kernel opens what the link leads to: the file that was checked, whatever its name is by now.
    let by_descriptor = |fd: BorrowedFd<'_>| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let set = || -> rustix::io::Result<()> {
        fsconfig_set_string(&context, "source", by_descriptor(index))?;
        for tar in tars {
            fsconfig_set_string(&context, "device", by_descriptor(tar.as_fd()))?;
        }
        fsconfig_set_flag(&context, "directio")?;
        fsconfig_set_flag(&context, "ro")?;
        fsconfig_create(&context)
    };
    set().map_err(|error| explained(context.as_fd(), error))?;
    mount_context(context.as_fd(), attributes)
}

/// Opens what lies beneath the data root.
///
/// # Errors
/// `NotFound` when it is not there.
pub fn open_layer(data: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Refusal> {
    match resolve::beneath(data, path, flags) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(refusal(RefusalKind::NotFound, format!("the layer {} is not there", path.display())))
        }
        answer => answer.doing(|| format!("open the layer {}", path.display())),
    }
}

fn not_mounted(index: &Path, error: &std::io::Error) -> Refusal {
    let kind = match error.raw_os_error() {
        Some(libc::ENOTBLK | libc::ENODEV | libc::ENOSYS) => RefusalKind::Unsupported,
        _ => RefusalKind::Internal,
    };
    refusal(kind, format!("cannot mount the image {}: {error}", index.display()))
}

fn not_shifted(what: &str, error: &std::io::Error) -> Refusal {
    match error.raw_os_error() {
        Some(libc::EINVAL | libc::EOPNOTSUPP) => {
            refusal(RefusalKind::Unsupported, format!("the file system of {what} cannot shift ids (idmapped mounts)"))
        }
        _ => refusal(RefusalKind::Internal, format!("cannot shift the ids of {what}: {error}")),
    }
}
