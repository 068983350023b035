//! What a group uses: from v1 and v2 into one shape.
//!
//! Files are kept open and read by pread(2); all of them are world-readable, so `serve` reads them without a
//! privilege. Sources: kernel `cgroup-v1/{cpuacct,memory,blkio-controller,pids}.rst`, `cgroup-v2.rst`,
//! `accounting/psi.rst`.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::OFlags;

use super::CgroupError;
use super::group::Cgroup;
use super::place::keyed;

/// v1 says "no limit" by the greatest multiple of a page; anything this large is none.
const NO_LIMIT: u64 = 1 << 62;

/// One look at a group and all beneath it. What the host does not count is 0 or `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// CPU time.
    pub cpu: CpuReading,
    /// Memory.
    pub memory: MemoryReading,
    /// Processes and threads now.
    pub pids: u64,
    /// Most of them.
    pub pids_limit: Option<u64>,
    /// Disks, by device.
    pub disks: Vec<DiskReading>,
    /// Time lost waiting for CPU (PSI), where the kernel measures it for each group.
    pub cpu_pressure: Option<Pressure>,
    /// For memory.
    pub memory_pressure: Option<Pressure>,
    /// For disks.
    pub io_pressure: Option<Pressure>,
}

/// CPU time since the group was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuReading {
    /// All.
    pub usage_ns: u64,
    /// In programs.
    pub user_ns: u64,
    /// In the kernel.
    pub system_ns: u64,
    /// Periods of the quota that passed.
    pub periods: u64,
    /// In how many of them the quota was used up.
    pub throttled_periods: u64,
    /// How long was waited then, summed over CPUs.
    pub throttled_ns: u64,
}

/// Memory now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryReading {
    /// All that is charged, page cache included.
    pub usage_bytes: u64,
    /// Most it ever was.
    pub most_bytes: Option<u64>,
    /// The group's own limit.
    pub limit_bytes: Option<u64>,
    /// Swap.
    pub swap_bytes: u64,
    /// Not backed by files.
    pub anonymous_bytes: u64,
    /// Page cache.
    pub cache_bytes: u64,
    /// Page cache that can be given back at once: Docker shows `usage_bytes` less this.
    pub inactive_file_bytes: u64,
    /// Page cache in use.
    pub active_file_bytes: u64,
    /// Page faults that had to read.
    pub major_faults: u64,
    /// Times that the kernel killed for want of memory.
    pub oom_kills: u64,
}

/// One disk since the group was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskReading {
    /// Device number.
    pub major: u32,
    /// Device number.
    pub minor: u32,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
}

/// Pressure stall information of one resource.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pressure {
    /// Share of time in which at least one process waited.
    pub some: Stall,
    /// In which all did; not there for CPU on old kernels.
    pub full: Option<Stall>,
}

/// Shares of time lost, in percent, and the sum.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stall {
    /// Over 10 seconds.
    pub avg10: f64,
    /// Over a minute.
    pub avg60: f64,
    /// Over five minutes.
    pub avg300: f64,
    /// Since the group was made.
    pub total_us: u64,
}

/// Files of one group, kept open.
#[derive(Debug)]
pub struct Readings {
    unified: bool,
    /// On a hybrid host the unified side's, which tells user and system time as well.
    cpu: Option<Source>,
    /// v1's count of throttling, and on pure v1 its `cpuacct.usage`, `_user` and `_sys`.
    throttling: Option<Source>,
    cpu_legacy: [Option<Source>; 3],
    memory_usage: Option<Source>,
    memory_most: Option<Source>,
    memory_limit: Option<Source>,
    memory_swap: Option<Source>,
    memory_stat: Option<Source>,
    memory_oom: Option<Source>,
    pids: Option<Source>,
    pids_limit: Option<Source>,
    disk_bytes: Option<Source>,
    disk_operations: Option<Source>,
    /// CPU, memory, disks.
    pressure: [Option<Source>; 3],
}

