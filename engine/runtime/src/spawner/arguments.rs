//! The command line of `sampan-runtime spawner`.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::keeper::ArgumentError;
use crate::keeper::arguments::{needed, number, options, text};

/// What a spawner is told once, at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// `--data-root`.
    pub data_root: PathBuf,
    /// `--state-root`.
    pub state_root: PathBuf,
    /// `--instance`: the instance's short id.
    pub instance: String,
    /// `--keeper-fd`: the number under which the connection to keeper was left open.
    pub keeper: i32,
    /// `--uid`: the instance's own user, which may call beside root.
    pub uid: u32,
    /// `--without`: features that are not to be used though the kernel has them, for tests: `detached-mounts`, `erofs`.
    pub without: Vec<String>,
}

impl Arguments {
    /// Reads what follows the word `spawner`.
    ///
    /// # Errors
    /// [`ArgumentError`].
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, ArgumentError> {
        let (options, _) = options(words)?;
        let take = |name| options.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        // cgroup-parent and gid come from keeper for all helpers; the cgroup is found by the instance's name.
        let known = [
            "--data-root",
            "--state-root",
            "--instance",
            "--keeper-fd",
            "--uid",
            "--gid",
            "--cgroup-parent",
            "--without",
        ];
        if let Some((name, _)) = options.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            return Err(ArgumentError::Unknown { name: name.clone() });
        }
        let without = take("--without").map(|value| text("--without", Some(value))).transpose()?;
        Ok(Self {
            data_root: needed("--data-root", take("--data-root"))?.into(),
            state_root: needed("--state-root", take("--state-root"))?.into(),
            instance: text("--instance", take("--instance"))?,
            keeper: number("--keeper-fd", take("--keeper-fd"))?,
            uid: number("--uid", take("--uid"))?,
            without: without.map(|list| list.split(',').map(str::to_owned).collect()).unwrap_or_default(),
        })
    }
}
