//! What keeper passes on the command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use sampan_runtime::wire::RefusalKind;

use super::subnets::{DEFAULT_POOLS, Subnet};
use crate::networks::NetworkError;

/// The arguments of `sampan net`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arguments {
    /// `--state-root`: where `net.sock` and `net/` lie.
    pub(super) state_root: PathBuf,
    /// `--instance`: its short id, `[a-z0-9]{1,8}`.
    pub(super) instance: String,
    /// `--uid`: who may call, beside root.
    pub(super) uid: u32,
    /// `--http`: addresses of Sampan's own doors, separated by commas, closed to containers; may be repeated.
    pub(super) doors: Vec<SocketAddr>,
    /// `--pools`: what subnets are cut from, separated by commas (`172.30.0.0/16`).
    pub(super) pools: Vec<Subnet>,
    /// Containers on one bridge; a bridge has 1,023 ports, and some are for those that are leaving.
    pub(super) most_endpoints: usize,
    /// `--keeper-fd`: a connection to keeper, open under this number.
    pub(super) keeper: Option<i32>,
}

impl Arguments {
    /// Reads them. `--data-root` and `--gid` are known, since keeper gives them to all helpers, and not needed here.
    pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, NetworkError> {
        let (mut state_root, mut instance, mut uid, mut keeper) = (None, None, None, None);
        let (mut doors, mut pools) = (Vec::new(), Vec::new());
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            let name = name.to_string_lossy().into_owned();
            let value = arguments.next().ok_or_else(|| invalid(format!("{name} needs a value")))?;
            let text = value.to_string_lossy().into_owned();
            let wrong = || invalid(format!("{name} {text}: not understood"));
            match name.as_str() {
                "--state-root" => state_root = Some(PathBuf::from(value)),
                "--instance" if is_instance(&text) => instance = Some(text),
                "--uid" => uid = Some(text.parse().map_err(|_| wrong())?),
                "--keeper-fd" => keeper = Some(text.parse().map_err(|_| wrong())?),
                "--http" => {
                    for part in text.split(',').filter(|part| !part.is_empty()) {
                        doors.push(part.parse().map_err(|_| wrong())?);
                    }
                }
                "--pools" => {
                    for part in text.split(',').filter(|part| !part.is_empty()) {
                        pools.push(Subnet::parse(part).ok_or_else(wrong)?);
                    }
                }
                "--data-root" | "--gid" => {}
                _ => return Err(wrong()),
            }
        }
        Ok(Self {
            state_root: state_root.ok_or_else(|| invalid("--state-root is missing"))?,
            instance: instance.ok_or_else(|| invalid("--instance is missing"))?,
            uid: uid.unwrap_or_else(|| rustix::process::getuid().as_raw()),
            doors,
            pools: if pools.is_empty() { DEFAULT_POOLS.to_vec() } else { pools },
            most_endpoints: 1000,
            keeper,
        })
    }
}

fn is_instance(text: &str) -> bool {
    (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn invalid(message: impl Into<String>) -> NetworkError {
    NetworkError::refused(RefusalKind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use super::Arguments;

    fn parse(text: &str) -> Result<Arguments, String> {
        Arguments::parse(text.split(' ').map(Into::into)).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_what_keeper_passes() {
        let arguments = parse(
            "--data-root /d --state-root /s --instance ab12 --keeper-fd 3 --uid 7 --http 127.0.0.1:7070,0.0.0.0:80 \
             --pools 10.9.0.0/16",
        )
        .expect("arguments");
        assert_eq!((arguments.uid, arguments.keeper, arguments.doors.len()), (7, Some(3), 2));
        assert_eq!(arguments.pools[0].to_string(), "10.9.0.0/16");
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert_eq!(parse("--state-root /s --instance A").unwrap_err(), "--instance A: not understood");
        assert_eq!(parse("--state-root /s").unwrap_err(), "--instance is missing");
        assert_eq!(parse("--state-root").unwrap_err(), "--state-root needs a value");
        assert_eq!(parse("--state-root /s --instance a --colour red").unwrap_err(), "--colour red: not understood");
    }
}
