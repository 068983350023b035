//! `sampan-runtime run --bundle DIR ID`: runs one bundle in the foreground, with this process's standard streams.
//!
//! Spec: OCI runtime-spec, `bundle.md`, `config.md`. Exit status as Docker's: that of the program, 128+n for signal n,
//! 127 and 126 when the program is missing or cannot be run, 125 for anything else.

mod attend;

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxResources, Spec};
use rustix::fs::Mode;

use crate::cgroups::{Cgroup, CgroupError, Layout};
use crate::failure::{Doing, refusal};
use crate::lifecycle::{Blueprint, Cradle, bring_up_loopback, filter, orders, send_orders};
use crate::namespaces::{From, Nest};
use crate::space::Space;
use crate::spec::{Plan, Whose};
use crate::sys::mounts::{Attributes, copy_tree};
use crate::user_namespace::{self, Made};
use crate::wire::{Refusal, RefusalKind};

/// Runs the bundle that the arguments name; answers the exit status.
pub fn run(words: impl Iterator<Item = OsString>) -> u8 {
    match parse(words).and_then(|(bundle, id)| run_bundle(&bundle, &id)) {
        Ok(code) => code,
        Err(refusal) => {
            eprintln!("sampan-runtime: {}", refusal.message);
            match refusal.kind {
                RefusalKind::CommandNotFound => 127,
                RefusalKind::CommandNotRunnable => 126,
                _ => 125,
            }
        }
    }
}

fn parse(mut words: impl Iterator<Item = OsString>) -> Result<(PathBuf, String), Refusal> {
    let usage = || refusal(RefusalKind::Invalid, "usage: sampan-runtime run [--bundle DIR] ID");
    let mut bundle = PathBuf::from(".");
    let mut id = None;
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--bundle" | "-b") => bundle = words.next().map(PathBuf::from).ok_or_else(usage)?,
            Some(word) if !word.starts_with('-') && id.is_none() => id = Some(word.to_owned()),
            _ => return Err(usage()),
        }
    }
    Ok((bundle, id.ok_or_else(usage)?))
}

fn run_bundle(bundle: &Path, id: &str) -> Result<u8, Refusal> {
    let file = bundle.join("config.json");
    let text = std::fs::read(&file).doing(|| format!("read {}", file.display()))?;
    let spec: Spec = serde_json::from_slice(&text)
        .map_err(|error| refusal(RefusalKind::Invalid, format!("{}: {error}", file.display())))?;
    let plan = Plan::new(&spec, None)?;
    if plan.joined.mappings.is_none() {
        crate::own_program::ensure_read_only()?;
    }
    let root = spec.root().as_ref().map_or_else(|| bundle.join("rootfs"), |root| bundle.join(root.path()));
    rustix::process::umask(Mode::empty());
    let as_it_is = Attributes { propagation: libc::MS_PRIVATE, ..Attributes::default() };
    let root = copy_tree(rustix::fs::CWD, &root, as_it_is, true).doing(|| format!("open {}", root.display()))?;
    let sources = open_sources(&plan, bundle)?;
    let foundation = found(&plan)?;
    let paths = Paths::open(&plan)?;
    let explain = |error: CgroupError| refusal(error.kind(), error.to_string());
    let layout = match Layout::find() {
        // A host without cgroups can still run what asks for no limit.
        Err(CgroupError::Unsupported { .. }) if plan.resources == LinuxResources::default() => None,
        answer => Some(answer.map_err(explain)?),
    };
    Space::enter(&[])?;
    let Some(layout) = layout else { return in_cgroup(&plan, root, sources, &foundation, &paths, None) };
    let parent = Cgroup::parent(&layout, "run").map_err(explain)?;
    let cgroup = parent.child(id).map_err(explain)?;
    let code = in_cgroup(&plan, root, sources, &foundation, &paths, Some(&cgroup));
    let removed = cgroup.remove().map_err(explain);
    if parent.children().is_ok_and(|children| children.is_empty()) {
        // Another run may be making its own in it right now.
        drop(parent.remove());
    }
    let code = code?;
    removed.map(|()| code)
}

