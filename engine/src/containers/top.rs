//! The processes of a container as `ps` shows them, read from /proc: no program runs on the host for it.

use std::collections::HashMap;

use super::stop::not_running;
use super::{ContainerError, Containers, State};
use crate::clock::now_ns;
use crate::events::Action;
use crate::owner::Owner;

/// Clock ticks per second in /proc: USER_HZ is 100 on every platform we run on (time(7)).
const TICKS: u64 = 100;

/// Processes as `ps` shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Top {
    /// `UID`, `PID`, …
    pub titles: Vec<String>,
    /// One row each, as many cells as titles.
    pub processes: Vec<Vec<String>>,
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    User,
    Uid,
    Pid,
    Parent,
    CpuShare,
    Start,
    Terminal,
    Time,
    Command,
    Arguments,
    State,
    Resident,
    Virtual,
    Priority,
    Nice,
    Threads,
    Group,
    Session,
    Elapsed,
    ElapsedSeconds,
    MemoryShare,
}

const FULL: [(Column, &str); 8] = [
    (Column::User, "UID"),
    (Column::Pid, "PID"),
    (Column::Parent, "PPID"),
    (Column::CpuShare, "C"),
    (Column::Start, "STIME"),
    (Column::Terminal, "TTY"),
    (Column::Time, "TIME"),
    (Column::Arguments, "CMD"),
];
const BSD: [(Column, &str); 10] = [
    (Column::User, "USER"),
    (Column::Pid, "PID"),
    (Column::CpuShare, "%CPU"),
    (Column::Virtual, "VSZ"),
    (Column::Resident, "RSS"),
    (Column::Terminal, "TTY"),
    (Column::State, "STAT"),
    (Column::Start, "START"),
    (Column::Time, "TIME"),
    (Column::Arguments, "COMMAND"),
];

impl Containers {
    /// Kinds (`user`, `mnt`, `pid`, `net`, `ipc`, `uts`, `cgroup`) and numbers of the namespaces of the main process.
    ///
    /// # Errors
    /// [`ContainerError::NotFound`], or a refusal when it does not run.
    pub async fn namespaces(&self, owner: &Owner, reference: &str) -> Result<Vec<(String, u64)>, ContainerError> {
        let slot = self.shared.table.find(owner, reference)?;
        Ok(self.shared.spawner.namespaces(&slot.now().id).await?)
    }

    /// Its processes, read from /proc. `arguments` are those of `ps`: the common ones, others are refused.
    pub async fn top(&self, owner: &Owner, reference: &str, arguments: &str) -> Result<Top, ContainerError> {
        let container = self.get(owner, reference)?;
        let columns = columns(arguments)?;
        if !matches!(container.state, State::Running | State::Paused) {
            return Err(not_running(&container));
        }
        let pids = self.shared.spawner.processes(&container.id).await?;
        let processes = tokio::task::spawn_blocking(move || {
            let host = Host::read();
            let rows = pids.into_iter().filter_map(Process::read);
            let rows = rows.map(|process| columns.iter().map(|(column, _)| process.cell(*column, &host)).collect());
            (columns.iter().map(|(_, title)| title.clone()).collect(), rows.collect())
        });
        let (titles, processes) = processes.await.map_err(|error| ContainerError::Refused {
            message: format!("the processes could not be read: {error}"),
            kind: crate::Kind::Internal,
        })?;
        self.shared.tell(&container, now_ns(), Action::Top, []);
        Ok(Top { titles, processes })
    }
}

