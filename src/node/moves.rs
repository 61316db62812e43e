//! Notices that this machine, or a peer's, has moved to another network.
//!
//! Nobody tells a program that its address has changed: a socket bound to no address in particular
//! simply goes on from another one. QUIC moves the connections we dialled along (RFC 9000 §9), but
//! an accepting side can't move, and what was known of the old path – its delay, its rate – says
//! nothing about the new one.

use crate::transport::{Endpoint, Link};
use crate::wire::link::LinkId;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Between two looks: a connection that has to be dialled anew is missed for this long.
const EVERY: Duration = Duration::from_millis(100);

/// A link whose path is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) link: LinkId,
    /// This machine has moved, not the peer's.
    pub(super) ours: bool,
    /// Where the peer is now.
    pub(super) remote: SocketAddr,
}

/// Addresses as they were at the last look.
#[derive(Debug)]
pub(super) struct Moves {
    ends: BTreeMap<LinkId, Ends>,
    next: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    source: Option<IpAddr>,
    remote: SocketAddr,
}

impl Moves {
    pub(super) fn new(now: Instant) -> Self {
        Self { ends: BTreeMap::new(), next: now }
    }

    /// Looks at all links, if it is time to.
    pub(super) fn look(
        &mut self,
        links: &BTreeMap<LinkId, Link>,
        endpoint: &Endpoint,
        now: Instant,
    ) -> Vec<Moved> {
        if now < self.next {
            return Vec::new();
        }
        self.next = now + EVERY;
        self.ends.retain(|id, _| links.contains_key(id));
        let mut moved = Vec::new();
        for (id, link) in links {
            let remote = link.remote();
            let ends = Ends { source: endpoint.source(remote), remote };
            let known = self.ends.entry(*id).or_insert(ends);
            moved.extend(known.compare(ends).map(|ours| Moved { link: *id, ours, remote }));
        }
        moved
    }
}

impl Ends {
    /// Takes over the present addresses; says whether a host is another one now, and whether
    /// that is ours. While there is no way to the peer, nothing has moved yet.
    fn compare(&mut self, now: Self) -> Option<bool> {
        let we = now.source.is_some() && self.source.is_some() && self.source != now.source;
        let they = self.remote.ip() != now.remote.ip();
        *self = Self { source: now.source.or(self.source), remote: now.remote };
        (we || they).then_some(we)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(source: Option<u8>, host: u8, port: u16) -> Ends {
        let ip = |n: u8| IpAddr::from([10, 0, 0, n]);
        Ends { source: source.map(ip), remote: SocketAddr::new(ip(host), port) }
    }

    #[test]
    fn another_address_is_a_move_and_another_port_is_not() {
        let mut known = ends(Some(1), 2, 4433);
        assert_eq!(known.compare(ends(Some(1), 2, 4433)), None);
        assert_eq!(known.compare(ends(Some(1), 2, 4434)), None);
        assert_eq!(known.compare(ends(Some(1), 3, 4434)), Some(false));
        assert_eq!(known.compare(ends(Some(7), 3, 4434)), Some(true));
    }

    #[test]
    fn without_any_network_nothing_moves_until_there_is_another() {
        let mut known = ends(Some(1), 2, 4433);
        assert_eq!(known.compare(ends(None, 2, 4433)), None);
        assert_eq!(known.compare(ends(Some(1), 2, 4433)), None);
        assert_eq!(known.compare(ends(None, 2, 4433)), None);
        assert_eq!(known.compare(ends(Some(5), 2, 4433)), Some(true));
    }
}
