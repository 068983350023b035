//! Files of v2 named directly by the description.
//!
//! Spec: OCI runtime-spec `config-linux.md`, "Unified".

use std::collections::HashMap;

use super::CgroupError;
use super::limits::{Host, Setting, out_of_range};

/// Controllers whose files may be named. `cgroup.*` is not among them: freezing, killing and structure are ours.
const CONTROLLERS: [&str; 6] = ["cpu", "cpuset", "hugetlb", "io", "memory", "pids"];

pub(super) fn plan(files: &HashMap<String, String>, host: &dyn Host) -> Result<Vec<Setting>, CgroupError> {
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort();
    sorted.into_iter().map(|(file, value)| one(file, value, host)).collect()
}

fn one(file: &str, value: &str, host: &dyn Host) -> Result<Setting, CgroupError> {
    let owner = file.split_once('.').map_or(file, |(owner, _)| owner);
    let plain = file.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_');
    let Some(controller) = CONTROLLERS.into_iter().find(|name| *name == owner && plain && file.contains('.')) else {
        let allowed = format!("it must be a file of one of {}", CONTROLLERS.join(", "));
        return Err(out_of_range("unified", file, allowed));
    };
    if !host.is_unified(controller) {
        let what = format!("unified: {file} is a file of cgroup v2, which this host does not use for limits");
        return Err(CgroupError::Unsupported { what });
    }
    Ok(Setting::new(controller, file, value))
}

#[cfg(test)]
mod tests {
    use super::super::limits::{FakeHost, shown};
    use super::*;

    #[test]
    fn only_files_of_controllers_can_be_named() {
        let files = |file: &str| HashMap::from([(file.to_owned(), "1".to_owned())]);
        let v2 = FakeHost::new(true, &[]);
        assert_eq!(shown(&plan(&files("memory.high"), &v2).expect("a file")), ["memory.high=1"]);
        for wrong in ["cgroup.procs", "memory", "../memory.high", "memory./x"] {
            assert!(matches!(plan(&files(wrong), &v2), Err(CgroupError::OutOfRange { .. })), "{wrong}");
        }
        let v1 = FakeHost::default();
        assert!(matches!(plan(&files("memory.high"), &v1), Err(CgroupError::Unsupported { .. })));
    }
}
