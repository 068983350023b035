//! Huge pages.
//!
//! Spec: OCI runtime-spec `config-linux.md`, "Huge page limits"; kernel `cgroup-v1/hugetlb.rst`.

use oci_spec::runtime::LinuxHugepageLimit;

use super::CgroupError;
use super::limits::{Host, Setting, out_of_range};

pub(super) fn plan(limits: &[LinuxHugepageLimit], host: &dyn Host) -> Result<Vec<Setting>, CgroupError> {
    limits.iter().map(|limit| one(limit, host)).collect()
}

fn one(limit: &LinuxHugepageLimit, host: &dyn Host) -> Result<Setting, CgroupError> {
    let size = limit.page_size();
    let digits = size.strip_suffix("KB").or_else(|| size.strip_suffix("MB")).or_else(|| size.strip_suffix("GB"));
    // The size becomes part of a file's name.
    if !digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(out_of_range("hugepageLimits.pageSize", size, "it must be like 2MB"));
    }
    let bytes = limit.limit();
    if bytes < -1 {
        return Err(out_of_range("hugepageLimits.limit", bytes, "it must be -1 or more"));
    }
    let file = if host.is_unified("hugetlb") {
        format!("hugetlb.{size}.max")
    } else {
        format!("hugetlb.{size}.limit_in_bytes")
    };
    if host.current("hugetlb", &file).is_none() {
        return Err(CgroupError::Unsupported { what: format!("this host cannot limit huge pages of {size}") });
    }
    let value = if bytes == -1 && host.is_unified("hugetlb") { "max".to_owned() } else { bytes.to_string() };
    Ok(Setting::new("hugetlb", file, value))
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::LinuxHugepageLimitBuilder;

    use super::super::limits::{FakeHost, shown};
    use super::*;

    #[test]
    fn the_size_of_a_page_names_the_file_and_cannot_leave_the_folder() {
        let limit = |size: &str| {
            LinuxHugepageLimitBuilder::default().page_size(size.to_owned()).limit(-1).build().expect("limit")
        };
        let v2 = FakeHost::new(true, &[("hugetlb.2MB.max", "max")]);
        assert_eq!(shown(&plan(&[limit("2MB")], &v2).expect("there")), ["hugetlb.2MB.max=max"]);
        for wrong in ["../../x/2MB", "MB", "2"] {
            assert!(matches!(plan(&[limit(wrong)], &v2), Err(CgroupError::OutOfRange { .. })), "{wrong}");
        }
        assert!(matches!(plan(&[limit("1GB")], &v2), Err(CgroupError::Unsupported { .. })));
    }
}
