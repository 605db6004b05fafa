//! How many connections one address may have open, so that none takes the room of all.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::neighbours::network_of;

/// The limit for one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerAddress {
    /// Open connections of one IPv4 address, or of one network of 64 bits of IPv6. One more is closed as it comes.
    pub most: usize,
    /// Proxies: many clients come from their addresses, which have no limit but that for all.
    pub exempt: Vec<IpNet>,
}

/// Whom a connection is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seat {
    Of(IpAddr),
    /// A proxy.
    Free,
}

/// Its address has as many connections as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Crowded;

/// The connections that are open, by address.
#[derive(Debug)]
pub(super) struct Seats {
    limit: PerAddress,
    taken: HashMap<IpAddr, usize>,
}

impl Seats {
    pub(super) fn new(limit: PerAddress) -> Self {
        Self { limit, taken: HashMap::new() }
    }

    /// Counts a connection in; to be given back by [`Seats::leave`].
    pub(super) fn take(&mut self, peer: IpAddr) -> Result<Seat, Crowded> {
        let peer = peer.to_canonical();
        if self.limit.exempt.iter().any(|network| network.contains(&peer)) {
            return Ok(Seat::Free);
        }
        let address = network_of(peer);
        let taken = self.taken.entry(address).or_default();
        if *taken >= self.limit.most {
            return Err(Crowded);
        }
        *taken += 1;
        Ok(Seat::Of(address))
    }

    pub(super) fn leave(&mut self, seat: Seat) {
        let Seat::Of(address) = seat else { return };
        if let Some(taken) = self.taken.get_mut(&address) {
            *taken = taken.saturating_sub(1);
            // Else each address that was ever here would stay in memory.
            if *taken == 0 {
                self.taken.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(exempt: &[&str]) -> Seats {
        let exempt = exempt.iter().map(|network| network.parse().unwrap()).collect();
        Seats::new(PerAddress { most: 2, exempt })
    }

    fn ip(written: &str) -> IpAddr {
        written.parse().unwrap()
    }

    #[test]
    fn one_address_in_all_its_spellings_has_so_many() {
        let mut seats = seats(&[]);
        for (first, second, third, other) in [
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("2001:db8::1", "2001:db8::2", "2001:db8::ffff:0:0:1", "2001:db8:0:1::1"),
        ] {
            let seat = seats.take(ip(first)).unwrap();
            seats.take(ip(second)).unwrap();
            assert_eq!(seats.take(ip(third)), Err(Crowded));
            seats.take(ip(other)).unwrap();
            seats.leave(seat);
            seats.take(ip(third)).unwrap();
            assert_eq!(seats.take(ip(first)), Err(Crowded));
        }
    }

    #[test]
    fn a_proxy_has_no_limit_and_who_has_left_is_forgotten() {
        let mut seats = seats(&["192.0.2.0/24", "2001:db8::/32"]);
        for _ in 0..10 {
            assert_eq!(seats.take(ip("192.0.2.1")), Ok(Seat::Free));
            assert_eq!(seats.take(ip("::ffff:192.0.2.9")), Ok(Seat::Free));
            assert_eq!(seats.take(ip("2001:db8::9")), Ok(Seat::Free));
        }
        seats.leave(Seat::Free);
        let seat = seats.take(ip("198.51.100.1")).unwrap();
        seats.leave(seat);
        assert!(seats.taken.is_empty(), "{seats:?}");
    }
}
