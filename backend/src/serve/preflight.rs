//! `sampan preflight`: what kernel and host offer, what is missing, and the fix to type.

use std::fs;
use std::path::Path;

use crate::config::{Config, Storage};

/// One thing that was looked at.
struct Finding {
    fine: bool,
    /// Without it no container runs.
    needed: bool,
    what: String,
    fix: &'static str,
}

/// Prints what was found; whether all that is needed is there.
pub fn preflight(config: &Config) -> bool {
    let findings = [
        kernel(),
        root(),
        cgroups(),
        storage(config),
        overlay(),
        user_namespaces(),
        nftables(),
        forwarding(),
        disk(config),
    ];
    for finding in &findings {
        let mark = match (finding.fine, finding.needed) {
            (true, _) => "ok     ",
            (false, true) => "missing",
            (false, false) => "without",
        };
        println!("{mark} {}", finding.what);
        if !finding.fine && !finding.fix.is_empty() {
            println!("        {}", finding.fix);
        }
    }
    findings.iter().all(|finding| finding.fine || !finding.needed)
}

fn release() -> (u32, u32) {
    let text = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut parts = text.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok());
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

fn kernel() -> Finding {
    let (major, minor) = release();
    Finding {
        fine: (major, minor) >= (6, 1),
        needed: true,
        what: format!(
            "kernel {major}.{minor} (6.1 is needed; 6.12 mounts images without unpacking them, 6.15 mounts by descriptor)"
        ),
        fix: "on Debian: apt-get full-upgrade to Debian 12 or newer, then reboot",
    }
}

fn root() -> Finding {
    let fine = rustix::process::geteuid().is_root();
    Finding { fine, needed: true, what: "root, for the start only".into(), fix: "sudo sampan preflight" }
}

fn cgroups() -> Finding {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let unified = mounts.contains(" /sys/fs/cgroup rw") && mounts.contains(" - cgroup2 ");
    let legacy = mounts.contains(" - cgroup ");
    let controllers = fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let absent: Vec<&str> = ["memory", "pids", "cpu"]
        .into_iter()
        .filter(|name| !controllers.lines().any(|line| line.starts_with(name) && line.trim_end().ends_with('1')))
        .collect();
    let world = match (legacy, unified) {
        (false, _) => "v2",
        (true, _) if mounts.contains(" - cgroup2 ") => "v1 hybrid",
        (true, _) => "v1",
    };
    Finding {
        fine: absent.is_empty() && mounts.contains(" - cgroup"),
        needed: true,
        what: if absent.is_empty() {
            format!("cgroup {world}")
        } else {
            format!("cgroup {world} without {}", absent.join(", "))
        },
        fix: "add cgroup_enable=memory to the kernel's command line, then reboot",
    }
}

fn known_file_system(name: &str) -> bool {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let module = Path::new("/lib/modules").join(rustix::system::uname().release().to_string_lossy().as_ref());
    let listed =
        |file: &str| fs::read_to_string(module.join(file)).is_ok_and(|text| text.contains(&format!("/{name}.ko")));
    known.split_whitespace().any(|word| word == name) || listed("modules.dep") || listed("modules.builtin")
}

/// How images are kept: as the settings say, else as `serve` will find it possible (spawner tries a mount).
fn storage(config: &Config) -> Finding {
    let finding = |fine, needed, what: &str, fix| Finding { fine, needed, what: what.into(), fix };
    let fix =
        "EROFS needs a kernel of 6.12 or newer with erofs (modprobe erofs), and a data root that is not on overlayfs";
    let possible = known_file_system("erofs") && release() >= (6, 12) && !is_on_overlay(config);
    match (config.storage, possible) {
        (Storage::Folders, _) => {
            finding(true, false, "images are unpacked into plain folders, as the settings say", "")
        }
        (_, true) => finding(true, true, "EROFS from files: images are mounted without being unpacked", ""),
        (Storage::Auto, false) => {
            finding(false, false, "EROFS from files: images are unpacked into plain folders instead", fix)
        }
        (Storage::Erofs, false) => finding(false, true, "EROFS from files, which the settings ask for", fix),
    }
}

fn is_on_overlay(config: &Config) -> bool {
    const OVERLAY: u64 = 0x794c_7630;
    rustix::fs::statfs(existing(config)).is_ok_and(|found| found.f_type as u64 == OVERLAY)
}

/// The data root, or the closest folder above it that is there already.
fn existing(config: &Config) -> &Path {
    config.data_root.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"))
}

fn overlay() -> Finding {
    Finding { fine: known_file_system("overlay"), needed: true, what: "overlayfs".into(), fix: "modprobe overlay" }
}

fn user_namespaces() -> Finding {
    let most =
        fs::read_to_string("/proc/sys/user/max_user_namespaces").ok().and_then(|text| text.trim().parse::<u64>().ok());
    Finding {
        fine: most.is_some_and(|most| most > 0),
        needed: true,
        what: "user namespaces".into(),
        fix: "sysctl -w user.max_user_namespaces=100000",
    }
}

fn nftables() -> Finding {
    let module = Path::new("/proc/net/netfilter").exists() || Path::new("/proc/sys/net/netfilter").exists();
    Finding { fine: module, needed: true, what: "nftables".into(), fix: "modprobe nf_tables" }
}

fn forwarding() -> Finding {
    let on = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").is_ok_and(|text| text.trim() == "1");
    let what =
        if on { "IP forwarding is on" } else { "IP forwarding is off; Sampan switches it on with its first bridge" };
    Finding { fine: true, needed: false, what: what.into(), fix: "" }
}

fn disk(config: &Config) -> Finding {
    let folder = existing(config);
    let free = rustix::fs::statvfs(folder).map_or(0, |disk| disk.f_bavail * disk.f_frsize);
    Finding {
        fine: free > 1 << 30,
        needed: false,
        what: format!("{:.1} GB free under {}", free as f64 / 1e9, folder.display()),
        fix: "images and volumes need room: name another folder with --data-root",
    }
}