#[derive(Debug)]
struct Source {
    file: File,
    path: PathBuf,
}

impl Cgroup {
    /// Opens the files that tell what this group uses. Needs no privilege.
    ///
    /// # Errors
    /// None for what the host does not have; [`CgroupError::Read`] when a file that is there cannot be opened.
    pub fn readings(&self) -> Result<Readings, CgroupError> {
        let open = |controller: &str, file: &str| match self.place_of(controller) {
            Ok(place) => source(place.open(file, OFlags::RDONLY), place.shown(file)),
            Err(_) => Ok(None),
        };
        let core = |file: &str| match self.layout().unified() {
            Some(unified) => {
                let place = self.place(unified);
                source(place.open(file, OFlags::RDONLY), place.shown(file))
            }
            None => Ok(None),
        };
        let v2 = self.layout().world().is_unified();
        let named = |controller: &str, new: &str, old: &str| {
            let file = if v2 { new } else { old };
            if file.is_empty() { Ok(None) } else { open(controller, file) }
        };
        Ok(Readings {
            unified: v2,
            cpu: core("cpu.stat")?,
            throttling: if v2 { None } else { open("cpu", "cpu.stat")? },
            cpu_legacy: [
                open("cpuacct", "cpuacct.usage")?,
                open("cpuacct", "cpuacct.usage_user")?,
                open("cpuacct", "cpuacct.usage_sys")?,
            ],
            memory_usage: named("memory", "memory.current", "memory.usage_in_bytes")?,
            memory_most: named("memory", "memory.peak", "memory.max_usage_in_bytes")?,
            memory_limit: named("memory", "memory.max", "memory.limit_in_bytes")?,
            memory_swap: named("memory", "memory.swap.current", "")?,
            memory_stat: open("memory", "memory.stat")?,
            memory_oom: named("memory", "memory.events", "memory.oom_control")?,
            pids: open("pids", "pids.current")?,
            pids_limit: open("pids", "pids.max")?,
            disk_bytes: if v2 { open("io", "io.stat")? } else { self.disk_file("io_service_bytes")? },
            disk_operations: if v2 { None } else { self.disk_file("io_serviced")? },
            pressure: [core("cpu.pressure")?, core("memory.pressure")?, core("io.pressure")?],
        })
    }

    /// v1's counts for all beneath the group; old kernels count them only in the throttling layer.
    fn disk_file(&self, kind: &str) -> Result<Option<Source>, CgroupError> {
        let Ok(place) = self.place_of("blkio") else { return Ok(None) };
        let files = [format!("blkio.throttle.{kind}_recursive"), format!("blkio.throttle.{kind}")];
        let file = files.iter().find(|file| place.has(file));
        file.map_or(Ok(None), |file| source(place.open(file, OFlags::RDONLY), place.shown(file)))
    }
}

fn source(
    opened: Result<std::os::fd::OwnedFd, rustix::io::Errno>,
    path: PathBuf,
) -> Result<Option<Source>, CgroupError> {
    match opened {
        Ok(file) => Ok(Some(Source { file: file.into(), path })),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(CgroupError::Read { file: path, source: error.into() }),
    }
}

impl Source {
    /// The whole file from its beginning. Kernel files are made anew on a read at 0.
    fn read(&self) -> Result<String, CgroupError> {
        let failed = |source| CgroupError::Read { file: self.path.clone(), source };
        let mut bytes = vec![0; 4096];
        let mut length = 0;
        loop {
            match self.file.read_at(&mut bytes[length..], length as u64).map_err(failed)? {
                0 => break,
                read => length += read,
            }
            if length == bytes.len() {
                bytes.resize(length * 2, 0);
            }
        }
        bytes.truncate(length);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The text of a file that may not be there.
fn text(source: &Option<Source>) -> Result<String, CgroupError> {
    // Pressure can be switched off (EOPNOTSUPP on reading) while its file is there.
    match source.as_ref().map(Source::read) {
        Some(Err(CgroupError::Read { source, .. })) if source.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            Ok(String::new())
        }
        answer => Ok(answer.transpose()?.unwrap_or_default()),
    }
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|limit| *limit < NO_LIMIT)
}

