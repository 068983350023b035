//! Client of other registries: pulling from and pushing to them, with their credentials, through their mirrors.
//!
//! ```text
//! Places ── mirrors in their order, then the registry: who is asked, who is well
//!   └ Remote ── one repository at one of them: manifests, blobs, uploads, tokens
//!       └ Transport ── requests: tries, redirects by hand, patience
//!           └ egress ── which addresses are connected to
//! ```
//! What comes from there is foreign: every body has a limit, every blob a digest and a size, every wait an end.

mod authorize;
mod blobs;
mod body;
mod challenge;
mod credentials;
mod egress;
mod error;
mod places;
mod proxies;
mod registries;
mod remote;
mod rules;
mod search;
#[cfg(test)]
pub(crate) mod testing;
mod tokens;
mod transport;
mod upload;

pub use blobs::BlobStream;
pub use credentials::Credentials;
pub use egress::{Reach, Refused};
pub use error::UpstreamError;
pub use places::{Found, Health, Places, State};
pub use proxies::Proxies;
pub use registries::{MirrorState, Registries, RegistriesError, Served};
pub use remote::{MANIFEST_BYTES, Manifest, Remote};
pub use rules::{Endpoint, Mirror, Registry, Rules, base};
pub use search::{Hit, search};
pub use transport::{Patience, Transport};
pub use upload::Sending;
