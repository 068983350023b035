//! One container: its tabs.

pub(super) mod configuration;
pub(super) mod console;
mod head;
pub(super) mod logs;
pub(super) mod overview;
pub(super) mod remove;
pub(super) mod stats;

use head::Head;