fn in_cgroup(
    plan: &Plan,
    root: OwnedFd,
    sources: Vec<OwnedFd>,
    foundation: &Foundation,
    paths: &Paths,
    cgroup: Option<&Cgroup>,
) -> Result<u8, Refusal> {
    let nest = Nest {
        user: foundation.user.as_ref().map(AsFd::as_fd),
        network: foundation.network.as_ref().map(AsFd::as_fd),
        pid: paths.from(&plan.joined.pid, 0),
        ipc: paths.from(&plan.joined.ipc, 1),
        uts: paths.from(&plan.joined.uts, 2),
        cgroup: paths.from(&plan.joined.cgroup, 3),
    };
    let mut cradle = Cradle::raise(&Blueprint {
        nest,
        mappings: plan.joined.mappings.as_ref(),
        furniture: &plan.furniture,
        devices: &plan.devices,
        cgroup,
        own_program: None,
        same_parent: false,
    })?;
    let outcome = start(plan, root, sources, cgroup, &mut cradle);
    match outcome {
        Ok(master) => attend::attend(&cradle.newborn, master),
        Err(refusal) => {
            drop(cradle.newborn.connection);
            attend::reap(cradle.newborn.pidfd.as_fd())?;
            Err(refusal)
        }
    }
}

fn start(
    plan: &Plan,
    root: OwnedFd,
    sources: Vec<OwnedFd>,
    cgroup: Option<&Cgroup>,
    cradle: &mut Cradle,
) -> Result<Option<OwnedFd>, Refusal> {
    let mut orders = orders(plan, true);
    orders.program.filter = filter(plan.seccomp.as_ref(), false, &plan.process)?;
    cradle.wait_until_ready()?;
    if let Some(cgroup) = cgroup {
        cgroup.apply(&plan.resources).map_err(|error| refusal(error.kind(), error.to_string()))?;
    }
    let mut descriptors = vec![root];
    descriptors.extend(sources);
    if !plan.process.terminal().unwrap_or(false) {
        let doing = || "copy the standard streams".to_owned();
        descriptors.push(std::io::stdin().as_fd().try_clone_to_owned().doing(doing)?);
        descriptors.push(std::io::stdout().as_fd().try_clone_to_owned().doing(doing)?);
        descriptors.push(std::io::stderr().as_fd().try_clone_to_owned().doing(doing)?);
    }
    send_orders(&cradle.newborn.connection, orders, &descriptors)?;
    drop(descriptors);
    let (_, _, master) = cradle.wait_until_prepared()?;
    cradle.run()?;
    Ok(master)
}

fn open_sources(plan: &Plan, bundle: &Path) -> Result<Vec<OwnedFd>, Refusal> {
    let open = |source: &crate::spec::Source| {
        if source.idmap {
            return Err(refusal(RefusalKind::Unsupported, "idmapped mounts of a bare bundle are not supported"));
        }
        let attributes =
            Attributes { set: source.attributes, propagation: source.propagation, ..Attributes::default() };
        copy_tree(rustix::fs::CWD, &bundle.join(&source.path), attributes, source.recursive)
            .doing(|| format!("open {}", source.path.display()))
    };
    plan.sources.iter().map(open).collect()
}

/// The user and network namespaces.
struct Foundation {
    user: Option<OwnedFd>,
    network: Option<OwnedFd>,
}

fn found(plan: &Plan) -> Result<Foundation, Refusal> {
    let own_network = plan.joined.network == Whose::Own;
    let doing = || "make the user and network namespaces".to_owned();
    let mut foundation = match &plan.joined.mappings {
        Some(mappings) => {
            let Made { user, network } = user_namespace::make(mappings, own_network).doing(doing)?;
            Foundation { user: Some(user), network }
        }
        None if own_network => {
            Foundation { user: None, network: Some(user_namespace::network_of_host().doing(doing)?) }
        }
        None => Foundation { user: None, network: None },
    };
    match &plan.joined.network {
        Whose::Own => {
            if let Some(network) = &foundation.network {
                bring_up_loopback(network.as_fd())?;
            }
        }
        Whose::Path(path) => foundation.network = Some(open_namespace(path)?),
        Whose::Host | Whose::Container(_) => {}
    }
    Ok(foundation)
}

fn open_namespace(path: &Path) -> Result<OwnedFd, Refusal> {
    Ok(std::fs::File::open(path).doing(|| format!("open the namespace {}", path.display()))?.into())
}

/// Namespaces to join that are named by path: pid, ipc, uts, cgroup.
struct Paths([Option<OwnedFd>; 4]);

impl Paths {
    fn open(plan: &Plan) -> Result<Self, Refusal> {
        let joined = &plan.joined;
        let open = |whose: &Whose| match whose {
            Whose::Path(path) => open_namespace(path).map(Some),
            _ => Ok(None),
        };
        Ok(Self([open(&joined.pid)?, open(&joined.ipc)?, open(&joined.uts)?, open(&joined.cgroup)?]))
    }

    fn from(&self, whose: &Whose, index: usize) -> From<'_> {
        match (whose, &self.0[index]) {
            (_, Some(namespace)) => From::Existing(namespace.as_fd()),
            (Whose::Own, None) => From::New,
            _ => From::Here,
        }
    }
}
