//! A block of host ids for one instance, entered in /etc/subuid and /etc/subgid so that no other program takes it.
//!
//! Format of both files: subuid(5), one `NAME:FIRST:COUNT` a line; ours is `sampan-INSTANCE`. The block has room for
//! [`TEAMS`] teams of 65,536 ids each, and one such range before them whose first id is the server's own user where the
//! host has no user `sampan`. Call everything under the host's lock.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::HostError;
use crate::owner::RANGE;

/// Where blocks begin, away from the defaults of others (100,000 of useradd, 524,288 up of systemd and podman).
const FIRST: u32 = 1_879_048_192;
/// Teams that an instance can have.
const TEAMS: u32 = 256;
/// Ids of a block.
const COUNT: u32 = (TEAMS + 1) * RANGE;

const FILES: [&str; 2] = ["/etc/subuid", "/etc/subgid"];

/// The host ids of one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdBlock {
    /// First host id; the server's own, where the host has no user for it.
    pub first: u32,
}

impl IdBlock {
    /// First host id of the first team.
    pub fn first_of_teams(self) -> u32 {
        self.first + RANGE
    }

    /// For how many teams.
    pub fn teams(self) -> u32 {
        TEAMS
    }
}

/// Finds the instance's block or takes the first free one.
pub(super) fn reserve(instance: &str) -> Result<IdBlock, HostError> {
    let texts = [read(FILES[0])?, read(FILES[1])?];
    let name = name(instance);
    if let Some(first) = texts.iter().find_map(|text| entry(text, &name)) {
        for (path, text) in FILES.iter().zip(&texts).filter(|(_, text)| entry(text, &name).is_none()) {
            replace(Path::new(path), &format!("{}{name}:{first}:{COUNT}\n", ended(text)))?;
        }
        return Ok(IdBlock { first });
    }
    let taken: Vec<(u32, u32)> = texts.iter().flat_map(|text| entries(text)).map(|(_, range)| range).collect();
    let first = free(&taken).ok_or(HostError::NoIds { count: COUNT, first: FIRST })?;
    for (path, text) in FILES.iter().zip(&texts) {
        replace(Path::new(path), &format!("{}{name}:{first}:{COUNT}\n", ended(text)))?;
    }
    Ok(IdBlock { first })
}

/// Whether the instance has a block, and so may have more of its host.
pub(super) fn is_reserved(instance: &str) -> bool {
    FILES.iter().any(|path| read(path).is_ok_and(|text| entry(&text, &name(instance)).is_some()))
}

/// Gives the block back.
pub(super) fn release(instance: &str) -> Result<(), HostError> {
    let name = name(instance);
    for path in FILES {
        let text = read(path)?;
        if entry(&text, &name).is_some() {
            let kept: String = text.lines().filter(|line| parse(line).is_none_or(|(owner, _)| owner != name)).fold(
                String::new(),
                |mut kept, line| {
                    kept.push_str(line);
                    kept.push('\n');
                    kept
                },
            );
            replace(Path::new(path), &kept)?;
        }
    }
    Ok(())
}

fn name(instance: &str) -> String {
    format!("sampan-{instance}")
}

fn read(path: &str) -> Result<String, HostError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(HostError::io("read", path)(error)),
    }
}

/// The text with an end of line, so that another line can follow.
fn ended(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

/// Writes the whole file by rename: a reader sees the old one or the new one.
fn replace(path: &Path, text: &str) -> Result<(), HostError> {
    let temporary = path.with_extension("sampan-new");
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(HostError::io("write", path))
}

fn parse(line: &str) -> Option<(&str, (u32, u32))> {
    let mut parts = line.trim().split(':');
    let (owner, first, count) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((owner, (first, count)))
}

fn entries(text: &str) -> impl Iterator<Item = (&str, (u32, u32))> {
    text.lines().filter_map(parse)
}

fn entry(text: &str, name: &str) -> Option<u32> {
    entries(text).find(|(owner, (_, count))| *owner == name && *count == COUNT).map(|(_, (first, _))| first)
}

/// The first block that touches no taken range.
fn free(taken: &[(u32, u32)]) -> Option<u32> {
    let apart = |block: u32| {
        taken.iter().all(|(first, count)| {
            u64::from(*first) + u64::from(*count) <= u64::from(block)
                || u64::from(*first) >= u64::from(block) + u64::from(COUNT)
        })
    };
    // The last id, 4,294,967,295, means "no id" (setresuid(2)).
    (0..)
        .map_while(|step: u32| FIRST.checked_add(step.checked_mul(COUNT)?))
        .take_while(|block| block.checked_add(COUNT).is_some())
        .find(|block| apart(*block))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_never_touches_what_others_have() {
        assert_eq!(free(&[]), Some(FIRST));
        assert_eq!(free(&[(100_000, 65_536), (FIRST + COUNT - 1, 1)]), Some(FIRST + COUNT));
        assert_eq!(free(&[(FIRST, COUNT)]), Some(FIRST + COUNT));
        assert_eq!(free(&[(FIRST, u32::MAX - FIRST)]), None);
    }

    #[test]
    fn lines_that_are_no_entries_are_left_alone() {
        let text = "amber:100000:65536\n# a note\nsampan-abc234:1879048192:16842752";
        assert_eq!(entry(text, "sampan-abc234"), Some(FIRST));
        assert_eq!(entry(text, "sampan-abc"), None);
        assert_eq!(entries(text).count(), 2);
        assert_eq!(ended(text).lines().count(), 3);
    }
}
