//! What counts as one address, wherever connections, requests and tries are counted.

use std::net::{IpAddr, Ipv6Addr};

/// Whoever has one IPv6 address has a /64 of them.
#[must_use]
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}
