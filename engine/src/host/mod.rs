//! What an instance takes of its host, once at the start of `serve` while it is still root, and gives back by `down`:
//! an id, a block of host ids, its folders, keeper, the listening sockets; then the drop of all privileges.
//!
//! Everything here is synchronous and runs before the first thread is made: what a namespace or a credential call
//! changes belongs to one thread (credentials(7)), so it must be the only one.

mod down;
mod error;
mod ids;
mod instance;
mod keeper;
mod lock;
mod parent;
mod privileges;
mod roots;
mod view;

pub use down::{Down, down};
pub use error::HostError;
pub use ids::IdBlock;
pub use keeper::{Helpers, Keeper};
pub use lock::{Alone, claim_alone};
pub use parent::parent;
pub use privileges::{drop_all, require_root};
pub use roots::{Claimed, claim};
pub use sampan_runtime::sys::memory::be_thrifty;
pub use view::enter_private_view;
