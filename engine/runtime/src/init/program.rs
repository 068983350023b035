//! The last steps before a process becomes its program: streams, folder, limits, ids, capabilities, filter, execve(2).

use std::collections::VecDeque;
use std::ffi::CString;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fchown, fstat, fstatfs, makedev};
use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitiesSecureBits, set_capabilities_secure_bits, set_keep_capabilities, set_no_new_privs};

use super::command;
use super::user::User;
use crate::capabilities::ProcessCapabilities;
use crate::failure::{Doing, refusal};
use crate::namespaces::Word;
use crate::rootfs::attach::relative;
use crate::rootfs::resolve;
use crate::spec::Program;
use crate::sys::{descriptors, signals};
use crate::terminal::Terminal;
use crate::wire::socket::Connection;
use crate::wire::{Refusal, RefusalKind};

/// Undoes the spawner's secure bits, which a process of the host's user namespace inherits.
pub(super) fn plain_secure_bits() -> Result<(), Refusal> {
    set_capabilities_secure_bits(CapabilitiesSecureBits::empty()).doing(|| "reset the secure bits".to_owned())
}

/// The root folder of this process.
pub(super) fn root_folder() -> Result<OwnedFd, Refusal> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open("/", flags, Mode::empty()).doing(|| "open the root".to_owned())
}

/// Puts the standard streams in place: the terminal, or [stdin,] stdout and stderr of `descriptors`.
pub(super) fn streams(
    program: &Program,
    terminal: Option<Terminal>,
    mut descriptors: VecDeque<OwnedFd>,
) -> Result<(), Refusal> {
    let doing = || "set the standard streams".to_owned();
    rustix::process::setsid().doing(doing)?;
    let [stdin, stdout, stderr] = match terminal {
        Some(terminal) => {
            let copy = || terminal.slave.try_clone().doing(doing);
            rustix::process::ioctl_tiocsctty(&terminal.slave).doing(|| "take the terminal".to_owned())?;
            [copy()?, copy()?, copy()?]
        }
        None => {
            let mut next = || {
                descriptors
                    .pop_front()
                    .ok_or_else(|| refusal(RefusalKind::Internal, "the orders came without standard streams"))
            };
            let stdin = if program.stdin { next()? } else { null_device()? };
            [stdin, next()?, next()?]
        }
    };
    nix::unistd::dup2_stdin(stdin).doing(doing)?;
    nix::unistd::dup2_stdout(stdout).doing(doing)?;
    nix::unistd::dup2_stderr(stderr).doing(doing)?;
    Ok(())
}

/// The container's own null device, checked by its number.
fn null_device() -> Result<OwnedFd, Refusal> {
    let doing = || "open /dev/null".to_owned();
    let root = root_folder()?;
    let null =
        resolve::open_inside(root.as_fd(), Path::new("dev/null"), OFlags::RDWR | OFlags::NONBLOCK).doing(doing)?;
    let found = fstat(&null).doing(doing)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::CharacterDevice || found.st_rdev != makedev(1, 3) {
        return Err(refusal(RefusalKind::Invalid, "/dev/null is not the null device"));
    }
    Ok(null)
}

/// Everything from the working directory on. Comes back only with a refusal.
pub(super) fn run(
    program: &Program,
    user: &User,
    connection: &Connection,
    own_program: Option<BorrowedFd<'_>>,
) -> Result<(), Refusal> {
    let process = &program.process;
    if process.terminal().unwrap_or(false) {
        let owner = Some(Uid::from_raw(user.user));
        fchown(std::io::stdin(), owner, None).doing(|| "give the terminal to the user".to_owned())?;
    }
    enter_folder(process.cwd())?;
    set_limits(program)?;
    rustix::process::umask(Mode::from_raw_mode(process.user().umask().unwrap_or(0o022)));
    let capabilities = match process.capabilities() {
        Some(sets) => ProcessCapabilities::from_oci(sets),
        None => Ok(ProcessCapabilities::plain(crate::capabilities::CapabilitySet::NONE)),
    };
    let capabilities = capabilities.map_err(|error| refusal(error.kind(), error.to_string()))?;
    capabilities.drop_bounding().map_err(|error| refusal(error.kind(), error.to_string()))?;
    let no_new_privileges = process.no_new_privileges().unwrap_or(false);
    if !no_new_privileges {
        // Without no_new_privs the filter needs CAP_SYS_ADMIN, which is about to go.
        install_filter(program)?;
    }
    become_user(user)?;
    capabilities.apply().map_err(|error| refusal(error.kind(), error.to_string()))?;
    let environment = environment(program, user)?;
    let (file, arguments) = command(program, own_program)?;
    descriptors::close_on_exec_from(3).doing(|| "close descriptors".to_owned())?;
    signals::reset().doing(|| "reset the signals".to_owned())?;
    if no_new_privileges {
        set_no_new_privs(true).doing(|| "set no_new_privs".to_owned())?;
        install_filter(program)?;
    }
    let failed = match own_program {
        Some(own) => nix::unistd::execveat(own, c"", &arguments, &environment, nix::fcntl::AtFlags::AT_EMPTY_PATH),
        None => nix::unistd::execve(&file, &arguments, &environment),
    };
    let Err(error) = failed;
    let refused = command::refused(Path::new(&*file.to_string_lossy()), &error.into());
    let told = connection.send(&Word::Failed(refused), &[]);
    crate::sys::clone::exit_now(if told.is_ok() { 127 } else { 126 })
}

