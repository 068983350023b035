//! The command line of `sampan-runtime keeper`.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;

/// What a keeper is told once, at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// `--data-root`: database, layers, containers; passed on to spawner and monitors.
    pub data_root: PathBuf,
    /// `--state-root`: sockets.
    pub state_root: PathBuf,
    /// `--instance`: the instance's short id, in the names of kernel objects.
    pub instance: String,
    /// `--cgroup-parent`: name of the instance's cgroup beneath the folder delegated to keeper, else beneath the roots;
    /// once it runs, relative to each hierarchy's root.
    pub cgroup_parent: String,
    /// `--uid`: the instance's own user, which may call and which net and monitors run as.
    pub uid: u32,
    /// `--gid`: its group.
    pub gid: u32,
    /// `--sampan`: the program whose `net` face is started; without it no network process is started.
    pub sampan: Option<PathBuf>,
    /// `--spawner`: the program whose `spawner` face is started; default our own.
    pub spawner: Option<PathBuf>,
    /// `--guard-fd`: the connection to guard, our parent; without it nobody follows us when we are killed.
    pub guard: Option<RawFd>,
    /// All that follows `--`: passed on to `sampan net` as it is.
    pub net: Vec<OsString>,
}

/// What is wrong with a command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// A needed one is not there.
    #[error("{name} is missing")]
    Missing {
        /// The option.
        name: &'static str,
    },
    /// It has no value, or a wrong one.
    #[error("{name} has no value that can be used")]
    Value {
        /// The option.
        name: String,
    },
    /// Nobody knows it.
    #[error("{name} is not an option of this program")]
    Unknown {
        /// As typed.
        name: String,
    },
}

impl Arguments {
    /// Reads what follows the word `keeper`.
    ///
    /// # Errors
    /// [`ArgumentError`].
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, ArgumentError> {
        let (options, rest) = options(words)?;
        let take = |name| options.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let known = [
            "--data-root",
            "--state-root",
            "--instance",
            "--cgroup-parent",
            "--uid",
            "--gid",
            "--sampan",
            "--spawner",
            "--guard-fd",
        ];
        if let Some((name, _)) = options.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            return Err(ArgumentError::Unknown { name: name.clone() });
        }
        Ok(Self {
            data_root: needed("--data-root", take("--data-root"))?.into(),
            state_root: needed("--state-root", take("--state-root"))?.into(),
            instance: text("--instance", take("--instance"))?,
            cgroup_parent: text("--cgroup-parent", take("--cgroup-parent"))?,
            uid: number("--uid", take("--uid"))?,
            gid: number("--gid", take("--gid"))?,
            sampan: take("--sampan").map(PathBuf::from),
            spawner: take("--spawner").map(PathBuf::from),
            guard: take("--guard-fd").map(|value| number("--guard-fd", Some(value))).transpose()?,
            net: rest,
        })
    }
}

/// `--name value` pairs, and what follows `--`.
pub(crate) type Options = (Vec<(String, OsString)>, Vec<OsString>);

/// Splits a command line into its options.
pub(crate) fn options(words: impl IntoIterator<Item = OsString>) -> Result<Options, ArgumentError> {
    let mut words = words.into_iter();
    let mut options = Vec::new();
    while let Some(word) = words.next() {
        let name = word.to_string_lossy().into_owned();
        if name == "--" {
            return Ok((options, words.collect()));
        }
        if !name.starts_with("--") {
            return Err(ArgumentError::Unknown { name });
        }
        let value = words.next().ok_or(ArgumentError::Value { name: name.clone() })?;
        options.push((name, value));
    }
    Ok((options, Vec::new()))
}

/// A value that must be there.
pub(crate) fn needed(name: &'static str, value: Option<OsString>) -> Result<OsString, ArgumentError> {
    value.ok_or(ArgumentError::Missing { name })
}

/// A value that must be text.
pub(crate) fn text(name: &'static str, value: Option<OsString>) -> Result<String, ArgumentError> {
    needed(name, value)?.into_string().map_err(|_| ArgumentError::Value { name: name.to_owned() })
}

/// A value that must be a number.
pub(crate) fn number<N: std::str::FromStr>(name: &'static str, value: Option<OsString>) -> Result<N, ArgumentError> {
    text(name, value)?.parse().map_err(|_| ArgumentError::Value { name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn reads_every_option_and_what_is_for_net() -> anyhow::Result<()> {
        let arguments = Arguments::parse(words(
            "--data-root /d --state-root /s --instance ab12 --cgroup-parent sampan-ab12 --uid 7 --gid 8 \
             --sampan /bin/sampan -- --http 127.0.0.1:7070",
        ))?;
        assert_eq!(arguments.uid, 7);
        assert_eq!(arguments.sampan, Some(PathBuf::from("/bin/sampan")));
        assert_eq!(arguments.net, words("--http 127.0.0.1:7070"));
        Ok(())
    }

    #[test]
    fn names_what_is_wrong() {
        let wrong = |text| Arguments::parse(words(text)).expect_err("it must be refused");
        assert_eq!(wrong("--state-root /s"), ArgumentError::Missing { name: "--data-root" });
        assert_eq!(wrong("--speed 3"), ArgumentError::Unknown { name: "--speed".to_owned() });
        assert_eq!(wrong("--uid"), ArgumentError::Value { name: "--uid".to_owned() });
    }
}