impl Readings {
    /// Reads all now.
    ///
    /// # Errors
    /// [`CgroupError::Read`], also when the group is gone (`ENODEV`).
    pub fn read(&self) -> Result<Reading, CgroupError> {
        Ok(Reading {
            cpu: self.cpu()?,
            memory: self.memory()?,
            pids: number(&text(&self.pids)?),
            pids_limit: limit(&text(&self.pids_limit)?),
            disks: self.disks()?,
            cpu_pressure: pressure(&text(&self.pressure[0])?),
            memory_pressure: pressure(&text(&self.pressure[1])?),
            io_pressure: pressure(&text(&self.pressure[2])?),
        })
    }

    fn cpu(&self) -> Result<CpuReading, CgroupError> {
        let core = text(&self.cpu)?;
        let get = |text: &str, key| keyed(text, key).unwrap_or(0);
        let mut reading = CpuReading {
            usage_ns: get(&core, "usage_usec") * 1000,
            user_ns: get(&core, "user_usec") * 1000,
            system_ns: get(&core, "system_usec") * 1000,
            periods: get(&core, "nr_periods"),
            throttled_periods: get(&core, "nr_throttled"),
            throttled_ns: get(&core, "throttled_usec") * 1000,
        };
        if self.cpu.is_none() {
            let [usage, user, system] = &self.cpu_legacy;
            reading.usage_ns = number(&text(usage)?);
            reading.user_ns = number(&text(user)?);
            reading.system_ns = number(&text(system)?);
        }
        if self.throttling.is_some() {
            let throttling = text(&self.throttling)?;
            reading.periods = get(&throttling, "nr_periods");
            reading.throttled_periods = get(&throttling, "nr_throttled");
            // v1 counts in nanoseconds.
            reading.throttled_ns = get(&throttling, "throttled_time");
        }
        Ok(reading)
    }

    fn memory(&self) -> Result<MemoryReading, CgroupError> {
        let stat = text(&self.memory_stat)?;
        let get = |new: &str, old: &str| keyed(&stat, if self.unified { new } else { old }).unwrap_or(0);
        let most = text(&self.memory_most)?;
        Ok(MemoryReading {
            usage_bytes: number(&text(&self.memory_usage)?),
            most_bytes: most.trim().parse().ok(),
            limit_bytes: limit(&text(&self.memory_limit)?),
            swap_bytes: if self.unified { number(&text(&self.memory_swap)?) } else { get("", "total_swap") },
            anonymous_bytes: get("anon", "total_rss"),
            cache_bytes: get("file", "total_cache"),
            inactive_file_bytes: get("inactive_file", "total_inactive_file"),
            active_file_bytes: get("active_file", "total_active_file"),
            major_faults: get("pgmajfault", "total_pgmajfault"),
            oom_kills: keyed(&text(&self.memory_oom)?, "oom_kill").unwrap_or(0),
        })
    }

    fn disks(&self) -> Result<Vec<DiskReading>, CgroupError> {
        if self.unified {
            return Ok(text(&self.disk_bytes)?.lines().filter_map(unified_disk).collect());
        }
        Ok(legacy_disks(&text(&self.disk_bytes)?, &text(&self.disk_operations)?))
    }
}

