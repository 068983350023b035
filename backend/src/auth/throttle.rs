//! How often somebody may try: by address and by user name.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

/// Tries of one address at once, and then one in [`ADDRESS_EVERY`].
const ADDRESS_BURST: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
const ADDRESS_EVERY: Duration = Duration::from_secs(3);
/// Tries for one name at once from wherever, and then one in [`NAME_EVERY`].
const NAME_BURST: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
const NAME_EVERY: Duration = Duration::from_secs(10);
/// Keys at which those that are full again are forgotten.
const KEYS: usize = 10_000;

/// Bounds tries at passwords, codes and setup tokens.
#[derive(Debug)]
pub struct Throttle {
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    names: DefaultKeyedRateLimiter<String>,
    clock: DefaultClock,
}

/// Too many tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many tries: wait {seconds} seconds")]
pub struct TooMany {
    /// When to try again.
    pub seconds: u64,
}

impl Default for Throttle {
    fn default() -> Self {
        let quota =
            |every, burst| Quota::with_period(every).unwrap_or_else(|| Quota::per_minute(burst)).allow_burst(burst);
        Self {
            addresses: DefaultKeyedRateLimiter::keyed(quota(ADDRESS_EVERY, ADDRESS_BURST)),
            names: DefaultKeyedRateLimiter::keyed(quota(NAME_EVERY, NAME_BURST)),
            clock: DefaultClock::default(),
        }
    }
}

impl Throttle {
    /// Counts a try from `address` for `name`.
    ///
    /// # Errors
    /// [`TooMany`]; then nothing may be checked.
    pub fn check(&self, address: IpAddr, name: &str) -> Result<(), TooMany> {
        self.forget();
        let wait =
            |until: governor::NotUntil<_>| TooMany { seconds: until.wait_time_from(self.clock.now()).as_secs() + 1 };
        self.addresses.check_key(&network(address)).map_err(wait)?;
        self.names.check_key(&name.to_lowercase()).map_err(wait)
    }

    fn forget(&self) {
        if self.addresses.len() > KEYS {
            self.addresses.retain_recent();
        }
        if self.names.len() > KEYS {
            self.names.retain_recent();
        }
    }
}

/// The address, or for IPv6 its /64, which is what one customer has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_tries_too_often_waits_and_others_do_not() {
        let throttle = Throttle::default();
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let tries = (0..100).filter(|try_| throttle.check(one, &format!("user{try_}")).is_ok()).count();
        assert!((20..30).contains(&tries), "{tries}");
        assert!(throttle.check(one, "fresh").unwrap_err().seconds <= 4);
        assert!(throttle.check(other, "fresh").is_ok());
    }

    #[test]
    fn a_name_that_is_tried_too_often_waits_whatever_its_case_and_address() {
        let throttle = Throttle::default();
        let tries = (0..100_u8)
            .filter(|try_| {
                let name = if try_ % 2 == 0 { "amber" } else { "AMBER" };
                throttle.check(IpAddr::from([192, 0, 2, *try_]), name).is_ok()
            })
            .count();
        assert!((20..25).contains(&tries), "{tries}");
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let address = |text: &str| network(text.parse().unwrap());
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
    }
}
