//! Tells followers that a log has grown: one inotify instance and one small thread for all of them.
//!
//! The committed length lies in the log's `head`; each commit writes it. A container that has written nothing has no
//! log yet: then its folder is watched, then the log's.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use sampan_runtime::log::{HEAD_FILE, LOG_FOLDER};
use tokio::sync::Notify;

/// Waits for one log.
#[derive(Debug)]
pub(super) struct Watch {
    watcher: &'static Watcher,
    number: i32,
    notify: Arc<Notify>,
    is_final: bool,
}

#[derive(Debug)]
struct Watcher {
    inotify: OwnedFd,
    /// Who waits, by watch descriptor. Files that are watched twice have one descriptor.
    waiting: Mutex<HashMap<i32, Vec<Arc<Notify>>>>,
}

impl Watch {
    /// Watches the log in a container's folder, as far as there is one.
    ///
    /// # Errors
    /// As inotify_init1(2), inotify_add_watch(2): most of all when fs.inotify.max_user_watches is reached.
    pub(super) fn on(container: &Path) -> io::Result<Self> {
        let watcher = watcher()?;
        let log = container.join(LOG_FOLDER);
        let head = log.join(HEAD_FILE);
        let places =
            [(head.as_path(), WatchFlags::MODIFY), (&log, WatchFlags::CREATE), (container, WatchFlags::CREATE)];
        for (path, flags) in places {
            // The lock is held over both, so that no event falls between them.
            let mut waiting = watcher.lock();
            match inotify::add_watch(&watcher.inotify, path, flags | WatchFlags::DELETE_SELF) {
                Ok(number) => {
                    let notify = Arc::new(Notify::new());
                    waiting.entry(number).or_default().push(notify.clone());
                    return Ok(Self { watcher, number, notify, is_final: path == head });
                }
                Err(Errno::NOENT) => {}
                // Not the disk's space, though the kernel says it so.
                Err(Errno::NOSPC) => {
                    let text =
                        "no more files can be watched (inotify_add_watch: fs.inotify.max_user_watches is reached)";
                    return Err(io::Error::other(text));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Whether this is the log itself; else there was none, and after a change it is to be watched anew.
    pub(super) fn is_final(&self) -> bool {
        self.is_final
    }

    /// Waits for a change since the last call, or since the watch was made.
    pub(super) async fn changed(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut waiting = self.watcher.lock();
        let Some(others) = waiting.get_mut(&self.number) else { return };
        others.retain(|other| !Arc::ptr_eq(other, &self.notify));
        if others.is_empty() {
            waiting.remove(&self.number);
            // The file may be gone already, and the watch with it.
            let _ = inotify::remove_watch(&self.watcher.inotify, self.number);
        }
    }
}

impl Watcher {
    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Vec<Arc<Notify>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(&self.inotify, &mut buffer);
        loop {
            match events.next() {
                Ok(event) => {
                    let everybody = event.events().contains(ReadFlags::QUEUE_OVERFLOW);
                    let mut waiting = self.lock();
                    for (number, others) in waiting.iter() {
                        if everybody || *number == event.wd() {
                            others.iter().for_each(|notify| notify.notify_one());
                        }
                    }
                    if event.events().contains(ReadFlags::IGNORED) {
                        waiting.remove(&event.wd());
                    }
                }
                Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "logs can no longer be followed: inotify cannot be read");
                    return;
                }
            }
        }
    }
}

fn watcher() -> io::Result<&'static Watcher> {
    static WATCHER: OnceLock<Watcher> = OnceLock::new();
    static STARTED: Mutex<bool> = Mutex::new(false);
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if WATCHER.get().is_none() {
        let inotify = inotify::init(CreateFlags::CLOEXEC)?;
        let _ = WATCHER.set(Watcher { inotify, waiting: Mutex::new(HashMap::new()) });
    }
    let watcher = WATCHER.get().ok_or(io::ErrorKind::NotFound)?;
    if !*started {
        std::thread::Builder::new().name("log-watch".into()).stack_size(128 << 10).spawn(|| watcher.run())?;
        *started = true;
    }
    Ok(watcher)
}