/// Enters the working directory by a descriptor opened inside the root: a magic link to a descriptor of ours cannot
/// lead out (CVE-2024-21626), and the kernel's own word for the place is checked after.
fn enter_folder(folder: &Path) -> Result<(), Refusal> {
    let bad = |error: &dyn std::fmt::Display| {
        refusal(RefusalKind::Invalid, format!("cannot enter the working directory {}: {error}", folder.display()))
    };
    let root = root_folder()?;
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let place = resolve::open_inside(root.as_fd(), relative(folder), flags).map_err(|error| bad(&error))?;
    rustix::process::fchdir(&place).map_err(|error| bad(&error))?;
    let here = rustix::process::getcwd(Vec::new()).map_err(|error| bad(&error))?;
    if here.as_bytes().first() == Some(&b'/') { Ok(()) } else { Err(bad(&"it lies outside of the root")) }
}

fn set_limits(program: &Program) -> Result<(), Refusal> {
    if let Some(score) = program.process.oom_score_adj() {
        set_oom_score(score)?;
    }
    // What the host does not give in full is told by the engine when the container is made.
    let limits = program.process.rlimits().as_deref().unwrap_or_default();
    crate::rlimits::apply(limits).map_err(|error| refusal(error.kind(), error.to_string()))?;
    Ok(())
}

fn set_oom_score(score: i32) -> Result<(), Refusal> {
    let doing = || "set the out-of-memory score".to_owned();
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open("/proc/self/oom_score_adj", flags, Mode::empty()).doing(doing)?;
    if fstatfs(&file).doing(doing)?.f_type as u64 != 0x9fa0 {
        return Err(refusal(RefusalKind::Invalid, "/proc is not a procfs"));
    }
    match std::fs::File::from(file).write_all(score.to_string().as_bytes()) {
        // Lower than our own needs CAP_SYS_RESOURCE on the host; then it stays as it is.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        answer => answer.doing(doing),
    }
}

fn install_filter(program: &Program) -> Result<(), Refusal> {
    match &program.filter {
        Some(filter) => filter.install().map_err(|error| refusal(error.kind(), error.to_string())),
        None => Ok(()),
    }
}

fn become_user(user: &User) -> Result<(), Refusal> {
    let groups: Vec<Gid> = user.groups.iter().map(|&group| Gid::from_raw(group)).collect();
    let (uid, gid) = (Uid::from_raw(user.user), Gid::from_raw(user.group));
    let change = || -> rustix::io::Result<()> {
        set_keep_capabilities(true)?;
        rustix::thread::set_thread_groups(&groups)?;
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)
    };
    match change() {
        Err(rustix::io::Errno::INVAL) => {
            let message = format!("user {}, group {} or a further group is above 65,535", user.user, user.group);
            Err(refusal(RefusalKind::Invalid, message))
        }
        answer => answer.doing(|| format!("become user {} of group {}", user.user, user.group)),
    }
}

fn environment(program: &Program, user: &User) -> Result<Vec<CString>, Refusal> {
    let mut texts = program.process.env().clone().unwrap_or_default();
    if program.lookup && !texts.iter().any(|text| text.starts_with("HOME=")) {
        texts.push(format!("HOME={}", user.home));
    }
    texts.into_iter().map(text).collect()
}

fn command(program: &Program, own: Option<BorrowedFd<'_>>) -> Result<(CString, Vec<CString>), Refusal> {
    let arguments = program.process.args().clone().unwrap_or_default();
    let name = arguments.first().cloned().unwrap_or_default();
    let path = program.process.env().iter().flatten().rev().find_map(|text| text.strip_prefix("PATH="));
    let file = command::find(&name, path)?;
    let file = text(file.to_string_lossy().into_owned())?;
    let leading: &[&str] = if own.is_some() { &["sampan-init", "init", "--"] } else { &[] };
    let arguments: Result<Vec<CString>, Refusal> =
        leading.iter().map(|&word| word.to_owned()).chain(arguments).map(text).collect();
    Ok((file, arguments?))
}

fn text(text: String) -> Result<CString, Refusal> {
    CString::new(text).map_err(|_| refusal(RefusalKind::Invalid, "a null byte in an argument or in the environment"))
}
