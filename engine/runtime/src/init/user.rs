//! The user of a program, looked up in the root's own passwd and group files, never by the host's libraries.
//!
//! Spec: passwd(5), group(5); the rules are those of Docker's `--user`.

use std::io::Read;
use std::path::Path;

use rustix::fs::OFlags;

use crate::failure::{Doing, refusal};
use crate::rootfs::resolve;
use crate::spec::Program;
use crate::wire::{Refusal, RefusalKind};

/// Most bytes read of either file.
const FILE_BYTES: u64 = 4 << 20;
/// Highest id, as Docker has it.
const HIGHEST: u32 = i32::MAX as u32;

/// Who the program runs as, numbers inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub user: u32,
    pub group: u32,
    pub groups: Vec<u32>,
    pub home: String,
}

pub(super) fn find(program: &Program) -> Result<User, Refusal> {
    let process_user = program.process.user();
    let passwd = read("/etc/passwd")?;
    let group = if program.lookup || !program.groups.is_empty() { read("/etc/group")? } else { String::new() };
    let mut user = match (program.lookup, process_user.username()) {
        (true, Some(text)) => resolve_user(text, &passwd, &group)?,
        _ => numbers(process_user.uid(), process_user.gid(), &passwd),
    };
    user.groups.extend(process_user.additional_gids().iter().flatten());
    for name in &program.groups {
        user.groups.push(resolve_group(name, &group)?);
    }
    user.groups.sort_unstable();
    user.groups.dedup();
    Ok(user)
}

/// User and group of `name|uid[:group|gid]` in this process's root.
pub(crate) fn look_up(text: &str) -> Result<(u32, u32), Refusal> {
    let user = resolve_user(text, &read("/etc/passwd")?, &read("/etc/group")?)?;
    Ok((user.user, user.group))
}

fn numbers(user: u32, group: u32, passwd: &str) -> User {
    let home = entries(passwd).find(|entry| entry.number(2) == Some(user)).map_or("/", |entry| entry.part(5));
    User { user, group, groups: Vec::new(), home: home_or_root(home) }
}

fn home_or_root(home: &str) -> String {
    if home.is_empty() { "/".to_owned() } else { home.to_owned() }
}

fn resolve_user(text: &str, passwd: &str, group: &str) -> Result<User, Refusal> {
    let (name, group_name) = text.split_once(':').map_or((text, ""), |(name, group)| (name, group));
    let wanted = if name.is_empty() { "0" } else { name };
    let number = wanted.parse::<u32>().ok();
    let entry = entries(passwd).find(|entry| entry.part(0) == wanted || number.is_some() && entry.number(2) == number);
    let mut user = match (entry, number) {
        (Some(entry), _) => User {
            user: entry.number(2).unwrap_or(0),
            group: entry.number(3).unwrap_or(0),
            groups: Vec::new(),
            home: home_or_root(entry.part(5)),
        },
        (None, Some(number)) if number <= HIGHEST => {
            User { user: number, group: 0, groups: Vec::new(), home: "/".to_owned() }
        }
        (None, Some(_)) => return Err(invalid(format!("the user id {wanted} is out of range"))),
        (None, None) => {
            return Err(invalid(format!("unable to find user {wanted}: no matching entries in passwd file")));
        }
    };
    if group_name.is_empty() {
        let login = entry.map_or("", |entry| entry.part(0));
        let member = |entry: &Entry<'_>| !login.is_empty() && entry.part(3).split(',').any(|one| one == login);
        user.groups = entries(group).filter(member).filter_map(|entry| entry.number(2)).collect();
    } else {
        user.group = resolve_group(group_name, group)?;
    }
    Ok(user)
}

fn resolve_group(name: &str, group: &str) -> Result<u32, Refusal> {
    let number = name.parse::<u32>().ok();
    let found = entries(group).find(|entry| entry.part(0) == name || number.is_some() && entry.number(2) == number);
    match (found.and_then(|entry| entry.number(2)), number) {
        (Some(found), _) => Ok(found),
        (None, Some(number)) if number <= HIGHEST => Ok(number),
        (None, Some(_)) => Err(invalid(format!("the group id {name} is out of range"))),
        (None, None) => Err(invalid(format!("unable to find group {name}: no matching entries in group file"))),
    }
}

fn invalid(message: String) -> Refusal {
    refusal(RefusalKind::Invalid, message)
}

#[derive(Clone, Copy)]
struct Entry<'text>(&'text str);

impl<'text> Entry<'text> {
    fn part(self, number: usize) -> &'text str {
        self.0.split(':').nth(number).unwrap_or_default()
    }

    fn number(self, number: usize) -> Option<u32> {
        self.part(number).parse().ok()
    }
}

fn entries(text: &str) -> impl Iterator<Item = Entry<'_>> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(Entry)
}

/// The text of a small regular file of the root; nothing when it is missing.
fn read(path: &str) -> Result<String, Refusal> {
    let root = super::program::root_folder()?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let relative = Path::new(path.trim_start_matches('/'));
    let Ok(file) = resolve::open_inside(std::os::fd::AsFd::as_fd(&root), relative, flags) else {
        return Ok(String::new());
    };
    let file = std::fs::File::from(file);
    let doing = || format!("read {path}");
    if !file.metadata().doing(doing)?.is_file() {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES).read_to_end(&mut bytes).doing(doing)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{resolve_group, resolve_user};

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# note\nweb:x:33:33::/srv:/bin/sh\nodd:x:1000\n";
    const GROUP: &str = "root:x:0:\nweb:x:33:\nlog:x:40:web,root\nbroken\n";

    #[test]
    fn a_name_brings_its_groups_and_its_home() {
        let user = resolve_user("web", PASSWD, GROUP).expect("user");
        assert_eq!((user.user, user.group, user.groups, user.home.as_str()), (33, 33, vec![40], "/srv"));
    }

    #[test]
    fn a_given_group_replaces_all_others() {
        let user = resolve_user("33:log", PASSWD, GROUP).expect("user");
        assert_eq!((user.user, user.group, user.groups), (33, 40, vec![]));
    }

    #[test]
    fn nothing_given_is_root_of_the_image() {
        let user = resolve_user("", PASSWD, GROUP).expect("user");
        assert_eq!((user.user, user.groups, user.home.as_str()), (0, vec![40], "/root"));
    }

    #[test]
    fn an_unknown_number_is_taken_and_an_unknown_name_refused() {
        let user = resolve_user("4711", PASSWD, GROUP).expect("user");
        assert_eq!((user.user, user.group, user.home.as_str()), (4711, 0, "/"));
        let refusal = resolve_user("ghost", PASSWD, GROUP).unwrap_err();
        assert_eq!(refusal.message, "unable to find user ghost: no matching entries in passwd file");
        assert!(resolve_user("4294967295", PASSWD, GROUP).is_err());
        assert!(resolve_group("ghost", GROUP).is_err());
    }
}