fn device(numbers: &str) -> Option<(u32, u32)> {
    let (major, minor) = numbers.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `8:0 rbytes=90430464 wbytes=299008000 rios=8950 wios=1252 dbytes=0 dios=0`.
fn unified_disk(line: &str) -> Option<DiskReading> {
    let mut fields = line.split_whitespace();
    let (major, minor) = device(fields.next()?)?;
    let mut disk = DiskReading { major, minor, ..DiskReading::default() };
    for (key, value) in fields.filter_map(|field| field.split_once('=')) {
        match key {
            "rbytes" => disk.read_bytes = number(value),
            "wbytes" => disk.written_bytes = number(value),
            "rios" => disk.reads = number(value),
            "wios" => disk.writes = number(value),
            _ => {}
        }
    }
    Some(disk)
}

/// Lines `8:0 Read 4096` of two files, and a last line `Total 4096`.
fn legacy_disks(bytes: &str, operations: &str) -> Vec<DiskReading> {
    let mut disks: Vec<DiskReading> = Vec::new();
    let lines = bytes.lines().map(|line| (line, true)).chain(operations.lines().map(|line| (line, false)));
    for (line, is_bytes) in lines {
        let mut fields = line.split_whitespace();
        let Some((major, minor)) = fields.next().and_then(device) else { continue };
        let (Some(kind), Some(value)) = (fields.next(), fields.next()) else { continue };
        let at = disks.iter().position(|disk| (disk.major, disk.minor) == (major, minor)).unwrap_or_else(|| {
            disks.push(DiskReading { major, minor, ..DiskReading::default() });
            disks.len() - 1
        });
        match (kind, is_bytes) {
            ("Read", true) => disks[at].read_bytes = number(value),
            ("Write", true) => disks[at].written_bytes = number(value),
            ("Read", false) => disks[at].reads = number(value),
            ("Write", false) => disks[at].writes = number(value),
            _ => {}
        }
    }
    disks
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and a line `full`.
fn pressure(text: &str) -> Option<Pressure> {
    let line = |kind: &str| text.lines().find_map(|line| line.strip_prefix(kind)).map(stall);
    Some(Pressure { some: line("some ")?, full: line("full ") })
}

fn stall(fields: &str) -> Stall {
    let mut stall = Stall::default();
    for (key, value) in fields.split_whitespace().filter_map(|field| field.split_once('=')) {
        match key {
            "avg10" => stall.avg10 = value.parse().unwrap_or(0.0),
            "avg60" => stall.avg60 = value.parse().unwrap_or(0.0),
            "avg300" => stall.avg300 = value.parse().unwrap_or(0.0),
            "total" => stall.total_us = number(value),
            _ => {}
        }
    }
    stall
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_of_both_worlds_come_to_the_same() {
        let disk = DiskReading { major: 8, minor: 0, read_bytes: 4096, written_bytes: 8192, reads: 1, writes: 2 };
        let v2 = "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0";
        assert_eq!(unified_disk(v2), Some(disk));
        let bytes = "8:0 Read 4096\n8:0 Write 8192\n8:0 Sync 0\n8:0 Total 12288\nTotal 12288\n";
        let operations = "8:0 Read 1\n8:0 Write 2\n8:0 Total 3\nTotal 3\n";
        assert_eq!(legacy_disks(bytes, operations), [disk]);
        assert_eq!(unified_disk("8:16"), Some(DiskReading { major: 8, minor: 16, ..DiskReading::default() }));
    }

    #[test]
    fn pressure_is_read_with_and_without_its_second_line() {
        let some = "some avg10=1.50 avg60=0.25 avg300=0.00 total=1234\n";
        let stall = Stall { avg10: 1.5, avg60: 0.25, avg300: 0.0, total_us: 1234 };
        assert_eq!(pressure(some), Some(Pressure { some: stall, full: None }));
        let both = format!("{some}full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
        assert_eq!(pressure(&both), Some(Pressure { some: stall, full: Some(Stall::default()) }));
        assert_eq!(pressure(""), None);
    }

    #[test]
    fn no_limit_is_told_in_three_ways() {
        assert_eq!(limit("max\n"), None);
        assert_eq!(limit("9223372036854771712\n"), None);
        assert_eq!(limit("1048576\n"), Some(1_048_576));
    }
}
