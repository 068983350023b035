//! Netlink messages and the socket that carries them, many requests in one write.
//!
//! Spec: netlink(7), rtnetlink(7), `include/uapi/linux/{netlink,rtnetlink,if_link,if_addr}.h`. Numbers are the
//! kernel's; each file names the ones it uses.

pub mod address;
pub mod conntrack;
pub mod link;
mod message;
pub mod route;
mod socket;

pub use message::{Attributes, Batch, attribute_text, attribute_u32};
pub use socket::Socket;
