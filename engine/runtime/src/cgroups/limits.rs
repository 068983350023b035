//! Limits of a group: checked as a whole, then written file by file, undone when one is refused.

use oci_spec::runtime::LinuxResources;

use super::group::Cgroup;
use super::place::Place;
use super::{CgroupError, blkio, cpu, cpuset, devices, hugetlb, memory, pids, unified};

/// One file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// Whose file it is.
    pub controller: &'static str,
    /// Its name.
    pub file: String,
    /// The text.
    pub value: String,
}

impl Setting {
    pub fn new(controller: &'static str, file: impl Into<String>, value: impl ToString) -> Self {
        Self { controller, file: file.into(), value: value.to_string() }
    }
}

/// What a controller's translation may ask about the group: everything else follows from the description alone.
pub(super) trait Host {
    /// Whether the controller lives in the unified hierarchy.
    fn is_unified(&self, controller: &str) -> bool;
    /// What a file of the group says now; `None` when there is no such file.
    fn current(&self, controller: &str, file: &str) -> Option<String>;
    /// What a file of the hierarchy's root says.
    fn root(&self, controller: &str, file: &str) -> Option<String>;
}

impl Host for Cgroup {
    fn is_unified(&self, controller: &str) -> bool {
        self.place_of(controller).is_ok_and(|place| place.hierarchy.unified)
    }

    fn current(&self, controller: &str, file: &str) -> Option<String> {
        let text = self.place_of(controller).ok()?.read(file).ok()?;
        Some(text.trim().to_owned())
    }

    fn root(&self, controller: &str, file: &str) -> Option<String> {
        let root = Place { path: "", ..self.place_of(controller).ok()? };
        Some(root.read(file).ok()?.trim().to_owned())
    }
}

/// The translation of all controllers, in the order of writing.
pub(super) fn plan(resources: &LinuxResources, host: &dyn Host) -> Result<Vec<Setting>, CgroupError> {
    if let Some(network) = resources.network()
        && (network.class_id().is_some() || network.priorities().as_ref().is_some_and(|list| !list.is_empty()))
    {
        let what = "linux.resources.network: classes and priorities of network traffic are not supported";
        return Err(CgroupError::Unsupported { what: what.into() });
    }
    if resources.rdma().as_ref().is_some_and(|list| !list.is_empty()) {
        let what = "linux.resources.rdma: limits of RDMA devices are not supported";
        return Err(CgroupError::Unsupported { what: what.into() });
    }
    let mut settings = Vec::new();
    if let Some(cpu) = resources.cpu() {
        settings.extend(cpuset::plan(cpu, host)?);
        settings.extend(cpu::plan(cpu, host)?);
    }
    if let Some(memory) = resources.memory() {
        settings.extend(memory::plan(memory, host)?);
    }
    if let Some(pids) = resources.pids() {
        settings.extend(pids::plan(pids));
    }
    if let Some(block_io) = resources.block_io() {
        settings.extend(blkio::plan(block_io, host)?);
    }
    settings.extend(hugetlb::plan(resources.hugepage_limits().as_deref().unwrap_or_default(), host)?);
    if let Some(files) = resources.unified() {
        settings.extend(unified::plan(files, host)?);
    }
    Ok(settings)
}

impl Cgroup {
    /// Checks all limits, then writes them: for a new group. Devices that no rule of a present `devices` list allows
    /// are denied; an absent list leaves devices alone.
    ///
    /// # Errors
    /// [`CgroupError::OutOfRange`] and [`CgroupError::Unsupported`] before anything is written; [`CgroupError::Write`].
    pub fn apply(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        self.update(resources)
    }

    /// Changes limits of a group in use: only what is there; undone in reverse order when one of them is refused.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn update(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        let settings = plan(resources, self)?;
        let rules = resources.devices().as_deref().map(devices::Rules::parse).transpose()?;
        for setting in &settings {
            // A controller that is missing must be found before the first write.
            self.place_of(setting.controller)?;
        }
        let mut done: Vec<Setting> = Vec::with_capacity(settings.len());
        for (at, setting) in settings.iter().enumerate() {
            // The last one is never undone.
            let last = at + 1 == settings.len();
            let before = if last { None } else { self.current(setting.controller, &setting.file) };
            if let Err(error) = self.write(setting) {
                for undo in done.iter().rev() {
                    // The first error is the one to tell; a value that was there before is accepted again.
                    self.write(undo).ok();
                }
                return Err(error);
            }
            done.extend(before.map(|value| Setting { value, ..setting.clone() }));
        }
        rules.map_or(Ok(()), |rules| devices::set(self, &rules))
    }

    fn write(&self, setting: &Setting) -> Result<(), CgroupError> {
        self.place_of(setting.controller)?.write(&setting.file, &setting.value)
    }
}

/// [`CgroupError::OutOfRange`].
pub(super) fn out_of_range(field: &'static str, value: impl ToString, allowed: impl Into<String>) -> CgroupError {
    CgroupError::OutOfRange { field, value: value.to_string(), allowed: allowed.into() }
}

/// [`CgroupError::OutOfRange`] unless `value` lies between the two.
pub(super) fn check_range<T: PartialOrd + std::fmt::Display>(
    field: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<T, CgroupError> {
    if value < least || value > most {
        return Err(out_of_range(field, value, format!("it must be from {least} to {most}")));
    }
    Ok(value)
}

/// A host for tests of translations.
#[cfg(test)]
#[derive(Debug, Default)]
pub(super) struct FakeHost {
    pub unified: bool,
    pub files: std::collections::HashMap<&'static str, &'static str>,
}

#[cfg(test)]
impl Host for FakeHost {
    fn is_unified(&self, _: &str) -> bool {
        self.unified
    }
    fn current(&self, _: &str, file: &str) -> Option<String> {
        self.files.get(file).map(|text| (*text).to_owned())
    }
    fn root(&self, _: &str, file: &str) -> Option<String> {
        self.files.get(file).map(|text| (*text).to_owned())
    }
}

#[cfg(test)]
impl FakeHost {
    pub fn new(unified: bool, files: &[(&'static str, &'static str)]) -> Self {
        Self { unified, files: files.iter().copied().collect() }
    }
}

/// `file=value` of each setting, for exact assertions.
#[cfg(test)]
pub(super) fn shown(settings: &[Setting]) -> Vec<String> {
    settings.iter().map(|one| format!("{}={}", one.file, one.value)).collect()
}
