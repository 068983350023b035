//! Finds the file to execute, and says why it cannot be.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::failure::refusal;
use crate::wire::{Refusal, RefusalKind};

/// Where commands are when the environment does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The file that `name` stands for, looked for along `path` (PATH of the environment) when it has no slash.
pub(super) fn find(name: &str, path: Option<&str>) -> Result<PathBuf, Refusal> {
    if name.contains('/') {
        return runnable(Path::new(name)).map(|()| PathBuf::from(name));
    }
    let mut unreadable = None;
    for folder in path.unwrap_or(PATH).split(':') {
        let candidate = Path::new(if folder.is_empty() { "." } else { folder }).join(name);
        match runnable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(refusal) if refusal.kind == RefusalKind::CommandNotRunnable && !candidate.is_dir() => {
                unreadable = Some(refusal);
            }
            Err(_) => {}
        }
    }
    let missing = format!("exec: {name:?}: executable file not found in $PATH");
    Err(unreadable.unwrap_or_else(|| refusal(RefusalKind::CommandNotFound, missing)))
}

fn runnable(file: &Path) -> Result<(), Refusal> {
    let not_runnable = |why: &str| refusal(RefusalKind::CommandNotRunnable, format!("exec: {file:?}: {why}"));
    match std::fs::metadata(file) {
        Ok(found) if found.is_dir() => Err(not_runnable("is a directory")),
        Ok(found) if !found.is_file() || found.permissions().mode() & 0o111 == 0 => {
            Err(not_runnable("permission denied"))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(refused(file, &error)),
    }
}

/// What execve(2) meant by an error.
pub(super) fn refused(file: &Path, error: &std::io::Error) -> Refusal {
    let (kind, why) = match error.raw_os_error() {
        Some(libc::ENOENT) if file.exists() => (
            RefusalKind::CommandNotFound,
            "no such file or directory (the interpreter or loader that it names is missing)".to_owned(),
        ),
        Some(libc::ENOENT | libc::ENOTDIR) => (RefusalKind::CommandNotFound, "no such file or directory".to_owned()),
        Some(libc::EACCES | libc::EPERM) => (RefusalKind::CommandNotRunnable, "permission denied".to_owned()),
        Some(libc::ENOEXEC) => (
            RefusalKind::CommandNotRunnable,
            format!(
                "exec format error (neither a program for this machine, {}, nor a script that begins with #!)",
                std::env::consts::ARCH
            ),
        ),
        Some(libc::E2BIG) => (RefusalKind::Invalid, "argument list too long".to_owned()),
        Some(libc::ENOMEM) => (RefusalKind::Exhausted, error.to_string()),
        _ => (RefusalKind::CommandNotRunnable, error.to_string()),
    };
    refusal(kind, format!("exec: {:?}: {why}", String::from_utf8_lossy(file.as_os_str().as_bytes())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::find;
    use crate::wire::RefusalKind;

    #[test]
    fn missing_folders_and_plain_files_are_told_apart() {
        let folder = tempfile::tempdir().expect("folder");
        let here = folder.path().to_str().expect("text");
        std::fs::write(folder.path().join("plain"), "").expect("file");
        std::fs::write(folder.path().join("tool"), "").expect("file");
        std::fs::set_permissions(folder.path().join("tool"), std::fs::Permissions::from_mode(0o755)).expect("mode");
        let kind = |name: &str| find(name, Some(here)).map_err(|refusal| refusal.kind);

        assert_eq!(kind("tool"), Ok(folder.path().join("tool")));
        assert_eq!(kind("plain"), Err(RefusalKind::CommandNotRunnable));
        assert_eq!(kind("none"), Err(RefusalKind::CommandNotFound));
        assert_eq!(kind(here), Err(RefusalKind::CommandNotRunnable));
        assert_eq!(kind(&format!("{here}/plain/deeper")), Err(RefusalKind::CommandNotFound));
        assert_eq!(find("none", Some(here)).unwrap_err().message, "exec: \"none\": executable file not found in $PATH");
    }
}
