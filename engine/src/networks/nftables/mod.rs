//! nftables by messages: tables, chains, rules, sets and maps in one all-or-nothing transaction.
//!
//! Spec: `include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h`; nft(8) for what the rules mean. Only what Sampan's
//! table and its accepts in foreign chains need.

mod chains;
mod expression;
mod transaction;

pub use chains::{BaseChain, base_chains_on_forward, has_table, rules_with_comment};
pub use expression::{Expression, Field, MetaKey, Verdict};
pub use transaction::{Chain, Family, Hook, Set, Transaction};
