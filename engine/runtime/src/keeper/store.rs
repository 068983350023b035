//! Descriptors under names, for whoever comes back and needs them again.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

/// Names with their descriptors, in order.
#[derive(Debug, Default)]
pub(super) struct Store {
    kept: BTreeMap<String, Vec<OwnedFd>>,
}

impl Store {
    /// Keeps `descriptors` instead of what was kept under `name`.
    pub(super) fn put(&mut self, name: String, descriptors: Vec<OwnedFd>) {
        self.kept.insert(name, descriptors);
    }

    /// What is kept under `name`.
    pub(super) fn get(&self, name: &str) -> Option<&[OwnedFd]> {
        self.kept.get(name).map(Vec::as_slice)
    }

    /// Names that start with `prefix`, sorted.
    pub(super) fn names<'store>(&'store self, prefix: &'store str) -> impl Iterator<Item = &'store str> {
        self.kept
            .range(prefix.to_owned()..)
            .map(|(name, _)| name.as_str())
            .take_while(move |name| name.starts_with(prefix))
    }

    /// Closes all that is kept under names that start with `prefix`.
    pub(super) fn drop_prefix(&mut self, prefix: &str) {
        let names: Vec<String> = self.names(prefix).map(str::to_owned).collect();
        for name in names {
            self.kept.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor() -> OwnedFd {
        std::fs::File::open("/dev/null").expect("the null device").into()
    }

    #[test]
    fn a_prefix_takes_its_own_names_and_no_neighbour() {
        let mut store = Store::default();
        for name in ["container/a/stdio", "container/a/pidfd", "container/ab/pidfd", "listener/http"] {
            store.put(name.to_owned(), vec![descriptor()]);
        }
        store.put("listener/http".to_owned(), vec![descriptor(), descriptor()]);
        store.drop_prefix("container/a/");
        assert_eq!(store.names("").collect::<Vec<_>>(), ["container/ab/pidfd", "listener/http"]);
        assert_eq!(store.get("listener/http").map(<[_]>::len), Some(2));
        assert!(store.get("container/a/pidfd").is_none());
    }
}