/// Docker's default is `-ef`.
fn columns(arguments: &str) -> Result<Vec<(Column, String)>, ContainerError> {
    let named = |list: &[(Column, &str)]| list.iter().map(|(column, title)| (*column, (*title).to_owned())).collect();
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let format = match words.as_slice() {
        [] | ["-ef" | "-eF" | "ef" | "-f" | "-Af"] => return Ok(named(&FULL)),
        ["aux" | "-aux" | "u" | "axu"] => return Ok(named(&BSD)),
        [flag, rest @ ..] if matches!(*flag, "-o" | "-eo" | "-Ao" | "o") && !rest.is_empty() => {
            // `-o pid -o comm` is `-o pid,comm`.
            rest.iter().filter(|word| **word != "-o").copied().collect::<Vec<_>>().join(",")
        }
        [one] if one.starts_with("-o") || one.starts_with("-eo") => {
            one.trim_start_matches("-eo").trim_start_matches("-o").to_owned()
        }
        _ => return Err(refused(arguments)),
    };
    format
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| {
            let (name, title) = name.split_once('=').unwrap_or((name, ""));
            let (column, usual) = match name {
                "user" | "euser" | "uname" => (Column::User, "USER"),
                "uid" | "euid" => (Column::Uid, "UID"),
                "pid" => (Column::Pid, "PID"),
                "ppid" => (Column::Parent, "PPID"),
                "c" => (Column::CpuShare, "C"),
                "pcpu" | "%cpu" => (Column::CpuShare, "%CPU"),
                "stime" | "start" | "start_time" => (Column::Start, "STIME"),
                "tty" | "tt" | "tname" => (Column::Terminal, "TTY"),
                "time" | "cputime" => (Column::Time, "TIME"),
                "comm" | "ucmd" => (Column::Command, "COMMAND"),
                "cmd" => (Column::Arguments, "CMD"),
                "args" | "command" => (Column::Arguments, "COMMAND"),
                "stat" | "state" | "s" => (Column::State, "STAT"),
                "rss" | "rssize" => (Column::Resident, "RSS"),
                "vsz" | "vsize" => (Column::Virtual, "VSZ"),
                "pri" => (Column::Priority, "PRI"),
                "ni" | "nice" => (Column::Nice, "NI"),
                "nlwp" | "thcount" => (Column::Threads, "NLWP"),
                "pgid" | "pgrp" => (Column::Group, "PGID"),
                "sid" | "sess" | "session" => (Column::Session, "SID"),
                "etime" => (Column::Elapsed, "ELAPSED"),
                "etimes" => (Column::ElapsedSeconds, "ELAPSED"),
                "pmem" | "%mem" => (Column::MemoryShare, "%MEM"),
                _ => return Err(refused(arguments)),
            };
            Ok((column, if title.is_empty() { usual.to_owned() } else { title.to_owned() }))
        })
        .collect()
}

fn refused(arguments: &str) -> ContainerError {
    ContainerError::Unsupported {
        message: format!(
            "the ps options {arguments:?} are not offered: use -ef, aux, or -o with columns such as pid,comm"
        ),
    }
}

/// What is the same for all processes.
struct Host {
    boot_s: u64,
    memory_kib: u64,
    users: HashMap<u32, String>,
}

impl Host {
    fn read() -> Self {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let boot = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let users = passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            Some((fields.nth(1)?.parse().ok()?, name.to_owned()))
        });
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
        Self {
            boot_s: boot.unwrap_or(0),
            memory_kib: total.and_then(|total| total.trim().parse().ok()).unwrap_or(0),
            users: users.collect(),
        }
    }
}

/// One process. Spec: proc_pid_stat(5), proc_pid_status(5).
struct Process {
    pid: i32,
    uid: u32,
    command: String,
    arguments: String,
    /// KiB in memory, as `status` says: `stat` counts pages, and their size is asked of /proc/self/auxv on kernels before
    /// 6.4, which a process that gave up root may not read.
    resident_kib: u64,
    /// Fields of `stat` from the third on.
    fields: Vec<String>,
}

impl Process {
    /// `None` when it ended meanwhile.
    fn read(pid: i32) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let folder = std::path::PathBuf::from(format!("/proc/{pid}"));
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        let (head, tail) = stat.rsplit_once(')')?;
        let command = head.split_once('(')?.1.to_owned();
        let status = std::fs::read_to_string(folder.join("status")).unwrap_or_default();
        let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().nth(1)?.parse().ok());
        let uid = uid.or_else(|| std::fs::metadata(&folder).ok().map(|metadata| metadata.uid()))?;
        let resident =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
        let line = std::fs::read(folder.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).trim_end_matches('\0').replace('\0', " ");
        let arguments = if line.is_empty() { format!("[{command}]") } else { line };
        let fields = tail.split_whitespace().map(str::to_owned).collect();
        // A kernel thread has none.
        Some(Self { pid, uid, command, arguments, resident_kib: resident.unwrap_or(0), fields })
    }

    /// Field of `stat` by its number in the manual page.
    fn number(&self, field: usize) -> u64 {
        self.fields.get(field.wrapping_sub(3)).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    fn text(&self, field: usize) -> &str {
        self.fields.get(field.wrapping_sub(3)).map_or("", String::as_str)
    }

    fn cell(&self, column: Column, host: &Host) -> String {
        let ticks = self.number(14) + self.number(15);
        let started_s = host.boot_s + self.number(22) / TICKS;
        let lived_s = u64::try_from(now_ns() / 1_000_000_000).unwrap_or(0).saturating_sub(started_s);
        match column {
            Column::User => host.users.get(&self.uid).cloned().unwrap_or_else(|| self.uid.to_string()),
            Column::Uid => self.uid.to_string(),
            Column::Pid => self.pid.to_string(),
            Column::Parent => self.text(4).to_owned(),
            Column::CpuShare => (ticks * 100 / TICKS / lived_s.max(1)).to_string(),
            Column::Start => start(started_s),
            Column::Terminal => match self.number(7) {
                0 => "?".to_owned(),
                // Major 136: pts (devices.txt).
                device if (device >> 8) & 0xfff == 136 => format!("pts/{}", device & 0xff),
                _ => "?".to_owned(),
            },
            Column::Time => {
                let seconds = ticks / TICKS;
                format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
            }
            Column::Command => self.command.clone(),
            Column::Arguments => self.arguments.clone(),
            Column::State => self.text(3).to_owned(),
            Column::Resident => self.resident_kib.to_string(),
            Column::Virtual => (self.number(23) / 1024).to_string(),
            Column::Priority => self.text(18).to_owned(),
            Column::Nice => self.text(19).to_owned(),
            Column::Threads => self.text(20).to_owned(),
            Column::Group => self.text(5).to_owned(),
            Column::Session => self.text(6).to_owned(),
            Column::Elapsed => elapsed(lived_s),
            Column::ElapsedSeconds => lived_s.to_string(),
            Column::MemoryShare => {
                let share = self.resident_kib * 1000 / host.memory_kib.max(1);
                format!("{}.{}", share / 10, share % 10)
            }
        }
    }
}

/// `[[dd-]hh:]mm:ss`. Source: ps(1), `etime`.
fn elapsed(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let seconds = seconds % 60;
    match (days, hours) {
        (0, 0) => format!("{minutes:02}:{seconds:02}"),
        (0, hours) => format!("{hours:02}:{minutes:02}:{seconds:02}"),
        (days, hours) => format!("{days}-{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

/// `HH:MM` today, else `MonDD`, in UTC.
fn start(at_s: u64) -> String {
    let at = i64::try_from(at_s).ok().and_then(|at| jiff::Timestamp::from_second(at).ok()).unwrap_or_default();
    let today = jiff::Timestamp::now().as_second() / 86_400 == at.as_second() / 86_400;
    at.strftime(if today { "%H:%M" } else { "%b%d" }).to_string()
}

#[cfg(test)]
mod tests {
    use super::{Host, Process, columns};

    #[test]
    fn common_options_of_ps_are_known_and_others_refused() {
        let titles = |arguments| columns(arguments).map(|list| list.into_iter().map(|(_, title)| title).collect());
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(titles("").ok(), Some(words("UID PID PPID C STIME TTY TIME CMD")));
        assert_eq!(titles("-o pid,comm").ok(), Some(words("PID COMMAND")));
        assert_eq!(titles("-o pid -o etime,pgid").ok(), Some(words("PID ELAPSED PGID")));
        assert_eq!(titles("-eo pid=Number,args").ok(), Some(words("Number COMMAND")));
        assert_eq!(titles("aux").map(|list: Vec<String>| list.len()).ok(), Some(10));
        for wrong in ["-o pid,label", "-Z", "-C sh", "--forest"] {
            assert!(titles(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_time_it_runs_is_written_as_ps_does() {
        let written: Vec<String> = [9, 754, 3_600, 90_061].map(super::elapsed).into();
        assert_eq!(written, ["00:09", "12:34", "01:00:00", "1-01:01:01"]);
    }

    #[test]
    fn reads_this_process() {
        let host = Host::read();
        let pid = i32::try_from(std::process::id()).expect("a pid");
        let process = Process::read(pid).expect("this process");
        let parent = std::os::unix::process::parent_id().to_string();
        assert_eq!(process.cell(super::Column::Parent, &host), parent);
        assert!(process.cell(super::Column::Resident, &host).parse::<u64>().expect("a number") > 0);
    }
}
